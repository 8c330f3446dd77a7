"""How an invocation can end without an answer from its handler.

The error types and the wording are those of AWS where it has one:
https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
"""

import json
import signal
from datetime import UTC, datetime


class Fault(Exception):
    """The runtime's fault; `error_type` is the errorType that the caller receives."""

    error_type: str
    status = "error"

    @property
    def reported_type(self) -> str:
        """The Error Type of the REPORT line."""
        return self.error_type

    def log_line(self, request_id: str) -> str:
        return f"RequestId: {request_id} Error: {self}\n{self.error_type}\n"

    def payload(self, request_id: str) -> bytes:
        message = f"RequestId: {request_id} Error: {self}"
        return json.dumps({"errorType": self.error_type, "errorMessage": message}).encode()


class TimedOut(Fault):
    error_type = "Sandbox.Timedout"
    status = "timeout"

    def __init__(self, timeout_s: float, phase: str = "Task") -> None:
        super().__init__(f"{phase} timed out after {timeout_s:.2f} seconds")

    def log_line(self, request_id: str) -> str:
        return f"{now()} {request_id} {self}\n"


class Exited(Fault):
    error_type = "Runtime.ExitError"

    def __init__(self, returncode: int) -> None:
        """
        Args:
            returncode: as subprocess gives it, -N for a process killed by signal N.
        """
        super().__init__(describe_exit(returncode))


class OutOfMemory(Exited):
    """The caller learns that the runtime was killed; only the REPORT line tells why."""

    reported_type = "Runtime.OutOfMemory"

    def __init__(self) -> None:
        super().__init__(-signal.SIGKILL)


class InitFailed(Fault):
    """The function could not be loaded; the runtime client has described why."""

    def __init__(self, report: bytes, error_type: str) -> None:
        super().__init__(error_type)
        self.error_type = error_type
        self.report = report

    def log_line(self, request_id: str) -> str:
        return ""

    def payload(self, request_id: str) -> bytes:
        return self.report


class ResponseTooLarge(Fault):
    error_type = "Function.ResponseSizeTooLarge"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"Response payload size exceeded maximum allowed payload size ({limit} bytes)."
        )

    def payload(self, request_id: str) -> bytes:
        return json.dumps({"errorType": self.error_type, "errorMessage": str(self)}).encode()


class NotRunnable(Fault):
    """No process can be started for the function, as it is configured or as this machine is."""

    error_type = "Runtime.InterpreterNotFound"


class Dropped(Fault):
    """Nobody awaits the answer any more."""

    error_type = "Sandbox.Dropped"

    def __init__(self) -> None:
        super().__init__("the execution that called ended before a worker was free")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def describe_exit(returncode: int) -> str:
    if returncode == 0:
        return "Runtime exited without providing a reason"
    if returncode > 0:
        return f"Runtime exited with error: exit status {returncode}"
    # macOS says "Killed: 9"
    name = (signal.strsignal(-returncode) or f"signal {-returncode}").split(":")[0]
    return f"Runtime exited with error: signal: {name.lower()}"

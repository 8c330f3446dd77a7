"""One OS process that runs a function, an invocation at a time."""

import json
import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from process_executor import processes
from process_executor.faults import (
    Exited,
    Fault,
    InitFailed,
    OutOfMemory,
    ResponseTooLarge,
    TimedOut,
)
from process_executor.launch import Launch
from process_executor.report import Report, write_log
from process_executor.runtime_api import CHUNK_BYTES, Request, RuntimeApi
from process_executor.workspace import scratch_folder

BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
NEXT = "/2018-06-01/runtime/invocation/next"
INIT_ERROR = "/2018-06-01/runtime/init/error"
MIB = 1 << 20
SAMPLE_S = 0.05
SAMPLE_SHARE = 30  # times as long as it takes, which with forks may be milliseconds
# A function that prints for ever shall not take LocalStack's memory.
LOG_BYTES = 64 * MIB


@dataclass(frozen=True)
class Invocation:
    """Attributes:
    payload: the event, as JSON.
    version: the qualifier of the function version.
    response_limit: bytes that a response may have.
    """

    request_id: str
    payload: bytes
    function_arn: str
    trace_id: str
    version: str = "$LATEST"
    response_limit: int = 6 * MIB + 100


@dataclass(frozen=True)
class Outcome:
    payload: bytes
    is_error: bool
    log: str


class Worker:
    """The process is started at once; the thread that runs an invocation serves and watches it.

    Attributes:
        generation: of the code, when the process was started.
        alive: False once it has been killed, and so after every fault.
    """

    def __init__(
        self,
        launch: Launch,
        generation: int = 0,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            on_end: called when the process has ended.

        Raises:
            OSError: the process cannot be started.
        """
        self.launch = launch
        self.generation = generation
        self.alive = True
        self._on_end = on_end
        self._initialised = False
        self._parked: Request | None = None
        self._peak_bytes = 0
        self._next_sample = 0.0
        self._output = bytearray()
        self._dropped_bytes = 0
        self._tmp = scratch_folder("tmp")
        self._api = RuntimeApi()
        # This process alone holds the other end, so that its end, whatever its cause, is told.
        lifeline, self._lifeline = os.pipe()
        self._pipe, output = os.pipe()
        os.set_blocking(self._pipe, False)
        self._api.watch(self._pipe, self._read_output)
        self._began = time.monotonic()
        try:
            self._process = self._start(lifeline, output)
        except OSError:
            self._free()
            raise
        finally:
            os.close(lifeline)
            os.close(output)

    @property
    def pid(self) -> int:
        return self._process.pid

    def ready(self) -> bool:
        """Whether a worker that was idle can take another invocation."""
        try:
            self._initialise()
        except Fault:
            return False
        return True

    def run(self, invocation: Invocation) -> Outcome:
        """Invoke the function, in a new worker after the init phase."""
        before, init_ms, began, fault = b"", None, None, None
        try:
            init_ms = self._initialise()
            before = self._take_output()
            began = time.monotonic()
            payload, is_error = self._handle(invocation)
        except Fault as caught:
            fault, payload, is_error = caught, caught.payload(invocation.request_id), True
        duration_ms = milliseconds_since(began) if began else 0.0
        if fault:
            self.kill()
        report = Report(
            request_id=invocation.request_id,
            duration_ms=min(duration_ms, self.launch.timeout_s * 1000),
            init_ms=init_ms,
            memory_mb=self.launch.memory_mb,
            peak_mb=mebibytes(self._peak_bytes),
            fault=fault,
        )
        log = write_log(report, invocation.version, before, self._take_output())
        return Outcome(payload, is_error, log)

    def interrupt(self) -> None:
        """Kill the process group, leaving the rest to the thread that runs the invocation."""
        if self._process.returncode is None:
            for pid in processes.descendants(self.pid):
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        # macOS answers EPERM for a group of zombies.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End the process and all that it has started, and free what they held."""
        if not self.alive:
            return
        self.interrupt()
        self._process.wait()
        self._read_output()
        self._free()

    def _start(self, lifeline: int, output: int) -> subprocess.Popen[bytes]:
        launch = self.launch
        return subprocess.Popen(
            [
                launch.interpreter,
                *(() if launch.writes_bytecode else ("-B",)),
                BOOTSTRAP,
                str(lifeline),
                launch.handler,
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=launch.task_root,
            env={
                "TMPDIR": str(self._tmp),
                **launch.variables,
                "AWS_LAMBDA_RUNTIME_API": self._api.address,
            },
            pass_fds=(lifeline,),
            start_new_session=True,
        )

    def _free(self) -> None:
        self.alive = False
        self._api.close()
        os.close(self._pipe)
        os.close(self._lifeline)
        shutil.rmtree(self._tmp, ignore_errors=True)
        self._on_end()

    def _initialise(self) -> float | None:
        """Await that the worker asks for an invocation.

        Returns:
            Milliseconds of the init phase; None where it was over before.
        """
        cold, limit_s = not self._initialised, self.launch.init_timeout_s
        try:
            self._await_next((self._began if cold else time.monotonic()) + limit_s)
        except TimeoutError:
            raise TimedOut(limit_s, "Init phase") from None
        self._initialised = True
        return milliseconds_since(self._began) if cold else None

    def _await_next(self, deadline: float) -> None:
        while not self._parked:
            request = self._next_request(deadline)
            if request.path == NEXT:
                self._parked = request
            elif request.path == INIT_ERROR:
                acknowledge(request)
                raise InitFailed(request.body, json.loads(request.body)["errorType"])
            else:
                refuse(request)
        if processes.is_dying(self.pid):
            self._process.wait()
        if (returncode := self._process.poll()) is not None:
            raise Exited(returncode)

    def _handle(self, invocation: Invocation) -> tuple[bytes, bool]:
        """The function's answer, and whether it is an error."""
        deadline = time.monotonic() + self.launch.timeout_s
        try:
            self._deliver(invocation)
            request = self._await_answer(invocation.request_id, deadline)
        except TimeoutError:
            raise TimedOut(self.launch.timeout_s) from None
        self._check_memory()
        if len(request.body) > invocation.response_limit:
            raise ResponseTooLarge(invocation.response_limit)
        return request.body, request.path.endswith("/error")

    def _deliver(self, invocation: Invocation) -> None:
        assert self._parked
        parked, self._parked = self._parked, None
        deadline_ms = int((time.time() + self.launch.timeout_s) * 1000)
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
        }
        try:
            parked.reply(HTTPStatus.OK, invocation.payload, headers, self.launch.timeout_s)
        except TimeoutError:
            raise
        except OSError:
            pass  # it has just died, which awaiting its answer will tell

    def _await_answer(self, request_id: str, deadline: float) -> Request:
        path = f"/2018-06-01/runtime/invocation/{request_id}"
        while True:
            request = self._next_request(deadline)
            if request.path in (f"{path}/response", f"{path}/error"):
                acknowledge(request)
                return request
            refuse(request)

    def _next_request(self, deadline: float) -> Request:
        """
        Raises:
            Exited: the process has ended, and what it had sent before is dealt with.
            OutOfMemory: it has outgrown MemorySize.
            TimeoutError: the deadline has passed.
        """
        while not self._api.requests:
            exited = self._process.poll()
            patience_s = min(SAMPLE_S, max(0, deadline - time.monotonic()))
            active = self._api.pump(0 if exited is not None else patience_s)
            if self._api.requests:
                break
            if exited is not None and not active:
                raise Exited(exited)
            self._sample_memory()
            if time.monotonic() >= deadline:
                raise TimeoutError
        return self._api.requests.popleft()

    def _sample_memory(self) -> None:
        began = time.monotonic()
        if began >= self._next_sample:
            self._check_memory()
            ended = time.monotonic()
            self._next_sample = ended + max(SAMPLE_S, SAMPLE_SHARE * (ended - began))

    def _check_memory(self) -> None:
        used = processes.resident_bytes(self.pid)
        self._peak_bytes = max(self._peak_bytes, used)
        if used > self.launch.memory_mb * MIB:
            raise OutOfMemory(mebibytes(used), self.launch.memory_mb)

    def _read_output(self) -> None:
        """Take what the function has written; a pipe holds less than one read asks for."""
        with suppress(BlockingIOError):
            chunk = os.read(self._pipe, CHUNK_BYTES)
            kept = chunk[: LOG_BYTES - len(self._output)]
            self._output += kept
            self._dropped_bytes += len(chunk) - len(kept)
            if not chunk:
                self._api.unwatch(self._pipe)

    def _take_output(self) -> bytes:
        if self.alive:
            self._read_output()
        output = bytes(self._output)
        if self._dropped_bytes:
            output += f"\n[{self._dropped_bytes} bytes dropped]\n".encode()
        self._output.clear()
        self._dropped_bytes = 0
        return output


def acknowledge(request: Request) -> None:
    with suppress(OSError):
        request.reply(HTTPStatus.ACCEPTED)


def refuse(request: Request) -> None:
    with suppress(OSError):
        request.reply(HTTPStatus.NOT_FOUND)


def milliseconds_since(began: float) -> float:
    return (time.monotonic() - began) * 1000


def mebibytes(size: int) -> int:
    return math.ceil(size / MIB)

"""The log of one invocation, line for line as Lambda writes it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from process_executor.faults import Fault, TimedOut

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN")


@dataclass(frozen=True)
class Report:
    """Attributes:
    duration_ms: of the handler, the init phase excluded.
    init_ms: of the init phase, None in a warm worker.
    peak_mb: the most resident memory that the worker has held so far.
    is_error: the caller gets an error, the handler's own or a fault.
    """

    request_id: str
    function_arn: str
    duration_ms: float
    init_ms: float | None
    memory_mb: int
    peak_mb: int
    is_error: bool = False
    fault: Fault | None = None

    @property
    def billed_ms(self) -> int:
        """Lambda has billed the init phase since August 2025."""
        return math.ceil(self.duration_ms + (self.init_ms or 0))


@dataclass(frozen=True)
class TextLog:
    """The platform's lines where LogFormat is Text.

    Attributes:
        version: the function version's qualifier.
        runtime: such as python3.13.
        runtime_arn: of AWS's build of it, as LocalStack names it.
    """

    version: str = "$LATEST"
    runtime: str = ""
    runtime_arn: str = ""

    def init_start(self) -> str:
        # AWS's builds of a runtime are numbered from v1.
        name = f"{runtime_version(self.runtime)}.v0"
        return f"INIT_START Runtime Version: {name}\tRuntime Version ARN: {self.runtime_arn}\n"

    def init_timed_out(self, limit_s: float) -> str:
        return f"INIT_REPORT Init Duration: {limit_s * 1000:.2f} ms\tPhase: init\tStatus: timeout\n"

    def start(self, report: Report) -> str:
        return f"START RequestId: {report.request_id} Version: {self.version}\n"

    def end(self, report: Report) -> str:
        fields = [
            f"REPORT RequestId: {report.request_id}",
            f"Duration: {report.duration_ms:.2f} ms",
            f"Billed Duration: {report.billed_ms} ms",
            f"Memory Size: {report.memory_mb} MB",
            f"Max Memory Used: {report.peak_mb} MB",
        ]
        if report.init_ms is not None:
            fields.append(f"Init Duration: {report.init_ms:.2f} ms")
        if report.fault:
            fields.append(f"Status: {report.fault.status}")
        if report.fault and report.fault.status == "error":
            fields.append(f"Error Type: {report.fault.reported_type}")
        return (
            text(fault_line(report).encode())
            + f"END RequestId: {report.request_id}\n"
            + "".join(f"{field}\t" for field in fields)
            + "\n"
        )


@dataclass(frozen=True)
class JsonLog:
    """The platform's lines where LogFormat is JSON: an object each, if its level is high enough.

    https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
    """

    function: str
    version: str
    runtime: str
    runtime_arn: str
    initialization_type: str
    level: str

    def init_start(self) -> str:
        record = {
            "initializationType": self.initialization_type,
            "phase": "init",
            "runtimeVersion": f"{runtime_version(self.runtime)}.v0",
            "runtimeVersionArn": self.runtime_arn,
            "functionName": self.function,
            "functionVersion": self.version,
        }
        return self._line("INFO", "initStart", record)

    def init_timed_out(self, limit_s: float) -> str:
        record = {
            "initializationType": self.initialization_type,
            "phase": "init",
            "status": "timeout",
            "metrics": {"durationMs": limit_s * 1000},
        }
        return self._line("WARN", "initReport", record)

    def start(self, report: Report) -> str:
        record = {
            "requestId": report.request_id,
            "functionArn": report.function_arn,
            "version": self.version,
        }
        return self._line("INFO", "start", record)

    def end(self, report: Report) -> str:
        status = {"status": "error" if report.is_error else "success"}
        if report.fault:
            status = {"status": report.fault.status}
        if report.fault and report.fault.status == "error":
            status["errorType"] = report.fault.reported_type
        duration = {"durationMs": round(report.duration_ms, 3)}
        metrics: dict[str, float] = {
            **duration,
            "billedDurationMs": report.billed_ms,
            "memorySizeMB": report.memory_mb,
            "maxMemoryUsedMB": report.peak_mb,
        }
        if report.init_ms is not None:
            metrics["initDurationMs"] = round(report.init_ms, 3)
        failed = "WARN" if report.is_error else ""
        request = {"requestId": report.request_id}
        return self._line(
            failed or "DEBUG", "runtimeDone", {**request, **status, "metrics": duration}
        ) + self._line(failed or "INFO", "report", {**request, "metrics": metrics, **status})

    def _line(self, level: str, kind: str, record: Mapping[str, object]) -> str:
        if LEVELS.index(level) < LEVELS.index(self.level):
            return ""
        event = {"time": now(), "type": f"platform.{kind}", "record": record}
        return json.dumps(event, separators=(",", ":")) + "\n"


type SystemLog = TextLog | JsonLog


def write_log(
    system: SystemLog, report: Report, init: str, before: str, output: bytes
) -> tuple[str, str]:
    """The log for LogType=Tail, and for CloudWatch Logs, which alone gets `init`.

    Args:
        init: the platform's lines of the init phase.
        before: whole lines that stand before START.
        output: what the function wrote since.
    """
    log = before + system.start(report) + text(output) + system.end(report)
    return log, init + log


def fault_line(report: Report) -> str:
    if not report.fault:
        return ""
    if isinstance(report.fault, TimedOut):
        return f"{now()} {report.request_id} {report.fault}"
    return report.fault.log_line(report.request_id)


def runtime_version(runtime: str) -> str:
    """python3.13 as python:3.13."""
    return runtime.replace("python", "python:")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text(output: bytes) -> str:
    """Whole lines, whatever the function wrote."""
    decoded = output.decode(errors="replace")
    return decoded if not decoded or decoded.endswith("\n") else f"{decoded}\n"

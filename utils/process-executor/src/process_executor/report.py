"""The log of one invocation, line for line as Lambda writes it."""

import json
import math
from dataclasses import dataclass
from typing import Any

from localstack.services.lambda_.invocation.lambda_models import FunctionVersion

from process_executor.faults import Fault, now

LEVELS = ("TRACE", "DEBUG", "INFO", "WARN")


@dataclass(frozen=True)
class Report:
    """What the log tells of one invocation.

    Attributes:
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
    is_error: bool
    fault: Fault | None

    @property
    def billed_ms(self) -> int:
        """Lambda has billed the init phase since August 2025."""
        return math.ceil(self.duration_ms + (self.init_ms or 0))

    @property
    def error_type(self) -> str | None:
        """None where there was no fault, or `status` says it all."""
        return self.fault.reported_type if self.fault and self.fault.status == "error" else None


def system_log(version: FunctionVersion, initialization_type: str = "") -> "TextLog":
    """How the platform's lines are written for a function, by its LogFormat."""
    as_json = version.config.logging_config.get("LogFormat") == "JSON"
    return (JsonLog if as_json else TextLog)(version, initialization_type)


@dataclass(frozen=True)
class TextLog:
    """The platform's lines where LogFormat is Text."""

    function: FunctionVersion
    initialization_type: str

    @property
    def version(self) -> str:
        return self.function.id.qualifier

    @property
    def runtime_version(self) -> str:
        """python3.13 as python:3.13.v0: AWS's builds of a runtime are numbered from v1."""
        return f"{str(self.function.config.runtime).replace('python', 'python:')}.v0"

    @property
    def runtime_arn(self) -> str:
        """AWS's build of the runtime, as LocalStack names it."""
        return str((self.function.config.runtime_version_config or {}).get("RuntimeVersionArn"))

    def init_start(self) -> str:
        return (
            f"INIT_START Runtime Version: {self.runtime_version}\t"
            f"Runtime Version ARN: {self.runtime_arn}\n"
        )

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
        if report.error_type:
            fields.append(f"Error Type: {report.error_type}")
        fault = report.fault.log_line(report.request_id) if report.fault else ""
        last = "".join(f"{field}\t" for field in fields)
        return f"{fault}END RequestId: {report.request_id}\n{last}\n"


@dataclass(frozen=True)
class JsonLog(TextLog):
    """The platform's lines where LogFormat is JSON: an object each, if its level is high enough.

    https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
    """

    def init_start(self) -> str:
        return self._line(
            "INFO",
            "initStart",
            initializationType=self.initialization_type,
            phase="init",
            runtimeVersion=self.runtime_version,
            runtimeVersionArn=self.runtime_arn,
            functionName=self.function.id.function_name,
            functionVersion=self.version,
        )

    def init_timed_out(self, limit_s: float) -> str:
        return self._line(
            "WARN",
            "initReport",
            initializationType=self.initialization_type,
            phase="init",
            status="timeout",
            metrics={"durationMs": limit_s * 1000},
        )

    def start(self, report: Report) -> str:
        return self._line(
            "INFO",
            "start",
            requestId=report.request_id,
            functionArn=report.function_arn,
            version=self.version,
        )

    def end(self, report: Report) -> str:
        status = report.fault.status if report.fault else "error" if report.is_error else "success"
        outcome = {"requestId": report.request_id, "status": status}
        if report.error_type:
            outcome["errorType"] = report.error_type
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
        return self._line(
            failed or "DEBUG", "runtimeDone", **outcome, metrics=duration
        ) + self._line(failed or "INFO", "report", **outcome, metrics=metrics)

    def _line(self, level: str, kind: str, **record: Any) -> str:
        lowest = self.function.config.logging_config.get("SystemLogLevel", "INFO")
        if LEVELS.index(level) < LEVELS.index(lowest):
            return ""
        event = {"time": now(), "type": f"platform.{kind}", "record": record}
        return json.dumps(event, separators=(",", ":")) + "\n"


def text(output: bytes) -> str:
    """Whole lines, whatever the function wrote."""
    decoded = output.decode(errors="replace")
    return decoded if not decoded or decoded.endswith("\n") else f"{decoded}\n"

"""The log of one invocation, line for line as Lambda writes it."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from process_executor.faults import Fault, TimedOut


@dataclass(frozen=True)
class Report:
    """Attributes:
    duration_ms: of the handler, the init phase excluded.
    init_ms: of the init phase, None in a warm worker.
    peak_mb: the most resident memory that the worker has held so far.
    """

    request_id: str
    duration_ms: float
    init_ms: float | None
    memory_mb: int
    peak_mb: int
    fault: Fault | None = None

    def __str__(self) -> str:
        return "\t".join(self.fields()) + "\t"

    def fields(self) -> list[str]:
        fields = [
            f"REPORT RequestId: {self.request_id}",
            f"Duration: {self.duration_ms:.2f} ms",
            # Lambda has billed the init phase since August 2025.
            f"Billed Duration: {math.ceil(self.duration_ms + (self.init_ms or 0))} ms",
            f"Memory Size: {self.memory_mb} MB",
            f"Max Memory Used: {self.peak_mb} MB",
        ]
        if self.init_ms is not None:
            fields.append(f"Init Duration: {self.init_ms:.2f} ms")
        if self.fault:
            fields.append(f"Status: {self.fault.status}")
        if self.fault and self.fault.status == "error":
            fields.append(f"Error Type: {self.fault.error_type}")
        return fields


def write_log(report: Report, version: str, before: bytes, output: bytes) -> str:
    """
    Args:
        version: the function version's qualifier.
        before: what the worker wrote before the invocation began.
        output: what it wrote since.
    """
    return "".join(
        (
            text(before),
            f"START RequestId: {report.request_id} Version: {version}\n",
            text(output),
            text(fault_line(report).encode()),
            f"END RequestId: {report.request_id}\n{report}\n",
        )
    )


def fault_line(report: Report) -> str:
    if not report.fault:
        return ""
    if isinstance(report.fault, TimedOut):
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return f"{now} {report.request_id} {report.fault}"
    return report.fault.log_line(report.request_id)


def text(output: bytes) -> str:
    """Whole lines, whatever the function wrote."""
    decoded = output.decode(errors="replace")
    return decoded if not decoded or decoded.endswith("\n") else f"{decoded}\n"

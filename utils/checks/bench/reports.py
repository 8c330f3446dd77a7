"""Lambda's REPORT lines: what an invocation cost."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

_LINE = re.compile(
    r"REPORT RequestId: .*\tBilled Duration: (\d+) ms"
    r"\tMemory Size: (\d+) MB\tMax Memory Used: (\d+) MB"
)


@dataclass(frozen=True)
class Report:
    billed_ms: int
    memory_mb: int
    peak_mb: int

    @classmethod
    def from_line(cls, line: str) -> Self:
        """
        Raises:
            ValueError: not a REPORT line.
        """
        match = _LINE.match(line)
        if match is None:
            raise ValueError(f"a REPORT line has a billed duration and memory; found {line!r}")
        return cls(*map(int, match.groups()))

    @property
    def gb_seconds(self) -> float:
        return self.billed_ms / 1000 * self.memory_mb / 1024


def gb_seconds(reports: Iterable[Report]) -> float:
    """What Lambda would bill: billed seconds times configured (not used) memory in GiB."""
    return sum(report.gb_seconds for report in reports)


def peak_mb(reports: Iterable[Report]) -> int:
    return max(report.peak_mb for report in reports)

"""What else the machine does: a bench among other work measures that work too."""

import os
import time
from types import TracebackType
from typing import Self

import psutil


class Others:
    """The CPUs in use while the block ran, on average, but for this process and its children.

    Time that a hypervisor took away counts; `cpus` is known once the block has been left.
    """

    cpus = 0.0

    def __enter__(self) -> Self:
        self.began, self.at_first = time.monotonic(), others_cpu_s()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cpus = max(0.0, others_cpu_s() - self.at_first) / (time.monotonic() - self.began)


def others_cpu_s() -> float:
    """Children count once they have ended."""
    ours = os.times()
    return busy_s() - ours.user - ours.system - ours.children_user - ours.children_system


def busy_s() -> float:
    times = psutil.cpu_times()._asdict()
    counted_elsewhere = ("idle", "iowait", "guest", "guest_nice")
    return float(sum(s for kind, s in times.items() if kind not in counted_elsewhere))

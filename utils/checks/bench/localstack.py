"""What the LocalStack at ENDPOINT and its workers use of the machine."""

import threading
from types import TracebackType
from typing import Self

import psutil

from harness.fault import Fault
from harness.target import endpoint
from harness.emulator import Emulator

SAMPLE_S = 0.1


def process() -> psutil.Process:
    found = Emulator(endpoint()).process()
    if found is None:
        raise Fault(f"a bench needs an emulator of its own; nothing of ours runs at {endpoint()}")
    return found


def cpu_s(localstack: psutil.Process) -> float:
    """User and system time so far, of LocalStack and of all workers it has or had."""
    return sum(map(own_cpu_s, [localstack, *localstack.children(recursive=True)]))


def own_cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0
    return float(times.user + times.system + times.children_user + times.children_system)


class PeakMemory:
    """The most memory a process held while the block ran, sampled; `mb` is in MiB."""

    def __init__(self, process: psutil.Process) -> None:
        self.process = process
        self.mb = 0.0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def watch(self) -> None:
        while True:
            self.mb = max(self.mb, self.process.memory_info().rss / (1 << 20))
            if self.ended.wait(SAMPLE_S):
                return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        self.thread.join()

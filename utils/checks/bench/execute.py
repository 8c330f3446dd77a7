"""Time executions, and compare their workbooks."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from checks.bench.compare import check
from checks.bench.measure import DATA, Run
from checks.executions import localstack, start, wait
from harness import calls, history
from harness.fault import Fault
from harness.target import emulator


def execute(key: str, etl: str = "members") -> Run:
    """Run one execution; its workbook is still to be checked.

    Raises:
        Fault: it failed, or a call has no REPORT line.
    """
    process = localstack()
    before_s, memory = cpu_s(process), [0.0]
    arn = start(key, etl=etl)
    wait(arn, lambda: memory.append(process.memory_info().rss / (1 << 20)))
    took_s = cpu_s(process) - before_s
    run = history.read(emulator().client("stepfunctions"), arn)
    calls.add_logs(emulator(), run)
    if run.unreported:
        raise Fault(f"{arn}: must have a REPORT line a call; found {run.unreported} without")
    peak_mb = max(report.peak_mb for report in run.reports)
    visits = run.stages.items()
    stage_s = {stage: (visit.exited_s or 0) - visit.entered_s for stage, visit in visits}
    return Run(run.elapsed_s, took_s, peak_mb, stage_s, max(memory))


def check_workbook(name: str, *expected: object) -> None:
    """Take a workbook out of the bucket.

    Args:
        expected: as `check` takes it.

    Raises:
        Fault: it is wrong.
    """
    s3 = emulator().client("s3")
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        workbook = Path(folder, "workbook.xlsx")
        s3.download_file(emulator().bucket, name, str(workbook))
        s3.delete_object(Bucket=emulator().bucket, Key=name)
        check(workbook, *expected)


def cpu_s(localstack: psutil.Process) -> float:
    """User and system time so far, of LocalStack and of all workers that it has or had."""
    total = 0.0
    for process in [localstack, *localstack.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


@contextmanager
def noise_told() -> Iterator[None]:
    """Say at the end if other work kept more than a tenth of the machine busy, which is the system's."""
    cpus, began_s, before_s = os.cpu_count() or 1, time.monotonic(), others_cpu_s()
    yield
    busy = (others_cpu_s() - before_s) / (time.monotonic() - began_s)
    if busy > cpus / 10:
        print(f"other work kept {busy:.1f} of {cpus} CPUs busy; do not rely on these times")


def others_cpu_s() -> float:
    """CPU time so far of all that is not LocalStack, this process or its ended children.

    Time that a hypervisor took away counts.
    """
    times = psutil.cpu_times()._asdict()
    counted_elsewhere = ("idle", "iowait", "guest", "guest_nice")
    busy_s = float(sum(s for kind, s in times.items() if kind not in counted_elsewhere))
    return busy_s - sum(os.times()[:4]) - cpu_s(localstack())

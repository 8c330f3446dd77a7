"""Run the pipeline many times, and see what fails or grows.

A hundred times in a row, twenty times at once, and fifty times right after an update of a function,
when LocalStack makes 200 environments together. LocalStack keeps the history, the log and the
objects of every execution until it ends, so its own memory is shown, but may grow.
"""

import contextlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from checks.executions import localstack, start, wait
from harness import artifacts
from harness.emulator import chosen
from harness.fault import Fault
from harness.functions import WAIT
from harness.target import emulator
from utils import members

WARM_UP, IN_A_ROW, LOOK_EVERY, AT_ONCE = 20, 100, 10, 20
UPDATES, AT_MOST_AT_ONCE = 50, 200  # the definition's MaxConcurrency
GROWTH = 0.10


@dataclass(frozen=True)
class Held:
    """What LocalStack and its workers hold, when nothing runs.

    Attributes:
        files: open ones; LocalStack keeps each object of S3 as one, without a name.
        mappings: of memory; Linux allows a process 65,530.
        disk_kb: of LocalStack's folder.
    """

    processes: int
    threads: int
    files: int
    mappings: int
    disk_kb: int
    workers_mb: int
    localstack_mb: int


def begin(rows: int = 40, rows_per_segment: int = 10) -> str:
    """Start an execution; returns its ARN."""
    key = f"soak-{rows}.json"
    body = json.dumps(list(members(rows, seed=1))).encode()
    emulator().client("s3").put_object(Bucket=emulator().bucket, Key=key, Body=body)
    return start(key, division_number=rows_per_segment)


def in_a_row(times: int) -> None:
    for number in range(1, times + 1):
        wait(begin())
        if number % LOOK_EVERY == 0:
            look(f"{number} in a row")


def at_once() -> None:
    for arn in [begin() for _ in range(AT_ONCE)]:
        wait(arn)


def first_after_updates() -> list[str]:
    """Executions whose every invocation needs a new environment; why some failed."""
    functions, name = emulator().client("lambda"), emulator().function("segment")
    failed = []
    for number in range(UPDATES):
        functions.update_function_configuration(FunctionName=name, Description=f"soak {number}")
        functions.get_waiter("function_updated").wait(FunctionName=name, WaiterConfig=WAIT)
        try:
            wait(begin(AT_MOST_AT_ONCE, 1))
        except Fault as fault:
            failed.append(str(fault))
    return failed


def look(label: str) -> Held:
    artifacts.empty(emulator().client("s3"), {"Bucket": emulator().bucket})
    held = held_now()
    cells = "  ".join(f"{name} {value:>6}" for name, value in asdict(held).items())
    print(f"{label:>16}  {cells}", flush=True)
    return held


def held_now() -> Held:
    process = localstack()
    workers = [child for child in process.children(recursive=True) if child.is_running()]
    everyone = [process, *workers]
    return Held(
        processes=len(everyone),
        threads=sum(each.num_threads() for each in everyone),
        files=sum(each.num_fds() for each in everyone),
        mappings=sum(len(each.memory_maps(grouped=False)) for each in everyone),
        disk_kb=disk_kb(chosen().folder),
        workers_mb=sum(each.memory_info().rss for each in workers) >> 20,
        localstack_mb=process.memory_info().rss >> 20,
    )


def disk_kb(folder: Path) -> int:
    """Allocated, not apparent; what vanishes while we look does not count."""
    blocks = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            blocks += path.lstat().st_blocks
    return blocks // 2


def growth(before: Held, after: Held) -> list[str]:
    """The counters that grew beyond their allowance; thread and file pools vary a little."""
    most = {name: value * (1 + GROWTH) for name, value in asdict(before).items()}
    most |= {"processes": before.processes, "threads": before.threads + 8}
    del most["localstack_mb"]  # it keeps every execution's history
    found = asdict(after)
    return [
        f"{name}: {getattr(before, name)} after the first {WARM_UP}, {found[name]} at the end"
        for name, allowed in most.items()
        if found[name] > allowed
    ]


def main() -> int:
    started = time.monotonic()
    at_once()  # LocalStack's own pools grow to their size
    in_a_row(WARM_UP)
    first = look("warm")
    in_a_row(IN_A_ROW)
    at_once()
    last = look(f"{AT_ONCE} at once")
    failed = first_after_updates()
    look(f"{UPDATES} updates")
    print(f"{len(failed)} of {UPDATES} first executions after an update failed", *failed, sep="\n")
    print(f"all in {time.monotonic() - started:.0f} s")
    grown = growth(first, last)
    print("\n".join(grown) or "nothing of ours grew")
    return 1 if grown or failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Fault as fault:
        sys.exit(f"error: {fault}")

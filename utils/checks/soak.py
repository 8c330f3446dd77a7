"""Run the pipeline many times, and see what fails or grows.

A hundred times in a row, twenty times at once, and fifty times right after an update of a function,
when LocalStack makes 200 environments together. LocalStack keeps the history, the log and the
objects of every execution until it ends, so its own memory is shown, but may grow.
"""

import contextlib
import json
import stat
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from harness import artifacts, machines
from harness.emulator import Emulator
from harness.fault import Fault
from harness.functions import WAIT
from harness.target import emulator, endpoint, function_name
from utils import members

WARM_UP, IN_A_ROW, LOOK_EVERY, AT_ONCE = 20, 100, 10, 20
UPDATES, AT_MOST_AT_ONCE = 50, 200  # the definition's MaxConcurrency
ROWS, ROWS_PER_SEGMENT = 40, 10
GROWTH = 0.10
POLL_S = 0.05


@dataclass(frozen=True)
class Held:
    """What LocalStack and its workers hold, when nothing runs.

    Attributes:
        mappings: of memory; Linux allows a process 65,530.
        files: open ones; LocalStack keeps each object of S3 as one, without a name.
        disk_kb: of LocalStack's folder and its nameless files, with an empty bucket.
    """

    processes: int
    threads: int
    files: int
    mappings: int
    disk_kb: int
    workers_mb: int
    localstack_mb: int


class Soak:
    def __init__(self) -> None:
        self.states = emulator().client("stepfunctions")
        self.emulator = Emulator(endpoint())
        machines.put(self.states, "parallel")
        self.machine = emulator().machine()

    def start(self, rows: int = ROWS, rows_per_segment: int = ROWS_PER_SEGMENT) -> str:
        key = f"soak-{rows}.json"
        body = json.dumps(list(members(rows, seed=1))).encode()
        emulator().client("s3").put_object(Bucket=emulator().bucket, Key=key, Body=body)
        given = {"input_obj": key, "division_number": rows_per_segment}
        started = self.states.start_execution(stateMachineArn=self.machine, input=json.dumps(given))
        return str(started["executionArn"])

    def finish(self, arn: str) -> str | None:
        """Wait for an execution's end; returns why it failed."""
        while (found := self.states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            time.sleep(POLL_S)
        if found["status"] == "SUCCEEDED":
            return None
        return f"{arn}: {found['status']}: {found.get('error')}: {found.get('cause')}"

    def in_a_row(self, times: int) -> None:
        for number in range(1, times + 1):
            if why := self.finish(self.start()):
                raise Fault(why)
            if number % LOOK_EVERY == 0:
                self.look(f"{number} in a row")

    def at_once(self) -> None:
        arns = [self.start() for _ in range(AT_ONCE)]
        if failed := list(filter(None, map(self.finish, arns))):
            raise Fault("\n".join(failed))

    def first_after_updates(self) -> list[str]:
        """Executions whose every invocation needs a new environment; why some failed."""
        functions, name = emulator().client("lambda"), function_name("segment")
        failed = []
        for number in range(UPDATES):
            functions.update_function_configuration(FunctionName=name, Description=f"soak {number}")
            functions.get_waiter("function_updated").wait(FunctionName=name, WaiterConfig=WAIT)
            failed.append(self.finish(self.start(AT_MOST_AT_ONCE, 1)))
        return list(filter(None, failed))

    def look(self, label: str) -> Held:
        artifacts.empty(emulator().client("s3"), {"Bucket": emulator().bucket})
        held = self.held()
        cells = "  ".join(f"{name} {value:>6}" for name, value in asdict(held).items())
        print(f"{label:>16}  {cells}", flush=True)
        return held

    def held(self) -> Held:
        localstack = self.emulator.process()
        if localstack is None:
            raise Fault(f"only a LocalStack of ours can be looked into; found none at {endpoint()}")
        workers = [child for child in localstack.children(recursive=True) if child.is_running()]
        everyone = [localstack, *workers]
        return Held(
            processes=len(everyone),
            threads=sum(each.num_threads() for each in everyone),
            files=sum(each.num_fds() for each in everyone),
            mappings=sum(len(each.memory_maps(grouped=False)) for each in everyone),
            disk_kb=disk_kb(self.emulator.folder) + nameless_kb(localstack),
            workers_mb=sum(each.memory_info().rss for each in workers) >> 20,
            localstack_mb=localstack.memory_info().rss >> 20,
        )


def disk_kb(folder: Path) -> int:
    """Allocated, not apparent; what vanishes while we look does not count."""
    blocks = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            blocks += path.lstat().st_blocks
    return blocks // 2


def nameless_kb(process: psutil.Process) -> int:
    """Of open files that have been deleted; only Linux shows them."""
    blocks = 0
    for path in Path(f"/proc/{process.pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            found = path.stat()
            blocks += found.st_blocks if stat.S_ISREG(found.st_mode) and not found.st_nlink else 0
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
    soak, started = Soak(), time.monotonic()
    soak.at_once()  # LocalStack's own pools grow to their size
    soak.in_a_row(WARM_UP)
    first = soak.look("warm")
    soak.in_a_row(IN_A_ROW)
    soak.at_once()
    last = soak.look(f"{AT_ONCE} at once")
    failed = soak.first_after_updates()
    soak.look(f"{UPDATES} updates")
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

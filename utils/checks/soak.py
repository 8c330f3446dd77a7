"""Run the pipeline a hundred times in a row and twenty times at once: what grows?

LocalStack keeps the history, the log and the objects of every execution until it ends. So its own
growth is measured beside ours, with as many executions whose states of the same names do nothing.
"""

import contextlib
import io
import json
import stat
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from harness import run
from harness import progress
from harness.target import emulator, endpoint
from harness.emulator import Emulator
from utils import members

WARM_UP = 20
IN_A_ROW = 100
AT_ONCE = 20
ROWS = 40
GROWTH = 0.10
LOOKS_EVERY = 10


@dataclass(frozen=True)
class Held:
    """What LocalStack and its workers hold, when nothing runs.

    Attributes:
        mappings: of memory; Linux allows a process 65,530.
        files: open ones; LocalStack keeps each object of S3 as one, without a name.
        disk_kb: of LocalStack's folder and its nameless files, the segment files of past
            executions removed.
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
        self.s3 = emulator().client("s3")
        self.states = emulator().client("stepfunctions")
        self.emulator = Emulator(endpoint())
        self.machine = run.put_state_machine(self.states, "parallel")
        self.idle = self.put_idle_machine()
        self.key = f"soak-{uuid.uuid4()}.json"
        self.s3.put_object(Bucket=emulator().bucket, Key=self.key, Body=json.dumps(list(members(ROWS))).encode())

    def put_idle_machine(self) -> str:
        """The same states with nothing to do, as many in the Map, and as many events for each."""
        definition = json.loads((run.DEFINITIONS / "parallel.json").read_text())
        segments = [f"scatter/job_{n:03d}.pkl" for n in range(ROWS // 10)]
        states = definition["States"]
        for name in ("ScatterLambda", "GatherLambda"):
            states[name] = {"Type": "Pass", **{k: v for k, v in states[name].items() if k in ("Next", "End")}}
        states["ScatterLambda"]["Result"] = {"segment_definitions": segments}
        processing = states["ProcessAllSegments"]
        processing["ItemProcessor"]["States"] = {"SegmentLambda": {"Type": "Pass", "End": True}}
        processing["MaxConcurrency"] = len(segments)  # LocalStack keeps a thread for each
        made = self.states.create_state_machine(
            name=f"Idle-{uuid.uuid4()}", definition=json.dumps(definition), roleArn=emulator().role
        )
        return str(made["stateMachineArn"])

    def start(self, machine: str) -> str:
        given = json.dumps({"input_obj": self.key})
        started = self.states.start_execution(stateMachineArn=machine, input=given)
        return str(started["executionArn"])

    def finish(self, arn: str) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            ended = progress.follow(self.states, arn)
        if ended["status"] != "SUCCEEDED":
            raise AssertionError(f"{arn}: must succeed; found {ended.get('error')}: {ended.get('cause')}")

    def remove_segments(self) -> None:
        for prefix in ("scatter/", "gather/"):
            pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=emulator().bucket, Prefix=prefix)
            for page in pages:
                keys = [{"Key": obj["Key"]} for obj in page.get("Contents", [])]
                if keys:
                    self.s3.delete_objects(Bucket=emulator().bucket, Delete={"Objects": keys})

    def held(self) -> Held:
        self.remove_segments()
        localstack = self.emulator.process()
        assert localstack, f"{endpoint()}: only a LocalStack that `make up` started can be looked into"
        workers = [child for child in localstack.children(recursive=True) if child.is_running()]
        everyone = [localstack, *workers]
        return Held(
            processes=len(everyone),
            threads=sum(each.num_threads() for each in everyone),
            files=sum(each.num_fds() for each in everyone),
            mappings=sum(len(each.memory_maps(grouped=False)) for each in everyone),
            disk_kb=disk_kb(self.emulator.folder) + nameless_kb(localstack.pid),
            workers_mb=sum(each.memory_info().rss for each in workers) >> 20,
            localstack_mb=localstack.memory_info().rss >> 20,
        )

    def in_a_row(self, machine: str, times: int, look: Callable[[int], None]) -> None:
        for number in range(1, times + 1):
            self.finish(self.start(machine))
            if number % LOOKS_EVERY == 0:
                look(number)

    def at_once(self, times: int) -> None:
        for arn in [self.start(self.machine) for _ in range(times)]:
            self.finish(arn)


def disk_kb(folder: Path) -> int:
    """Allocated, not apparent; what vanishes while we look does not count."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.lstat().st_blocks
    return total // 2


def nameless_kb(pid: int) -> int:
    """Of open files that have been deleted; only Linux shows them."""
    total = 0
    for path in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            found = path.stat()
            total += found.st_blocks if stat.S_ISREG(found.st_mode) and not found.st_nlink else 0
    return total // 2


def growth(before: Held, after: Held) -> list[str]:
    """What must not grow, and did. A few threads and files more or less are pools that breathe."""
    allowed = {
        "processes": before.processes,
        "threads": before.threads + 8,
        "files": before.files * (1 + GROWTH),
        "mappings": before.mappings * (1 + GROWTH),
        "disk_kb": before.disk_kb * (1 + GROWTH),
        "workers_mb": before.workers_mb * (1 + GROWTH),
    }
    found = asdict(after)
    return [
        f"{name}: {getattr(before, name)} after the first {WARM_UP}, {found[name]} at the end"
        for name, most in allowed.items()
        if found[name] > most
    ]


def report(label: str, held: Held) -> None:
    cells = "  ".join(f"{name} {value:>6}" for name, value in asdict(held).items())
    print(f"{label:>16}  {cells}", flush=True)


def main() -> int:
    soak = Soak()
    looks: dict[str, Held] = {}

    def look(label: str) -> Held:
        looks[label] = held = soak.held()
        report(label, held)
        return held

    started = time.monotonic()
    soak.at_once(AT_ONCE)  # LocalStack's own pools grow to their size
    soak.in_a_row(soak.machine, WARM_UP, lambda _: None)
    first = look("warm")
    soak.in_a_row(soak.machine, IN_A_ROW, lambda number: report(f"{number} in a row", soak.held()))
    row = look("after a row")
    soak.at_once(AT_ONCE)
    last = look(f"{AT_ONCE} at once")
    soak.in_a_row(soak.idle, IN_A_ROW, lambda _: None)
    idle = look("idle states")
    print(
        f"LocalStack grew by {row.localstack_mb - first.localstack_mb} MB in {IN_A_ROW} executions "
        f"of the pipeline, and by {idle.localstack_mb - last.localstack_mb} MB in {IN_A_ROW} whose "
        f"states do nothing; all in {time.monotonic() - started:.0f} s"
    )
    grown = growth(first, last)
    print("\n".join(grown) or "nothing of ours grew")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())

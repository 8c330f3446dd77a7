"""The whole pipeline on a stack of its own, in an account or on the emulator, and away again."""

import argparse
import json
import sys
import tempfile
import uuid
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from harness import calls, cost, deploy, facts, history
from harness.fault import Fault
from harness.history import Run
from harness.progress import follow
from harness.report.write import write
from harness.stack import Stack
from harness.target import Target, connect
from utils import members

SMALL = 1000
# Fewer MB than a segment of so many rows needs.
TOO_LITTLE_MEMORY = "SegmentMemory=128"
TOO_MANY_ROWS = 300_000


@dataclass(frozen=True)
class Outcome:
    """What a run was to end with, and what it did."""

    what: str
    wanted: str
    found: str
    took_s: float

    @property
    def passed(self) -> bool:
        return self.found == self.wanted


class Smoke:
    """The stack of one smoke test."""

    def __init__(self, place: Target, stack: str, folder: Path) -> None:
        self.place = place
        self.stack = stack
        self.folder = folder

    def deploy(self, definition: str = "", parameters: str = "") -> None:
        deploy.deploy(
            self.place.name,
            self.stack,
            definition=definition,
            region=self.place.region,
            parameters=parameters,
        )
        found = Stack(self.place.client("cloudformation"), self.stack, self.place.name).find()
        assert found
        self.bucket, self.machine = (found.outputs[it] for it in ("BucketName", "StateMachineArn"))

    def put(self, key: str, text: str) -> None:
        self.place.client("s3").put_object(Bucket=self.bucket, Key=key, Body=text.encode())

    def run(self, what: str, key: str, wanted: str, **given: int) -> Outcome:
        """Execute on a table; what it found is the rows in the workbook, or the error's name."""
        states = self.place.client("stepfunctions")
        started = states.start_execution(
            stateMachineArn=self.machine, input=json.dumps({"input_obj": key, **given})
        )
        execution = follow(states, started["executionArn"])
        ran = history.read(states, started["executionArn"])
        calls.add_logs(self.place, ran)
        print(f"report   {write(self.place, ran, folder=self.folder)}", flush=True)
        succeeded = execution["status"] == "SUCCEEDED"
        found = f"{self.rows(execution)} rows" if succeeded else execution.get("error", "")
        if succeeded:
            bill = cost.bill(ran, facts.read(self.place, ran), self.place.region)
            cost.show(ran, bill)
            found += miscounted(ran, {charge.unit: charge.amount for charge in bill})
        took = execution["stopDate"] - execution["startDate"]
        return Outcome(what, wanted, found, took.total_seconds())

    def rows(self, execution: dict[str, Any]) -> int:
        """The data rows of the first sheet."""
        workbook = self.folder / "smoke.xlsx"
        key = json.loads(execution["output"])
        self.place.client("s3").download_file(self.bucket, key, str(workbook))
        sheet = zipfile.Path(workbook, "xl/worksheets/sheet1.xml")
        with sheet.open("rb") as opened:
            return sum(chunk.count(b"</row>") for chunk in split_after(opened.read, b">")) - 1


def miscounted(run: Run, amounts: dict[str, float]) -> str:
    """What a bill says otherwise than the definitions have it: a call and a transition for each
    segment and retry, the scatter and the gather, and a transition for the Map.
    """
    calls = run.segments + run.retries + 2
    wanted = {"invocation": calls, "state transition": calls + 1}
    return "".join(
        f", {amounts[unit]} for {wanted[unit]} {unit}s billed"
        for unit in wanted
        if amounts[unit] != wanted[unit]
    )


def split_after(read: Callable[[int], bytes], end: bytes, size: int = 1 << 20) -> Iterator[bytes]:
    """A file in pieces that end where `end` does, or where the file does."""
    rest = b""
    while piece := read(size):
        whole, sign, tail = (rest + piece).rpartition(end)
        yield whole + sign
        rest = tail
    yield rest


def text_of(rows: int) -> str:
    """A table of the same thousand members again and again, a table's text being what counts."""
    each = [json.dumps(member, ensure_ascii=False) for member in members(min(rows, SMALL), seed=1)]
    return "[" + ",\n".join(each[number % len(each)] for number in range(rows)) + "]"


def smoke(target: str = "localstack", region: str = "", rows: int = 1_000_000) -> int:
    """Deploy, run and destroy; returns the number of outcomes that were not as they should be."""
    place = connect(target, region)
    stack = f"smoke-{uuid.uuid4().hex[:8]}"
    faulty = json.dumps([member | {"会員ランク": 9} for member in members(3, seed=1)])
    with tempfile.TemporaryDirectory() as folder:
        tested = Smoke(place, stack, Path(folder))
        try:
            tested.deploy()
            tested.put("small.json", text_of(SMALL))
            tested.put("large.json", text_of(rows))
            tested.put("faulty.json", faulty)
            outcomes = [
                tested.run("1,000 rows, parallel", "small.json", f"{SMALL} rows"),
                tested.run(f"{rows:,} rows, parallel", "large.json", f"{rows} rows"),
                tested.run("a faulty record", "faulty.json", "InvalidMember"),
            ]
            tested.deploy(definition="distributed")
            outcomes.append(tested.run(f"{rows:,} rows, distributed", "large.json", f"{rows} rows"))
            tested.deploy(definition="parallel", parameters=TOO_LITTLE_MEMORY)
            tested.put("heavy.json", text_of(TOO_MANY_ROWS))
            outcomes.append(
                tested.run(
                    "too little memory",
                    "heavy.json",
                    "Runtime.ExitError",
                    division_number=TOO_MANY_ROWS,
                )
            )
        finally:
            deploy.destroy(target, stack, region, empty=True, yes=True)
    show(place, outcomes)
    return sum(not outcome.passed for outcome in outcomes)


def show(place: Target, outcomes: list[Outcome]) -> None:
    where = f"{place.region} of {place.account}"
    table = Table("run", "ended with", "as it should", "s", title=where)
    for outcome in outcomes:
        verdict = "yes" if outcome.passed else f"no: {outcome.wanted}"
        table.add_row(outcome.what, outcome.found, verdict, f"{outcome.took_s:.1f}")
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=smoke.__doc__)
    parser.add_argument("--target", default="localstack")
    parser.add_argument("--region", default="")
    parser.add_argument("--rows", type=int, default=1_000_000)
    try:
        sys.exit(smoke(**vars(parser.parse_args())))
    except Fault as fault:
        sys.exit(f"error: {fault}")

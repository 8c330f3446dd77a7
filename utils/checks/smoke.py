"""The whole pipeline on a stack of its own, in an account or on the emulator, and away again."""

import argparse
import json
import mmap
import re
import sys
import tempfile
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness import cost, deploy, facts, run
from harness.execution import Execution
from harness.fault import Fault
from harness.signals import exit_on_signals
from harness.target import Target, connect
from utils import members

SMALL = 1000
# Fewer MB than a segment of so many rows needs. It is killed or, so starved, ends by its timeout.
TOO_LITTLE_MEMORY = "SegmentMemory=128,SegmentTimeout=60"
KILLED_OR_STARVED = "Runtime.ExitError or Sandbox.Timedout"
TOO_MANY_ROWS = 300_000


@dataclass(frozen=True)
class Outcome:
    """What a run was to end with, one way or another, and what it did."""

    what: str
    wanted: str
    found: str
    took_s: float

    @property
    def passed(self) -> bool:
        return self.found in self.wanted.split(" or ")


class Smoke:
    """The stack of one smoke test."""

    def __init__(self, target: Target, folder: Path) -> None:
        self.target = target
        self.folder = folder

    def put(self, key: str, text: str) -> None:
        s3 = self.target.client("s3")
        s3.put_object(Bucket=self.target.bucket, Key=key, Body=text.encode())

    def run(self, what: str, key: str, wanted: str, **given: int) -> Outcome:
        """Execute on a table; what it found is the rows in the workbook, or the error's name."""
        ran = run.execute(self.target, self.target.machine(), {"input_obj": key, **given})
        found = ran.ended[0] if ran.ended else ""
        if ran.workbook:
            found = f"{self.rows(ran.workbook)} rows{self.billed(ran)}"
        return Outcome(what, wanted, found, ran.elapsed_s)

    def billed(self, ran: Execution) -> str:
        """Show the bill, where there are prices; returns what is wrong with it."""
        try:
            bill = cost.bill(ran, facts.read(self.target, ran), self.target.region)
        except Fault as fault:
            print(f"no bill: {fault}")
            return ""
        cost.show(ran, bill)
        return miscounted(ran, {charge.unit: charge.amount for charge in bill})

    def outcomes(self, rows: int) -> Iterator[Outcome]:
        """Run all, on deploy after deploy of the stack."""
        faulty = [member | {"会員ランク": 9} for member in members(3, seed=1)]
        deploy.deploy(self.target)
        self.put("small.json", text_of(SMALL))
        self.put("large.json", text_of(rows))
        self.put("faulty.json", json.dumps(faulty))
        yield self.run("1,000 rows, parallel", "small.json", f"{SMALL} rows")
        yield self.run(f"{rows:,} rows, parallel", "large.json", f"{rows} rows")
        yield self.run("a faulty record", "faulty.json", "InvalidMember")
        deploy.deploy(self.target, definition="distributed")
        yield self.run(f"{rows:,} rows, distributed", "large.json", f"{rows} rows")
        deploy.deploy(self.target, definition="parallel", parameters=TOO_LITTLE_MEMORY)
        self.put("heavy.json", text_of(TOO_MANY_ROWS))
        one_segment = {"division_number": TOO_MANY_ROWS}
        yield self.run("too little memory", "heavy.json", KILLED_OR_STARVED, **one_segment)

    def rows(self, key: str) -> int:
        """The data rows of the first sheet."""
        workbook = self.folder / "smoke.xlsx"
        self.target.client("s3").download_file(self.target.bucket, key, str(workbook))
        with zipfile.ZipFile(workbook) as opened:
            sheet = Path(opened.extract("xl/worksheets/sheet1.xml", self.folder))
        with sheet.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as xml:
            return sum(1 for _ in re.finditer(b"</row>", xml)) - 1


def miscounted(run: Execution, amounts: dict[str, float]) -> str:
    """What a bill says otherwise than the definitions have it: a call and a transition for each
    segment and retry, the scatter and the gather, and a transition for the Map. Where log lines
    are late, nothing.
    """
    if run.unreported:
        return ""
    calls = run.segments + run.retries + 2
    wanted = {"invocation": calls, "state transition": calls + 1}
    return "".join(
        f", {amounts[unit]} for {wanted[unit]} {unit}s billed"
        for unit in wanted
        if amounts[unit] != wanted[unit]
    )


def text_of(rows: int) -> str:
    """A table of the same thousand members again and again, a table's text being what counts."""
    each = [json.dumps(member, ensure_ascii=False) for member in members(min(rows, SMALL), seed=1)]
    return "[" + ",\n".join(each[number % len(each)] for number in range(rows)) + "]"


def smoke(target: str = "localstack", region: str = "", rows: int = 1_000_000) -> int:
    """Deploy, run and destroy; returns the number of outcomes that were not as they should be."""
    name = "stack" if target == "localstack" else target
    place = connect(name, f"smoke-{uuid.uuid4().hex[:8]}", region)
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as at_the_end:
        at_the_end.callback(show, place, outcomes)
        at_the_end.callback(deploy.destroy, place, empty=True, yes=True)
        for outcome in Smoke(place, Path(folder)).outcomes(rows):
            outcomes.append(outcome)
    return sum(not outcome.passed for outcome in outcomes)


def show(place: Target, outcomes: list[Outcome]) -> None:
    where = f"{place.region} of {place.account}"
    table = Table("run", "ended with", "as it should", "s", title=where)
    for outcome in outcomes:
        verdict = "yes" if outcome.passed else f"no: {outcome.wanted}"
        table.add_row(outcome.what, outcome.found, verdict, f"{outcome.took_s:.1f}")
    Console().print(table)


if __name__ == "__main__":
    exit_on_signals()
    parser = argparse.ArgumentParser(description=smoke.__doc__)
    parser.add_argument("--target", default="localstack")
    parser.add_argument("--region", default="")
    parser.add_argument("--rows", type=int, default=1_000_000)
    try:
        sys.exit(smoke(**vars(parser.parse_args())))
    except Fault as fault:
        sys.exit(f"error: {fault}")

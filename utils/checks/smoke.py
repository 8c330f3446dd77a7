"""The whole pipeline on a stack of its own, in an account or on the emulator, and away again."""

import argparse
import io
import json
import sys
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from harness import cost, deploy, run
from harness.fault import Fault
from harness.signals import exit_on_signals
from harness.target import Target, connect
from utils import members

SMALL = 1000
# Fewer MB than a segment of so many rows needs. It is killed or, so starved, ends by its timeout.
TOO_LITTLE_MEMORY = "SegmentMemory=128,SegmentTimeout=60"
KILLED_OR_STARVED = "Runtime.ExitError or Sandbox.Timedout"
TOO_MANY_ROWS = 100_000


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


def outcomes(target: Target, rows: int) -> Iterator[Outcome]:
    """Run all, on deploy after deploy of the stack."""
    faulty = [member | {"会員ランク": 9} for member in members(3, seed=1)]
    deploy.deploy(target)
    put(target, "small.json", text_of(SMALL))
    put(target, "large.json", text_of(rows))
    put(target, "faulty.json", json.dumps(faulty))
    yield outcome(target, "1,000 rows, parallel", "small.json", f"{SMALL} rows")
    yield outcome(target, f"{rows:,} rows, parallel", "large.json", f"{rows} rows")
    yield outcome(target, "a faulty record", "faulty.json", "InvalidMember")
    deploy.deploy(target, definition="distributed")
    yield outcome(target, f"{rows:,} rows, distributed", "large.json", f"{rows} rows")
    deploy.deploy(target, definition="parallel", parameters=TOO_LITTLE_MEMORY)
    put(target, "heavy.json", text_of(TOO_MANY_ROWS))
    one_segment = {"division_number": TOO_MANY_ROWS}
    yield outcome(target, "too little memory", "heavy.json", KILLED_OR_STARVED, **one_segment)


def put(target: Target, key: str, text: str) -> None:
    target.client("s3").put_object(Bucket=target.bucket, Key=key, Body=text.encode())


def outcome(target: Target, what: str, key: str, wanted: str, **given: int) -> Outcome:
    """Execute on a table; what it found is the rows in the workbook, or the error's name."""
    ran = run.execute(target, target.machine(), {"input_obj": key, **given})
    found = ran.ended[0] if ran.ended else ""
    if ran.workbook:
        found = f"{rows_of(target, ran.workbook)} rows"
        show_cost(target)
    return Outcome(what, wanted, found, ran.elapsed_s)


def rows_of(target: Target, workbook: str) -> int:
    """The data rows of the first sheet."""
    found = target.client("s3").get_object(Bucket=target.bucket, Key=workbook)
    with zipfile.ZipFile(io.BytesIO(found["Body"].read())) as opened:
        return opened.read("xl/worksheets/sheet1.xml").count(b"</row>") - 1


def show_cost(target: Target) -> None:
    """Where there are no prices, say so: that is no fault of the run."""
    try:
        cost.last(target)
    except Fault as fault:
        print(f"no bill: {fault}")


def text_of(rows: int) -> str:
    """A table of the same thousand members again and again, a table's text being what counts."""
    each = [json.dumps(member, ensure_ascii=False) for member in members(min(rows, SMALL), seed=1)]
    return "[" + ",\n".join(each[number % len(each)] for number in range(rows)) + "]"


def smoke(target: str = "localstack", region: str = "", rows: int = 1_000_000) -> int:
    """Deploy, run and destroy; returns the number of outcomes that were not as they should be."""
    name = "stack" if target == "localstack" else target
    place = connect(name, f"smoke-{uuid.uuid4().hex[:8]}", region)
    ended: list[Outcome] = []
    with ExitStack() as at_the_end:
        at_the_end.callback(show, place, ended)
        at_the_end.callback(deploy.destroy, place, empty=True, yes=True)
        for each in outcomes(place, rows):
            ended.append(each)
    return sum(not each.passed for each in ended)


def show(place: Target, ended: list[Outcome]) -> None:
    where = f"{place.region} of {place.account}"
    table = Table("run", "ended with", "as it should", "s", title=where)
    for each in ended:
        verdict = "yes" if each.passed else f"no: {each.wanted}"
        table.add_row(each.what, each.found, verdict, f"{each.took_s:.1f}")
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

"""What an execution costs on AWS: its REPORT lines and its history, times the price list."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from rich.table import Table

from harness import calls, facts, history, machines
from harness.execution import Execution
from harness.fault import Fault
from harness.logs import Report
from harness.target import Target
from harness.terminal import console
from pipeline.facts.stages import INLINE_BYTES

# List prices in US dollars, without free tiers, of Lambda (first tier), Step Functions (standard
# workflows) and S3 (Standard). AWS changes them seldom: https://aws.amazon.com/lambda/pricing/,
# https://aws.amazon.com/step-functions/pricing/, https://aws.amazon.com/s3/pricing/
PRICES_OF = "2025"
REGIONS = ("us-east-1", "ap-northeast-1")
PRICES = {
    "GB-second x86_64": (0.0000166667, 0.0000166667),
    "GB-second arm64": (0.0000133334, 0.0000133334),
    "invocation": (0.20 / 1_000_000, 0.20 / 1_000_000),
    "state transition": (0.025 / 1_000, 0.025 / 1_000),
    "S3 PUT, LIST": (0.005 / 1_000, 0.0047 / 1_000),
    "S3 GET": (0.0004 / 1_000, 0.00037 / 1_000),
    "GB-day stored": (0.023 / 30, 0.025 / 30),
}

LIST_PAGE = 1000  # keys
UPLOAD_PART_BYTES = 8 * 1024 * 1024  # of gather's upload_config
KEPT_DAYS = 15  # as state-machine/template.yaml keeps what a segment left


@dataclass(frozen=True)
class Charge:
    """One line of a bill."""

    unit: str
    amount: float
    unit_price: float

    @property
    def dollars(self) -> float:
        return self.amount * self.unit_price


def cost(
    reports: Iterable[Report],
    transitions: int,
    s3_calls: dict[str, int],
    region: str = "us-east-1",
    architecture: str = "x86_64",
    gb_days: float = 0,
) -> list[Charge]:
    """The bill of some calls, state transitions, S3 calls and what is stored.

    Args:
        s3_calls: how many "PUT", "LIST" and "GET" there are.
        gb_days: of 10**9 bytes.
        region: one of REGIONS.
        architecture: x86_64 or arm64.

    Raises:
        Fault: a region without prices here.
    """
    if region not in REGIONS:
        raise Fault(f"REGION: there are prices for {' and '.join(REGIONS)}; found {region}")
    column = REGIONS.index(region)
    ran = list(reports)
    amounts = {
        f"GB-second {architecture}": sum(each.gb_seconds for each in ran),
        "invocation": len(ran),
        "state transition": transitions,
        "S3 PUT, LIST": s3_calls.get("PUT", 0) + s3_calls.get("LIST", 0),
        "S3 GET": s3_calls.get("GET", 0),
        "GB-day stored": gb_days,
    }
    return [Charge(unit, amount, PRICES[unit][column]) for unit, amount in amounts.items()]


def estimate(size: int) -> float:
    """What a table costs, about, in US dollars, by what was measured; see state-machine/README.md.

    Args:
        size: in bytes of JSON.
    """
    return 0.0003 + size * (0.0030 / 137e6)


def s3_calls(
    segments: int, workbook_bytes: int, partials: int = 0, objects: int = 1, listed: int = 0
) -> dict[str, int]:
    """The S3 calls of a clean run: no retries, no rejects, no rows rendered again, no late columns,
    no manifest.

    Args:
        partials: objects of partial results.
        objects: of the input; a HEAD of one that a list names costs as a GET.
        listed: how many objects its folder holds.
    """
    parts = math.ceil(workbook_bytes / UPLOAD_PART_BYTES)
    # An upload in parts is begun and completed, too.
    upload = parts + 2 if workbook_bytes >= UPLOAD_PART_BYTES else 1
    return {
        "GET": objects + segments + 2 * segments + partials,
        # Scatter and gather write their facts, too.
        "PUT": segments + 1 + 3 * segments + partials + upload + 1,
        # The scatter lists a folder and the reference tables, the gather the results.
        "LIST": math.ceil(listed / LIST_PAGE) + 1 + math.ceil(3 * segments / LIST_PAGE),
    }


def leftovers(found: facts.Facts) -> list[int]:
    """The sizes of what an execution leaves beside the workbook: segment files, results, rows, partials.

    The rendered rows of a segment are its share of the workbook, which is made of them.
    """
    cuts = found.scatter.segments if found.scatter else []
    results = list(found.segments.values())
    workbook = found.workbook
    each_row = workbook.size / max(1, workbook.rows) if workbook and workbook.table else 0
    return [
        *(cut.size for cut in cuts),
        *(result.size for result in results),
        *(round(result.rows_out * each_row) for result in results),
        *partial_objects(found),
    ]


def partial_objects(found: facts.Facts) -> list[int]:
    """The sizes of the partial results that are objects of their own."""
    return [each.partials for each in found.segments.values() if each.partials > INLINE_BYTES]


def objects_of(run: Execution, found: facts.Facts) -> tuple[int, int]:
    """How many GETs of objects the input takes, and how many objects are listed for it."""
    scatter = found.scatter
    if scatter is None or not scatter.of_many:
        return 1, 0
    objects = len(scatter.objects)
    if isinstance(run.input_obj, list):
        return 2 * objects, 0
    return objects, objects + scatter.passed_over


def bill(run: Execution, found: facts.Facts, region: str) -> list[Charge]:
    """The bill of an execution that succeeded and whose log was read, as a stack on AWS runs it.

    It lacks the calls whose REPORT lines are not there, see `Execution.unreported`.

    Raises:
        Fault: a region without prices.
    """
    architectures = [each.get("Architectures") for each in run.functions.values()]
    [architecture] = next(filter(None, architectures), ["x86_64"])
    days = KEPT_DAYS * sum(leftovers(found))
    workbook_bytes = found.workbook.size if found.workbook else 0
    partials = len(partial_objects(found))
    calls_of_s3 = s3_calls(run.segments, workbook_bytes, partials, *objects_of(run, found))
    return cost(run.reports, run.transitions, calls_of_s3, region, architecture, days / 1e9)


def last(target: Target) -> None:
    """Show what the last execution that succeeded costs."""
    arn = machines.find(target, "", "SUCCEEDED")
    if arn is None:
        raise Fault(f"no execution has succeeded yet: make stepfunctions{target.flags}")
    run = history.read(target.client("stepfunctions"), arn)
    calls.add_logs(target, run)
    found = facts.read(target, run)
    show(run, bill(run, found, target.region))
    for doubt in found.trust.doubts:
        print(doubt)


def show(run: Execution, charges: list[Charge]) -> None:
    table = Table("", "amount", "price, USD", "USD", title=f"execution {run.name}")
    for charge in charges:
        table.add_row(
            charge.unit,
            f"{charge.amount:,.4g}",
            f"{charge.unit_price:.10f}",
            f"{charge.dollars:.6f}",
        )
    table.add_row("together", "", "", f"{sum(charge.dollars for charge in charges):.6f}")
    console().print(table)
    if run.unreported:
        print(f"calls that are not in it, as their REPORT lines have not come: {run.unreported}")
    print(
        f"List prices of {PRICES_OF}, without free tiers; not counted: input, workbook, reference tables, logs, transfer."
    )

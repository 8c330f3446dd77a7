"""What an execution costs on AWS: its REPORT lines and its history, times the price list."""

import math
from dataclasses import dataclass

from rich.table import Table

from harness import calls, facts, history, machines
from harness.execution import Execution
from harness.fault import Fault
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


def bill(run: Execution, found: facts.Facts, region: str) -> list[Charge]:
    """The bill of an execution that succeeded and whose log was read, as a stack on AWS runs it.

    It lacks the calls whose REPORT lines are not there, see `Execution.unreported`.

    Args:
        region: one of REGIONS.

    Raises:
        Fault: a region without prices here.
    """
    if region not in REGIONS:
        raise Fault(f"REGION: there are prices for {' and '.join(REGIONS)}; found {region}")
    architectures = [each.get("Architectures") for each in run.functions.values()]
    [architecture] = next(filter(None, architectures), ["x86_64"])
    partials = [each.partials for each in found.segments.values() if each.partials > INLINE_BYTES]
    amounts = {
        f"GB-second {architecture}": sum(report.gb_seconds for report in run.reports),
        "invocation": len(run.reports),
        "state transition": run.transitions,
        "S3 PUT, LIST": puts_and_lists(run, found, len(partials)),
        "S3 GET": objects_read(run, found) + 3 * run.segments + len(partials),
        "GB-day stored": KEPT_DAYS * (leftovers(found) + sum(partials)) / 1e9,
    }
    column = REGIONS.index(region)
    return [Charge(unit, amount, PRICES[unit][column]) for unit, amount in amounts.items()]


def estimate(size: int) -> float:
    """What a table costs, about, in US dollars, by what was measured; see state-machine/README.md.

    Args:
        size: in bytes of JSON.
    """
    return 0.0003 + size * (0.0030 / 137e6)


# The S3 calls are those of a clean run: no retries, no rejects, no rows rendered again, no late
# columns, no manifest.


def objects_read(run: Execution, found: facts.Facts) -> int:
    """How many GETs the input takes; a HEAD of an object that a list names costs as one."""
    if found.scatter is None or not found.scatter.of_many:
        return 1
    return len(found.scatter.objects) * (2 if isinstance(run.input_obj, list) else 1)


def puts_and_lists(run: Execution, found: facts.Facts, partials: int) -> int:
    """
    Args:
        partials: objects of partial results.
    """
    size = found.workbook.size if found.workbook else 0
    # An upload in parts is begun and completed, too.
    upload = math.ceil(size / UPLOAD_PART_BYTES) + 2 if size >= UPLOAD_PART_BYTES else 1
    listed = 0
    if found.scatter and found.scatter.of_many and not isinstance(run.input_obj, list):
        listed = len(found.scatter.objects) + found.scatter.passed_over
    # Scatter and gather write their facts; the scatter lists a folder and the reference tables, the
    # gather the results.
    puts = run.segments + 1 + 3 * run.segments + partials + upload + 1
    return puts + math.ceil(listed / LIST_PAGE) + 1 + math.ceil(3 * run.segments / LIST_PAGE)


def leftovers(found: facts.Facts) -> int:
    """The bytes that an execution leaves beside the workbook: segment files, results and rows.

    The rendered rows of a segment are its share of the workbook, which is made of them.
    """
    cuts = found.scatter.segments if found.scatter else []
    results, workbook = found.segments.values(), found.workbook
    each_row = workbook.size / max(1, workbook.rows) if workbook and workbook.table else 0
    rows = sum(round(result.rows_out * each_row) for result in results)
    return sum(cut.size for cut in cuts) + sum(result.size for result in results) + rows


def last(target: Target) -> None:
    """Show what the last execution that succeeded costs."""
    arn = machines.find(target, "", "SUCCEEDED")
    if arn is None:
        raise Fault(f"no execution has succeeded yet: make stepfunctions{target.flags}")
    run = history.read(target.client("stepfunctions"), arn)
    calls.add_logs(target, run)
    found = facts.read(target, run)
    show(run, bill(run, found, target.region))
    for doubt in found.doubts:
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

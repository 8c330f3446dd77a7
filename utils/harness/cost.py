"""What an execution costs on AWS: its REPORT lines and its history, times the price list."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from harness import facts, history
from harness.fault import Fault
from harness.history import Run
from harness.logs import Report
from harness.target import Target, connect

# List prices in US dollars, without free tiers, of Lambda (first tier), Step Functions (standard
# workflows) and S3 (Standard). AWS changes them seldom: https://aws.amazon.com/lambda/pricing/,
# https://aws.amazon.com/step-functions/pricing/, https://aws.amazon.com/s3/pricing/
PRICES_OF = "2025"
PRICES = {
    "us-east-1": {
        "GB-second x86_64": 0.0000166667,
        "GB-second arm64": 0.0000133334,
        "invocation": 0.20 / 1_000_000,
        "state transition": 0.025 / 1_000,
        "S3 PUT, LIST": 0.005 / 1_000,
        "S3 GET": 0.0004 / 1_000,
    },
    "ap-northeast-1": {
        "GB-second x86_64": 0.0000166667,
        "GB-second arm64": 0.0000133334,
        "invocation": 0.20 / 1_000_000,
        "state transition": 0.025 / 1_000,
        "S3 PUT, LIST": 0.0047 / 1_000,
        "S3 GET": 0.00037 / 1_000,
    },
}

LIST_PAGE = 1000  # keys
UPLOAD_PART_BYTES = 8 * 1024 * 1024  # of gather's upload_config


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
) -> list[Charge]:
    """The bill of some calls, state transitions and S3 calls.

    Args:
        s3_calls: how many "PUT", "LIST" and "GET" there are.
        region: one of PRICES.
        architecture: x86_64 or arm64.

    Raises:
        Fault: a region without prices here.
    """
    if region not in PRICES:
        raise Fault(f"REGION: there are prices for {' and '.join(PRICES)}; found {region}")
    ran = list(reports)
    amounts = {
        f"GB-second {architecture}": sum(each.gb_seconds for each in ran),
        "invocation": len(ran),
        "state transition": transitions,
        "S3 PUT, LIST": s3_calls.get("PUT", 0) + s3_calls.get("LIST", 0),
        "S3 GET": s3_calls.get("GET", 0),
    }
    return [Charge(unit, amount, PRICES[region][unit]) for unit, amount in amounts.items()]


def s3_calls(segments: int, workbook_bytes: int) -> dict[str, int]:
    """The S3 calls of a clean run: no retries, no rows rendered again, no late columns or manifest."""
    parts = math.ceil(workbook_bytes / UPLOAD_PART_BYTES)
    # An upload in parts is begun and completed, too.
    upload = parts + 2 if workbook_bytes >= UPLOAD_PART_BYTES else 1
    return {
        "GET": 1 + segments + 2 * segments,
        "PUT": segments + 3 * segments + upload,
        "LIST": math.ceil(3 * segments / LIST_PAGE),
    }


def bill(run: Run, workbook_bytes: int, region: str) -> list[Charge]:
    """The bill of an execution that succeeded and whose log was read.

    Raises:
        Fault: a region without prices, or a call without a REPORT line.
    """
    calls, reports = len(run.attempts), run.reports
    if len(reports) < calls:
        raise Fault(f"{run.name}: each call must have a REPORT line; found {len(reports)} of {calls}")
    architecture = next((each.architecture for each in run.functions.values()), "x86_64")
    calls_of_s3 = s3_calls(run.segments, workbook_bytes)
    return cost(reports, run.transitions, calls_of_s3, region, architecture)


def last(target: str, machine: str = "Aggregate", region: str = "") -> None:
    """Show what the last execution of a state machine that succeeded costs."""
    place = connect(target, region)
    run = last_run(place, place.machine(machine))
    history.add_logs(place, run)
    show(run, bill(run, workbook_bytes(place, run), place.region))


def last_run(place: Target, machine: str) -> Run:
    states = place.client("stepfunctions")
    try:
        found = states.list_executions(stateMachineArn=machine, statusFilter="SUCCEEDED", maxResults=1)
    except states.exceptions.StateMachineDoesNotExist:
        raise Fault(f"{machine} does not exist: make stepfunctions, or make deploy") from None
    if not found["executions"]:
        raise Fault(f"{machine} has no execution that succeeded: make stepfunctions")
    return history.read(states, found["executions"][0]["executionArn"])


def workbook_bytes(place: Target, run: Run) -> int:
    bucket = facts.bucket_of(place, run)
    head = place.client("s3").head_object(Bucket=bucket, Key=run.workbook)
    return int(head["ContentLength"])


def show(run: Run, charges: list[Charge]) -> None:
    table = Table("", "amount", "price, USD", "USD", title=f"execution {run.name}")
    for charge in charges:
        table.add_row(
            charge.unit, f"{charge.amount:,.4g}", f"{charge.unit_price:.10f}", f"{charge.dollars:.6f}"
        )
    table.add_row("together", "", "", f"{sum(charge.dollars for charge in charges):.6f}")
    Console().print(table)
    print(f"List prices of {PRICES_OF}, without free tiers; not counted: storage, logs, transfer.")

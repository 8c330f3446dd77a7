"""What an execution costs on AWS: its report lines and its history, times the price list."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.fault import Fault
from harness.target import Target, connect

Event = dict[str, Any]

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

REPORT = re.compile(r"^REPORT .*?Billed Duration: (\d+) ms.*?Memory Size: (\d+) MB", re.DOTALL)
LIST_PAGE = 1000  # keys
UPLOAD_PART_BYTES = 8 * 1024 * 1024  # of gather's upload_config
LOGS_LATE = timedelta(seconds=30)


@dataclass(frozen=True)
class Invocation:
    """One run of a function, as its report line gives it."""

    billed_ms: int
    memory_mb: int

    @property
    def gb_seconds(self) -> float:
        return self.memory_mb / 1024 * self.billed_ms / 1000


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
    invocations: Iterable[Invocation],
    transitions: int,
    s3_calls: dict[str, int],
    region: str = "us-east-1",
    architecture: str = "x86_64",
) -> list[Charge]:
    """The bill of some invocations, state transitions and S3 calls.

    Args:
        s3_calls: how many "PUT", "LIST" and "GET" there are.
        region: one of PRICES.
        architecture: x86_64 or arm64.

    Raises:
        Fault: a region without prices here.
    """
    if region not in PRICES:
        raise Fault(f"REGION: there are prices for {' and '.join(PRICES)}; found {region}")
    ran = list(invocations)
    amounts = {
        f"GB-second {architecture}": sum(each.gb_seconds for each in ran),
        "invocation": len(ran),
        "state transition": transitions,
        "S3 PUT, LIST": s3_calls.get("PUT", 0) + s3_calls.get("LIST", 0),
        "S3 GET": s3_calls.get("GET", 0),
    }
    return [Charge(unit, amount, PRICES[region][unit]) for unit, amount in amounts.items()]


def invocations(messages: Iterable[str]) -> list[Invocation]:
    """The invocations that log messages report, in either of Lambda's log formats."""
    return [found for message in messages if (found := invocation(message))]


def invocation(message: str) -> Invocation | None:
    if match := REPORT.match(message):
        return Invocation(int(match[1]), int(match[2]))
    try:
        event = json.loads(message)
        if event["type"] != "platform.report":
            return None
        metrics = event["record"]["metrics"]
        return Invocation(int(metrics["billedDurationMs"]), int(metrics["memorySizeMB"]))
    except (ValueError, KeyError, TypeError):
        return None


def transitions(events: Iterable[Event]) -> int:
    """State transitions as Step Functions bills them: each state entered, and each retry."""
    counts = Counter(event["type"] for event in events)
    entered = sum(count for kind, count in counts.items() if kind.endswith("StateEntered"))
    scheduled = counts["LambdaFunctionScheduled"] + counts["TaskScheduled"]
    return entered + max(0, scheduled - counts["TaskStateEntered"])


def s3_calls(segments: int, workbook_bytes: int) -> dict[str, int]:
    """The S3 calls of an execution, but for retries, rendering again, late columns and manifests."""
    parts = math.ceil(workbook_bytes / UPLOAD_PART_BYTES)
    # An upload in parts is begun and completed, too.
    upload = parts + 2 if workbook_bytes >= UPLOAD_PART_BYTES else 1
    return {
        "GET": 1 + segments + 2 * segments,
        "PUT": segments + 3 * segments + upload,
        "LIST": math.ceil(3 * segments / LIST_PAGE),
    }


def last(target: str, machine: str = "Aggregate", region: str = "") -> None:
    """Show what the last execution of a state machine that succeeded costs."""
    place = connect(target, region)
    states = place.client("stepfunctions")
    arn = f"arn:aws:states:{place.region}:{place.account}:stateMachine:{machine}"
    execution = last_execution(states, arn)
    definition = states.describe_state_machine(stateMachineArn=arn)["definition"]
    functions = [function(place, name) for name in function_names(definition)]
    events = list(history(states, execution["executionArn"]))
    children = iterations(states, events)
    calls = s3_calls(segments(events) + children, workbook_bytes(place, functions[0], execution))
    ran = [
        each
        for found in functions
        for each in invocations(messages(place, found, execution["startDate"], execution["stopDate"]))
    ]
    architecture = functions[0].get("Architectures", ["x86_64"])[0]
    show(execution, cost(ran, transitions(events) + children, calls, place.region, architecture))


def last_execution(states: Any, machine: str) -> dict[str, Any]:
    try:
        found = states.list_executions(stateMachineArn=machine, statusFilter="SUCCEEDED", maxResults=1)
    except states.exceptions.StateMachineDoesNotExist:
        raise Fault(f"{machine} does not exist: make stepfunctions, or make deploy") from None
    if not found["executions"]:
        raise Fault(f"{machine} has no execution that succeeded: make stepfunctions")
    arn = found["executions"][0]["executionArn"]
    return dict(states.describe_execution(executionArn=arn))


def function_names(definition: str) -> list[str]:
    found = re.findall(r"arn:[\w-]+:lambda:[\w-]+:\d+:function:([\w-]+)", definition)
    return list(dict.fromkeys(found))


def history(states: Any, arn: str) -> Iterator[Event]:
    for page in states.get_paginator("get_execution_history").paginate(executionArn=arn):
        yield from page["events"]


def segments(events: Iterable[Event]) -> int:
    return sum(
        event["mapStateStartedEventDetails"]["length"]
        for event in events
        if event["type"] == "MapStateStarted"
    )


def iterations(states: Any, events: Iterable[Event]) -> int:
    """The executions that distributed Maps started, each of which enters one state."""
    runs = [e["mapRunStartedEventDetails"]["mapRunArn"] for e in events if e["type"] == "MapRunStarted"]
    found = [states.describe_map_run(mapRunArn=arn)["executionCounts"]["total"] for arn in runs]
    return sum(found)


def function(place: Target, name: str) -> dict[str, Any]:
    return dict(place.client("lambda").get_function_configuration(FunctionName=name))


def messages(
    place: Target, function: dict[str, Any], start: datetime, stop: datetime
) -> Iterator[str]:
    """What a function logged while an execution ran, its own or another's."""
    default = f"/aws/lambda/{function['FunctionName']}"
    pages = place.client("logs").get_paginator("filter_log_events").paginate(
        logGroupName=function.get("LoggingConfig", {}).get("LogGroup", default),
        startTime=int(start.timestamp() * 1000),
        endTime=int((stop + LOGS_LATE).timestamp() * 1000),
    )
    for page in pages:
        for event in page["events"]:
            yield event["message"]


def workbook_bytes(place: Target, function: dict[str, Any], execution: dict[str, Any]) -> int:
    bucket = function["Environment"]["Variables"]["BUCKET"]
    found = place.client("s3").head_object(Bucket=bucket, Key=json.loads(execution["output"]))
    return int(found["ContentLength"])


def show(execution: dict[str, Any], charges: list[Charge]) -> None:
    table = Table("", "amount", "price, USD", "USD", title=f"execution {execution['name']}")
    for charge in charges:
        table.add_row(
            charge.unit, f"{charge.amount:,.4g}", f"{charge.unit_price:.10f}", f"{charge.dollars:.6f}"
        )
    table.add_row("together", "", "", f"{sum(charge.dollars for charge in charges):.6f}")
    Console().print(table)
    print(f"List prices of {PRICES_OF}, without free tiers; not counted: storage, logs, transfer.")

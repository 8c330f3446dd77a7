"""What an execution's history says: how far it is, and where it failed."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]

# The stage a Task state belongs to.
STAGES = {"ScatterLambda": "scatter", "SegmentLambda": "segment", "GatherLambda": "gather"}
# A Task that names a function's ARN leaves LambdaFunction* events, one that names the optimised
# integration Task* events.
FAILURES = (
    "LambdaFunctionFailed",
    "LambdaFunctionTimedOut",
    "LambdaFunctionScheduleFailed",
    "LambdaFunctionStartFailed",
    "TaskFailed",
    "TaskTimedOut",
    "TaskStartFailed",
    "TaskSubmitFailed",
)

# A function's own error names its invocation in JSON, Lambda's (timeout, crash) in the message.
REQUEST_ID = re.compile(r'(?:"requestId": ?"|RequestId: )([-0-9a-f]{36})')


@dataclass(frozen=True)
class Progress:
    """Where an execution stands; segments is 0 until the scatter has made them."""

    stage: str
    segments: int
    done: int
    failed: int
    retries: int


@dataclass(frozen=True)
class Failure:
    """The task that failed an execution: its stage, its input, and the error as it left it.

    Attributes:
        request_id: of the last invocation; None where there was none, as of a throttled function.
    """

    stage: str
    input: Any
    error: str
    message: str
    request_id: str | None = None


def read(states: Any, arn: str) -> list[Event]:
    """All events of an execution; AWS gives up to 1,000 a page."""
    pages = states.get_paginator("get_execution_history").paginate(
        executionArn=arn, PaginationConfig={"PageSize": 1000}
    )
    return [event for page in pages for event in page["events"]]


def progress(events: list[Event]) -> Progress:
    counts = Counter(event["type"] for event in events)
    tasks = [e["stateEnteredEventDetails"]["name"] for e in events if e["type"] == "TaskStateEntered"]
    failures = sum(counts[kind] for kind in FAILURES)
    return Progress(
        stage=STAGES.get(tasks[-1], tasks[-1]) if tasks else "scatter",
        segments=sum(e["mapStateStartedEventDetails"]["length"] for e in events if e["type"] == "MapStateStarted"),
        done=counts["MapIterationSucceeded"],
        failed=counts["MapIterationFailed"],
        retries=max(0, failures - counts["MapIterationFailed"] - counts["ExecutionFailed"]),
    )


def failure(events: list[Event]) -> Failure | None:
    """The last task failure; None where the execution failed in no task."""
    failed = next((event for event in reversed(events) if event["type"] in FAILURES), None)
    if failed is None:
        return None
    state = entered_before(events, failed)["stateEnteredEventDetails"]
    details = details_of(failed)
    return Failure(
        stage=STAGES.get(state["name"], state["name"]),
        input=json.loads(state["input"]),
        error=details.get("error") or str(failed["type"]),
        message=error_message(details.get("cause", "")),
        request_id=request_id(details.get("cause", "")),
    )


def entered_before(events: list[Event], event: Event) -> Event:
    """The task an event belongs to; where events name no predecessor, the latest before it."""
    by_id = {each["id"]: each for each in events}
    while event["type"] != "TaskStateEntered":
        event = by_id[event.get("previousEventId", event["id"] - 1)]
    return event


def details_of(event: Event) -> Event:
    return next((v for k, v in event.items() if k.endswith("EventDetails") and v), {})


def error_message(cause: str) -> str:
    """The message of a function's error; a cause of another form as it is."""
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return cause


def request_id(cause: str) -> str | None:
    found = REQUEST_ID.search(cause)
    return found[1] if found else None

"""What an execution's history says: the only reader of its events."""

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from harness.definition import function_of
from harness.execution import Attempt, Execution, Part, Task, Visit

Event = dict[str, Any]

# A Task that names a function's ARN leaves these.
FAILURES = (
    "LambdaFunctionFailed",
    "LambdaFunctionTimedOut",
    "LambdaFunctionScheduleFailed",
    "LambdaFunctionStartFailed",
)
ENDED = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")
# A redrive may wait for its turn.
RUNNING = ("RUNNING", "PENDING_REDRIVE")
# Of LocalStack: a call that waited for a worker when its execution ended or was stopped.
DROPPED = "Sandbox.Dropped"
NEWS = 100  # events, about, since an execution was read a moment ago


def read(states: Any, arn: str, seen: list[Event] | None = None) -> Execution:
    """An execution by its description, its history and its Map Runs.

    Args:
        seen: the events that an earlier reading found, which takes those that are new.

    Raises:
        ClientError: there is no such execution.
    """
    events: list[Event] = [] if seen is None else seen
    while True:
        described = states.describe_execution(executionArn=arn)
        events += read_events(states, arn, events[-1]["id"] if events else 0)
        run = parse(described, events)
        run.seen_s = time.time() - run.parts[-1].rest_s
        if not run.may_settle:
            break
        time.sleep(0.1)
    for map_run in run.map_runs:
        counts = states.describe_map_run(mapRunArn=map_run)["itemCounts"]
        run.segments += counts["total"]
        run.done += counts["succeeded"]
        run.failed += counts["failed"]
    return run


def read_events(states: Any, arn: str, after: int = 0) -> list[Event]:
    """The events of an execution, read from the last one back.

    Args:
        after: the number of the last one that is known.
    """
    pages = states.get_paginator("get_execution_history").paginate(
        executionArn=arn,
        reverseOrder=True,
        PaginationConfig={"PageSize": NEWS if after else 1000},  # the most that AWS gives
    )
    found: list[Event] = []
    for page in pages:
        found += (event for event in page["events"] if event["id"] > after)
        if any(event["id"] <= after + 1 for event in page["events"]):
            break
    return found[::-1]


def parse(described: dict[str, Any], events: Iterable[Event]) -> Execution:
    """An execution by its description and its history.

    Args:
        described: as DescribeExecution answers; `status` alone must be there.
    """
    run = Execution(
        arn=described.get("executionArn", ""),
        name=described.get("name", ""),
        status="RUNNING" if described["status"] in RUNNING else described["status"],
        input=described.get("input", "{}"),
        output=described.get("output"),
    )
    reader = _Reader(run)
    for event in events:
        reader.read(event)
    if is_localstacks_stop(run.ended, reader.aborted):
        run.status = "ABORTED"
    return run


class _Reader:
    """Follows the events of a run; each names its predecessor, which tells iterations apart."""

    def __init__(self, run: Execution) -> None:
        self.run = run
        self.rest_s = 0.0  # between the parts so far
        self.aborted = False  # an iteration was
        self.task_of: dict[int, Task] = {}
        self.index_of: dict[int, int] = {}

    def read(self, event: Event) -> None:
        kind, number, run, details = event["type"], event["id"], self.run, details_of(event)
        # Events after a Map name its last iteration as their predecessor; they are not part of it.
        if not kind.startswith("MapState"):
            self.follow(number, event.get("previousEventId", 0))
        match kind:
            case "ExecutionStarted":
                run.started_s = seconds(event)
                run.parts = [Part(run.started_s)]
            case "ExecutionRedriven":
                self.redrive(event)
            case "MapStateStarted":
                run.segments += details["length"]
            case "MapRunStarted":
                run.map_runs.append(details["mapRunArn"])
            case "MapIterationStarted":
                self.index_of[number] = details["index"]
            case "MapIterationSucceeded":
                run.done += 1
            case "MapIterationFailed":
                self.give_up(self.task_of.get(number))
            case "MapIterationAborted":
                self.aborted = True
            case "LambdaFunctionScheduled":
                function, given = function_of(details["resource"]), details.get("input", "")
                run.versions[function] = details["resource"]
                self.task_of[number].attempts.append(Attempt(function, self.at(event), given))
        if kind.endswith("StateEntered"):
            self.enter(event, details)
        elif kind.endswith("StateExited"):
            self.exit(event, details)
        elif kind == "LambdaFunctionSucceeded" or kind in FAILURES:
            self.end(event, details)
        elif kind in ENDED and run.stopped_s is None:
            run.parts[-1].ended_s, run.stopped_s = seconds(event), self.at(event)
            if kind != "ExecutionSucceeded":
                run.ended = details.get("error") or kind, details.get("cause") or ""

    def at(self, event: Event) -> float:
        """The time of an event, without the rest between parts."""
        return seconds(event) - self.rest_s

    def redrive(self, event: Event) -> None:
        """What succeeded stays; what failed or was cut off is called again, in the states it had entered."""
        run, began_s = self.run, seconds(event)
        self.rest_s = began_s - (run.stopped_s or began_s)
        run.parts.append(Part(began_s, rest_s=self.rest_s))
        run.stopped_s, run.ended, run.failed, self.aborted = None, None, 0, False
        for task in run.tasks:
            task.gave_up = False

    def give_up(self, task: Task | None) -> None:
        """An iteration whose last call was dropped has not failed."""
        if task and task.attempts and task.attempts[-1].ended_s is None:
            return
        self.run.failed += 1
        if task:
            task.gave_up = True

    def follow(self, number: int, before: int) -> None:
        if before in self.task_of:
            self.task_of[number] = self.task_of[before]
        if before in self.index_of:
            self.index_of[number] = self.index_of[before]

    def enter(self, event: Event, details: Event) -> None:
        index = self.index_of.get(event["id"])
        if index is None:
            self.run.visits[details["name"]] = Visit(self.at(event))
        if event["type"] == "TaskStateEntered":
            task = Task(details["name"], index, details.get("input", ""), self.at(event))
            self.run.tasks.append(task)
            self.task_of[event["id"]] = task

    def exit(self, event: Event, details: Event) -> None:
        if event["type"] == "TaskStateExited":
            task = self.task_of[event["id"]]
            task.exited_s, task.output = self.at(event), details.get("output")
        if event["id"] not in self.index_of and details["name"] in self.run.visits:
            self.run.visits[details["name"]].exited_s = self.at(event)

    def end(self, event: Event, details: Event) -> None:
        if details.get("error") == DROPPED:
            return
        task = self.task_of[event["id"]]
        if not task.attempts:  # it could not be scheduled
            task.attempts.append(Attempt("", self.at(event)))
        attempt = task.attempts[-1]
        attempt.ended_s = self.at(event)
        if event["type"] in FAILURES:
            attempt.error = details.get("error") or event["type"]
            attempt.cause = details.get("cause") or ""


def is_localstacks_stop(ended: tuple[str, str] | None, aborted: bool) -> bool:
    """LocalStack ends an execution that is stopped within a Map with a bug of its own.

    Args:
        aborted: whether an iteration was.
    """
    error, cause = ended or ("", "")
    found = "ProgramStopped" in cause or (aborted and "AttributeError" in cause)
    return error == DROPPED or (error == "States.Runtime" and found)


def seconds(event: Event) -> float:
    at: datetime = event["timestamp"]
    return at.timestamp()


def details_of(event: Event) -> Event:
    return next((v for k, v in event.items() if k.endswith("EventDetails") and v), {})

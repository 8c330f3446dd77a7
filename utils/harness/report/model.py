"""What an execution's history and its functions' REPORT lines say, as figures; no I/O."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from harness.history import FAILURES, Event, details_of, error_message, progress, request_id

SCHEDULED = ("LambdaFunctionScheduled", "TaskScheduled")
SUCCEEDED = ("LambdaFunctionSucceeded", "TaskSucceeded")
ENDED = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")

# The clock of the log and that of the history differ by the time an answer takes.
CLOCK_SLACK_S = 1.0


@dataclass(frozen=True)
class LogReport:
    """A REPORT line. `init_ms` is None in a warm environment, `status` in a success."""

    function: str
    request_id: str
    ended_s: float
    duration_ms: float
    billed_ms: int
    memory_mb: int
    peak_mb: int
    init_ms: float | None
    status: str | None = None

    @property
    def started_s(self) -> float:
        return self.ended_s - (self.duration_ms + (self.init_ms or 0)) / 1000

    @classmethod
    def parse(cls, message: str, timestamp_ms: int, function: str = "") -> Self | None:
        """None for any other log line; functions that log JSON report in another form."""
        if message.startswith("{"):
            return cls._parse_json(message, timestamp_ms, function)
        if not message.startswith("REPORT RequestId: "):
            return None
        fields = dict(part.split(": ", 1) for part in message.split("\t") if ": " in part)
        numbers = {name: value.split()[0] for name, value in fields.items()}
        init = numbers.get("Init Duration")
        return cls(
            function=function,
            request_id=numbers["REPORT RequestId"],
            ended_s=timestamp_ms / 1000,
            duration_ms=float(numbers["Duration"]),
            billed_ms=int(numbers["Billed Duration"]),
            memory_mb=int(numbers["Memory Size"]),
            peak_mb=int(numbers["Max Memory Used"]),
            init_ms=float(init) if init else None,
            status=numbers.get("Error Type") or numbers.get("Status"),
        )

    @classmethod
    def _parse_json(cls, message: str, timestamp_ms: int, function: str) -> Self | None:
        try:
            event = json.loads(message)
            if event["type"] != "platform.report":
                return None
            record, metrics = event["record"], event["record"]["metrics"]
            return cls(
                function=function,
                request_id=record["requestId"],
                ended_s=timestamp_ms / 1000,
                duration_ms=metrics["durationMs"],
                billed_ms=metrics["billedDurationMs"],
                memory_mb=metrics["memorySizeMB"],
                peak_mb=metrics["maxMemoryUsedMB"],
                init_ms=metrics.get("initDurationMs"),
                status=None if record["status"] == "success" else record["status"],
            )
        except (ValueError, KeyError, TypeError):
            return None


@dataclass
class Attempt:
    """One call of a function. `ended_s` is None while it runs, `error` None unless it failed."""

    function: str
    scheduled_s: float
    input: str = ""
    ended_s: float | None = None
    error: str | None = None
    cause: str = ""
    report: LogReport | None = None

    @property
    def request_id(self) -> str | None:
        """As a failure's cause or the REPORT line names it."""
        return self.report.request_id if self.report else request_id(self.cause)


@dataclass
class Task:
    """One visit of a Task state. `index` counts the Map's iterations, and is None outside it."""

    state: str
    index: int | None
    input: str
    entered_s: float
    exited_s: float | None = None
    output: str | None = None
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def retries(self) -> int:
        return max(0, len(self.attempts) - 1)

    @property
    def ended_s(self) -> float | None:
        return self.exited_s or (self.attempts[-1].ended_s if self.attempts else None)

    def outcome(self, running: bool) -> str:
        if self.exited_s is not None:
            return "retried" if self.retries else "succeeded"
        if self.attempts and self.attempts[-1].error is not None:
            return "running" if running else "failed"
        return "running" if running else "stopped"


@dataclass
class Visit:
    """A top-level state: when it was entered and left."""

    state: str
    entered_s: float
    exited_s: float | None = None


@dataclass(frozen=True)
class Failure:
    """Why the execution failed; `task` is None where no task is to blame."""

    error: str
    cause: str
    task: Task | None

    @property
    def message(self) -> str:
        return error_message(self.cause)

    @property
    def stack(self) -> list[str]:
        try:
            lines = json.loads(self.cause)["stackTrace"]
        except (ValueError, KeyError, TypeError):
            return []
        return [str(line).rstrip("\n") for line in lines] if isinstance(lines, list) else []

    @property
    def record(self) -> tuple[str, int] | None:
        """The input object and the record that the message names, if it does so."""
        found = re.match(r"(\S+) record (\d+)\b", self.message)
        return (found[1], int(found[2])) if found else None


@dataclass
class Run:
    """All that a history holds.

    Attributes:
        segments: the Map's length, None before it starts.
        done: how many segments succeeded.
        failed: how many segments failed.
        map_runs: ARNs of what a DISTRIBUTED Map runs its segments in, apart from this history.
    """

    status: str
    started_s: float
    stopped_s: float | None
    visits: dict[str, Visit]
    tasks: list[Task]
    segments: int | None
    done: int
    failed: int
    failure: Failure | None
    transitions: int
    map_runs: list[str] = field(default_factory=list)

    @classmethod
    def from_history(cls, status: str, events: list[Event]) -> Self:
        found, counted = _History(), progress(events)
        for event in events:
            found.add(event)
        # Segments under way may leave events after a failure has ended the execution.
        ended = next((event for event in events if event["type"] in ENDED), None)
        retries = sum(task.retries for task in found.tasks)
        return cls(
            status=status,
            started_s=seconds(events[0]) if events else 0.0,
            stopped_s=seconds(ended) if ended else None,
            visits=found.visits,
            tasks=found.tasks,
            segments=counted.segments or None,
            done=counted.done,
            failed=counted.failed,
            failure=found.failure,
            transitions=found.entered + retries,
            map_runs=found.map_runs,
        )

    def add_calls(self, state: str, calls: list[Attempt]) -> None:
        """Take a DISTRIBUTED Map's calls for its segments, in the order of their starts.

        The first that failed is why the execution did, if it did. Each is a state that was entered
        in an execution of its own, or a retry.
        """
        self.transitions += len(calls)
        for index, call in enumerate(sorted(calls, key=lambda call: call.scheduled_s)):
            exited_s = None if call.error else call.ended_s
            self.tasks.append(Task(state, index, "", call.scheduled_s, exited_s, None, [call]))
        failed = next((t for t in self.tasks if t.state == state and t.attempts[0].error), None)
        if self.failure and failed:
            call = failed.attempts[0]
            self.failure = Failure(call.error or "", call.cause, failed)

    @property
    def iterations(self) -> list[Task]:
        """The segments' tasks in the order of the Map's input."""
        return sorted((t for t in self.tasks if t.index is not None), key=lambda t: t.index or 0)

    @property
    def attempts(self) -> list[Attempt]:
        return [attempt for task in self.tasks for attempt in task.attempts]

    @property
    def elapsed_s(self) -> float:
        """To the end, or to the last event of a running one."""
        times = [t.ended_s or t.entered_s for t in self.tasks]
        return (self.stopped_s or max(times, default=self.started_s)) - self.started_s

    def outcome(self, task: Task) -> str:
        return task.outcome(self.status == "RUNNING")

    def state_outcome(self, state: str) -> str:
        visit = self.visits.get(state)
        if visit is None:
            return "not reached"
        if visit.exited_s is not None:
            return "succeeded"
        return {"RUNNING": "running", "FAILED": "failed", "TIMED_OUT": "failed"}.get(
            self.status, "stopped"
        )


def seconds(event: Event) -> float:
    at: datetime = event["timestamp"]
    return at.timestamp()


class _History:
    """Follows the events; each names its predecessor, so that iterations can be told apart."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.visits: dict[str, Visit] = {}
        self.failure: Failure | None = None
        self.map_runs: list[str] = []
        self.entered = 0
        self.task_of: dict[int, Task] = {}
        self.index_of: dict[int, int] = {}
        self.last_failed: Task | None = None

    def add(self, event: Event) -> None:
        kind: str = event["type"]
        before = event.get("previousEventId", 0)
        # What follows a Map follows its last iteration, but is none.
        if not kind.startswith("MapState"):
            if before in self.task_of:
                self.task_of[event["id"]] = self.task_of[before]
            if before in self.index_of:
                self.index_of[event["id"]] = self.index_of[before]
        if kind.endswith("StateEntered"):
            self.enter(event)
        elif kind.endswith("StateExited"):
            self.exit(event)
        elif kind == "MapRunStarted":
            self.map_runs.append(event["mapRunStartedEventDetails"]["mapRunArn"])
        elif kind == "MapIterationStarted":
            self.index_of[event["id"]] = event["mapIterationStartedEventDetails"]["index"]
        elif kind in SCHEDULED:
            self.schedule(event)
        elif kind in SUCCEEDED or kind in FAILURES:
            self.end(event)
        elif kind in ENDED and kind != "ExecutionSucceeded":
            self.fail(event)

    def enter(self, event: Event) -> None:
        self.entered += 1
        details = event["stateEnteredEventDetails"]
        index = self.index_of.get(event["id"])
        if index is None:
            self.visits[details["name"]] = Visit(details["name"], seconds(event))
        if event["type"] == "TaskStateEntered":
            task = Task(details["name"], index, details.get("input", ""), seconds(event))
            self.tasks.append(task)
            self.task_of[event["id"]] = task

    def exit(self, event: Event) -> None:
        details = event["stateExitedEventDetails"]
        if event["type"] == "TaskStateExited":
            task = self.task_of[event["id"]]
            task.exited_s, task.output = seconds(event), details.get("output")
        if self.index_of.get(event["id"]) is None and details["name"] in self.visits:
            self.visits[details["name"]].exited_s = seconds(event)

    def schedule(self, event: Event) -> None:
        details = details_of(event)
        arn, given = details.get("resource", ""), details.get("input", "")
        if details.get("parameters"):
            arguments = json.loads(details["parameters"])
            arn = arguments.get("FunctionName", arn)
            given = json.dumps(arguments.get("Payload"), ensure_ascii=False)
        attempt = Attempt(function_of(arn), seconds(event), given)
        self.task_of[event["id"]].attempts.append(attempt)

    def end(self, event: Event) -> None:
        task = self.task_of[event["id"]]
        if not task.attempts:  # it could not be scheduled
            task.attempts.append(Attempt("", seconds(event)))
        attempt = task.attempts[-1]
        attempt.ended_s = seconds(event)
        if event["type"] in FAILURES:
            details = details_of(event)
            attempt.error = details.get("error") or event["type"]
            attempt.cause = details.get("cause") or ""
            self.last_failed = task

    def fail(self, event: Event) -> None:
        details = details_of(event)
        error, cause = details.get("error") or event["type"], details.get("cause") or ""
        task = self.last_failed if self.blames(error) else None
        if task and not cause:
            cause = task.attempts[-1].cause
        self.failure = Failure(error, cause, task)

    def blames(self, error: str) -> bool:
        failed = self.last_failed
        return failed is not None and failed.exited_s is None and failed.attempts[-1].error == error


def function_of(arn: str) -> str:
    """`arn:aws:lambda:…:function:scatter-lambda:$LATEST` → `scatter-lambda`."""
    parts = arn.split(":")
    return parts[6] if len(parts) > 6 else arn


def match_reports(attempts: Iterable[Attempt], reports: Iterable[LogReport]) -> int:
    """Give each attempt its REPORT line; returns how many found one.

    The history names a call's request only where it failed. The other lines of a function fall to
    its calls in the order in which both ended; where there are more or fewer lines than calls,
    each within the time of its call.
    """
    lines = sorted(reports, key=lambda report: report.ended_s)
    by_request = {report.request_id: report for report in lines}
    ended = sorted(
        (attempt for attempt in attempts if attempt.ended_s is not None),
        key=lambda attempt: attempt.ended_s or 0,
    )
    for attempt in ended:
        attempt.report = None
        attempt.report = by_request.pop(attempt.request_id or "", None)
    for function in {attempt.function for attempt in ended}:
        _match_in_order(
            [a for a in ended if a.function == function and a.report is None and a.error is None],
            [r for r in lines if r.function == function and r.request_id in by_request],
        )
    return sum(attempt.report is not None for attempt in ended)


def _match_in_order(attempts: list[Attempt], reports: list[LogReport]) -> None:
    if len(attempts) == len(reports):
        for attempt, report in zip(attempts, reports):
            attempt.report = report
        return
    for attempt in attempts:
        attempt.report = next((report for report in reports if _within(report, attempt)), None)
        if attempt.report:
            reports.remove(attempt.report)


def _within(report: LogReport, attempt: Attempt) -> bool:
    earliest = attempt.scheduled_s + report.duration_ms / 1000 - CLOCK_SLACK_S
    return earliest <= report.ended_s <= (attempt.ended_s or 0) + CLOCK_SLACK_S


@dataclass(frozen=True)
class FunctionFigures:
    """What the calls of one function took, by their REPORT lines; None where there is none."""

    name: str
    calls: int
    failed: int
    cold: int
    reported: int
    longest_ms: float | None
    peak_mb: int | None
    memory_mb: int | None
    billed_ms: int

    @classmethod
    def of(cls, name: str, attempts: list[Attempt]) -> Self:
        reports = [attempt.report for attempt in attempts if attempt.report]
        return cls(
            name=name,
            calls=len(attempts),
            failed=sum(attempt.error is not None for attempt in attempts),
            cold=sum(report.init_ms is not None for report in reports),
            reported=len(reports),
            longest_ms=max((report.duration_ms for report in reports), default=None),
            peak_mb=max((report.peak_mb for report in reports), default=None),
            memory_mb=max((report.memory_mb for report in reports), default=None),
            billed_ms=sum(report.billed_ms for report in reports),
        )


def by_function(attempts: Iterable[Attempt]) -> list[FunctionFigures]:
    """The functions in the order of their first calls."""
    groups: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        groups.setdefault(attempt.function, []).append(attempt)
    return [FunctionFigures.of(name, group) for name, group in groups.items()]


@dataclass(frozen=True)
class Histogram:
    """Counts by group in bins of `step`, the first from `start`; the last bin takes its end too."""

    start: float
    step: float
    groups: dict[str, list[int]]

    @property
    def rows(self) -> int:
        return sum(map(sum, self.groups.values()))


def histogram(pairs: dict[tuple[float, float], int], bins: int = 30) -> Histogram | None:
    """
    Args:
        pairs: (group, value) → how many rows have them.
        bins: at most about so many.
    """
    if not pairs:
        return None
    low = min(value for _, value in pairs)
    high = max(value for _, value in pairs)
    step = nice_step((high - low) / bins)
    start = low // step * step
    count = max(1, int((high - start) // step) + 1)
    groups = {f"{group:g}": [0] * count for group in sorted({group for group, _ in pairs})}
    for (group, value), rows in pairs.items():
        groups[f"{group:g}"][int((value - start) // step)] += rows
    return Histogram(start, step, groups)


def nice_step(least: float) -> float:
    """The smallest 1, 2 or 5 times a power of ten that is not below `least`; 1 for 0."""
    if least <= 0:
        return 1.0
    power = 10.0
    while power > least:
        power /= 10
    while power * 10 <= least:
        power *= 10
    return next(power * digit for digit in (1, 2, 5, 10) if power * digit >= least)


@dataclass(frozen=True)
class Node:
    """A top-level state, the states that may follow it, and a Map's states with their functions."""

    name: str
    kind: str
    next: list[str]
    inner: dict[str, str]


def graph(definition: dict[str, Any]) -> list[Node]:
    """The definition's states, in its order."""
    return [
        Node(name, state["Type"], followers(state), inner_states(state))
        for name, state in definition["States"].items()
    ]


def followers(state: dict[str, Any]) -> list[str]:
    rules = [*state.get("Choices", []), *state.get("Catch", [])]
    names = [state.get("Next"), state.get("Default"), *(rule.get("Next") for rule in rules)]
    return list(dict.fromkeys(name for name in names if name))


def inner_states(state: dict[str, Any]) -> dict[str, str]:
    processor = state.get("ItemProcessor") or state.get("Iterator") or {}
    return {
        name: function_of(inner.get("Parameters", {}).get("FunctionName") or inner.get("Resource", ""))
        for name, inner in processor.get("States", {}).items()
    }

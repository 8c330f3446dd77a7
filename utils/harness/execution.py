"""What an execution is: its tasks, their attempts, and why it failed."""

import re
import time
from dataclasses import dataclass, field
from typing import Any

from harness import logs
from harness.logs import Report, json_object, json_text
from pipeline.endings import table_name
from pipeline.errors.lines import gathered, record_of

# The stage that a state belongs to.
STAGES = {
    "ScatterLambda": "scatter",
    "ProcessAllSegments": "segment",
    "SegmentLambda": "segment",
    "GatherLambda": "gather",
}
OUTCOMES = {
    "RUNNING": "running",
    "PENDING_REDRIVE": "running",
    "SUCCEEDED": "succeeded",
    "ABORTED": "stopped",
}
# Segments that failed end an execution as one of these, where the Map does not end as they do.
LEFT_OUT = ("MissingSegment", "States.ExceedToleratedFailureThreshold")

KILLED = "Runtime.OutOfMemory"

# A function's own error names its invocation in JSON, Lambda's (timeout, crash) in the message.
REQUEST_ID = re.compile(r'(?:"requestId": ?"|RequestId: )([-0-9a-f]{36})')

# Segments under way may fail after an execution has failed.
SETTLE_S = 0.5


@dataclass
class Attempt:
    """One call of a function. `ended_s` is None while it runs, `error` None unless it failed."""

    function: str
    scheduled_s: float
    input: str = ""
    ended_s: float | None = None
    error: str | None = None
    cause: str = ""
    report: Report | None = None

    @property
    def request_id(self) -> str | None:
        """As a failure's cause names it."""
        found = REQUEST_ID.search(self.cause)
        return found[1] if found else None

    @property
    def is_reported(self) -> bool:
        """Whether a REPORT line is sure to come: a failure without a request may have run nothing."""
        return self.ended_s is not None and (self.error is None or self.request_id is not None)


@dataclass
class Task:
    """One visit of a Task state.

    Attributes:
        index: of the Map's iteration; None outside a Map.
        gave_up: whether its iteration failed.
    """

    state: str
    index: int | None
    input: str
    entered_s: float
    exited_s: float | None = None
    output: str | None = None
    attempts: list[Attempt] = field(default_factory=list)
    gave_up: bool = False

    @property
    def stage(self) -> str:
        return STAGES.get(self.state, self.state)

    @property
    def retries(self) -> int:
        return max(0, len(self.attempts) - 1)

    @property
    def ended_s(self) -> float | None:
        return self.exited_s or (self.attempts[-1].ended_s if self.attempts else None)

    @property
    def took_s(self) -> float | None:
        return self.ended_s - self.entered_s if self.ended_s else None

    @property
    def key(self) -> str:
        """Of the object that a segment was given; "" where its input is something else."""
        return json_text(self.input)

    @property
    def reports(self) -> list[Report]:
        return [attempt.report for attempt in self.attempts if attempt.report]

    @property
    def peak_mb(self) -> int | None:
        return max((report.peak_mb for report in self.reports), default=None)

    @property
    def failed(self) -> bool:
        """Whether its last call failed; it may be about to be retried."""
        return self.exited_s is None and bool(self.attempts) and self.attempts[-1].error is not None

    @property
    def record(self) -> tuple[str, int] | None:
        """The object and the record that its error names."""
        return record_of(error_message(self.attempts[-1].cause)) if self.failed else None


@dataclass
class Visit:
    """A visit of a top-level state: when it was entered and left."""

    entered_s: float
    exited_s: float | None = None


@dataclass
class Part:
    """What ran from a start or a redrive to an end, by the clock; `ended_s` is None while it runs.

    Attributes:
        rest_s: how long the execution had rested before it, in all.
    """

    began_s: float
    ended_s: float | None = None
    rest_s: float = 0.0


@dataclass(frozen=True)
class Failure:
    """Why an execution failed.

    Attributes:
        error, cause: of the task, or of the execution where no task is to blame.
        task: where segments failed, that of the lowest faulty record.
        end: the error and the message of the execution, where they are others.
        faulty: the lowest records that segments named in such errors, a line each, and how many
            records are faulty in these segments.
    """

    error: str
    cause: str
    task: Task | None
    end: tuple[str, str] | None = None
    faulty: tuple[list[str], int] = ([], 0)

    @property
    def message(self) -> str:
        return error_message(self.cause)

    @property
    def stage(self) -> str:
        """That of the task; the segment's where no task of ours is to blame."""
        return STAGES.get(self.task.state if self.task else "", "segment")

    @property
    def stack(self) -> list[str]:
        lines = json_object(self.cause).get("stackTrace")
        return [str(line).rstrip("\n") for line in lines] if isinstance(lines, list) else []

    @property
    def record(self) -> tuple[str, int] | None:
        return record_of(self.message)

    @property
    def attempt(self) -> Attempt | None:
        return self.task.attempts[-1] if self.task else None

    @property
    def kind(self) -> str:
        """The error's name, or the REPORT line's, which alone knows of an out of memory."""
        report = self.attempt.report if self.attempt else None
        return KILLED if report and report.status == KILLED else self.error


@dataclass
class Execution:
    """All that is known of an execution by its history, and by its log once that is read.

    Times are in seconds since the epoch. Those of a redriven execution are as if its parts had
    followed each other without a rest.

    Attributes:
        status: as Step Functions names it; a redrive that waits is RUNNING.
        parts: the first run, and each redrive.
        segments: the Map's length, 0 before it starts.
        done, failed: how many segments succeeded, and how many failed.
        ended: the error and the cause with which it ended, unless it succeeded.
        map_runs: ARNs of what a DISTRIBUTED Map runs its segments in, apart from this history.
        functions: configurations by name, see `calls.configuration`.
        versions: the ARNs of functions as they were called, by name; of a stack, of a version.
        seen_s: when its history was read.
    """

    arn: str
    name: str
    status: str
    input: str
    output: str | None
    started_s: float = 0.0
    stopped_s: float | None = None
    visits: dict[str, Visit] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    segments: int = 0
    done: int = 0
    failed: int = 0
    ended: tuple[str, str] | None = None
    parts: list[Part] = field(default_factory=lambda: [Part(0.0)])
    map_runs: list[str] = field(default_factory=list)
    functions: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    seen_s: float = 0.0

    @property
    def stages(self) -> dict[str, Visit]:
        """The stages entered so far; the segments are one, from the Map's start to its end."""
        return {STAGES.get(state, state): visit for state, visit in self.visits.items()}

    @property
    def iterations(self) -> list[Task]:
        """The segments' tasks in the order of the Map's input."""
        return sorted((t for t in self.tasks if t.index is not None), key=lambda t: t.index or 0)

    @property
    def attempts(self) -> list[Attempt]:
        return [attempt for task in self.tasks for attempt in task.attempts]

    @property
    def retries(self) -> int:
        return sum(task.retries for task in self.tasks)

    @property
    def transitions(self) -> int:
        """As Step Functions bills them: each state entered, each retry, and each redrive."""
        entered = len(self.visits) + len(self.iterations)
        return entered + self.retries + len(self.parts[1:])

    @property
    def reports(self) -> list[Report]:
        return [report for task in self.tasks for report in task.reports]

    @property
    def unreported(self) -> int:
        """How many calls surely have a REPORT line that is not there yet; of a Map Run, as counted."""
        unlogged = self.done + self.failed - len(self.iterations) if self.map_runs else 0
        missing = sum(call.is_reported and call.report is None for call in self.attempts)
        return missing + max(0, unlogged)

    @property
    def input_obj(self) -> str | list[str]:
        """As the first call was told it: in its overrides, else in its event."""
        event = json_object(self.attempts[0].input) if self.attempts else {}
        overrides = event.get("overrides") or json_object(self.input)
        found = overrides.get("input_obj") or event.get("input_obj") or ""
        return found if isinstance(found, list) else str(found)

    @property
    def table(self) -> str:
        """What the scatter calls the table of the input."""
        return table_name(self.input_obj)

    @property
    def workbook(self) -> str | None:
        """The key that a succeeded execution put out."""
        return json_text(self.output) or None if self.status == "SUCCEEDED" else None

    @property
    def passed_over(self) -> str:
        """Why a succeeded execution made no workbook: its input is no table."""
        return error_message(str(json_object(self.output).get("Cause", "")))

    @property
    def elapsed_s(self) -> float:
        """To the end; of a running one to its last event, or to when it was read, if that is known."""
        times = [t.ended_s or t.entered_s for t in self.tasks]
        seen_s = max(self.seen_s, *times, self.started_s)
        return (self.stopped_s or seen_s) - self.started_s

    @property
    def before_s(self) -> float:
        """How long the parts before the last one took."""
        return self.parts[-1].began_s - self.parts[-1].rest_s - self.started_s

    def outcome(self, task: Task) -> str:
        if task.exited_s is not None:
            return "retried" if task.retries else "succeeded"
        if self.status == "RUNNING":
            return "running"
        return "failed" if task.failed else "stopped"

    def state_outcome(self, state: str) -> str:
        visit = self.visits.get(state)
        if visit is None:
            return "not reached"
        return "succeeded" if visit.exited_s is not None else outcome_of(self.status)

    @property
    def may_settle(self) -> bool:
        """Whether segments that outlive the failure of their execution may still fail, too."""
        open_calls = any(attempt.ended_s is None for attempt in self.attempts)
        late_s = time.time() - (self.parts[-1].ended_s or 0)
        return self.failure is not None and open_calls and late_s < SETTLE_S

    def log_group(self, function: str) -> str:
        logged = self.functions.get(function, {}).get("LoggingConfig", {})
        return logged.get("LogGroup") or logs.group(function)

    @property
    def failure(self) -> Failure | None:
        if self.status in ("RUNNING", "SUCCEEDED", "ABORTED"):
            return None
        error, cause = self.ended or (self.status, "")
        open_tasks = [task for task in self.tasks if task.failed]
        own = [task for task in open_tasks if task.attempts[-1].error == error]
        task = own[-1] if own else None
        segments = [t for t in open_tasks if t.index is not None]
        if segments and ((task and task.index is not None) or error in LEFT_OUT):
            gave_up = [each for each in segments if each.gave_up]
            # Segments are numbered in the order of their records.
            task = min(gave_up or segments, key=lambda each: (each.record is None, each.index or 0))
        if task is None:
            return Failure(error, cause, None)
        last = task.attempts[-1]
        end = (error, error_message(cause)) if last.error != error else None
        same = [t.attempts[-1].cause for t in segments if t.attempts[-1].error == last.error]
        faulty = gathered(map(error_message, same if task in segments else []))
        return Failure(last.error or error, last.cause or cause, task, end, faulty)


def outcome_of(status: str) -> str:
    """How an execution of that status stands, in a word."""
    return OUTCOMES.get(status, "failed")


def error_message(cause: str) -> str:
    """The message of a function's error; a cause of another form as it is."""
    return str(json_object(cause).get("errorMessage", cause))

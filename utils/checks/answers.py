"""What AWS's APIs answered while a page was written, and the figures that follow from it.

It shares no code with utils/report, whose pages it is there to compare with.
"""

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from openpyxl import load_workbook

Event = dict[str, Any]
PAGE_TOKENS = {"nextToken", "ContinuationToken"}
REPORT_FIELD = re.compile(r"\t([A-Z][A-Za-z ]+): ([\d.]+) (?:ms|MB)")
REQUEST_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Report:
    """A REPORT line: its figures by their names in it, in ms and MB."""

    request: str
    logged: float
    figures: dict[str, float]


@dataclass
class Call:
    """One call of a function; times are in seconds since the epoch."""

    function: str
    scheduled: float
    ended: float | None = None
    failed: bool = False
    cause: str = ""
    report: Report | None = None


@dataclass
class Task:
    """A Task state that was entered; `segment` is its number in the Map, None outside it.

    A DISTRIBUTED Map's are known by their logs alone, which tell nothing of `given` and `result`.
    """

    state: str
    segment: int | None
    entered: float
    given: Any
    exited: float | None = None
    result: Any = None
    calls: list[Call] = field(default_factory=list)

    @property
    def ended(self) -> float | None:
        return self.exited or (self.calls[-1].ended if self.calls else None)

    @property
    def outcome(self) -> str:
        if self.exited:
            return "retried" if self.retries else "succeeded"
        return "failed" if self.calls and self.calls[-1].failed else "stopped"

    @property
    def retries(self) -> int:
        return max(0, len(self.calls) - 1)

    @property
    def reports(self) -> list[dict[str, float]]:
        return [call.report.figures for call in self.calls if call.report]


class Answers:
    """One execution, by the answers recorded in a file, the workbook and the prices beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: list[dict[str, Any]] = json.loads(path.read_text())
        self.events = self.listing("GetExecutionHistory", "events")
        self.begin = float(self.events[0]["timestamp"])
        [ended] = [e for e in self.events if e["type"] in ("ExecutionSucceeded", "ExecutionFailed")]
        self.end = float(ended["timestamp"])
        self.succeeded = ended["type"] == "ExecutionSucceeded"
        self.input_obj: str = json.loads(self.events[0]["executionStartedEventDetails"]["input"])["input_obj"]
        self.tasks = tasks_of(self.events)
        for function in self.functions:
            match(self.calls_of(function), reports_in(self.log(function)))
        self.map_runs = [each["answer"] for each in self.all("DescribeMapRun")]
        if self.map_runs:
            self.tasks += logged_tasks(self.log("segment-lambda"))

    def all(self, operation: str, **asked: Any) -> list[dict[str, Any]]:
        """What was asked of an operation with these parameters, and answered."""
        return [
            each
            for each in self.answers
            if each["operation"] == operation and asked.items() <= each["asked"].items()
        ]

    def last(self, operation: str, **asked: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.all(operation, **asked)[-1]["answer"]
        return answer

    def listing(self, operation: str, field: str, **asked: Any) -> list[dict[str, Any]]:
        """All pages of what an operation listed last."""
        found: list[dict[str, Any]] = []
        for each in self.all(operation, **asked):
            if not PAGE_TOKENS & each["asked"].keys():
                found = []
            found += each["answer"].get(field, [])
        return found

    def log(self, function: str) -> list[Event]:
        """A function's log, as it was last asked for all calls."""
        group = f"/aws/lambda/{function}"
        patterns = {each["asked"]["filterPattern"] for each in self.all("FilterLogEvents", logGroupName=group)}
        [pattern] = [each for each in patterns if not each.startswith('"')]  # else it is of one call
        return self.listing("FilterLogEvents", "events", logGroupName=group, filterPattern=pattern)

    @property
    def calls(self) -> list[Call]:
        return [call for task in self.tasks for call in task.calls]

    def calls_of(self, function: str) -> list[Call]:
        return [call for call in self.calls if call.function == function]

    @property
    def functions(self) -> set[str]:
        return {call.function for call in self.calls}

    @property
    def segments(self) -> list[Task]:
        return [task for task in self.tasks if task.segment is not None]

    @property
    def length(self) -> int:
        """The Map's."""
        [started] = [event for event in self.events if event["type"] == "MapStateStarted"]
        return int(started["mapStateStartedEventDetails"]["length"]) + self.count_items("total")

    @property
    def done(self) -> int:
        return self.count("MapIterationSucceeded") + self.count_items("succeeded")

    @property
    def failed(self) -> int:
        return self.count("MapIterationFailed") + self.count_items("failed")

    def count(self, kind: str) -> int:
        return sum(event["type"] == kind for event in self.events)

    def count_items(self, outcome: str) -> int:
        return sum(int(run["itemCounts"][outcome]) for run in self.map_runs)

    @property
    def retries(self) -> int:
        return sum(task.retries for task in self.tasks)

    @cached_property
    def states(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.last("DescribeStateMachineForExecution")["definition"])["States"]
        return found

    def is_map(self, state: str) -> bool:
        return bool(self.states[state]["Type"] == "Map")

    def tasks_in(self, state: str) -> list[Task]:
        """The segments of a Map, or the visits of a Task state."""
        return self.segments if self.is_map(state) else [task for task in self.tasks if task.state == state]

    @property
    def workbook(self) -> Path:
        return self.path.with_suffix(".xlsx")

    @cached_property
    def table(self) -> list[tuple[Any, ...]]:
        """The workbook's rows, header first."""
        return [row for sheet in load_workbook(self.workbook) for row in sheet.values]

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Of the objects that were listed, or asked about by their keys."""
        listed = [obj for each in self.all("ListObjectsV2") for obj in each["answer"].get("Contents", [])]
        heads = {each["asked"]["Key"]: each["answer"]["ContentLength"] for each in self.all("HeadObject")}
        return heads | {obj["Key"]: obj["Size"] for obj in listed}

    def body(self, key: str) -> Any:
        return json.loads(self.last("GetObject", Key=key)["Body"])

    def figures(self) -> dict[str, list[float]]:
        """What the page must say, by the selector of the place that says it."""
        return {
            **self.glance(),
            **{f"#graph + ol li:nth-child({n})": self.stage(name) for n, name in enumerate(self.states, 1)},
            **{
                f"#segments tr[data-index='{task.segment}'] .{column}": values
                for task in self.segments
                for column, values in self.segment(task).items()
            },
            **{
                f"#function-{name} .{figure}": values
                for name in self.functions
                for figure, values in self.function(name).items()
            },
        }

    def glance(self) -> dict[str, list[float]]:
        whole = self.succeeded and all(call.report for call in self.calls)
        rows_out = [len(self.table) - 1] if self.succeeded else []
        bytes_out = [self.sizes[self.workbook.name]] if self.succeeded else []
        return {
            "#card-time": [self.end - self.begin],
            "#card-rows": [len(self.body(self.input_obj)), *rows_out],
            "#card-bytes": [self.sizes[self.input_obj], *bytes_out],
            "#card-segments": [self.done, self.length],
            "#card-calls": [len(self.calls)],
            "#card-cost": [self.cost()] if whole else [],
        }

    def stage(self, name: str) -> list[float]:
        """How long the state took, or until the end; nothing where it was not entered."""
        entered = self.times("Entered", name)
        left = self.times("Exited", name) or [self.end]
        return [left[0] - entered[0]] if entered else []

    def times(self, kind: str, state: str) -> list[float]:
        details = f"state{kind}EventDetails"
        return [e["timestamp"] for e in self.events if e.get(details, {}).get("name") == state]

    def segment(self, task: Task) -> dict[str, list[float]]:
        parts = self.body(task.result.replace(".pkl", ".json"))["parts"] if task.result else []
        peaks = [report["Max Memory Used"] for report in task.reports]
        return {
            "start": [task.entered - self.begin],
            "took": [task.ended - task.entered] if task.ended else [],
            "calls": [len(task.calls)],
            "peak": [max(peaks)] if peaks else [],
            "rows": [sum(part["rows"] for part in parts)] if task.result else [],
            "in": [self.sizes[task.given]] if task.given else [],
            "out": [self.sizes[task.result]] if task.result else [],
        }

    def function(self, name: str) -> dict[str, list[float]]:
        calls = self.calls_of(name)
        reports = [call.report.figures for call in calls if call.report]
        settings = self.last("GetFunctionConfiguration", FunctionName=name)
        return {
            "calls": [len(calls)],
            "failed-calls": [sum(call.failed for call in calls)],
            "cold-calls": [sum("Init Duration" in report for report in reports)],
            "longest": [max(report["Duration"] for report in reports) / 1000, settings["Timeout"]],
            "peak": [max(report["Max Memory Used"] for report in reports), settings["MemorySize"]],
        }

    def cost(self) -> float:
        """The lambdas' time and calls, the transitions, and a small workbook's S3 calls, in dollars."""
        price = json.loads((self.path.parent / "prices.json").read_text())
        reports = [report for task in self.tasks for report in task.reports]
        gb_s = sum(r["Memory Size"] / 1024 * r["Billed Duration"] / 1000 for r in reports)
        entered = sum(event["type"].endswith("StateEntered") for event in self.events)
        children = sum(run["executionCounts"]["total"] for run in self.map_runs)
        # The scatter reads the input and writes each segment; that is read once, to write three
        # objects, of which the gather reads two, lists all, and writes the workbook.
        gets, puts, lists = 1 + 3 * self.length, 4 * self.length + 1, 1
        return float(
            gb_s * price["GB-second x86_64"]
            + len(reports) * price["invocation"]
            + (entered + self.retries + children) * price["state transition"]
            + gets * price["S3 GET"]
            + (puts + lists) * price["S3 PUT, LIST"]
        )


def tasks_of(events: list[Event]) -> list[Task]:
    """The Task states in the order in which they were entered; each event names its predecessor."""
    iterations = {
        event["id"]: event["mapIterationStartedEventDetails"]["index"]
        for event in events
        if event["type"] == "MapIterationStarted"
    }
    task_after: dict[int, Task] = {}
    tasks = []
    for event in events:
        if event["type"] == "TaskStateEntered":
            details, segment = event["stateEnteredEventDetails"], iterations.get(event["previousEventId"])
            task = Task(details["name"], segment, event["timestamp"], json.loads(details["input"]))
            task_after[event["id"]] = task
            tasks.append(task)
        elif event["previousEventId"] in task_after:
            task = task_after[event["previousEventId"]]
            follow(task, event)
            if event["type"] != "TaskStateExited":
                task_after[event["id"]] = task
    return tasks


def follow(task: Task, event: Event) -> None:
    match event["type"]:
        case "LambdaFunctionScheduled":
            arn = event["lambdaFunctionScheduledEventDetails"]["resource"]
            task.calls.append(Call(arn.split(":")[-1], event["timestamp"]))
        case "LambdaFunctionSucceeded":
            task.calls[-1].ended = event["timestamp"]
        case "LambdaFunctionFailed":
            call = task.calls[-1]
            call.ended, call.failed = event["timestamp"], True
            call.cause = event["lambdaFunctionFailedEventDetails"]["cause"]
        case "TaskStateExited":
            task.exited = event["timestamp"]
            task.result = json.loads(event["stateExitedEventDetails"]["output"])


def logged_tasks(log: list[Event]) -> list[Task]:
    """The segments of a DISTRIBUTED Map: their calls, in the order of their starts."""
    failed = {event["logStreamName"]: False for event in log}
    calls = []
    for event in log:
        stream, message = event["logStreamName"], event["message"]
        if message.startswith(("START ", "[ERROR] ")):
            failed[stream] = message.startswith("[ERROR] ")
        for report in reports_in([event]):
            took = report.figures["Duration"] + report.figures.get("Init Duration", 0)
            started = report.logged - took / 1000
            calls.append(Call("segment-lambda", started, report.logged, failed[stream], report=report))
    return [
        Task("SegmentLambda", n, call.scheduled, "", None if call.failed else call.ended, None, [call])
        for n, call in enumerate(sorted(calls, key=lambda call: call.scheduled))
    ]


def reports_in(log: list[Event]) -> list[Report]:
    return [
        Report(
            REQUEST_ID.findall(event["message"])[0],
            event["timestamp"] / 1000,
            {name: float(value) for name, value in REPORT_FIELD.findall(event["message"])},
        )
        for event in log
        if event["message"].startswith("REPORT ")
    ]


def match(calls: list[Call], reports: list[Report]) -> None:
    """Give a function's calls their reports: failed calls name theirs, the others end in their order."""
    by_request = {report.request: report for report in sorted(reports, key=lambda report: report.logged)}
    for call in calls:
        if call.failed:
            [request] = REQUEST_ID.findall(call.cause)[:1] or [""]
            call.report = by_request.pop(request, None)
    others = [call for call in calls if call.ended and not call.failed]
    others.sort(key=lambda call: call.ended or 0)
    for call, report in zip(others, by_request.values(), strict=False):
        call.report = report

"""What the page shows of an execution beside plain figures: words, and the data of its charts."""

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from harness.advice import advice
from harness.definition import State, followers, inner_functions
from harness.execution import Attempt, Execution, Task, outcome_of
from harness.facts import Broken, Facts
from harness.logs import Report
from harness.report import formats
from harness.settings import endpoint
from harness.target import Target
from pipeline.facts.column_profile import Column
from pipeline.facts.stages import SummaryFacts

# Of segments, in the order in which they come about; the page's script goes by their numbers.
OUTCOMES = ["waiting", "running", "retrying", "succeeded", "retried", "failed", "stopped"]
MARKS = {
    "succeeded": "✓",
    "retried": "↻",
    "failed": "✕",
    "running": "▶",
    "stopped": "■",
    "not reached": "○",
}
WORDS = {
    "waiting": ("waiting", "待ち"),
    "retrying": ("retrying", "再試行中"),
    "succeeded": ("succeeded", "成功"),
    "retried": ("succeeded after retry", "再試行後に成功"),
    "failed": ("failed", "失敗"),
    "running": ("running", "実行中"),
    "stopped": ("stopped", "中断"),
    "not reached": ("not reached", "未実行"),
    "cold": ("cold", "コールド"),
    "warm": ("warm", "ウォーム"),
    "numbers": ("numbers", "数値"),
    "texts": ("texts", "文字列"),
    "dates": ("dates", "日付"),
    "booleans": ("booleans", "真偽値"),
}
BAR = 4  # width of a bar in a column's small histogram
BAR_HEIGHT = 24


@dataclass
class View:
    """What the page shows of a run, in one language; None is what could not be known.

    Attributes:
        log: of the call that failed.
        rows_per_s, bytes_per_s: of segments while they run; 0 where not known.
    """

    target: Target
    run: Execution
    language: str
    facts: Facts
    states: dict[str, State]
    cost_usd: float | None = None
    log: list[str] = field(default_factory=list)
    broken: Broken = field(default_factory=Broken)
    rows_per_s: float = 0.0
    bytes_per_s: float = 0.0

    def text(self, english: str, japanese: str) -> str:
        return japanese if self.language == "ja" else english

    def word(self, name: str) -> str:
        return self.text(*WORDS[name])

    @property
    def outcome(self) -> str:
        return outcome_of(self.run.status)

    @property
    def parts(self) -> list[datetime]:
        """When the execution was started, and each time that it was redriven."""
        return [datetime.fromtimestamp(part.began_s, UTC) for part in self.run.parts]

    @property
    def failed_segment(self) -> int | None:
        """The number of the segment to blame; a log need not number the calls of a Map Run."""
        task = self.run.failure.task if self.run.failure else None
        if task is None or (self.run.map_runs and not task.key):
            return self.broken.segment
        return task.index

    def failed_event(self, indent: int | None = None) -> str:
        """What the failed call was given; a log does not tell it, but the record it names may."""
        task = self.run.failure.task if self.run.failure else None
        told = (task.attempts[-1].input or task.input) if task else ""
        if not told and self.broken.segment is not None and self.facts.scatter:
            told = json.dumps(self.facts.scatter.segments[self.broken.segment].key)
        try:
            return json.dumps(json.loads(told), ensure_ascii=False, indent=indent)
        except ValueError:
            return told

    @property
    def todo(self) -> str:
        failure = self.run.failure
        assert failure
        return advice(
            failure.kind,
            failure.message,
            stage=failure.stage,
            flags=self.target.flags,
            logged=bool(self.log),
            language=self.language,
            execution=self.run.name,
        )

    @property
    def stages(self) -> list[dict[str, Any]]:
        return [self.stage(name, state) for name, state in self.states.items()]

    def stage(self, name: str, state: State) -> dict[str, Any]:
        visit, functions = self.run.visits.get(name), inner_functions(state)
        inner = [task for task in self.run.iterations if task.state in functions]
        tasks = inner or [task for task in self.run.tasks if task.state == name]
        outcome = self.run.state_outcome(name)
        retries = sum(task.retries for task in tasks)
        if outcome == "succeeded" and retries:
            outcome = "retried"
        end = (visit.exited_s or self.run.stopped_s) if visit else None
        took_s = end - visit.entered_s if visit and end else None
        counts = Counter(map(self.run.outcome, inner))
        segments = self.text("segments: {0}", "{0} セグメント")
        return {
            "name": name,
            "kind": state["Type"],
            "next": followers(state),
            "outcome": outcome,
            "mark": MARKS[outcome],
            "word": self.word(outcome),
            "took_s": took_s,
            "took": "" if took_s is None else formats.duration(took_s),
            "segments_word": segments.format(formats.number(self.run.segments)) * bool(functions),
            "counts": {each: counts[each] for each in MARKS if counts[each]},
            "retries": self.retries(retries),
        }

    def retries(self, count: int) -> str:
        if not count:
            return ""
        return self.text("retries: {0}", "再試行 {0}").format(formats.number(count))

    @cached_property
    def last_s(self) -> float:
        """When the run ended, or was seen last."""
        return self.run.started_s + self.run.elapsed_s

    @property
    def segments(self) -> list[str]:
        """The outcome of each, in the order of the table; a distributed Map only counts them."""
        run = self.run
        waiting = "waiting" if run.status == "RUNNING" else "stopped"
        if run.map_runs:
            left = run.segments - run.done - run.failed
            return ["succeeded"] * run.done + ["failed"] * run.failed + [waiting] * left
        begun = {task.index: self.segment_outcome(task) for task in run.iterations}
        return [begun.get(index, waiting) for index in range(run.segments)]

    def segment_outcome(self, task: Task) -> str:
        outcome = self.run.outcome(task)
        again = outcome == "running" and (task.retries or task.failed)
        return "retrying" if again else outcome

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(self.segments)
        return {outcome: found[outcome] for outcome in OUTCOMES}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The timeline: a row a task, stages and segments in the order of the definition."""
        iterations = self.run.iterations
        begun_s = iterations[0].entered_s if iterations else 0.0

        def place(task: Task) -> tuple[float, float]:
            within = task.index is not None
            return (begun_s, task.index or 0) if within else (task.entered_s, math.inf)

        return [self.row(task) for task in sorted(self.run.tasks, key=place)]

    def row(self, task: Task) -> dict[str, Any]:
        begin = self.run.started_s
        end = task.ended_s or self.last_s
        outcome = self.run.outcome(task)
        label = name = task.state
        if task.index is not None:
            label = str(task.index)
            name = self.text("Segment {0}", "セグメント {0}").format(task.index)
        detail = self.text(
            "{0}: {1}; starts at {2}, takes {3}; {4}", "{0}: {1}。開始 {2}、所要 {3}。{4}"
        )
        call = self.text("call {0}: {1}", "呼び出し {0}: {1}")
        return {
            "label": label,
            "index": task.index,
            "start": round(task.entered_s - begin, 6),
            "end": round(end - begin, 6),
            "outcome": outcome,
            "mark": MARKS[outcome],
            "calls": [self.call(attempt, end) for attempt in task.attempts],
            "detail": detail.format(
                name,
                self.word(outcome),
                formats.duration(task.entered_s - begin),
                formats.duration(end - task.entered_s),
                "; ".join(
                    call.format(number, self.call_words(attempt))
                    for number, attempt in enumerate(task.attempts, 1)
                ),
            ),
        }

    def call(self, attempt: Attempt, end: float) -> dict[str, Any]:
        """Where its parts lie; without a REPORT line the work fills the whole call."""
        begin = self.run.started_s
        ended = attempt.ended_s or end
        working = cold = attempt.scheduled_s
        if report := attempt.report:
            working = max(working, ended - report.duration_ms / 1000)
            cold = max(cold, working - (report.init_ms or 0) / 1000)
        return {
            "cold": round(cold - begin, 6),
            "work": round(working - begin, 6),
            "end": round(ended - begin, 6),
            "failed": attempt.error is not None,
        }

    def call_words(self, attempt: Attempt) -> str:
        said = [attempt.error] if attempt.error else []
        if report := attempt.report:
            took = formats.duration(report.duration_ms / 1000)
            said = [self.environment(report), took, formats.megabytes(report.peak_mb), *said]
        return ", ".join(said)

    def environments(self, task: Task) -> str:
        return " → ".join(map(self.environment, task.reports))

    def environment(self, report: Report) -> str:
        return self.word("warm" if report.init_ms is None else "cold")

    @property
    def functions(self) -> list[dict[str, Any]]:
        """The functions in the order of their first calls."""
        names = dict.fromkeys(attempt.function for attempt in self.run.attempts)
        return [self.function(name) for name in names if name]

    def function(self, name: str) -> dict[str, Any]:
        calls = [attempt for attempt in self.run.attempts if attempt.function == name]
        reports = [call.report for call in calls if call.report]
        return {
            "name": name,
            "calls": len(calls),
            "failed": sum(call.error is not None for call in calls),
            "cold": cold_starts(reports),
            "longest_s": max((report.duration_ms / 1000 for report in reports), default=None),
            "timeout_s": self.run.functions.get(name, {}).get("Timeout"),
            "peak_mb": max((report.peak_mb for report in reports), default=None),
            "memory_mb": max((report.memory_mb for report in reports), default=None),
        }

    @property
    def data(self) -> dict[str, Any]:
        """What the page's script draws."""
        return {
            "stages": self.stages,
            "rows": self.rows,
            "segments": "".join(str(OUTCOMES.index(each)) for each in self.segments),
            "outcomes": OUTCOMES,
            "elapsed": round(self.run.elapsed_s, 6),
        }


def where(target: Target) -> str:
    if target.emulated:
        return f"LocalStack ({endpoint()})"
    return f"AWS {target.region} ({target.account})"


def cold_starts(reports: list[Report]) -> int:
    return sum(report.init_ms is not None for report in reports)


def bars_of(column: Column) -> list[dict[str, Any]]:
    """The bars of a column's small histogram: by value where these are few, else by range."""
    counts = {value: column.values[value] for value in sorted(column.values, key=by_number)}
    if column.many and column.histogram:
        width, bins = 2.0**column.histogram.exponent, column.histogram.counts
        counts = {
            f"{formats.plain(n * width)} – {formats.plain((n + 1) * width)}": bins.get(n, 0)
            for n in range(min(bins), max(bins) + 1)
        }
    most = max(counts.values(), default=0) or 1
    return [
        {"x": BAR * n, "height": round(BAR_HEIGHT * count / most, 2), "name": name, "count": count}
        for n, (name, count) in enumerate(counts.items())
    ]


def by_number(value: str) -> tuple[bool, float, str]:
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value


def numeric(summary: SummaryFacts) -> list[bool]:
    """Which columns of a summary are figures; its script draws charts of these."""
    columns = [*zip(*summary.first_rows)] or [()] * len(summary.columns)
    return [n >= summary.keys and are_numbers(column) for n, column in enumerate(columns)]


def are_numbers(values: tuple[Any, ...]) -> bool:
    return {type(value) for value in values if value is not None} in ({int}, {float}, {int, float})

"""From figures to what the page shows: words, formatted figures, and the data of its charts."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from harness.advice import advice_on
from harness.facts import Facts
from harness.history import Attempt, Run, State, Task, followers, inner_functions, json_text
from harness.logs import Report
from harness.report import formats
from harness.report.summaries import summaries
from harness.report.words import words
from shared.facts import BINS, Column

MARKS = {
    "succeeded": "✓",
    "retried": "↻",
    "failed": "✕",
    "running": "▶",
    "stopped": "■",
    "not reached": "○",
}
BAR = 4  # width of a bar in a column's small histogram
BAR_HEIGHT = 24


@dataclass(frozen=True)
class Figure:
    """A figure as a reader sees it, and exactly."""

    shown: str
    exact: float | int | None = None


@dataclass
class Content:
    """What the page shows besides the run and the facts; None is what could not be known."""

    run: Run
    facts: Facts
    states: dict[str, State]
    where: str
    flags: str = ""
    cost_usd: float | None = None
    log: list[str] = field(default_factory=list)
    record: dict[str, Any] | None = None
    segment: int | None = None


class View:
    """The page's content in one language."""

    def __init__(self, content: Content, language: str) -> None:
        self.content = content
        self.run, self.facts = content.run, content.facts
        self.language = language
        self.t = words(language)
        self.outcome = {"SUCCEEDED": "succeeded", "RUNNING": "running", "ABORTED": "stopped"}.get(
            self.run.status, "failed"
        )
        self.mark = MARKS[self.outcome]
        self.started = datetime.fromtimestamp(self.run.started_s, UTC)

    @property
    def title(self) -> str:
        return f"{self.mark} {self.run.name}"

    @property
    def after(self) -> str:
        return self.t["after"].format(formats.duration(self.run.elapsed_s))

    def count(self, key: str, value: int) -> str:
        return self.t[key].format(formats.number(value))

    @property
    def cards(self) -> list[dict[str, Any]]:
        run, scatter, workbook = self.run, self.facts.scatter, self.facts.workbook
        unknown = self.t["unknown"]
        written = unknown if run.status == "SUCCEEDED" else self.t["none"]
        rows = [
            figure(scatter.rows if scatter else None, missing=unknown),
            figure(workbook.rows if workbook else None, missing=written),
        ]
        sizes = [
            figure(scatter.size if scatter else None, formats.size, unknown),
            figure(workbook.size if workbook else None, formats.size, written),
        ]
        segments = [figure(run.done), figure(run.segments or None, missing=unknown)]
        counts = (("n failed", run.failed), ("retries", run.retries))
        trouble = ", ".join(self.count(key, value) for key, value in counts if value)
        cold = self.count("cold", cold_starts(run.reports))
        left_out = workbook.rejects if workbook else None
        rejected = self.count("n rejected", left_out) if left_out else ""
        cards = [
            card("time", self.t["time"], [seconds(run.elapsed_s)]),
            card("rows", self.t["rows"], rows, " → ", rejected),
            card("bytes", self.t["bytes"], sizes, " → "),
            card("segments", self.t["segments"], segments, " / ", trouble),
            card("calls", self.t["calls"], [figure(len(run.attempts))], note=cold),
        ]
        if self.content.cost_usd is not None:
            cost = figure(self.content.cost_usd, formats.dollars)
            cards.append(card("cost", self.t["cost"], [cost], note=self.t["cost note"]))
        return cards

    @property
    def failure(self) -> dict[str, Any] | None:
        failure = self.run.failure
        if failure is None:
            return None
        task, attempt = failure.task, failure.attempt
        log, record = self.content.log, self.content.record
        return {
            "sentence": self.failure_sentence(task, failure.record),
            "stage": f"{task.state} ({attempt.function})" if task and attempt else "",
            "segment": self.segment_of(task),
            "error": failure.error,
            "cause": failure.message.partition("\n")[0],
            "faulty": failure.faulty[0] if failure.faulty[1] > 1 else [],
            "faulty count": self.count("n faulty", failure.faulty[1]),
            "end": failure.end,
            "event": pretty(self.event_of(task, attempt)),
            "record": record,
            "named": [name for name in record or {} if name in failure.message.partition("\n")[0]],
            "todo": advice_on(
                failure, flags=self.content.flags, logged=bool(log), language=self.language
            ),
            "log": log,
            "stack": failure.stack,
        }

    def failure_sentence(self, task: Task | None, record: tuple[str, int] | None) -> str:
        if record:
            return self.t["record sentence"].format(record[1], record[0])
        if task and task.index is not None and not self.run.map_runs:
            return self.t["segment sentence"].format(task.index)
        states = [task.state] if task else list(self.run.visits)[-1:]
        return self.t["stage sentence"].format(*states or [self.t["execution"]])

    def segment_of(self, task: Task | None) -> str:
        if task is None or task.index is None:
            return ""
        failed = self.count("n of m failed", self.run.failed).format(self.run.segments)
        index = self.content.segment if self.run.map_runs else task.index
        return failed if index is None else f"{self.t['number'].format(index)}; {failed}"

    def event_of(self, task: Task | None, attempt: Attempt | None) -> str:
        """What the failed call was given; a log does not tell it, but the record it names may."""
        told = (attempt.input if attempt else "") or (task.input if task else "")
        if told or self.content.segment is None or self.facts.scatter is None:
            return told
        return json.dumps(self.facts.scatter.segments[self.content.segment].key)

    @property
    def stages(self) -> list[dict[str, Any]]:
        return [self.stage(name, state) for name, state in self.content.states.items()]

    def stage(self, name: str, state: State) -> dict[str, Any]:
        visit, functions = self.run.visits.get(name), inner_functions(state)
        inner = [task for task in self.run.iterations if task.state in functions]
        tasks = inner or [task for task in self.run.tasks if task.state == name]
        outcome = self.run.state_outcome(name)
        retries = sum(task.retries for task in tasks)
        if outcome == "succeeded" and retries:
            outcome = "retried"
        end = (visit.exited_s or self.run.stopped_s) if visit else None
        taken = end - visit.entered_s if visit and end else None
        counts = {
            each: sum(self.run.outcome(task) == each for task in inner)
            for each in ("succeeded", "retried", "failed", "running", "stopped")
        }
        return {
            "name": name,
            "kind": state["Type"],
            "next": followers(state),
            "outcome": outcome,
            "mark": MARKS[outcome],
            "word": self.t[outcome],
            "took": seconds(taken),
            "segments_word": self.count("n segments", self.run.segments) if functions else "",
            "counts": {each: count for each, count in counts.items() if count},
            "retries": self.count("retries", retries) if retries else "",
        }

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The timeline: a row a task, stages and segments in the order of the definition."""
        stages = [task for task in self.run.tasks if task.index is None]
        first = [
            task
            for task in stages
            if not self.run.iterations or task.entered_s < self.run.iterations[0].entered_s
        ]
        ordered = first + self.run.iterations + [task for task in stages if task not in first]
        return [self.row(task) for task in ordered]

    def row(self, task: Task) -> dict[str, Any]:
        begin = self.run.started_s
        end = task.ended_s or self.run.stopped_s or begin + self.run.elapsed_s
        outcome = self.run.outcome(task)
        label = name = task.state
        if task.index is not None:
            label, name = str(task.index), f"{self.t['segment']} {task.index}"
        return {
            "label": label,
            "index": task.index,
            "start": round(task.entered_s - begin, 6),
            "end": round(end - begin, 6),
            "outcome": outcome,
            "mark": MARKS[outcome],
            "calls": [self.call(attempt, end) for attempt in task.attempts],
            "detail": self.t["row detail"].format(
                label=name,
                outcome=self.t[outcome],
                start=formats.duration(task.entered_s - begin),
                duration=formats.duration(end - task.entered_s),
                calls="; ".join(
                    self.t["call detail"].format(number, self.call_words(attempt))
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
            "start": round(attempt.scheduled_s - begin, 6),
            "cold": round(cold - begin, 6),
            "work": round(working - begin, 6),
            "end": round(ended - begin, 6),
            "failed": attempt.error is not None,
        }

    def call_words(self, attempt: Attempt) -> str:
        parts = [self.environment(attempt)]
        if attempt.report:
            parts.append(formats.duration(attempt.report.duration_ms / 1000))
            parts.append(f"{attempt.report.peak_mb} MB")
        if attempt.error is not None:
            parts.append(attempt.error)
        return ", ".join(part for part in parts if part)

    def environment(self, attempt: Attempt) -> str:
        if attempt.report is None:
            return ""
        return self.t["warm word" if attempt.report.init_ms is None else "cold word"]

    @property
    def functions(self) -> list[dict[str, Any]]:
        """The functions in the order of their first calls."""
        names = dict.fromkeys(attempt.function for attempt in self.run.attempts)
        return [self.function(name) for name in names if name]

    def function(self, name: str) -> dict[str, Any]:
        calls = [attempt for attempt in self.run.attempts if attempt.function == name]
        reports = [call.report for call in calls if call.report]
        timeout_s = self.run.functions.get(name, {}).get("Timeout")
        longest_s = max((report.duration_ms / 1000 for report in reports), default=None)
        memory_mb = max((report.memory_mb for report in reports), default=None)
        peak_mb = max((report.peak_mb for report in reports), default=None)
        return {
            "name": name,
            "calls": figure(len(calls)),
            "failed": figure(sum(call.error is not None for call in calls)),
            "cold": figure(cold_starts(reports)),
            "longest": seconds(longest_s),
            "timeout": figure(timeout_s, "{} s".format),
            "longest_share": share(longest_s, timeout_s),
            "peak": figure(peak_mb, formats.megabytes),
            "memory": figure(memory_mb, formats.megabytes),
            "peak_share": share(peak_mb, memory_mb),
        }

    @property
    def function_note(self) -> str:
        return self.t["function note"].format(len(self.run.reports), len(self.run.attempts))

    @property
    def segments(self) -> list[dict[str, Any]]:
        cuts = self.facts.scatter.segments if self.facts.scatter else []
        sizes = {cut.key: cut.size for cut in cuts}
        return [self.segment(task, sizes) for task in self.run.iterations]

    def segment(self, task: Task, sizes: dict[str, int]) -> dict[str, Any]:
        outcome, key = self.run.outcome(task), json_text(task.input)
        facts = self.facts.segments.get(key)
        peak = max((a.report.peak_mb for a in task.attempts if a.report), default=None)
        taken = task.ended_s - task.entered_s if task.ended_s else None
        return {
            "index": task.index,
            "key": key,
            "mark": MARKS[outcome],
            "outcome": outcome,
            "word": self.t[outcome],
            "start": seconds(task.entered_s - self.run.started_s),
            "took": seconds(taken),
            "calls": figure(len(task.attempts)),
            "environment": " → ".join(filter(None, map(self.environment, task.attempts))),
            "peak": figure(peak, formats.megabytes),
            "rows": figure(facts.rows_out if facts else None),
            "bytes_in": figure(sizes.get(key), formats.size),
            "bytes_out": figure(facts.size or None if facts else None, formats.size),
        }

    @property
    def first_rows_note(self) -> str:
        workbook = self.facts.workbook
        rows = figure(workbook.rows if workbook else None, missing=self.t["unknown"])
        return self.t["first rows"].format(len(self.facts.first_rows), rows.shown)

    @property
    def columns(self) -> list[dict[str, Any]]:
        return [self.column(column) for column in self.facts.columns]

    def column(self, column: Column) -> dict[str, Any]:
        bars = bars_of(column)
        return {
            "name": column.name,
            "kinds": ", ".join(
                self.t[f"kind {kind}"] for kind, count in column.kinds.items() if count
            ),
            "missing": figure(column.missing),
            "distinct": figure(None if column.many else len(column.values), missing=self.t["many"]),
            "low": figure(column.low, formats.plain),
            "high": figure(column.high, formats.plain),
            "bars": bars,
            "width": BAR * BINS,
            "height": BAR_HEIGHT,
            "label": ", ".join(f"{bar['name']}: {bar['count']}" for bar in bars),
        }

    @property
    def summaries(self) -> list[dict[str, Any]]:
        return summaries(self.facts.workbook)

    @property
    def data(self) -> dict[str, Any]:
        """What the page's script draws."""
        return {
            "stages": [{**stage, "took": stage["took"].shown} for stage in self.stages],
            "rows": self.rows,
            "elapsed": round(self.run.elapsed_s, 6),
            "words": {"pick": self.t["pick"]},
        }


def card(
    name: str, title: str, values: list[Figure], between: str = "", note: str = ""
) -> dict[str, Any]:
    return {"name": name, "title": title, "values": values, "between": between, "note": note}


def figure[Number: (int, float)](
    value: Number | None, shown: Callable[[Number], str] = formats.number, missing: str = ""
) -> Figure:
    return Figure(missing) if value is None else Figure(shown(value), value)


def seconds(value: float | None) -> Figure:
    return figure(None if value is None else round(value, 6), formats.duration)


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


def share(part: float | None, whole: float | None) -> float | None:
    """In per cent, at most 100."""
    return min(100.0, round(100 * part / whole, 2)) if part is not None and whole else None


def pretty(event: str) -> str:
    try:
        return json.dumps(json.loads(event), ensure_ascii=False, indent=2)
    except ValueError:
        return event

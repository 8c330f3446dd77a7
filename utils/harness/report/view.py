"""From figures to what the page shows: words, formatted figures, and the data of its charts."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from harness.advice import advice_on
from harness.facts import Facts
from harness.history import Attempt, Node, Run, Task, json_text
from harness.report import formats
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
    nodes: list[Node]
    where: str
    emulated: bool = True
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

    def output(self, value: int | None, shown: Callable[[int], str]) -> Figure:
        if self.run.status != "SUCCEEDED":
            return Figure(self.t["none"])
        return self.maybe(value, shown)

    def maybe(self, value: int | None, shown: Callable[[int], str]) -> Figure:
        return Figure(self.t["unknown"]) if value is None else Figure(shown(value), value)

    def seconds(self, value: float | None) -> Figure:
        return Figure("") if value is None else Figure(formats.duration(value), round(value, 6))

    @property
    def cards(self) -> list[dict[str, Any]]:
        run, scatter, workbook = self.run, self.facts.scatter, self.facts.workbook
        cold = sum(report.init_ms is not None for report in run.reports)
        cards = [
            card("time", self.t["time"], [self.seconds(run.elapsed_s)]),
            card(
                "rows",
                self.t["rows"],
                [
                    self.maybe(scatter.rows if scatter else None, formats.number),
                    self.output(workbook.rows if workbook else None, formats.number),
                ],
                " → ",
                self.count("n rejected", workbook.rejects) if workbook and workbook.rejects else "",
            ),
            card(
                "bytes",
                self.t["bytes"],
                [
                    self.maybe(scatter.size if scatter else None, formats.size),
                    self.output(workbook.size if workbook else None, formats.size),
                ],
                " → ",
            ),
            card(
                "segments",
                self.t["segments"],
                [
                    number(run.done),
                    self.maybe(run.segments or None, formats.number),
                ],
                " / ",
                ", ".join(
                    self.count(key, value)
                    for key, value in (("n failed", run.failed), ("retries", run.retries))
                    if value
                ),
            ),
            card(
                "calls", self.t["calls"], [number(len(run.attempts))], note=self.count("cold", cold)
            ),
        ]
        if self.content.cost_usd is not None:
            cost = Figure(formats.dollars(self.content.cost_usd), self.content.cost_usd)
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
                failure, emulated=self.content.emulated, logged=bool(log), language=self.language
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
        return [self.stage(node) for node in self.content.nodes]

    def stage(self, node: Node) -> dict[str, Any]:
        visit = self.run.visits.get(node.name)
        inner = [task for task in self.run.iterations if task.state in node.inner]
        tasks = inner or [task for task in self.run.tasks if task.state == node.name]
        outcome = self.run.state_outcome(node.name)
        retries = sum(task.retries for task in tasks)
        if outcome == "succeeded" and retries:
            outcome = "retried"
        end = (visit.exited_s or self.run.stopped_s) if visit else None
        taken = end - visit.entered_s if visit and end else None
        counts = {
            name: sum(self.run.outcome(task) == name for task in inner)
            for name in ("succeeded", "retried", "failed", "running", "stopped")
        }
        return {
            "name": node.name,
            "kind": node.kind,
            "next": node.next,
            "outcome": outcome,
            "mark": MARKS[outcome],
            "word": self.t[outcome],
            "took": self.seconds(taken),
            "segments_word": self.count("n segments", self.run.segments) if node.inner else "",
            "counts": {name: count for name, count in counts.items() if count},
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
        label = task.state if task.index is None else str(task.index)
        name = task.state if task.index is None else f"{self.t['segment']} {task.index}"
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
        report = attempt.report
        working = (
            max(attempt.scheduled_s, ended - report.duration_ms / 1000)
            if report
            else attempt.scheduled_s
        )
        cold = (
            max(attempt.scheduled_s, working - (report.init_ms or 0) / 1000) if report else working
        )
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
        settings = self.run.functions.get(name)
        memory_mb = max((report.memory_mb for report in reports), default=None) or (
            settings.memory_mb if settings else None
        )
        longest_s = max((report.duration_ms / 1000 for report in reports), default=None)
        peak_mb = max((report.peak_mb for report in reports), default=None)
        failed = sum(call.error is not None for call in calls)
        cold = sum(report.init_ms is not None for report in reports)
        return {
            "name": name,
            "calls": number(len(calls)),
            "failed": number(failed),
            "cold": number(cold),
            "longest": self.seconds(longest_s),
            "timeout": known(settings.timeout_s if settings else None, "{} s".format),
            "longest_share": share(longest_s, settings.timeout_s if settings else None),
            "peak": known(peak_mb, formats.megabytes),
            "memory": known(memory_mb, formats.megabytes),
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
            "start": self.seconds(task.entered_s - self.run.started_s),
            "took": self.seconds(taken),
            "calls": number(len(task.attempts)),
            "environment": " → ".join(filter(None, map(self.environment, task.attempts))),
            "peak": known(peak, formats.megabytes),
            "rows": known(facts.rows_out if facts else None, formats.number),
            "bytes_in": known(sizes.get(key), formats.size),
            "bytes_out": known(facts.size or None if facts else None, formats.size),
        }

    @property
    def first_rows_note(self) -> str:
        rows = self.facts.workbook.rows if self.facts.workbook else None
        shown = self.maybe(rows, formats.number).shown
        return self.t["first rows"].format(len(self.facts.first_rows), shown)

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
            "missing": number(column.missing),
            "distinct": Figure(self.t["many"]) if column.many else number(len(column.values)),
            "low": known(column.low, formats.plain),
            "high": known(column.high, formats.plain),
            "bars": bars,
            "width": BAR * BINS,
            "height": BAR_HEIGHT,
            "label": ", ".join(f"{bar['name']}: {bar['count']}" for bar in bars),
        }

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


def number(value: int) -> Figure:
    return Figure(formats.number(value), value)


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


def known[Number: (int, float)](value: Number | None, shown: Callable[[Number], str]) -> Figure:
    return Figure("") if value is None else Figure(shown(value), value)


def share(part: float | None, whole: float | None) -> float | None:
    """In per cent, at most 100."""
    return min(100.0, round(100 * part / whole, 2)) if part is not None and whole else None


def pretty(event: str) -> str:
    try:
        return json.dumps(json.loads(event), ensure_ascii=False, indent=2)
    except ValueError:
        return event

"""From figures to what the page shows: words, formatted figures, and the data of its charts."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from harness.report import formats
from harness.advice import advice
from harness.report.model import Attempt, FunctionFigures, Histogram, Node, Run, Task, by_function
from harness.report.words import ADVICE_JA, DEFAULT_JA, words

MARKS = {
    "succeeded": "✓",
    "retried": "↻",
    "failed": "✕",
    "running": "▶",
    "stopped": "■",
    "not reached": "○",
}


@dataclass(frozen=True)
class Figure:
    """A figure as a reader sees it, and exactly."""

    shown: str
    exact: float | int | None = None


@dataclass
class Facts:
    """What was found about an execution beyond its history; None is what could not be known."""

    name: str
    arn: str
    where: str
    input: str
    input_obj: str
    nodes: list[Node]
    bucket: str = "test-bucket"
    workbook: str | None = None
    workbook_href: str | None = None
    rows_in: int | None = None
    rows_out: int | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    segment_bytes_in: dict[str, int] = field(default_factory=dict)
    segment_bytes_out: dict[str, int] = field(default_factory=dict)
    segment_rows_out: dict[str, int] = field(default_factory=dict)
    timeouts_s: dict[str, int] = field(default_factory=dict)
    memories_mb: dict[str, int] = field(default_factory=dict)
    cost_usd: float | None = None
    log: list[str] = field(default_factory=list)
    record: dict[str, Any] | None = None
    columns: list[str] = field(default_factory=list)
    first_rows: list[list[str]] = field(default_factory=list)
    histogram: Histogram | None = None
    histogram_names: tuple[str, str] = ("", "")


class View:
    """The page's content in one language."""

    def __init__(self, run: Run, facts: Facts, language: str) -> None:
        self.run = run
        self.facts = facts
        self.language = language
        self.t = words(language)
        self.outcome = {"SUCCEEDED": "succeeded", "RUNNING": "running", "ABORTED": "stopped"}.get(
            run.status, "failed"
        )
        self.mark = MARKS[self.outcome]
        self.started = datetime.fromtimestamp(run.started_s, UTC)

    @property
    def title(self) -> str:
        return f"{self.mark} {self.facts.name}"

    @property
    def after(self) -> str:
        return self.t["after"].format(formats.duration(self.run.elapsed_s))

    def count(self, key: str, value: int) -> str:
        return self.t[key].format(formats.number(value))

    def output(self, value: int | None, shown: Any) -> Figure:
        if self.run.status != "SUCCEEDED":
            return Figure(self.t["none"])
        return self.maybe(value, shown)

    def maybe(self, value: int | None, shown: Any) -> Figure:
        return Figure(self.t["unknown"]) if value is None else Figure(shown(value), value)

    def thousands(self, value: int) -> str:
        return formats.number(value)

    def seconds(self, value: float | None) -> Figure:
        return Figure("") if value is None else Figure(formats.duration(value), round(value, 6))

    @property
    def cards(self) -> list[dict[str, Any]]:
        run, facts = self.run, self.facts
        retries = sum(task.retries for task in run.tasks)
        cold = sum(figures.cold for figures in by_function(run.attempts))
        cards = [
            card("time", self.t["time"], [self.seconds(run.elapsed_s)]),
            card("rows", self.t["rows"], [
                self.maybe(facts.rows_in, formats.number), self.output(facts.rows_out, formats.number)
            ], " → "),
            card("bytes", self.t["bytes"], [
                self.maybe(facts.bytes_in, formats.size), self.output(facts.bytes_out, formats.size)
            ], " → "),
            card("segments", self.t["segments"], [
                Figure(formats.number(run.done), run.done), self.maybe(run.segments, formats.number)
            ], " / ", ", ".join(
                self.count(key, value)
                for key, value in (("n failed", run.failed), ("retries", retries))
                if value
            )),
            card("calls", self.t["calls"], [
                Figure(formats.number(len(run.attempts)), len(run.attempts))
            ], note=self.count("cold", cold)),
        ]
        if facts.cost_usd is not None:
            cost = Figure(formats.dollars(facts.cost_usd), facts.cost_usd)
            cards.append(card("cost", self.t["cost"], [cost], note=self.t["cost note"]))
        return cards

    @property
    def failure(self) -> dict[str, Any] | None:
        failure = self.run.failure
        if failure is None:
            return None
        task = failure.task
        attempt = task.attempts[-1] if task else None
        return {
            "sentence": self.failure_sentence(task, failure.record),
            "by_record": failure.record is not None,
            "stage": f"{task.state} ({attempt.function})" if task and attempt else "",
            "segment": self.segment_of(task),
            "error": failure.error,
            "cause": failure.message,
            "event": pretty(attempt.input or task.input) if task and attempt else "",
            "record": self.facts.record,
            "named": [name for name in self.facts.record or {} if name in failure.message],
            "todo": self.advice(failure.error),
            "log": self.facts.log,
            "stack": failure.stack,
        }

    def failure_sentence(self, task: Task | None, record: tuple[str, int] | None) -> str:
        if record:
            return self.t["record sentence"].format(record[1], record[0])
        if task and task.index is not None and not self.run.map_runs:
            return self.t["segment sentence"].format(task.index)
        return self.t["stage sentence"].format(task.state if task else list(self.run.visits)[-1])

    def segment_of(self, task: Task | None) -> str:
        if task is None or task.index is None or self.run.map_runs:
            return ""
        return self.t["of"].format(task.index, self.run.segments)

    def advice(self, error: str) -> str:
        if self.language == "ja":
            return ADVICE_JA.get(error, DEFAULT_JA)
        return advice(error)

    @property
    def stages(self) -> list[dict[str, Any]]:
        return [self.stage(node) for node in self.facts.nodes]

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
            "segments": self.run.segments if node.inner else None,
            "segments_word": self.count("n segments", self.run.segments or 0) if node.inner else "",
            "counts": {name: count for name, count in counts.items() if count},
            "retries": self.count("retries", retries) if retries else "",
        }

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The timeline: a row a task, stages and segments in the order of the definition."""
        stages = [task for task in self.run.tasks if task.index is None]
        first = [task for task in stages if not self.run.iterations or task.entered_s < self.run.iterations[0].entered_s]
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
        working = max(attempt.scheduled_s, ended - report.duration_ms / 1000) if report else attempt.scheduled_s
        cold = max(attempt.scheduled_s, working - (report.init_ms or 0) / 1000) if report else working
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
        return [self.function(figures) for figures in by_function(self.run.attempts) if figures.name]

    def function(self, figures: FunctionFigures) -> dict[str, Any]:
        timeout_s = self.facts.timeouts_s.get(figures.name)
        memory_mb = figures.memory_mb or self.facts.memories_mb.get(figures.name)
        longest_s = figures.longest_ms / 1000 if figures.longest_ms is not None else None
        return {
            "name": figures.name,
            "calls": Figure(formats.number(figures.calls), figures.calls),
            "failed": Figure(formats.number(figures.failed), figures.failed),
            "cold": Figure(formats.number(figures.cold), figures.cold),
            "longest": self.seconds(longest_s),
            "timeout": Figure(f"{timeout_s} s", timeout_s) if timeout_s else None,
            "longest_share": share(longest_s, timeout_s),
            "peak": Figure(f"{figures.peak_mb} MB", figures.peak_mb) if figures.peak_mb else None,
            "memory": Figure(f"{memory_mb} MB", memory_mb) if memory_mb else None,
            "peak_share": share(figures.peak_mb, memory_mb),
        }

    @property
    def function_note(self) -> str:
        reported = sum(attempt.report is not None for attempt in self.run.attempts)
        return self.t["function note"].format(reported, len(self.run.attempts))

    @property
    def segments(self) -> list[dict[str, Any]]:
        return [self.segment(task) for task in self.run.iterations]

    def segment(self, task: Task) -> dict[str, Any]:
        facts, outcome = self.facts, self.run.outcome(task)
        key, result = plain(task.input), plain(task.output)
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
            "calls": Figure(str(len(task.attempts)), len(task.attempts)),
            "environment": " → ".join(filter(None, map(self.environment, task.attempts))),
            "peak": Figure(f"{peak} MB", peak) if peak else Figure(""),
            "rows": known(facts.segment_rows_out.get(result), formats.number),
            "bytes_in": known(facts.segment_bytes_in.get(key), formats.size),
            "bytes_out": known(facts.segment_bytes_out.get(result), formats.size),
        }

    @property
    def histogram(self) -> dict[str, Any] | None:
        found = self.facts.histogram
        if found is None:
            return None
        value, group = self.facts.histogram_names
        return {
            "title": self.t["histogram"].format(value, group),
            "note": self.t["histogram note"].format(f"{found.step:g}"),
            "value": value,
            "group": group,
            "start": found.start,
            "step": found.step,
            "groups": [
                {
                    "name": f"{group} {name}",
                    "counts": counts,
                    "rows": sum(counts),
                    "rows_word": self.count("group rows", sum(counts)),
                }
                for name, counts in found.groups.items()
            ],
        }

    @property
    def data(self) -> dict[str, Any]:
        """What the page's script draws."""
        used = ("pick", "waiting", "cold start", "working", "failed call", "timeline")
        return {
            "stages": [
                {**stage, "took": stage["took"].shown} for stage in self.stages
            ],
            "rows": self.rows,
            "elapsed": round(self.run.elapsed_s, 6),
            "histogram": self.histogram,
            "words": {name: self.t[name] for name in used},
        }


def card(
    name: str, title: str, values: list[Figure], between: str = "", note: str = ""
) -> dict[str, Any]:
    return {"name": name, "title": title, "values": values, "between": between, "note": note}


def known(value: int | None, shown: Any) -> Figure:
    return Figure("") if value is None else Figure(shown(value), value)


def share(part: float | None, whole: float | None) -> float | None:
    """In per cent, at most 100."""
    return min(100.0, round(100 * part / whole, 2)) if part is not None and whole else None


def plain(value: str | None) -> str:
    """A state's input or output that is one JSON text."""
    try:
        parsed = json.loads(value or "")
    except ValueError:
        return ""
    return parsed if isinstance(parsed, str) else ""


def pretty(event: str) -> str:
    try:
        return json.dumps(json.loads(event), ensure_ascii=False, indent=2)
    except ValueError:
        return event

"""Show an execution while it runs: a picture on a terminal, lines elsewhere."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness import history
from harness.history import Event
from harness.target import emulator

ORDER = ("scatter", "segment", "gather")
# Asking costs the emulator its one busy core: the status a few milliseconds, the history more the
# longer it is. A tenth of the time is the most that may go into it.
STATUS_S = 0.25
HISTORY_S = 0.5
SHARE = 0.1


@dataclass(frozen=True)
class Stage:
    """One stage that was entered; seconds since the execution's start."""

    name: str
    entered_s: float
    exited_s: float | None = None


@dataclass(frozen=True)
class Snapshot:
    """How far an execution is. `rows_per_segment` is 0 until a segment is done."""

    elapsed_s: float
    stages: dict[str, Stage]
    progress: history.Progress
    rows_per_segment: int = 0
    status: str = "RUNNING"

    @property
    def running(self) -> int:
        if self.status != "RUNNING":
            return 0
        return self.progress.segments - self.progress.done - self.progress.failed

    @property
    def segments_per_s(self) -> float:
        stage = self.stages.get("segment")
        if stage is None or not self.progress.done:
            return 0.0
        return self.progress.done / max(0.001, (stage.exited_s or self.elapsed_s) - stage.entered_s)

    @property
    def left_s(self) -> float | None:
        """Until the last segment is done, at the pace so far."""
        return self.running / self.segments_per_s if self.segments_per_s else None


@dataclass
class Follower:
    """Asks for an execution's state as seldom as a picture of it allows."""

    states: Any
    arn: str
    started: float = field(default_factory=time.monotonic)
    events: list[Event] = field(default_factory=list)
    rows_per_segment: int = 0
    next_history: float = 0.0

    def snapshots(self) -> Iterator[Snapshot]:
        """One whenever there may be news, until the execution has ended."""
        while (status := self.describe()["status"]) == "RUNNING":
            if time.monotonic() >= self.next_history:
                self.read_history()
            yield self.snapshot(status)
            time.sleep(STATUS_S)
        self.read_history()
        yield self.snapshot(status)

    def describe(self) -> dict[str, Any]:
        described: dict[str, Any] = self.states.describe_execution(executionArn=self.arn)
        return described

    def read_history(self) -> None:
        asked = time.monotonic()
        self.events = history.read(self.states, self.arn)
        took = time.monotonic() - asked
        self.next_history = time.monotonic() + max(HISTORY_S, took / SHARE)

    def snapshot(self, status: str) -> Snapshot:
        progress = self.progress()
        if progress.done and not self.rows_per_segment:
            self.rows_per_segment = rows_of(first_result(self.events))
        elapsed_s = time.monotonic() - self.started
        return Snapshot(elapsed_s, stages(self.events), progress, self.rows_per_segment, status)

    def progress(self) -> history.Progress:
        found = history.progress(self.events)
        for event in self.events:
            if event["type"] == "MapRunStarted":
                arn = event["mapRunStartedEventDetails"]["mapRunArn"]
                counts = self.states.describe_map_run(mapRunArn=arn)["itemCounts"]
                done, failed = counts["succeeded"], counts["failed"]
                found = history.Progress(found.stage, counts["total"], done, failed, found.retries)
        return found


def follow(states: Any, arn: str) -> dict[str, Any]:
    """Show an execution's progress until it ends; returns its description."""
    console = Console(highlight=False)
    follower = Follower(states, arn)
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            for snapshot in follower.snapshots():
                live.update(picture(snapshot), refresh=True)
    else:
        said: list[str] = []
        for snapshot in follower.snapshots():
            for line in news(snapshot, said):
                console.print(f"{snapshot.elapsed_s:6.1f} s  {line}", soft_wrap=True)
    return follower.describe()


def stages(events: list[Event]) -> dict[str, Stage]:
    """The stages entered so far; the segments are one, from the Map's start to its end."""
    found: dict[str, Stage] = {}
    begin = events[0]["timestamp"] if events else None
    for event in events:
        kind = event["type"]
        details = event.get("stateEnteredEventDetails") or event.get("stateExitedEventDetails")
        if details is None or begin is None:
            continue
        name = "segment" if kind.startswith("Map") else history.STAGES.get(details["name"], "")
        at = (event["timestamp"] - begin).total_seconds()
        if kind in ("TaskStateEntered", "MapStateEntered") and name not in found:
            found[name] = Stage(name, at)
        if kind == "MapStateExited" or (kind == "TaskStateExited" and name != "segment"):
            found[name] = Stage(name, found[name].entered_s, at)
    return found


def first_result(events: list[Event]) -> str:
    """The key that the first segment done has written."""
    for event in events:
        exited = event.get("stateExitedEventDetails", {})
        if history.STAGES.get(exited.get("name", "")) == "segment":
            return str(json.loads(exited["output"]))
    return ""


def rows_of(result: str) -> int:
    """By the figures beside a segment's result; 0 where there are none."""
    if not result.endswith(".pkl"):
        return 0
    s3 = emulator().client("s3")
    try:
        body = s3.get_object(Bucket=emulator().bucket, Key=result.removesuffix(".pkl") + ".json")["Body"].read()
    except s3.exceptions.ClientError:
        return 0
    return sum(int(part["rows"]) for part in json.loads(body)["parts"])


def picture(snapshot: Snapshot) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for name in ORDER:
        grid.add_row(*stage_row(name, snapshot))
    return Group(grid, Text(f"{snapshot.elapsed_s:.1f} s", style="dim"))


def stage_row(name: str, snapshot: Snapshot) -> list[RenderableType]:
    stage = snapshot.stages.get(name)
    if stage is None:
        return [Text("○", style="dim"), Text(name, style="dim")]
    mark = Text("▶", style="cyan")
    if stage.exited_s is not None:
        mark = Text("✓", style="green")
    elif snapshot.status != "RUNNING":
        mark = Text("✕", style="red")
    took = Text(f"{(stage.exited_s or snapshot.elapsed_s) - stage.entered_s:5.1f} s")
    if name != "segment" or not snapshot.progress.segments:
        return [mark, Text(name), took]
    bar = ProgressBar(snapshot.progress.segments, snapshot.progress.done, width=30)
    return [mark, Text(name), took, bar, segment_text(snapshot)]


def segment_text(snapshot: Snapshot) -> Text:
    progress = snapshot.progress
    text = Text(f"{progress.done}/{progress.segments}")
    if snapshot.running:
        text.append(f"  {snapshot.running} running", style="cyan")
    if progress.failed:
        text.append(f"  {progress.failed} failed", style="red")
    if progress.retries:
        text.append(f"  {progress.retries} retried", style="yellow")
    if snapshot.rows_per_segment:
        text.append(f"  {snapshot.rows_per_segment * snapshot.segments_per_s:,.0f} rows/s")
    if snapshot.running and snapshot.left_s is not None:
        text.append(f"  {snapshot.left_s:.0f} s left", style="dim")
    return text


def news(snapshot: Snapshot, said: list[str]) -> list[str]:
    """The lines that were not said yet: stages entered and left, and quarters of the segments."""
    lines = [line for line in milestones(snapshot) if line not in said]
    said += lines
    return lines


def milestones(snapshot: Snapshot) -> Iterator[str]:
    progress = snapshot.progress
    for name, stage in snapshot.stages.items():
        yield f"{name} started"
        if name == "segment" and progress.segments:
            quarter = 4 * progress.done // progress.segments
            if 0 < quarter < 4:
                yield f"segment {quarter * 25} % of {progress.segments} segments done"
            if progress.failed:
                yield f"segment {progress.failed} failed"
            if progress.retries:
                yield f"segment {progress.retries} retried"
        if stage.exited_s is not None:
            yield f"{name} done in {stage.exited_s - stage.entered_s:.1f} s{of_segments(name, snapshot)}"


def of_segments(name: str, snapshot: Snapshot) -> str:
    if name != "segment":
        return ""
    rate = snapshot.rows_per_segment * snapshot.segments_per_s
    rows = f", {rate:,.0f} rows/s" if rate else ""
    return f": {snapshot.progress.done} of {snapshot.progress.segments} segments{rows}"

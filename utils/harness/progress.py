"""Show an execution while it runs: a picture on a terminal, lines elsewhere."""

import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness import facts, history
from harness.execution import Execution
from harness.target import STAGES, Target
from harness.terminal import console
from pipeline.facts.stages import ScatterFacts

# Polling competes with the run for the emulator's one busy core: at most a twentieth of that may go
# into it. A long answer costs the emulator about as much as this thread, however long both wait.
HISTORY_S = {True: 0.25, False: 1.0}  # of an emulator, and of AWS, which counts requests
STATUS_S = 0.5
SHARE = 0.05


@dataclass(frozen=True, eq=False)
class Snapshot:
    """How far an execution is. `scatter` is None until the scatter has ended."""

    elapsed_s: float
    run: Execution
    scatter: ScatterFacts | None = None

    @property
    def running(self) -> int:
        run = self.run
        return run.segments - run.done - run.failed if run.status == "RUNNING" else 0

    @property
    def segments_per_s(self) -> float:
        if "segment" not in self.run.stages or not self.run.done:
            return 0.0
        return self.run.done / max(0.001, self.took_s("segment"))

    @property
    def rows_per_s(self) -> float:
        return self.each_s(self.scatter.rows if self.scatter else 0)

    @property
    def bytes_per_s(self) -> float:
        return self.each_s(self.scatter.size if self.scatter else 0)

    def each_s(self, whole: int) -> float:
        return self.segments_per_s * whole / self.run.segments if self.run.segments else 0.0

    @property
    def left_s(self) -> float | None:
        """Until the last segment is done, at the pace so far."""
        return self.running / self.segments_per_s if self.segments_per_s else None

    def took_s(self, stage: str) -> float:
        """How long a stage that was entered took, or has taken so far."""
        visit = self.run.stages[stage]
        return (visit.exited_s or self.run.started_s + self.elapsed_s) - visit.entered_s


def snapshots(target: Target, arn: str) -> Iterator[Snapshot]:
    """One whenever there may be news, until the execution has ended."""
    states, started = target.client("stepfunctions"), time.monotonic()
    events: list[history.Event] = []
    scatter, due = None, 0.0
    while True:
        if (
            time.monotonic() >= due
            or states.describe_execution(executionArn=arn)["status"] not in history.RUNNING
        ):
            before_s = time.thread_time()
            run = history.read(states, arn, events)
            if run.status != "RUNNING":
                run = history.read(states, arn)  # AWS may tell of an event late
            if run.segments and not scatter:
                scatter = facts.read_scatter(target, run)
            cost_s = time.thread_time() - before_s
            due = time.monotonic() + max(HISTORY_S[target.emulated], cost_s / SHARE)
        yield Snapshot(run.before_s + time.monotonic() - started, run, scatter)
        if run.status != "RUNNING":
            return
        time.sleep(min(STATUS_S, max(0.0, due - time.monotonic())))


def show(target: Target, arn: str) -> Execution:
    """Show an execution's progress until it ends; returns it without its log."""
    terminal = console()
    said: list[str] = []
    with (
        Live(console=terminal, auto_refresh=False)
        if terminal.is_terminal
        else nullcontext() as live
    ):
        for snapshot in snapshots(target, arn):
            if live:
                live.update(picture(snapshot), refresh=True)
                continue
            for line in news(snapshot, said):
                terminal.print(f"{snapshot.elapsed_s:6.1f} s  {line}", soft_wrap=True)
    return snapshot.run


def picture(snapshot: Snapshot) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for name in STAGES:
        grid.add_row(*stage_row(name, snapshot))
    return Group(grid, Text(f"{snapshot.elapsed_s:.1f} s", style="dim"))


def stage_row(name: str, snapshot: Snapshot) -> list[RenderableType]:
    run = snapshot.run
    visit = run.stages.get(name)
    if visit is None:
        return [Text("○", style="dim"), Text(name, style="dim")]
    mark = Text("▶", style="cyan")
    if visit.exited_s is not None:
        mark = Text("✓", style="green")
    elif run.status != "RUNNING":
        mark = Text("■") if run.status == "ABORTED" else Text("✕", style="red")
    took = Text(f"{snapshot.took_s(name):5.1f} s")
    if name != "segment" or not run.segments:
        return [mark, Text(name), took, retries_text(run, name)]
    bar = ProgressBar(run.segments, run.done, width=30)
    return [mark, Text(name), took, bar, segment_text(snapshot)]


def segment_text(snapshot: Snapshot) -> Text:
    run = snapshot.run
    text = Text(f"{run.done}/{run.segments}")
    if snapshot.running:
        text.append(f"  {snapshot.running} running", style="cyan")
    if run.failed:
        text.append(f"  {failures(run)}", style="red")
    text.append_text(retries_text(run, "segment"))
    if snapshot.rows_per_s:
        text.append(f"  {snapshot.rows_per_s:,.0f} rows/s")
    if snapshot.running and snapshot.left_s is not None:
        text.append(f"  {snapshot.left_s:.0f} s left", style="dim")
    return text


def retries_text(run: Execution, stage: str) -> Text:
    said = retries(run, stage)
    return Text(f"  {said}" if said else "", style="yellow")


def retries(run: Execution, stage: str) -> str:
    """Such as `2 retried: Runtime.ExitError`; "" where no call was made again."""
    errors = [
        attempt.error
        for task in run.tasks
        if task.stage == stage
        for attempt in task.attempts[: task.retries]
    ]
    return counted(len(errors), "retried", errors) if errors else ""


def failures(run: Execution) -> str:
    """Such as `1 failed: InvalidMember`; the history of a DISTRIBUTED Map names no error."""
    return counted(run.failed, "failed", [t.attempts[-1].error for t in run.tasks if t.gave_up])


def counted(count: int, word: str, errors: Iterable[str | None]) -> str:
    names = ", ".join(dict.fromkeys(filter(None, errors)))
    return f"{count} {word}" + (f": {names}" if names else "")


def news(snapshot: Snapshot, said: list[str]) -> list[str]:
    """The lines that were not said yet: stages entered and left, and quarters of the segments."""
    lines = [line for line in milestones(snapshot) if line not in said]
    said += lines
    return lines


def milestones(snapshot: Snapshot) -> Iterator[str]:
    run = snapshot.run
    for name, visit in run.stages.items():
        yield f"{name} started"
        if name == "segment" and run.segments:
            quarter = 4 * run.done // run.segments
            if 0 < quarter < 4:
                yield f"segment {quarter * 25} % of {run.segments} segments done"
            if run.failed:
                yield f"segment: {failures(run)}"
        if said := retries(run, name):
            yield f"{name}: {said}"
        if visit.exited_s is not None:
            yield f"{name} done in {snapshot.took_s(name):.1f} s{of_segments(name, snapshot)}"


def of_segments(name: str, snapshot: Snapshot) -> str:
    if name != "segment" or not snapshot.run.segments:
        return ""
    rows = f", {snapshot.rows_per_s:,.0f} rows/s" if snapshot.rows_per_s else ""
    return f": {snapshot.run.done} of {snapshot.run.segments} segments{rows}"

"""The live display says what the history says, each thing once."""

from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console

from harness.history import Progress
from harness.progress import Snapshot, Stage, news, picture, stages

START = datetime(2026, 3, 1, tzinfo=UTC)
SCATTERED = Stage("scatter", 0.0, 0.5)


def event(kind: str, at: float, name: str) -> dict[str, Any]:
    details = "stateEnteredEventDetails" if kind.endswith("Entered") else "stateExitedEventDetails"
    return {"type": kind, "timestamp": START + timedelta(seconds=at), details: {"name": name}}


def snapshot(done: int, failed: int = 0, elapsed_s: float = 2.5, **more: Any) -> Snapshot:
    running = {"scatter": SCATTERED, "segment": Stage("segment", 0.5)}
    return Snapshot(elapsed_s, running, Progress("segment", 8, done, failed, 0), **more)


def shown(state: Snapshot) -> str:
    console = Console(width=120, force_terminal=False)
    with console.capture() as capture:
        console.print(picture(state))
    return capture.get()


def test_the_segments_are_one_stage_from_the_maps_start_to_its_end() -> None:
    events = [
        event("TaskStateEntered", 0, "ScatterLambda"),
        event("TaskStateExited", 1, "ScatterLambda"),
        event("MapStateEntered", 1, "ProcessAllSegments"),
        event("TaskStateEntered", 2, "SegmentLambda"),
        event("TaskStateExited", 3, "SegmentLambda"),
        event("MapStateExited", 4, "ProcessAllSegments"),
        event("TaskStateEntered", 4, "GatherLambda"),
    ]
    assert stages(events) == {
        "scatter": Stage("scatter", 0, 1),
        "segment": Stage("segment", 1, 4),
        "gather": Stage("gather", 4),
    }


def test_each_line_is_said_once() -> None:
    said: list[str] = []
    assert news(snapshot(0), said) == ["scatter started", "scatter done in 0.5 s", "segment started"]
    assert news(snapshot(1), said) == []
    assert news(snapshot(2), said) == ["segment 25 % of 8 segments done"]
    assert news(snapshot(3, failed=1), said) == ["segment 1 failed"]
    assert news(snapshot(3, failed=1), said) == []


def test_pace_and_time_left_are_those_of_the_segments_done() -> None:
    state = snapshot(2, rows_per_segment=10)
    assert (state.segments_per_s, state.left_s) == (1.0, 6.0)
    assert "2/8  6 running  10 rows/s  6 s left" in shown(state)


def test_a_stage_that_failed_is_no_longer_running() -> None:
    lines = shown(snapshot(7, failed=1, status="FAILED")).splitlines()
    assert lines[1].startswith("✕  segment")
    assert "1 failed" in lines[1] and "running" not in lines[1]
    assert lines[2].startswith("○  gather")

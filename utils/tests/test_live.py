"""The live display says what the history says, each thing once."""

from rich.console import Console

from harness.history import Run, Visit
from harness.progress import Snapshot, news, picture


def snapshot(done: int, failed: int = 0, status: str = "RUNNING", rows: int = 0) -> Snapshot:
    """2.5 s after the start, 8 segments under way since 0.5 s."""
    run = Run.of({"status": status}, [])
    run.visits = {
        "ScatterLambda": Visit(0.0, 0.5),
        "ProcessAllSegments": Visit(0.5),
    }
    run.segments, run.done, run.failed = 8, done, failed
    return Snapshot(2.5, run, rows)


def shown(state: Snapshot) -> str:
    console = Console(width=120, force_terminal=False)
    with console.capture() as capture:
        console.print(picture(state))
    return capture.get()


def test_each_line_is_said_once() -> None:
    said: list[str] = []
    assert news(snapshot(0), said) == [
        "scatter started",
        "scatter done in 0.5 s",
        "segment started",
    ]
    assert news(snapshot(1), said) == []
    assert news(snapshot(2), said) == ["segment 25 % of 8 segments done"]
    assert news(snapshot(3, failed=1), said) == ["segment 1 failed"]
    assert news(snapshot(3, failed=1), said) == []


def test_pace_and_time_left_are_those_of_the_segments_done() -> None:
    state = snapshot(2, rows=80)
    assert (state.segments_per_s, state.rows_per_s, state.left_s) == (1.0, 10.0, 6.0)
    assert "2/8  6 running  10 rows/s  6 s left" in shown(state)


def test_a_stage_that_failed_is_no_longer_running() -> None:
    lines = shown(snapshot(7, failed=1, status="FAILED")).splitlines()
    assert lines[1].startswith("✕  segment")
    assert "1 failed" in lines[1] and "running" not in lines[1]
    assert lines[2].startswith("○  gather")


def test_a_stage_of_a_stopped_execution_has_not_failed() -> None:
    assert shown(snapshot(7, status="ABORTED")).splitlines()[1].startswith("■  segment")

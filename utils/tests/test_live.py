"""The live display says what the history says, each thing once."""

from rich.console import Console

from harness.execution import Attempt, Task, Visit
from harness.history import parse
from harness.progress import Snapshot, news, picture
from pipeline.facts.stages import ObjectFacts, ScatterFacts


def snapshot(done: int, failed: int = 0, status: str = "RUNNING", rows: int = 0) -> Snapshot:
    """2.5 s after the start, 8 segments under way since 0.5 s."""
    run = parse({"status": status}, [])
    run.visits = {
        "ScatterLambda": Visit(0.0, 0.5),
        "ProcessAllSegments": Visit(0.5),
    }
    run.segments, run.done, run.failed = 8, done, failed
    return Snapshot(
        2.5,
        run,
        ScatterFacts(
            "members.json", rows, [], [ObjectFacts("members.json", 10 * rows, "", rows, [])]
        ),
    )


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
    assert news(snapshot(3, failed=1), said) == ["segment: 1 failed"]
    assert news(snapshot(3, failed=1), said) == []


def test_pace_and_time_left_are_those_of_the_segments_done() -> None:
    state = snapshot(2, rows=80)
    assert (state.segments_per_s, state.rows_per_s, state.left_s) == (1.0, 10.0, 6.0)
    assert state.bytes_per_s == 100.0
    assert "2/8  6 running  10 rows/s  6 s left" in shown(state)


def test_a_stage_that_failed_is_no_longer_running() -> None:
    lines = shown(snapshot(7, failed=1, status="FAILED")).splitlines()
    assert lines[1].startswith("✕  segment")
    assert "1 failed" in lines[1] and "running" not in lines[1]
    assert lines[2].startswith("○  gather")


def test_a_stage_of_a_stopped_execution_has_not_failed() -> None:
    assert shown(snapshot(7, status="ABORTED")).splitlines()[1].startswith("■  segment")


def task(state: str, *errors: str, gave_up: bool = False) -> Task:
    """One that was called once for each error, and then again unless it gave up."""
    index = 0 if state == "SegmentLambda" else None
    calls = [Attempt("f", 0.0, ended_s=1.0, error=error) for error in errors]
    calls += [] if gave_up else [Attempt("f", 1.0)]
    return Task(state, index, "", 0.0, attempts=calls, gave_up=gave_up)


def test_what_is_retried_and_what_failed_is_said_by_name() -> None:
    state, said = snapshot(3), list[str]()
    state.run.tasks = [task("ScatterLambda", "SlowDown", "SlowDown"), task("SegmentLambda")]
    assert "scatter: 2 retried: SlowDown" in news(state, said)
    state.run.tasks.append(task("SegmentLambda", "Runtime.ExitError"))
    assert news(state, said) == ["segment: 1 retried: Runtime.ExitError"]
    state.run.tasks += [
        task("SegmentLambda", "InternalError", "Runtime.ExitError"),
        task("SegmentLambda", "InvalidCell", gave_up=True),
    ]
    state.run.failed = 1
    assert news(state, said) == [
        "segment: 1 failed: InvalidCell",
        "segment: 3 retried: Runtime.ExitError, InternalError",
    ]
    lines = shown(state).splitlines()
    assert lines[0].rstrip().endswith("2 retried: SlowDown")
    assert "1 failed: InvalidCell  3 retried:" in lines[1]
    assert "Runtime.ExitError, InternalError" in lines[2]

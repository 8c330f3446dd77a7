"""What a history and a log tell of an execution: recorded ones, some changed for a claim."""

import json
import time
from typing import Any

import pytest

from harness import calls
from harness.calls import match_reports
from harness.definition import followers, inner_functions
from harness.execution import Attempt, Execution
from harness.history import Event, parse
from harness.logs import Call, Report
from replay import EXPECTED, Replay

ARN = "arn:aws:lambda:us-east-1:000000000000:function:{}-lambda"
REQUEST = "4a775206-2814-4c09-ad1d-e68775e3a7b7"


def environment(attempt: Attempt) -> str:
    assert attempt.report
    return "warm" if attempt.report.init_ms is None else "cold"


@pytest.mark.parametrize("name", EXPECTED)
def test_tasks_have_the_times_outcomes_and_environments_that_were_recorded(name: str) -> None:
    run, told = Replay(name).run(), EXPECTED[name]
    times = {
        task.state if task.index is None else str(task.index): [
            task.entered_s - run.started_s,
            (task.ended_s or 0) - task.entered_s,
        ]
        for task in run.tasks
    }
    assert times == {task: pytest.approx(bar, abs=1e-5) for task, bar in told["bars"].items()}
    assert sum(attempt.error is not None for attempt in run.attempts) == told["failed_calls"]
    assert [
        [run.outcome(task), [environment(attempt) for attempt in task.attempts]]
        for task in run.iterations
    ] == [[outcome, environments] for _, outcome, environments in told["segments"]]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_segments_are_one_stage_from_the_maps_start_to_its_end(name: str) -> None:
    run, figures = Replay(name).run(), EXPECTED[name]["figures"]
    assert list(run.stages) == ["scatter", "segment", "gather"][: len(run.visits)]
    for number, visit in enumerate(run.visits.values(), 1):
        took_s = (visit.exited_s or run.stopped_s or 0) - visit.entered_s
        assert figures[f"#graph + ol li:nth-child({number})"] == [pytest.approx(took_s, abs=1e-5)]


def test_the_states_of_a_failed_execution_tell_how_far_it_came() -> None:
    run = Replay("failed").run()
    states = ("ScatterLambda", "ProcessAllSegments", "GatherLambda")
    assert [run.state_outcome(state) for state in states] == ["succeeded", "failed", "not reached"]


def of(status: str, events: list[Event]) -> Execution:
    return parse({"status": status}, events)


def count(events: list[Event], kind: str) -> int:
    return sum(event["type"] == kind for event in events)


def test_a_failure_outside_of_tasks_blames_none() -> None:
    events = Replay("succeeded").events()
    entered = [event["type"] for event in events].index("MapStateEntered") + 1
    failed = {
        "id": entered + 1,
        "previousEventId": entered,
        "timestamp": events[entered]["timestamp"],
        "type": "ExecutionFailed",
        "executionFailedEventDetails": {"error": "States.Runtime", "cause": "x"},
    }
    failure = of("FAILED", [*events[:entered], failed]).failure
    assert failure and (failure.task, failure.message) == (None, "x")


def test_an_execution_whose_end_its_history_does_not_tell_yet_has_failed() -> None:
    """AWS may tell of an event late."""
    failure = of("FAILED", Replay("succeeded").events()[:3]).failure
    assert failure and (failure.error, failure.task) == ("FAILED", None)


@pytest.mark.parametrize("length", range(len(Replay("retried").events())))
def test_every_beginning_of_a_history_is_a_running_execution(length: int) -> None:
    events = Replay("retried").events()[:length]
    run = of("RUNNING", events)
    assert run.stopped_s is None and run.elapsed_s >= 0
    assert {run.outcome(task) for task in run.tasks} <= {"running", "succeeded", "retried"}
    assert run.done == count(events, "MapIterationSucceeded")


@pytest.mark.parametrize("late", range(7))
def test_segments_that_outlive_a_failed_execution_change_only_what_is_done_or_failed(
    late: int,
) -> None:
    replay = Replay("two-faulty")
    del replay.recorded["events"][len(replay.recorded["events"]) - late :]
    run, events = replay.run(), replay.events()
    [ended] = [event["timestamp"] for event in events if event["type"] == "ExecutionFailed"]
    assert (run.segments, run.stopped_s) == (4, ended.timestamp())
    assert run.failure and run.failure.record == ("two-broken.json", 17)
    assert run.done == count(events, "MapIterationSucceeded")
    assert run.failed == count(events, "MapIterationFailed")


@pytest.mark.parametrize(("gave_up", "index"), [(True, 1), (False, 3)])
def test_the_lowest_faulty_record_is_to_blame_however_late_unless_about_to_be_retried(
    gave_up: bool, index: int
) -> None:
    """The later one names the lower record, which is in the lower segment."""
    replay = Replay("two-faulty")
    events = replay.recorded["events"]
    first, second = (
        event["lambdaFunctionFailedEventDetails"]
        for event in events
        if event["type"] == "LambdaFunctionFailed"
    )
    first["cause"], second["cause"] = second["cause"], first["cause"]
    for event in events:
        if event["type"].startswith("MapIteration"):
            details = event[f"m{event['type'][1:]}EventDetails"]
            details["index"] = {1: 3, 3: 1}.get(details["index"], details["index"])
    assert events[-1]["type"] == "MapIterationFailed"
    del events[len(events) - (not gave_up) :]
    failure = replay.run().failure
    assert failure and failure.task and (failure.task.index, failure.end) == (index, None)


def report_at(ended_s: float, request: str = "r", status: str | None = None) -> Report:
    return Report(request, ended_s, 100, 100, 1769, 99, None, status)


def told(reports: list[Report]) -> list[Call]:
    return [Call(report.request_id, report=report) for report in reports]


def call_at(ended_s: float, error: str | None = None, cause: str = "") -> Attempt:
    return Attempt("f", 0, ended_s=ended_s, error=error, cause=cause)


@pytest.mark.parametrize(
    ("calls", "reports"),
    [
        (
            [call_at(2.0), call_at(1.0)],
            [report_at(1.9, "the first"), report_at(0.9, "the second")],
        ),
        (
            [call_at(1.0, "E", json.dumps({"requestId": REQUEST})), call_at(1.1)],
            [report_at(1.0, REQUEST, "E"), report_at(0.9)],
        ),
        (
            [call_at(1.0, "Runtime.ImportModuleError"), call_at(1.1)],
            [report_at(1.0, "failed", "error"), report_at(1.0, "fine")],
        ),
        (
            [call_at(1.0), call_at(1.5)],
            [report_at(7.0, "early"), report_at(9.0, "late")],
        ),
    ],
    ids=["by their ends", "by the request", "by the failure", "as many, however late the log"],
)
def test_each_call_finds_its_report(calls: list[Attempt], reports: list[Report]) -> None:
    for logged in (reports, reports[::-1]):
        assert match_reports(calls, told(logged)) == len(calls)
        assert [call.report for call in calls] == reports


def test_a_report_of_another_time_is_nobodys() -> None:
    call = Attempt("f", 10, ended_s=11)
    assert match_reports([call], told([report_at(5, "a"), report_at(20, "b")])) == 0


@pytest.mark.parametrize(
    ("state", "names"),
    [
        ({"Next": "B", "Catch": [{"ErrorEquals": ["X"], "Next": "D"}]}, ["B", "D"]),
        ({"Choices": [{"Next": "C"}, {"Next": "D"}], "Default": "C"}, ["C", "D"]),
        ({"Type": "Fail"}, []),
    ],
)
def test_a_state_may_be_followed_by_any_that_it_names(
    state: dict[str, Any], names: list[str]
) -> None:
    assert sorted(followers(state)) == names


def test_a_map_has_the_functions_of_its_states() -> None:
    states = {"Inner": {"Type": "Task", "Resource": ARN.format("segment")}}
    assert inner_functions({"ItemProcessor": {"States": states}}) == {"Inner": "segment-lambda"}
    assert inner_functions({"Type": "Task"}) == {}


def test_every_page_of_a_history_and_of_a_log_is_read() -> None:
    replay = Replay("wide")
    run = replay.run()
    assert (run.segments, run.done, len(run.reports), len(run.attempts)) == (200, 200, 202, 202)
    assert max(int(asked.get("nextToken", 0)) for _, asked in replay.asked) > 1000


def test_a_failed_init_has_its_log() -> None:
    replay = Replay("init")
    run = replay.run()
    assert run.failure and run.failure.error == "Runtime.ImportModuleError"
    assert "[ERROR] Runtime.ImportModuleError" in "".join(calls.failure_lines(replay.target, run))


def test_no_line_is_waited_for_that_may_never_come() -> None:
    """An execution that ended just now, whose failed inits have logged nothing yet."""
    replay = Replay("init")
    late_s = time.time() - replay.recorded["events"][-1]["timestamp"]
    for event in replay.recorded["events"]:
        event["timestamp"] += late_s
    for line in replay.recorded["logs"]["scatter-lambda"]:
        line["timestamp"] += int(late_s * 1000)
    del replay.recorded["logs"]["init-lambda"]
    begun = time.monotonic()
    run = replay.run()
    assert time.monotonic() - begun < 5
    assert (len(run.reports), calls.failure_lines(replay.target, run)) == (1, [])


def test_an_out_of_memory_is_known_by_its_report_line() -> None:
    run = Replay("out-of-memory").run()
    assert run.failure and run.failure.attempt
    run.failure.attempt.error = "Runtime.ExitError"
    assert run.failure.kind == "Runtime.OutOfMemory"


def ends_as(replay: Replay, kind: str, **details: str) -> None:
    for event in replay.recorded["events"]:
        if event["type"] == "ExecutionFailed":
            event |= {"type": kind, "executionFailedEventDetails": details}


STOPPED = {
    "before its map": ("stopped", {}, {}),
    "in its map": ("stopped-in-map", {}, {}),
    # LocalStack may call the iterations failed,
    "with failed iterations": (
        "stopped-in-map",
        {
            "error": "States.Runtime",
            "cause": "Could not set NextState value when in state '<class 'a.b.ProgramStopped'>'.",
        },
        {"MapIterationAborted": "MapIterationFailed"},
    ),
    # and end the execution as its waiting calls are dropped.
    "with waiting calls": ("stopped-in-map", {"error": "Sandbox.Dropped", "cause": "{}"}, {}),
}


@pytest.mark.parametrize(("name", "details", "kinds"), STOPPED.values(), ids=STOPPED)
def test_an_execution_stopped_by_hand_has_not_failed(
    name: str, details: dict[str, str], kinds: dict[str, str]
) -> None:
    replay = Replay(name)
    for event in replay.recorded["events"]:
        event["type"] = kinds.get(event["type"], event["type"])
    if details:
        ends_as(replay, "ExecutionFailed", **details)
    run = replay.run()
    assert (run.status, run.failure) == ("ABORTED", None)
    assert "failed" not in {run.outcome(task) for task in run.tasks}
    assert "failed" not in {run.state_outcome(state) for state in run.visits}


def test_calls_that_an_ended_execution_left_waiting_have_not_failed() -> None:
    replay = Replay("two-faulty")
    first, last = (
        event["lambdaFunctionFailedEventDetails"]
        for event in replay.recorded["events"]
        if event["type"] == "LambdaFunctionFailed"
    )
    assert replay.run().failed == 2
    last |= {"error": "Sandbox.Dropped", "cause": "{}"}
    run = replay.run()
    assert (run.status, run.failed, run.failure and run.failure.error) == (
        "FAILED",
        1,
        first["error"],
    )
    assert sorted(map(run.outcome, run.iterations)).count("failed") == 1
    assert "stopped" in map(run.outcome, run.iterations)


@pytest.mark.parametrize(
    ("kind", "status"), [("ExecutionTimedOut", "TIMED_OUT"), ("ExecutionFailed", "FAILED")]
)
def test_a_map_that_another_failure_aborts_was_not_stopped_by_hand(kind: str, status: str) -> None:
    replay = Replay("stopped-in-map")
    ends_as(replay, kind, error="States.Timeout", cause="x")
    replay.recorded["described"]["status"] = status
    run = replay.run()
    assert (run.status, run.failure and run.failure.error) == (status, "States.Timeout")

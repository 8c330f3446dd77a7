"""What a history and a log tell of an execution, recorded ones and ones written for a claim."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness import calls
from harness.calls import match_reports
from harness.history import Attempt, Event, Run, followers, inner_functions
from harness.logs import Report
from replay import Replay

START = datetime(2026, 3, 1, tzinfo=UTC)
ARN = "arn:aws:lambda:us-east-1:000000000000:function:{}-lambda"
REQUEST = "4a775206-2814-4c09-ad1d-e68775e3a7b7"


class Recorder:
    """Writes a history as Step Functions does: each event names its predecessor."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.add("ExecutionStarted", 0, executionStartedEventDetails={"input": "{}"})

    def add(self, kind: str, after: int, at: float = 0, **details: Any) -> int:
        number = len(self.events) + 1
        self.events.append(
            {
                "id": number,
                "type": kind,
                "previousEventId": after,
                "timestamp": START + timedelta(seconds=at),
                **details,
            }
        )
        return number

    def enter(
        self, state: str, after: int, at: float, kind: str = "Task", given: str = "{}"
    ) -> int:
        details = {"name": state, "input": given}
        return self.add(f"{kind}StateEntered", after, at, stateEnteredEventDetails=details)

    def exit(
        self, state: str, after: int, at: float, kind: str = "Task", output: str = "{}"
    ) -> int:
        details = {"name": state, "output": output}
        return self.add(f"{kind}StateExited", after, at, stateExitedEventDetails=details)

    def schedule(self, stage: str, after: int, at: float, given: str = "{}") -> int:
        details = {"resource": ARN.format(stage), "input": given, "timeoutInSeconds": 900}
        before = self.add(
            "LambdaFunctionScheduled", after, at, lambdaFunctionScheduledEventDetails=details
        )
        return self.add("LambdaFunctionStarted", before, at)

    def succeed(self, after: int, at: float, output: str = "{}") -> int:
        details = {"output": output}
        return self.add(
            "LambdaFunctionSucceeded", after, at, lambdaFunctionSucceededEventDetails=details
        )

    def fail(self, after: int, at: float, error: str, message: str) -> int:
        cause = {"errorType": error, "errorMessage": message, "requestId": REQUEST}
        details = {"error": error, "cause": json.dumps(cause)}
        return self.add("LambdaFunctionFailed", after, at, lambdaFunctionFailedEventDetails=details)

    def task(self, state: str, stage: str, after: int, start: float, end: float) -> int:
        entered = self.enter(state, after, start)
        ended = self.succeed(self.schedule(stage, entered, start), end)
        return self.exit(state, ended, end)

    def map(self, after: int, at: float, length: int) -> list[int]:
        entered = self.enter("ProcessAllSegments", after, at, "Map")
        details = {"length": length}
        started = self.add("MapStateStarted", entered, at, mapStateStartedEventDetails=details)
        return [
            self.add(
                "MapIterationStarted",
                started,
                at,
                mapIterationStartedEventDetails={"name": "ProcessAllSegments", "index": index},
            )
            for index in range(length)
        ]

    def segment(self, iteration: int, index: int, at: float) -> int:
        key = json.dumps(f"scatter/run/job_{index:03d}.pkl")
        return self.schedule(
            "segment", self.enter("SegmentLambda", iteration, at, given=key), at, key
        )

    def done(self, call: int, index: int, at: float) -> int:
        ended = self.succeed(call, at, json.dumps(f"gather/run/job_{index:03d}.pkl"))
        left = self.exit(
            "SegmentLambda", ended, at, output=json.dumps(f"gather/run/job_{index:03d}.pkl")
        )
        details = {"name": "ProcessAllSegments", "index": index}
        return self.add(
            "MapIterationSucceeded", left, at, mapIterationSucceededEventDetails=details
        )


def interleaved() -> Recorder:
    """Two segments at once, the second of which ends first and needs a second call."""
    record = Recorder()
    first, second = record.map(record.task("ScatterLambda", "scatter", 0, 0, 1), 1, 2)
    slow, quick = record.segment(first, 0, 1.25), record.segment(second, 1, 1.5)
    crashed = record.fail(
        quick, 2, "Runtime.ExitError", f"RequestId: {REQUEST} Error: exit status 1"
    )
    last = record.done(record.schedule("segment", crashed, 3), 1, 4)
    last = record.done(slow, 0, 5)
    record.add("MapStateSucceeded", last, 5)
    left = record.exit("ProcessAllSegments", last, 5, "Map")
    end = record.task("GatherLambda", "gather", left, 5, 6)
    record.add(
        "ExecutionSucceeded", end, 6.5, executionSucceededEventDetails={"output": '"test.xlsx"'}
    )
    return record


def failing(outlived: bool = False) -> Recorder:
    """The first of two segments fails, the second still succeeds, at 3 s or after the execution."""
    record = Recorder()
    first, second = record.map(record.task("ScatterLambda", "scatter", 0, 0, 1), 1, 2)
    broken, fine = record.segment(first, 0, 1), record.segment(second, 1, 1)
    message = "members.json record 7: 会員ランク must be 1 to 5; found 9"
    failed = record.fail(broken, 2, "InvalidMember", message)
    details = {"name": "ProcessAllSegments", "index": 0}
    record.add("MapIterationFailed", failed, 2, mapIterationFailedEventDetails=details)
    last = failed if outlived else record.done(fine, 1, 3)
    stopped = record.add("MapStateFailed", last, 3)
    cause = record.events[failed - 1]["lambdaFunctionFailedEventDetails"]
    record.add("ExecutionFailed", stopped, 3, executionFailedEventDetails=cause)
    if outlived:
        record.done(fine, 1, 4)
    return record


def of(status: str, events: list[Event]) -> Run:
    return Run.of({"status": status}, events)


def offsets(run: Run) -> list[tuple[int | None, float, float]]:
    return [
        (t.index, t.entered_s - run.started_s, (t.ended_s or 0) - run.started_s)
        for t in run.iterations
    ]


def test_segments_that_interleave_keep_their_own_times_calls_and_outcomes() -> None:
    run = of("SUCCEEDED", interleaved().events)
    assert offsets(run) == [(0, 1.25, 5), (1, 1.5, 4)]
    assert [[a.scheduled_s - run.started_s for a in t.attempts] for t in run.iterations] == [
        [1.25],
        [1.5, 3],
    ]
    assert run.iterations[1].attempts[0].error == "Runtime.ExitError"
    assert [run.outcome(task) for task in run.iterations] == ["succeeded", "retried"]
    assert (run.transitions, run.elapsed_s, run.failure) == (3 + 2 + 1, 6.5, None)


def test_what_follows_a_map_is_no_segment_and_the_map_one_stage() -> None:
    run = of("SUCCEEDED", interleaved().events)
    others = [task.state for task in run.tasks if task.index is None]
    assert others == ["ScatterLambda", "GatherLambda"]
    times = {
        stage: (visit.entered_s - run.started_s, (visit.exited_s or 0) - run.started_s)
        for stage, visit in run.stages.items()
    }
    assert times == {"scatter": (0, 1), "segment": (1, 5), "gather": (5, 6)}


def test_the_states_of_a_failed_execution_tell_how_far_it_came() -> None:
    run = of("FAILED", failing().events)
    states = ("ScatterLambda", "ProcessAllSegments", "GatherLambda")
    assert [run.state_outcome(state) for state in states] == ["succeeded", "failed", "not reached"]
    assert [run.outcome(task) for task in run.iterations] == ["failed", "succeeded"]


def test_a_failure_outside_of_tasks_blames_none() -> None:
    record = Recorder()
    left = record.task("ScatterLambda", "scatter", 0, 0, 1)
    entered = record.enter("ProcessAllSegments", left, 1, "Map")
    record.add(
        "ExecutionFailed",
        entered,
        1,
        executionFailedEventDetails={"error": "States.Runtime", "cause": "x"},
    )
    run = of("FAILED", record.events)
    assert run.failure and run.failure.task is None
    assert run.failure.message == "x"


@pytest.mark.parametrize("length", range(len(interleaved().events)))
def test_every_beginning_of_a_history_is_a_running_execution(length: int) -> None:
    events = interleaved().events[:length]
    run = of("RUNNING", events)
    assert run.stopped_s is None and run.elapsed_s >= 0
    assert {run.outcome(task) for task in run.tasks} <= {"running", "succeeded", "retried"}
    assert run.done == sum(event["type"] == "MapIterationSucceeded" for event in events)


@pytest.mark.parametrize("late", range(4))
def test_a_segment_that_outlives_a_failed_execution_changes_only_what_is_done(late: int) -> None:
    events = failing(outlived=True).events
    events = events[: len(events) - late]
    run = of("FAILED", events)
    assert (run.failed, run.segments, run.elapsed_s) == (1, 2, 3)
    assert run.failure and run.failure.task is run.iterations[0]
    assert (
        run.done == sum(event["type"] == "MapIterationSucceeded" for event in events) == (late == 0)
    )


def test_the_lowest_faulty_record_is_to_blame_however_late_its_segment_failed() -> None:
    record = Recorder()
    iterations = record.map(record.task("ScatterLambda", "scatter", 0, 0, 1), 1, 3)
    calls = [record.segment(each, index, 1) for index, each in enumerate(iterations)]
    late = record.fail(calls[2], 2, "InvalidMember", "a b.json record 25: x")
    details = {"name": "ProcessAllSegments", "index": 2}
    record.add("MapIterationFailed", late, 2, mapIterationFailedEventDetails=details)
    cause = record.events[late - 1]["lambdaFunctionFailedEventDetails"]
    record.add("ExecutionFailed", late, 2, executionFailedEventDetails=cause)
    early = record.fail(calls[1], 3, "InvalidMember", "a b.json record 17: x")
    details = {"name": "ProcessAllSegments", "index": 1}
    record.add("MapIterationFailed", early, 3, mapIterationFailedEventDetails=details)
    failure = of("FAILED", record.events).failure
    assert failure and failure.task
    assert (failure.record, failure.task.index, failure.end) == (("a b.json", 17), 1, None)


def test_a_segment_about_to_be_retried_is_not_to_blame() -> None:
    record = Recorder()
    first, second = record.map(record.task("ScatterLambda", "scatter", 0, 0, 1), 1, 2)
    waiting, broken = record.segment(first, 0, 1), record.segment(second, 1, 1)
    record.fail(waiting, 2, "Runtime.ExitError", "exit status 1")
    failed = record.fail(broken, 2, "InvalidSegment", "x")
    details = {"name": "ProcessAllSegments", "index": 1}
    record.add("MapIterationFailed", failed, 2, mapIterationFailedEventDetails=details)
    record.add(
        "ExecutionFailed", failed, 2, executionFailedEventDetails={"error": "InvalidSegment"}
    )
    failure = of("FAILED", record.events).failure
    assert failure and failure.task and failure.task.index == 1


def report_at(ended_s: float, request: str = "r", status: str | None = None) -> Report:
    return Report(request, ended_s, 100, 100, 1769, 99, None, status)


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
        assert match_reports(calls, logged) == len(calls)
        assert [call.report for call in calls] == reports


def test_a_report_of_another_time_is_nobodys() -> None:
    call = Attempt("f", 10, ended_s=11)
    assert match_reports([call], [report_at(5, "a"), report_at(20, "b")]) == 0


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


# The rest is of recorded executions: what they were is in their names.


def test_every_page_of_a_history_and_of_a_log_is_read() -> None:
    replay = Replay("wide")
    run = replay.run()
    assert (run.segments, run.done, len(run.reports), len(run.attempts)) == (200, 200, 202, 202)
    assert max(int(asked.get("nextToken", 0)) for _, asked in replay.asked) > 1000


def test_two_faulty_segments_are_one_story() -> None:
    replay = Replay("two-faulty")
    run = replay.run()
    assert run.failure and run.failure.task and run.failure.attempt
    assert (run.failure.record, run.failure.task.index) == (("two-broken.json", 17), 1)
    assert (run.failed, run.segments, run.retries) == (2, 4, 0)
    log = calls.failure_lines(replay.target, run)
    assert log[0].startswith(f"START RequestId: {run.failure.attempt.request_id}")
    assert log[1] == f"[ERROR] InvalidMember: {run.failure.message}"
    assert log[2:4] == [
        "Traceback (most recent call last):",
        '  File "/var/task/lambda.py", line 10, in lambda_handler',
    ]
    assert log[-1].startswith("REPORT ")


def test_a_distributed_maps_failure_is_that_of_its_segment() -> None:
    replay = Replay("distributed-failed")
    run = replay.run()
    assert run.failure and run.failure.end
    assert (run.failure.error, run.failure.record) == (
        "InvalidMember",
        ("distributed-failed.json", 37),
    )
    assert run.failure.end[0] == "MissingSegment"
    assert (run.done, run.failed, run.segments) == (3, 1, 4)
    assert any("[ERROR] InvalidMember" in line for line in calls.failure_lines(replay.target, run))


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


@pytest.mark.parametrize("name", ["stopped", "stopped-in-map"])
def test_an_execution_stopped_by_hand_has_not_failed(name: str) -> None:
    run = Replay(name).run()
    assert (run.status, run.failure) == ("ABORTED", None)
    assert "failed" not in {run.outcome(task) for task in run.tasks}
    assert "failed" not in {run.state_outcome(state) for state in run.visits}


@pytest.mark.parametrize(
    ("kind", "status"), [("ExecutionTimedOut", "TIMED_OUT"), ("ExecutionFailed", "FAILED")]
)
def test_a_map_that_another_failure_aborts_was_not_stopped_by_hand(kind: str, status: str) -> None:
    replay = Replay("stopped-in-map")
    for event in replay.recorded["events"]:
        if event["type"] == "ExecutionFailed":
            event["type"] = kind
            event["executionFailedEventDetails"] = {"error": "States.Timeout", "cause": "x"}
    replay.recorded["described"]["status"] = status
    run = replay.run()
    assert (run.status, run.failure and run.failure.error) == (status, "States.Timeout")


@pytest.mark.parametrize(
    ("name", "outcomes"),
    [("ministack", ["succeeded"] * 3), ("ministack-failed", ["succeeded", "failed"])],
)
def test_ministacks_history_without_predecessors_tells_the_stages(
    name: str, outcomes: list[str]
) -> None:
    run = Replay(name).run()
    assert list(run.stages) == ["scatter", "segment", "gather"][: len(outcomes)]
    assert [run.state_outcome(state) for state in run.visits] == outcomes
    assert (run.chained, run.tasks) == (False, [])

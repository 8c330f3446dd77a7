"""The report's figures are those of the history and of the REPORT lines."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from harness.history import Event
from harness.report.model import (
    Attempt,
    LogReport,
    Run,
    by_function,
    graph,
    histogram,
    match_reports,
    nice_step,
)
from harness.report.sources import count_pairs, letters, records
from harness.report.write import inline_json

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

    def enter(self, state: str, after: int, at: float, kind: str = "Task", given: str = "{}") -> int:
        details = {"name": state, "input": given}
        return self.add(f"{kind}StateEntered", after, at, stateEnteredEventDetails=details)

    def exit(self, state: str, after: int, at: float, kind: str = "Task", output: str = "{}") -> int:
        details = {"name": state, "output": output}
        return self.add(f"{kind}StateExited", after, at, stateExitedEventDetails=details)

    def schedule(self, stage: str, after: int, at: float, given: str = "{}") -> int:
        details = {"resource": ARN.format(stage), "input": given, "timeoutInSeconds": 900}
        before = self.add("LambdaFunctionScheduled", after, at, lambdaFunctionScheduledEventDetails=details)
        return self.add("LambdaFunctionStarted", before, at)

    def succeed(self, after: int, at: float, output: str = "{}") -> int:
        details = {"output": output}
        return self.add("LambdaFunctionSucceeded", after, at, lambdaFunctionSucceededEventDetails=details)

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
                "MapIterationStarted", started, at,
                mapIterationStartedEventDetails={"name": "ProcessAllSegments", "index": index},
            )
            for index in range(length)
        ]

    def segment(self, iteration: int, index: int, at: float) -> int:
        key = json.dumps(f"scatter/run/job_{index:03d}.pkl")
        return self.schedule("segment", self.enter("SegmentLambda", iteration, at, given=key), at, key)

    def done(self, call: int, index: int, at: float) -> int:
        ended = self.succeed(call, at, json.dumps(f"gather/run/job_{index:03d}.pkl"))
        left = self.exit("SegmentLambda", ended, at, output=json.dumps(f"gather/run/job_{index:03d}.pkl"))
        details = {"name": "ProcessAllSegments", "index": index}
        return self.add("MapIterationSucceeded", left, at, mapIterationSucceededEventDetails=details)


def interleaved() -> Recorder:
    """Two segments at once, the second of which ends first and needs a second call."""
    record = Recorder()
    first, second = record.map(record.task("ScatterLambda", "scatter", 0, 0, 1), 1, 2)
    slow, quick = record.segment(first, 0, 1.25), record.segment(second, 1, 1.5)
    crashed = record.fail(quick, 2, "Runtime.ExitError", f"RequestId: {REQUEST} Error: exit status 1")
    last = record.done(record.schedule("segment", crashed, 3), 1, 4)
    last = record.done(slow, 0, 5)
    record.add("MapStateSucceeded", last, 5)
    left = record.exit("ProcessAllSegments", last, 5, "Map")
    end = record.task("GatherLambda", "gather", left, 5, 6)
    record.add("ExecutionSucceeded", end, 6.5, executionSucceededEventDetails={"output": '"test.xlsx"'})
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


def offsets(run: Run) -> list[tuple[int | None, float, float]]:
    return [
        (t.index, t.entered_s - run.started_s, (t.ended_s or 0) - run.started_s) for t in run.iterations
    ]


def test_each_segment_keeps_its_own_times_when_iterations_interleave() -> None:
    run = Run.from_history("SUCCEEDED", interleaved().events)
    assert offsets(run) == [(0, 1.25, 5), (1, 1.5, 4)]
    assert [[a.scheduled_s - run.started_s for a in t.attempts] for t in run.iterations] == [[1.25], [1.5, 3]]


def test_a_retried_segment_tells_its_error_and_its_retries() -> None:
    run = Run.from_history("SUCCEEDED", interleaved().events)
    assert [run.outcome(task) for task in run.iterations] == ["succeeded", "retried"]
    assert run.iterations[1].attempts[0].error == "Runtime.ExitError"
    assert run.transitions == 3 + 2 + 1


def test_what_follows_a_map_is_no_segment() -> None:
    run = Run.from_history("SUCCEEDED", interleaved().events)
    assert [task.state for task in run.tasks if task.index is None] == ["ScatterLambda", "GatherLambda"]
    assert run.visits["ProcessAllSegments"].exited_s == run.started_s + 5
    assert run.elapsed_s == 6.5
    assert run.failure is None


def test_a_failure_names_its_segment_and_record() -> None:
    run = Run.from_history("FAILED", failing().events)
    assert run.failure and run.failure.task
    assert run.failure.task.index == 0
    assert run.failure.error == "InvalidMember"
    assert run.failure.message == "members.json record 7: 会員ランク must be 1 to 5; found 9"
    assert run.failure.record == ("members.json", 7)
    assert [run.outcome(task) for task in run.iterations] == ["failed", "succeeded"]
    assert (run.done, run.failed, run.segments) == (1, 1, 2)


def test_the_states_of_a_failed_execution_tell_how_far_it_came() -> None:
    run = Run.from_history("FAILED", failing().events)
    states = ("ScatterLambda", "ProcessAllSegments", "GatherLambda")
    assert [run.state_outcome(state) for state in states] == ["succeeded", "failed", "not reached"]


def test_a_failure_outside_of_tasks_blames_none() -> None:
    record = Recorder()
    left = record.task("ScatterLambda", "scatter", 0, 0, 1)
    entered = record.enter("ProcessAllSegments", left, 1, "Map")
    record.add("ExecutionFailed", entered, 1, executionFailedEventDetails={"error": "States.Runtime", "cause": "x"})
    run = Run.from_history("FAILED", record.events)
    assert run.failure and run.failure.task is None
    assert run.failure.message == "x"


@pytest.mark.parametrize("length", range(len(interleaved().events)))
def test_every_beginning_of_a_history_is_a_running_execution(length: int) -> None:
    events = interleaved().events[:length]
    run = Run.from_history("RUNNING", events)
    assert run.stopped_s is None and run.elapsed_s >= 0
    assert {run.outcome(task) for task in run.tasks} <= {"running", "succeeded", "retried"}
    assert run.done == sum(event["type"] == "MapIterationSucceeded" for event in events)


@pytest.mark.parametrize("late", range(4))
def test_a_segment_that_outlives_a_failed_execution_changes_only_what_is_done(late: int) -> None:
    events = failing(outlived=True).events
    events = events[: len(events) - late]
    run = Run.from_history("FAILED", events)
    assert (run.failed, run.segments, run.elapsed_s) == (1, 2, 3)
    assert run.failure and run.failure.task is run.iterations[0]
    assert run.done == sum(event["type"] == "MapIterationSucceeded" for event in events) == (late == 0)


def test_the_segments_of_a_distributed_map_are_the_calls_in_its_log() -> None:
    record = Recorder()
    left = record.task("ScatterLambda", "scatter", 0, 0, 1)
    record.enter("ProcessAllSegments", left, 1, "Map")
    cause = {"error": "States.ExceedToleratedFailureThreshold", "cause": "x"}
    record.add("ExecutionFailed", left, 4, executionFailedEventDetails=cause)
    run = Run.from_history("FAILED", record.events)
    calls = [Attempt("segment-lambda", run.started_s + at, ended_s=run.started_s + at + 1) for at in (2, 1)]
    calls[0].error, calls[0].cause = "InvalidMember", "members.json record 7: not a number"
    run.add_calls("SegmentLambda", calls)
    assert offsets(run) == [(0, 1, 2), (1, 2, 3)]
    assert [run.outcome(task) for task in run.iterations] == ["succeeded", "failed"]
    assert run.transitions == 2 + 2
    assert run.failure and run.failure.task is run.iterations[1]


def test_the_optimised_integration_leaves_the_same_figures() -> None:
    record = Recorder()
    entered = record.enter("ScatterLambda", 0, 0)
    parameters = json.dumps({"FunctionName": ARN.format("scatter") + ":$LATEST", "Payload": {"input_obj": "a.json"}})
    details = {"resourceType": "lambda", "resource": "invoke", "parameters": parameters}
    scheduled = record.add("TaskScheduled", entered, 0, taskScheduledEventDetails=details)
    ended = record.add("TaskSucceeded", scheduled, 2, taskSucceededEventDetails={"output": "{}"})
    record.exit("ScatterLambda", ended, 2)
    [attempt] = Run.from_history("RUNNING", record.events).attempts
    assert (attempt.function, attempt.input) == ("scatter-lambda", '{"input_obj": "a.json"}')
    assert attempt.ended_s == START.timestamp() + 2


COLD = (
    f"REPORT RequestId: {REQUEST}\tDuration: 71.07 ms\tBilled Duration: 873 ms\tMemory Size: 1769 MB\t"
    "Max Memory Used: 94 MB\tInit Duration: 801.59 ms\tStatus: error\tError Type: Runtime.ExitError\t\n"
)
WARM = f"REPORT RequestId: {REQUEST}\tDuration: 42.66 ms\tBilled Duration: 43 ms\tMemory Size: 1769 MB\tMax Memory Used: 99 MB\t\n"
JSON_FORMAT = json.dumps(
    {
        "time": "2026-03-01T00:00:00.000Z",
        "type": "platform.report",
        "record": {
            "requestId": REQUEST,
            "status": "success",
            "metrics": {
                "durationMs": 42.66, "billedDurationMs": 43, "memorySizeMB": 1769, "maxMemoryUsedMB": 99,
            },
        },
    }
)


def test_a_report_line_of_a_cold_start_has_its_init_phase() -> None:
    report = LogReport.parse(COLD, 1_000)
    assert report == LogReport("", REQUEST, 1.0, 71.07, 873, 1769, 94, 801.59, "Runtime.ExitError")


@pytest.mark.parametrize("line", [WARM, JSON_FORMAT], ids=["text", "json"])
def test_both_log_formats_report_the_same(line: str) -> None:
    assert LogReport.parse(line, 1_000) == LogReport("", REQUEST, 1.0, 42.66, 43, 1769, 99, None)


@pytest.mark.parametrize("line", ["START RequestId: x Version: 1\n", "members", '{"level": "INFO"}', "{", ""])
def test_other_log_lines_are_no_reports(line: str) -> None:
    assert LogReport.parse(line, 0) is None


def report_at(ended_s: float, request: str = "r", duration_ms: float = 100) -> LogReport:
    return LogReport("f", request, ended_s, duration_ms, 100, 1769, 99, None)


def test_reports_fall_to_the_calls_in_the_order_of_their_ends() -> None:
    calls = [Attempt("f", 0, ended_s=2.0), Attempt("f", 0, ended_s=1.0)]
    early, late = report_at(0.9, "early"), report_at(1.9, "late")
    assert match_reports(calls, [late, early]) == 2
    assert [call.report for call in calls] == [late, early]


def test_a_failed_call_takes_the_report_that_its_cause_names() -> None:
    failed = Attempt("f", 0, ended_s=1.0, error="E", cause=json.dumps({"requestId": REQUEST}))
    fine = Attempt("f", 0, ended_s=1.1)
    match_reports([failed, fine], [report_at(0.9), report_at(1.0, REQUEST)])
    assert failed.report and failed.report.request_id == REQUEST
    assert fine.report and fine.report.request_id == "r"


def test_a_report_of_another_time_or_function_is_nobodys() -> None:
    assert match_reports([Attempt("f", 10, ended_s=11)], [report_at(5, "a"), report_at(20, "b")]) == 0
    assert match_reports([Attempt("g", 0, ended_s=1)], [report_at(1)]) == 0


def test_as_many_reports_as_calls_all_find_one_however_late_the_log() -> None:
    calls = [Attempt("f", 0, ended_s=1.0), Attempt("f", 0, ended_s=1.5)]
    assert match_reports(calls, [report_at(9.0, "late"), report_at(7.0, "early")]) == 2
    assert [call.report and call.report.request_id for call in calls] == ["early", "late"]


def test_a_function_has_the_peaks_and_sums_of_its_calls() -> None:
    calls = [
        Attempt("f", 0, ended_s=1, report=LogReport("f", "a", 1, 50, 850, 1769, 90, 800.0)),
        Attempt("f", 0, ended_s=1, error="E", report=LogReport("f", "b", 1, 70, 70, 1769, 120, None)),
        Attempt("f", 0),
    ]
    [figures] = by_function(calls)
    assert (figures.calls, figures.failed, figures.cold, figures.reported) == (3, 1, 1, 2)
    assert (figures.longest_ms, figures.peak_mb, figures.memory_mb, figures.billed_ms) == (70, 120, 1769, 920)


def test_a_histogram_counts_every_row_once() -> None:
    pairs = {(rank, float(value)): 2 for rank in (1.0, 4.0) for value in range(50, 126)}
    found = histogram(pairs)
    assert found and found.rows == sum(pairs.values())
    assert (found.start, found.step, list(found.groups)) == (50, 5, ["1", "4"])
    assert found.groups["1"][:-1] == [10] * 15


@pytest.mark.parametrize("value", [0.0, -7.5, 1e9])
def test_a_histogram_of_one_value_has_one_bin(value: float) -> None:
    found = histogram({(1.0, value): 3})
    assert found and found.groups == {"1": [3]}


def test_no_rows_have_no_histogram() -> None:
    assert histogram({}) is None


@pytest.mark.parametrize(
    ("least", "step"), [(0, 1), (1, 1), (1.1, 2), (2.5, 5), (7, 10), (0.03, 0.05), (300, 500)]
)
def test_steps_are_round(least: float, step: float) -> None:
    assert nice_step(least) == pytest.approx(step)


def test_a_graph_has_the_edges_of_every_kind_of_state() -> None:
    definition = {
        "States": {
            "A": {"Type": "Task", "Next": "B", "Catch": [{"ErrorEquals": ["X"], "Next": "D"}]},
            "B": {"Type": "Choice", "Choices": [{"Next": "C"}, {"Next": "D"}], "Default": "C"},
            "C": {
                "Type": "Map", "End": True,
                "ItemProcessor": {"States": {"Inner": {"Type": "Task", "Resource": ARN.format("segment")}}},
            },
            "D": {"Type": "Fail"},
        }
    }
    assert [node.next for node in graph(definition)] == [["B", "D"], ["C", "D"], [], []]
    assert graph(definition)[2].inner == {"Inner": "segment-lambda"}


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", "<!--<script>", "a&b", "\u2028"])
def test_inlined_json_cannot_end_its_element(text: str) -> None:
    encoded = inline_json({text: text})
    assert not set("<>&\u2028\u2029") & set(encoded)
    assert json.loads(encoded) == {text: text}


TABLE = [{"名前": "長野原 [,]", "n": 1.5}, {}, {"a": {"b": [1, "}"]}}]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("text", [json.dumps(TABLE, ensure_ascii=False), json.dumps(TABLE, indent=2)])
def test_records_are_those_of_the_array_however_it_is_cut(text: str, size: int) -> None:
    data = text.encode()
    assert list(records(data[n : n + size] for n in range(0, len(data), size))) == TABLE


@pytest.mark.parametrize("text", ["", "[", '[{"a": 1}', '[{"a": 1}, {"b": ]', "3", '[{"a": 1}, 2]', "null"])
def test_what_is_no_array_of_objects_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a JSON array of objects"):
        list(records([text.encode()]))


def test_pairs_are_counted_row_by_row_over_all_sheets(tmp_path: Path) -> None:
    book = Workbook()
    first = book.active
    assert first is not None
    for row in (["rank", "name", "bonus"], [1, "x", 50], [2, "3", 62.5], [None, "y", 9], [1, "z", 50], [4, "w"]):
        first.append(row)
    book.create_sheet().append([2, "x", 62.5])
    book.save(tmp_path / "book.xlsx")
    assert count_pairs(tmp_path / "book.xlsx", "A", "C") == {(1, 50): 2, (2, 62.5): 2}


@pytest.mark.parametrize(("index", "name"), [(0, "A"), (25, "Z"), (26, "AA"), (16383, "XFD")])
def test_columns_have_excels_names(index: int, name: str) -> None:
    assert letters(index) == name

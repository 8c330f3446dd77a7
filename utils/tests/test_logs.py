"""Each call is found in a log, whichever of Lambda's formats it has."""

import json

import pytest

from harness import logs
from harness.logs import Report
from replay import Replay

REQUEST = "4a775206-2814-4c09-ad1d-e68775e3a7b7"
COLD = (
    f"REPORT RequestId: {REQUEST}\tDuration: 71.07 ms\tBilled Duration: 873 ms\tMemory Size: 1769 MB\t"
    "Max Memory Used: 94 MB\tInit Duration: 801.59 ms\tStatus: error\tError Type: Runtime.ExitError\t\n"
)
WARM = f"REPORT RequestId: {REQUEST}\tDuration: 42.66 ms\tBilled Duration: 43 ms\tMemory Size: 1769 MB\tMax Memory Used: 99 MB\t\n"
METRICS = {"durationMs": 42.66, "billedDurationMs": 43, "memorySizeMB": 1769, "maxMemoryUsedMB": 99}


def platform(kind: str, **record: object) -> str:
    return json.dumps(
        {
            "time": "2026-03-01T00:00:00.000Z",
            "type": kind,
            "record": {"requestId": REQUEST, **record},
        }
    )


JSON_FORMAT = platform("platform.report", status="success", metrics=METRICS)


def event(message: str, stream: str = "s") -> logs.Event:
    return {"timestamp": 1_000, "logStreamName": stream, "message": message}


def test_a_report_line_of_a_cold_start_has_its_init_phase() -> None:
    report = Report.parse(COLD, 1_000)
    assert report == Report(REQUEST, 1.0, 71.07, 873, 1769, 94, 801.59, "Runtime.ExitError")


@pytest.mark.parametrize("line", [WARM, JSON_FORMAT], ids=["text", "json"])
def test_both_log_formats_report_the_same(line: str) -> None:
    assert Report.parse(line, 1_000) == Report(REQUEST, 1.0, 42.66, 43, 1769, 99)


def test_lambda_bills_configured_memory_times_billed_time() -> None:
    assert Report("r", 0, 577, 1157, 2048, 58).gb_seconds == pytest.approx(2 * 1.157)


@pytest.mark.parametrize(
    "line", ["START RequestId: x Version: 1\n", "members", '{"level": "INFO"}', "[1]", "{", ""]
)
def test_other_log_lines_are_no_reports(line: str) -> None:
    assert Report.parse(line, 0) is None


TEXT_CALL = [
    f"START RequestId: {REQUEST} Version: 1\n",
    "[ERROR] InvalidMember: a.json record 7: x\rTraceback\r\xa0 f\n",
    COLD,
]
JSON_CALL = [
    platform("platform.start"),
    json.dumps({"errorType": "InvalidMember", "errorMessage": "a.json record 7: x"}),
    platform("platform.report", status="error", metrics=METRICS),
]


@pytest.mark.parametrize("lines", [TEXT_CALL, JSON_CALL], ids=["text", "json"])
def test_a_call_has_the_error_that_it_logged(lines: list[str]) -> None:
    [call] = logs.calls(event(line) for line in lines)
    assert (call.request_id, call.error) == (REQUEST, ("InvalidMember", "a.json record 7: x"))
    assert call.report


def test_calls_that_log_at_once_keep_their_lines_apart() -> None:
    mixed = [event("START RequestId: aa\n", "1"), event("START RequestId: bb\n", "2")]
    mixed += [event("from a\n", "1"), event("from b\n", "2"), event("nobody's", "3")]
    assert [call.lines[1:] for call in logs.calls(mixed)] == [["from a"], ["from b"]]


def test_no_line_has_a_carriage_return() -> None:
    [call] = logs.calls(event(line) for line in TEXT_CALL)
    assert call.lines[1:4] == ["[ERROR] InvalidMember: a.json record 7: x", "Traceback", "  f"]


def test_a_function_without_a_log_has_no_events() -> None:
    client = Replay("stopped").target.client("logs")
    assert logs.events(client, "/aws/lambda/none", 0, 1) == []

"""Each call is found in a log, whichever of Lambda's formats it has."""

import json
import re

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


# As a rule may print them.
FORGED = [
    "REPORT RequestId: x",
    "REPORT RequestId: \tDuration: \t",
    WARM.replace("42.66", "inf").replace("43 ms", "inf ms"),
    COLD.replace("Max Memory Used", "Memory Used"),
    platform("platform.report"),
    platform(
        "platform.report",
        status="success",
        metrics={"initDurationMs": 1} | {**METRICS, "maxMemoryUsedMB": None},
    ),
    platform("platform.report", status="success", metrics="none"),
    platform("platform.report", status="success", metrics=METRICS | {"durationMs": "long"}),
]


@pytest.mark.parametrize(
    "line",
    ["START RequestId: x Version: 1\n", "members", '{"level": "INFO"}', "[1]", "{", "", *FORGED],
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


# As AWS's framed log holds it: one event, its lines apart by newlines.
AWS_CALL = [
    f"START RequestId: {REQUEST} Version: 1\n",
    f'SEGMENT RequestId: {REQUEST} Key: "scatter/x/job_000.pkl"\n',
    "[ERROR] InvalidMember: a.json record 7: x\na.json record 9: y\n"
    "in this segment: 2 faulty records\nTraceback (most recent call last):\n\xa0 File f\n",
    COLD,
]


def test_an_error_of_several_lines_ends_before_its_traceback() -> None:
    [call] = logs.calls(event(line) for line in AWS_CALL)
    lines = ["a.json record 7: x", "a.json record 9: y", "in this segment: 2 faulty records"]
    assert call.error == ("InvalidMember", "\n".join(lines))
    assert call.lines[-2:] == ["  File f", COLD.rstrip("\n")]


def test_a_segments_call_has_the_key_that_it_logged_first() -> None:
    later = f'SEGMENT RequestId: {REQUEST} Key: "scatter/y/job_001.pkl"\n'
    [call] = logs.calls(event(line) for line in [*AWS_CALL[:2], later, *AWS_CALL[2:]])
    assert call.key == "scatter/x/job_000.pkl"


@pytest.mark.parametrize("line", ["Key: x", "SEGMENT RequestId: a Key: b", "SEGMENT a.pkl"])
def test_other_lines_name_no_segment(line: str) -> None:
    [call] = logs.calls(event(each) for each in [AWS_CALL[0], line])
    assert call.key == ""


def passes(pattern: str, message: str) -> bool:
    """As CloudWatch documents its patterns: `?"a" ?"b"` passes what has one of these texts.

    A term of other signs than letters, digits and _ stands in quotes; `?` goes with no other kind.
    """
    terms = re.findall(r'\?(?:"([^"]+)"|(\w+))', pattern)
    assert " ".join(f'?"{quoted}"' if quoted else f"?{word}" for quoted, word in terms) == pattern
    return any((quoted or word) in message for quoted, word in terms)


@pytest.mark.parametrize("lines", [AWS_CALL, TEXT_CALL, JSON_CALL], ids=["aws", "text", "json"])
def test_the_pattern_passes_all_that_tells_of_a_call_and_nothing_else(lines: list[str]) -> None:
    noise = [
        f"END RequestId: {REQUEST}\n",
        platform("platform.initStart"),
        platform("platform.runtimeDone", status="success"),
        "what an ETL prints\n",
    ]
    assert [passes(logs.CALLS, line) for line in noise] == [False] * len(noise)
    told = [*lines[:1], *noise, *lines[1:]]
    [whole] = logs.calls(event(line) for line in told)
    [passed] = logs.calls(event(line) for line in told if passes(logs.CALLS, line))
    assert passed.report and (passed.key, passed.error, passed.report) == (
        whole.key,
        whole.error,
        whole.report,
    )

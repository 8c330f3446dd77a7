"""A report says what is known, and reads little for it."""

import json
import os
import resource
import time
from pathlib import Path

import pytest

from harness import advice, facts
from harness.advice import ADVICE, BY_MESSAGE
from harness.facts import records_of
from harness.history import Failure, Run
from harness.report import write
from harness.report.view import Content, View
from harness.report.write import KEPT, inline_json
from replay import Replay


def opened(replay: Replay) -> list[str]:
    """The objects that were read, in whole or in part."""
    return [asked["Key"] for operation, asked in replay.asked if operation == "GetObject"]


def test_a_report_reads_neither_the_input_nor_the_workbook() -> None:
    replay = Replay("succeeded")
    content = write.collect(replay.target, replay.run())
    folder = "gather/succeeded"
    segments = {f"{folder}/job_{n:03d}.json" for n in range(3)}
    assert set(opened(replay)) == {"scatter/succeeded/facts.json", f"{folder}/facts.json", *segments}
    assert len(content.facts.first_rows) == 10


def test_the_record_that_broke_costs_the_bytes_of_its_segment() -> None:
    replay = Replay("failed")
    content = write.collect(replay.target, replay.run())
    assert content.record and content.record["会員番号"] == "037"
    [asked] = [asked for _, asked in replay.asked if asked.get("Key") == "failed.json"]
    cut = content.facts.scatter.segments[3] if content.facts.scatter else None
    assert cut and asked["Range"] == f"bytes={cut.start}-{cut.end - 1}"


def test_a_record_of_an_input_that_was_replaced_is_not_shown() -> None:
    replay = Replay("failed")
    replay.recorded["input"]["etag"] = '"another"'
    assert write.collect(replay.target, replay.run()).record is None


def test_a_record_beyond_the_input_is_not_looked_for() -> None:
    replay = Replay("failed")
    found = facts.read(replay.target, replay.run())
    assert facts.record(replay.target, found, ("failed.json", 40)) is None
    assert facts.record(replay.target, found, ("other.json", 3)) is None


@pytest.mark.parametrize("text", ['{"a": "},{"}, {"b": 1}', ' , {"a": "},{"},\n{"b": 1}\n, '])
def test_a_slice_of_an_array_is_its_records(text: str) -> None:
    assert records_of(text.encode()) == [{"a": "},{"}, {"b": 1}]


def test_functions_that_keep_no_facts_cost_one_look() -> None:
    replay = Replay("wide")
    content = write.collect(replay.target, replay.run())
    assert opened(replay) == ["scatter/wide/facts.json"]
    assert (content.facts.columns, content.facts.first_rows) == ([], [])
    assert View(content, "en").cards[1]["values"][0].shown == "unknown"


def test_a_table_of_which_a_segment_is_unknown_has_no_profile() -> None:
    replay = Replay("succeeded")
    del replay.recorded["objects"]["gather/succeeded/job_001.json"]
    content = write.collect(replay.target, replay.run())
    assert (content.facts.columns, len(content.facts.segments)) == ([], 2)


def test_a_report_of_200_segments_takes_less_than_a_second_of_cpu_and_60_mb(tmp_path: Path) -> None:
    """Of its own: what the client library and the recorded answers take is measured without it."""
    replay = Replay("wide")
    run = replay.run()
    before_kb, begun_s = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    write.write(replay.target, run, "en", "wide", tmp_path)
    assert time.process_time() - begun_s < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 60_000


def test_only_the_last_reports_stay(tmp_path: Path) -> None:
    for n in range(KEPT + 3):
        (tmp_path / f"old-{n}.html").touch()
        os.utime(tmp_path / f"old-{n}.html", (n, n))
    (tmp_path / "test.xlsx").touch()
    replay = Replay("stopped")
    write.write(replay.target, replay.run(), "en", "", tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"aborted-scatter.html", "test.xlsx", *(f"old-{n}.html" for n in range(4, KEPT + 3))}


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("kind", ["ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"])
def test_an_execution_that_ended_before_its_first_state_has_a_page(kind: str, language: str) -> None:
    status = {"ExecutionFailed": "FAILED", "ExecutionAborted": "ABORTED", "ExecutionTimedOut": "TIMED_OUT"}
    replay = Replay("stopped")
    first = replay.recorded["events"][0]
    replay.recorded["events"] = [first, {**first, "id": 2, "previousEventId": 1, "type": kind}]
    replay.recorded["described"] |= {"status": status[kind], "name": "夜間集計"}
    view = View(write.collect(replay.target, replay.run()), language)
    assert "夜間集計" in write.html(view)
    assert (view.failure is None) == (kind == "ExecutionAborted")


def test_a_stopped_execution_shows_no_failure() -> None:
    replay = Replay("stopped-in-map")
    view = View(write.collect(replay.target, replay.run()), "en")
    assert (view.outcome, view.failure) == ("stopped", None)


def content_of(run: Run) -> Content:
    return Content(run, facts.Facts("test-bucket"), [], "here")


@pytest.mark.parametrize("language", ["en", "ja"])
def test_advice_speaks_of_a_log_above_only_where_there_is_one(language: str) -> None:
    replay = Replay("init")
    run = replay.run()
    assert run.failure
    run.failure = Failure("Runtime.ExitError", "exit status 1", run.failure.task)
    above = {"en": "its log is above", "ja": "上のとおり"}[language]
    content = content_of(run)
    for log in ([], ["START"]):
        content.log = log
        failure = View(content, language).failure
        assert failure and (above in failure["todo"]) == bool(log)


@pytest.mark.parametrize("error", [*ADVICE, "Unheard.Of"])
def test_each_error_has_advice_in_both_languages(error: str) -> None:
    said = {advice.advice(error, language=language) for language in ("en", "ja")}
    assert len(said) == 2 and not any("{" in text.replace('{"input_obj"', "") for text in said)


@pytest.mark.parametrize("message", BY_MESSAGE)
def test_each_message_has_advice_in_both_languages(message: str) -> None:
    said = {advice.advice("E", f"x {message} y", language=language) for language in ("en", "ja")}
    assert len(said) == 2


@pytest.mark.parametrize(
    ("target", "fix"),
    [
        ("localstack", "raise MEMORY in demo-gather/Makefile"),
        ("aws", "make deploy TARGET=aws PARAMETERS=GatherMemory=…"),
    ],
)
@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("Runtime.OutOfMemory", ""),
        ("Runtime.ExitError", "RequestId: x Error: Runtime exited with error: signal: killed"),
    ],
)
def test_an_out_of_memory_is_told_by_its_message_too(
    error: str, message: str, target: str, fix: str
) -> None:
    assert fix in advice.advice(error, message, stage="gather", target=target)


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", "<!--<script>", "a&b", "\u2028"])
def test_inlined_json_cannot_end_its_element(text: str) -> None:
    encoded = inline_json({text: text})
    assert not set("<>&\u2028\u2029") & set(encoded)
    assert json.loads(encoded) == {text: text}

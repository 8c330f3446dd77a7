"""A report says what is known, and reads little for it."""

import ast
import json
import os
import time
import tracemalloc
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import Make, Pipeline, checked
from harness import advice, facts
from harness.advice import ADVICE, BY_MESSAGE
from harness.facts import Broken, record_of
from harness.report import write
from harness.report.write import KEPT
from harness.settings import RESULT, ROOT
from harness.target import STAGES, emulator
from pipeline.facts.column_profile import Column, Histogram
from pipeline.facts.stages import (
    ObjectFacts,
    ScatterFacts,
    SegmentCut,
    SegmentFacts,
    SummaryFacts,
    WorkbookFacts,
)
from pipeline.facts.table import TableFacts
from pipeline.keys import segment_facts_key
from pipeline.s3.signed import signature
from replay import Missing, Replay


def opened(replay: Replay) -> list[str]:
    """The objects that were read, in whole or in part."""
    return [asked["Key"] for operation, asked in replay.asked if operation == "GetObject"]


def test_a_report_reads_neither_the_input_nor_the_workbook() -> None:
    replay = Replay("succeeded")
    view = replay.view()
    assert opened(replay) == ["scatter/succeeded/facts.json", "gather/succeeded/facts.json"]
    assert view.facts.workbook and len(view.facts.workbook.first_rows) == 10


@pytest.mark.parametrize("counted_bytes", [1 << 20, 0])
def test_the_record_that_broke_costs_the_text_to_the_end_of_its_block_or_the_block_alone(
    counted_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(facts.COUNTED_BYTES, True, counted_bytes)
    replay = Replay("failed")
    view = replay.view()
    assert view.broken.record and view.broken.record["会員番号"] == "037"
    assert view.broken.segment == 3
    assert view.facts.scatter
    [read] = view.facts.scatter.objects
    [asked] = [asked for _, asked in replay.asked if asked.get("Key") == "failed.json"]
    start = 0 if counted_bytes else read.index[3][0]
    assert asked["Range"] == f"bytes={start}-{read.size - 1}"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("failed", "Record 37 of failed.json broke the run."),
        ("out-of-memory", "Segment 0 failed."),
    ],
)
def test_a_page_says_first_what_failed(name: str, sentence: str) -> None:
    assert f'<p class="sentence">{sentence}</p>' in write.html(Replay(name).view())


def test_a_record_of_an_input_that_was_replaced_is_not_shown() -> None:
    replay = Replay("failed")
    replay.recorded["input"]["etag"] = '"another"'
    assert replay.view().broken == Broken(segment=3)


def test_a_record_beyond_the_input_is_not_looked_for() -> None:
    replay = Replay("failed")
    scatter = facts.read_scatter(replay.target, replay.run())
    for record in (("failed.json", 40), ("other.json", 3), None):
        assert facts.broken(replay.target, scatter, record) == Broken()


@pytest.mark.parametrize("end", ["", " ]", ',{"cut o'])
@pytest.mark.parametrize("text", ['{"a": "},{"}, {"b": 1}', ' , {"a": "},{"},\n{"b": 1}'])
def test_a_record_is_found_in_a_slice_of_an_array(text: str, end: str) -> None:
    given = ObjectFacts("a.json", 0, "e", 2, [(0, 0)])
    assert record_of((text + end).encode(), 1, given) == ({"b": 1}, text.count("\n"))


KEY, ANOTHER = "0f" * 32, "f0" * 32


def signed(replay: Replay, key: str = KEY) -> Replay:
    """The functions have the key KEY, and what they wrote is signed with one.

    Args:
        key: of the signatures.
    """
    for function in replay.recorded["functions"].values():
        function["Environment"] = {"Variables": {"SIGNING_KEY": KEY}}
    replay.recorded["metadata"] = {
        name: {"signature": signature(bytes.fromhex(key), name, json.dumps(told).encode())}
        for name, told in replay.recorded["objects"].items()
    }
    return replay


def test_what_the_functions_signed_is_told_without_a_doubt() -> None:
    replay = signed(Replay("succeeded"))
    view = replay.view()
    assert view.facts.workbook and view.facts.doubts == []
    assert 'id="unchecked"' not in write.html(view) and 'id="refused"' not in write.html(view)


def test_what_another_wrote_is_named_and_not_told() -> None:
    """Changed, not signed, signed with another key, and signed for another place."""
    facts_of = "gather/succeeded/facts.json"
    faulty = {name: signed(Replay("succeeded")) for name in ("changed", "unsigned", "moved")}
    faulty["changed"].recorded["objects"][facts_of]["rows"] = 31
    del faulty["unsigned"].recorded["metadata"][facts_of]
    metadata = faulty["moved"].recorded["metadata"]
    metadata[facts_of] = metadata["scatter/succeeded/facts.json"]
    faulty["another key"] = signed(Replay("succeeded"), ANOTHER)
    said = {}
    for name, replay in faulty.items():
        view = replay.view()
        assert view.facts.workbook is None and "長野原" not in write.html(view)
        said[name] = view.facts.doubts
        assert said[name][0] in write.html(view)
    rule = f"{facts_of}: must be signed by this deployment; found"
    assert said["changed"] == said["moved"] == [f"{rule} another"]
    assert said["unsigned"] == [f"{rule} none"]
    assert said["another key"] == [
        "scatter/succeeded/facts.json: must be signed by this deployment; found another"
    ]


def test_of_many_objects_that_are_refused_a_few_are_named() -> None:
    replay = signed(Replay("failed"))
    objects, metadata = replay.recorded["objects"], replay.recorded["metadata"]
    told = objects["scatter/failed/facts.json"]
    cut = told["segments"][0]
    told["segments"] = [{**cut, "key": f"scatter/failed/job_{n:03d}.pkl"} for n in range(5)]
    for n in range(5):
        objects[f"gather/failed/job_{n:03d}.json"] = objects["gather/failed/job_000.json"]
    metadata.clear()
    metadata |= signed(Replay("failed", objects={"scatter/failed/facts.json": told})).recorded[
        "metadata"
    ]
    found = facts.read(replay.target, replay.run())
    assert (found.segments, len(found.refused)) == ({}, 5)
    assert len(found.doubts) == 4 and found.doubts[-1] == "and 2 more"


class Denied(Replay):
    """To an account that may not read how functions are configured."""

    def GetFunctionConfiguration(self, asked: dict[str, Any]) -> dict[str, Any]:
        raise Missing("AccessDeniedException")


def of_functions(environment: dict[str, Any]) -> Replay:
    replay = signed(Replay("succeeded"))
    for function in replay.recorded["functions"].values():
        function["Environment"] = environment
    return replay


@pytest.mark.parametrize(
    ("replay", "why"),
    [
        (of_functions({"Variables": {}}), "no SIGNING_KEY"),
        (of_functions({"Error": {"ErrorCode": "KMSAccess", "Message": "x"}}), "KMSAccess"),
        (of_functions({"Variables": {"SIGNING_KEY": "0f"}}), "must be 64 hex digits; found 2"),
        (Denied("succeeded"), "AccessDeniedException"),
        (Replay("succeeded", functions={}), "ResourceNotFoundException"),
    ],
)
def test_what_could_not_be_checked_is_told_with_why(replay: Replay, why: str) -> None:
    for language in ("en", "ja"):
        view = replay.view(language)
        assert view.facts.workbook
        [doubt] = view.facts.doubts
        assert doubt.startswith("not checked") and why in doubt
        [line] = [each for each in write.html(view).splitlines() if 'id="unchecked"' in each]
        assert why in line


def test_the_key_is_that_of_the_versions_that_an_execution_called() -> None:
    replay = signed(Replay("succeeded"))
    for event in replay.recorded["events"]:
        if event["type"] == "LambdaFunctionScheduled":
            event["lambdaFunctionScheduledEventDetails"]["resource"] += ":7"
    functions = replay.recorded["functions"]
    replay.recorded["functions"] = {f"{name}:7": found for name, found in functions.items()} | {
        name: {"Environment": {"Variables": {"SIGNING_KEY": ANOTHER}}} for name in functions
    }
    found = facts.read(replay.target, replay.run())
    assert found.workbook and found.doubts == []


def test_functions_that_keep_no_facts_cost_one_look() -> None:
    replay = Replay("wide")
    view = replay.view()
    assert opened(replay) == ["scatter/wide/facts.json"]
    assert view.facts.workbook is None
    assert '<dt>Rows in → out</dt><dd><span class="unknown">unknown<' in write.html(view)


def test_segments_of_a_failed_execution_tell_what_they_did() -> None:
    replay = Replay("failed")
    view = replay.view()
    keys = [f"scatter/failed/job_{n:03d}.pkl" for n in range(3)]
    assert {key: facts.rows_out for key, facts in view.facts.segments.items()} == dict.fromkeys(
        keys, 10
    )
    assert view.facts.workbook is None


def test_a_workbook_of_functions_that_told_less_has_its_size_and_no_profile() -> None:
    replay = Replay("succeeded")
    told = replay.recorded["objects"]["gather/succeeded/facts.json"]
    for name in ("profile", "first_rows", "segments"):
        del told[name]
    view = replay.view()
    workbook = view.facts.workbook
    assert workbook and (workbook.rows, workbook.profile, view.facts.segments) == (30, [], {})


def of_five_million_rows() -> Replay:
    """200 segments, whose functions told of 25,000 rows each."""
    replay = Replay("wide")
    keys = [f"scatter/wide/job_{n:03d}.pkl" for n in range(200)]
    cuts = [SegmentCut(key, 25_000, 3_000_000) for key in keys]
    bins = Histogram(1, {n: 625 for n in range(40)})
    numbers = [Column(name, {"numbers": 25_000}, 0, 0, 80, bins, {}, True) for name in "abc"]
    few = Column("rank", {"numbers": 25_000}, 0, 1, 5, bins, {str(n): 5_000 for n in range(5)})
    texts = [Column(name, {"texts": 25_000}, many=True) for name in ("x", "y")]
    rows = [["name " * 5] * 6] * 10
    segment = SegmentFacts(25_000, 25_000, [*numbers, few, *texts], rows, 3_000_000)
    told: dict[str, ScatterFacts | WorkbookFacts | SegmentFacts] = {
        segment_facts_key(key.replace("scatter", "gather")): segment for key in keys
    }
    told["scatter/wide/facts.json"] = ScatterFacts(
        "wide.json",
        5_000_000,
        cuts,
        [ObjectFacts("wide.json", 700_000_000, "e", 5_000_000, [(1, 0)])],
    )
    whole = TableFacts()
    for _ in keys:
        whole.add(segment)
    groups = [["name " * 5, *range(n, n + 5)] for n in range(200)]
    summary = SummaryFacts("by name", [*"abcdef"], 1, 1_000_000, None, groups, groups[0])
    gathered = whole.facts("wide.xlsx", 140_000_000, 5_000_000, [], ["Sheet1"])
    told["gather/wide/facts.json"] = replace(gathered, summaries=[summary] * 10)
    replay.recorded["objects"] = {key: json.loads(facts.to_json()) for key, facts in told.items()}
    return replay


def test_a_report_of_five_million_rows_takes_a_second_and_60_mb_at_most(tmp_path: Path) -> None:
    replay = of_five_million_rows()
    begun_s = time.process_time()
    path = write.write(replay.view(), "", tmp_path)
    assert time.process_time() - begun_s < 1
    assert "The first 200 of 1,000,000 rows" in path.read_text()
    assert len(opened(replay)) == 2
    tracemalloc.start()  # which takes time
    write.write(replay.view(), "", tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60_000_000


def test_a_lone_surrogate_of_the_data_is_shown_as_its_escape(tmp_path: Path) -> None:
    replay = Replay("failed")
    view = replay.view()
    view.run.tasks[0].state = "\ud801"
    path = write.write(view, "", tmp_path)
    page = path.read_text(encoding="utf-8")
    data = page.partition('<script type="application/json" id="data">')[2].partition("</script>")[0]
    assert "\ud801" in {row["label"] for row in json.loads(data)["rows"]}
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_page_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*paths: Path) -> None:
        raise OSError(28, "No space left on device")

    view = Replay("failed").view()
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write.write(view, "", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_only_the_last_reports_stay(tmp_path: Path) -> None:
    for n in range(KEPT + 3):
        (tmp_path / f"old-{n}.html").touch()
        os.utime(tmp_path / f"old-{n}.html", (n, n))
    (tmp_path / "test.xlsx").touch()
    write.write(Replay("stopped").view(), "", tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {
        "aborted-scatter.html",
        "test.xlsx",
        *(f"old-{n}.html" for n in range(4, KEPT + 3)),
    }


def test_a_page_that_another_run_just_removed_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "gone.html").symlink_to(tmp_path / "nowhere")
    path = write.write(Replay("stopped").view(), "", tmp_path)
    assert path.is_file()


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("ExecutionFailed", "FAILED"),
        ("ExecutionAborted", "ABORTED"),
        ("ExecutionTimedOut", "TIMED_OUT"),
    ],
)
def test_an_execution_that_ended_before_its_first_state_has_a_page(kind: str, status: str) -> None:
    replay = Replay("stopped")
    first = replay.recorded["events"][0]
    replay.recorded["events"] = [first, {**first, "id": 2, "previousEventId": 1, "type": kind}]
    replay.recorded["described"] |= {"status": status, "name": "夜間集計"}
    view = replay.view("ja")
    run = view.run
    assert (run.stages, run.tasks, run.elapsed_s) == ({}, [], 0)
    page = write.html(view)
    assert "夜間集計" in page
    assert (run.failure is None) == (kind == "ExecutionAborted")
    assert ("この実行 が失敗しました。" in page) == (run.failure is not None)


def test_an_execution_whose_name_is_not_ascii_gets_its_report(
    pipeline: Pipeline, make: Make
) -> None:
    name = f"夜間集計-{uuid.uuid4()}"
    arn = pipeline.states.start_execution(
        stateMachineArn=emulator().machine(),
        name=name,
        input=json.dumps({"input_obj": pipeline.put([])}),
    )["executionArn"]
    assert pipeline.wait(arn)["status"] == "SUCCEEDED"
    checked(make("report", f"EXECUTION={name}"))
    assert name in (RESULT / f"{name}.html").read_text()


@pytest.mark.parametrize(("language", "above"), [("en", "its log is above"), ("ja", "上のとおり")])
@pytest.mark.parametrize("logged", [True, False])
def test_advice_speaks_of_a_log_above_only_where_there_is_one(
    language: str, above: str, logged: bool
) -> None:
    said = advice.advice("Runtime.ExitError", "exit status 1", logged=logged, language=language)
    assert (above in said) == logged


# The library catches the first four itself; NotATable ends an execution as a success.
UNSEEN = {"Broken", "InvalidFormula", "NoCell", "TooLong", "NotATable"}


def test_each_error_of_the_functions_own_has_advice() -> None:
    handlers = [ROOT / f"demo-{stage}" / f"{stage}.py" for stage in STAGES]
    library = [
        path for path in (ROOT / "utils" / "pipeline").rglob("*.py") if "tests" not in path.parts
    ]
    own = {
        node.name
        for path in handlers + library
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and {ast.unparse(base) for base in node.bases} & {"ValueError", "RuntimeError"}
    }
    assert own - ADVICE.keys() == UNSEEN


@pytest.mark.parametrize(
    ("error", "message"),
    [*((error, "") for error in [*ADVICE, "Unheard.Of"]), *(("E", text) for text in BY_MESSAGE)],
)
def test_each_error_has_advice_in_both_languages(error: str, message: str) -> None:
    said = {advice.advice(error, message, language=language) for language in ("en", "ja")}
    assert len(said) == 2 and not any("{" in text for text in said)


FULL = "exception while calling s3.PutObject: [Errno 28] No space left on device"
KILLED = "RequestId: x Error: Runtime exited with error: signal: killed"
HERE, STACK, AWS = "", " TARGET=stack STACK=x", " TARGET=aws STACK=x REGION=y"
MAKEFILE = "raise MEMORY in demo-gather/Makefile"
PARAMETER = "make deploy TARGET=stack STACK=x PARAMETERS=GatherMemory=…"


@pytest.mark.parametrize(
    ("error", "message", "flags", "said"),
    [
        ("InternalError", FULL, HERE, "the disk is full that holds "),
        ("InternalError", FULL, STACK, "the disk is full that holds "),
        ("InternalError", FULL, AWS, "raise the gather's /tmp"),
        ("Runtime.OutOfMemory", "", HERE, MAKEFILE),
        ("Runtime.OutOfMemory", "", STACK, PARAMETER),
        ("Runtime.ExitError", KILLED, HERE, MAKEFILE),
        ("Runtime.ExitError", KILLED, STACK, PARAMETER),
        ("SlowDown", "", HERE, "fewer segments at once: MaxConcurrency in state-machine/*.json"),
        (
            "SlowDown",
            "",
            AWS,
            "make deploy TARGET=aws STACK=x REGION=y PARAMETERS=MaxConcurrency=…",
        ),
    ],
)
def test_advice_goes_by_the_message_and_by_where_the_stage_runs(
    error: str, message: str, flags: str, said: str
) -> None:
    assert said in advice.advice(error, message, stage="gather", flags=flags)


@pytest.mark.parametrize(
    ("status", "said"), [("RUNNING", "Not written yet."), ("ABORTED", "This execution wrote none.")]
)
def test_a_workbook_is_still_to_come_while_an_execution_runs(status: str, said: str) -> None:
    view = Replay("succeeded").view()
    view.run.status = status
    assert said in write.html(view)


def test_a_workbook_that_a_later_upload_took_the_place_of_is_said() -> None:
    replay = Replay("succeeded")
    said = "not written: a later upload&#39;s stands there, or will"
    assert said not in write.html(replay.view())
    replay.recorded["objects"]["gather/succeeded/facts.json"]["later"] = True
    assert said in write.html(replay.view())


def test_a_table_of_many_objects_is_counted() -> None:
    replay = Replay("succeeded")
    told = replay.recorded["objects"]["scatter/succeeded/facts.json"]
    told |= {"input_obj": "sales/", "passed_over": 2}
    assert "（1 オブジェクト、対象外 2）" in write.html(replay.view("ja"))

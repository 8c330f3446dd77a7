"""What `make stepfunctions` says of an execution that did not succeed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import run, uploads
from harness.advice import advice
from harness.fault import Fault
from harness.target import Target, emulator
from replay import Replay


def screen(name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    run.explain(Replay(name).view())
    return capsys.readouterr().out.splitlines()


def named(lines: list[str]) -> dict[str, str]:
    """The first line of each kind."""
    found: dict[str, str] = {}
    for line in lines:
        name, _, text = line.partition(" ")
        found.setdefault(name, text.strip())
    return found


def test_a_failure_is_one_story(capsys: pytest.CaptureFixture[str]) -> None:
    lines = screen("two-faulty", capsys)
    said = named(lines)
    assert said["stage"] == "segment (segment-lambda)"
    assert said["segment"] == "number 1, counted from 0; 2 of 4 failed"
    assert said["input"] == '"scatter/two-broken/job_001.pkl"'
    assert said["error"] == "InvalidMember"
    assert said["cause"] == "two-broken.json record 17: 会員ランク must be 1 to 5; found 9"
    assert lines[6:8] == [
        "cause    two-broken.json record 37: 会員ランク must be 1 to 5; found 8",
        "faulty   2 records in the segments that had finished",
    ]
    log = [line.removeprefix("log      ") for line in lines if line.startswith("log ")]
    assert log[0].startswith("START RequestId: ") and log[-1].startswith("REPORT ")
    assert log[1:4] == [
        f"[ERROR] InvalidMember: {said['cause']}",
        "Traceback (most recent call last):",
        '  File "/var/task/lambda.py", line 10, in lambda_handler',
    ]
    assert said["to"].startswith("do    correct that record in the input object, and start again")
    assert len(lines) < 40


def test_a_segment_left_out_is_the_story_of_its_gather(capsys: pytest.CaptureFixture[str]) -> None:
    lines = screen("distributed-failed", capsys)
    said = named(lines)
    assert any(line.startswith("log      [ERROR] InvalidMember") for line in lines)
    assert said["stage"] == "segment (segment-lambda)"
    assert said["segment"] == "number 3, counted from 0; 1 of 4 failed"
    assert said["error"] == "InvalidMember"
    assert said["then"].startswith("MissingSegment: gather/distributed-failed/job_003.pkl")


@pytest.mark.parametrize("name", ["stopped", "stopped-in-map"])
def test_an_execution_stopped_by_hand_is_said_to_be_stopped(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    [line] = screen(name, capsys)
    assert line.startswith("STOPPED after 4.") and "execution aborted" in line


def test_a_file_takes_the_place_of_the_inputs_object() -> None:
    given = {"division_number": 7}
    assert run.check_input(given, uploads.find("a/b.csv.gz")) == {
        "input_obj": "b.csv.gz",
        "division_number": 7,
    }
    assert given == {"division_number": 7}


def test_what_is_typed_is_a_field_of_the_input_unless_it_has_one() -> None:
    typed = {"etl": "orders", "sheets": "summaries"}
    assert run.check_input(None, None, **typed) == typed
    assert run.check_input({"sheets": "summaries"}, None, etl="", sheets="") == {
        "sheets": "summaries"
    }
    for name, variable in (("etl", "ETL"), ("sheets", "SHEETS")):
        with pytest.raises(
            Fault, match=f"^INPUT: must name no {name} beside {variable}; found 'x'"
        ):
            run.check_input({name: "x"}, None, **typed)


@pytest.mark.parametrize(
    ("given", "file", "said"),
    [
        pytest.param([1], "", r"INPUT: must be a JSON object; found \[1\]", id="no object"),
        pytest.param(
            {"input_obj": "a.json"}, "b.json", "no input_obj beside FILE; found 'a.json'", id="two"
        ),
        pytest.param(
            json.loads('{"division_number": 1e400}'),
            "",
            "INPUT: must hold finite numbers; found {'division_number': inf}",
            id="1e400",
        ),
        pytest.param(
            {}, "a.xls", r"FILE: must end in \.json, .*; found 'a.xls'", id="a workbook of before"
        ),
        pytest.param({}, "b/a.txt", r"FILE: must end in \.json, .*; found 'b/a.txt'", id="a .txt"),
        pytest.param(
            {}, "a" * 251 + ".csv", "its name must have at most 255 bytes.*; found 256", id="long"
        ),
    ],
)
def test_an_input_that_cannot_be_meant_is_refused(given: object, file: str, said: str) -> None:
    with pytest.raises(Fault, match=said):
        run.check_input(given, uploads.find(file) if file else None)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        pytest.param(
            "a" * 1020 + ".csv", "whose key has at most 1,024 bytes; found 1,025", id="long"
        ),
        pytest.param("漢" * 340, "whose key has at most 1,024 bytes; found 1,025", id="no end"),
        pytest.param("\ud801.json", r'must be UTF-8; found "\\ud801.xlsx"', id="a lone surrogate"),
        pytest.param(5, "must be the key of an object; found 5", id="a number"),
        pytest.param("", 'must be the key of an object; found ""', id="empty"),
    ],
)
def test_an_object_that_cannot_have_a_workbook_is_refused_before_anything_is_called(
    key: object, said: str
) -> None:
    target = Target("localstack", "000000000000", "us-east-1", nothing)
    with pytest.raises(Fault, match=f"INPUT: input_obj .*{said}"):
        run.check_object(target, {"input_obj": key})


def nothing(service: str) -> None:
    raise AssertionError(f"{service} was called")


@pytest.mark.parametrize("language", ["en", "ja"])
def test_what_is_not_utf_8_alone_is_advised_to_be_cp932(language: str) -> None:
    utf_16, other, quote = (
        advice("InvalidCSV", f"orders.csv line 1: {fault}", language=language)
        for fault in (
            "must be UTF-8; found UTF-16 or UTF-32",
            "must be UTF-8; found byte 0x8a",
            "a quote must end its cell; found more of it behind",
        )
    )
    marked = "orders.csv line 1: must be CP932; found the byte order mark of UTF-8"
    assert '"encoding"' in advice("InvalidCSV", marked, language=language)
    assert "CSV UTF-8" in utf_16 and "cp932" not in utf_16
    assert "cp932" in other
    assert "cp932" not in quote


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param(
            "gone.json",
            "be a file, a folder or a pattern of files; found '.*/gone.json'",
            id="none",
        ),
        pytest.param("", "hold a table; found nothing in", id="an empty folder"),
        pytest.param(
            "*.csv", "hold a table; found nothing in '.*/[*].csv'", id="a pattern of none"
        ),
    ],
)
def test_what_is_no_file_is_refused_before_anything_is_called(
    name: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(Fault, match=f"^FILE: must {said}"):
        uploads.upload(emulator(), str(tmp_path / name))


def test_a_file_that_is_not_named_is_not_the_folder_that_make_runs_in() -> None:
    with pytest.raises(Fault, match="^FILE: must be a file, a folder or a pattern .*; found ''$"):
        uploads.find("")


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    """A folder of tables and of other things."""
    for name in ("1.csv", "2.json.gz", "a b/3.csv", "_SUCCESS", "x.txt", "b/_c/4.csv"):
        path = tmp_path / "sales" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a\n1\n")
    return tmp_path / "sales"


FILES: dict[str, tuple[str, str, list[str], dict[str, Any], int]] = {
    "a folder": (
        "{}",
        "",
        ["sales/1.csv", "sales/2.json.gz", "sales/a b/3.csv"],
        {"input_obj": "sales/"},
        3,
    ),
    "a folder's key": ("{}/a b/", "in/11", ["in/11/3.csv"], {"input_obj": "in/11/"}, 0),
    "a pattern": ("{}/*.csv", "", ["sales/1.csv"], {"input_obj": "sales/*.csv"}, 0),
    "any steps": (
        "{}/**/*.csv",
        "",
        ["sales/1.csv", "sales/a b/3.csv"],
        {"input_obj": "sales/**/*.csv"},
        1,
    ),
    "several files": (
        "{}/2.json.gz '{}/a b/3.csv'",
        "",
        ["2/2.json.gz", "2/3.csv"],
        {"input_obj": ["2/2.json.gz", "2/3.csv"], "workbook": "2.xlsx"},
        0,
    ),
    "a name with a space": ("{}/a b/3.csv", "", ["3.csv"], {"input_obj": "3.csv"}, 0),
    "a quoted name": ("'{}/a b/3.csv'", "", ["3.csv"], {"input_obj": "3.csv"}, 0),
}


@pytest.mark.parametrize(("file", "key", "keys", "given", "others"), FILES.values(), ids=FILES)
def test_files_of_the_disk_are_uploaded_and_run_on_by_one_rule(
    sales: Path, file: str, key: str, keys: list[str], given: dict[str, Any], others: int
) -> None:
    found = uploads.find(file.format(sales, sales), key)
    assert (list(found.files), found.given, found.passed_over) == (keys, given, others)
    assert [path.name for path in found.files.values()] == [Path(each).name for each in keys]
    assert run.check_input({"division_number": 7}, found) == {**given, "division_number": 7}


def test_two_files_of_one_name_are_refused(sales: Path) -> None:
    (sales / "b" / "1.csv").write_text("a\n")
    with pytest.raises(
        Fault, match="^FILE: each file must have another name; found '1.csv' again$"
    ):
        uploads.find(f"{sales}/1.csv {sales}/b/1.csv")


def test_a_workbooks_sheets_and_summaries_are_said() -> None:
    said = {}
    for name in ("succeeded", "retried"):
        workbook = Replay(name).view().facts.workbook
        assert workbook
        said[name] = run.contents(workbook)
    assert said == {
        "succeeded": "30 rows; 2 sheets with 1 summary: Sheet1, 会員ランク別",
        "retried": "60 rows; 4 sheets with 3 summaries: Sheet1, 日別, 割合, 会員別",
    }
    assert workbook
    alone = replace(workbook, sheets=["日別"], summaries=workbook.summaries[:1], table=False)
    assert run.contents(alone) == "60 rows, not in the workbook; 1 sheet with 1 summary: 日別"
    listed = replace(alone, sheets=["日別", "Rejects"], rejects=1)
    assert "in the workbook, 1 faulty record left out; 2 sheets" in run.contents(listed)

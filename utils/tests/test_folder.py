"""Whole executions on tables of several objects."""

import gzip
import itertools
import json
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from conftest import ROOT, Make, Pipeline, checked
from harness import run, uploads
from harness.fault import Fault
from harness.target import MACHINES, emulator
from test_pipeline import EXAMPLE, expected, failed
from utils import members

LINES = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in EXAMPLE[1:])
FIRST: list[list[Any]] = [[*EXAMPLE[0]], [*EXAMPLE[0].values()]]
CSV = "\r\n".join(",".join(map(str, row)) for row in FIRST)


def put(pipeline: Pipeline, **objects: bytes) -> str:
    """Write the objects of a folder of their own; returns it."""
    folder = f"{uuid.uuid4()}/"
    for name, body in objects.items():
        pipeline.s3.put_object(Bucket=emulator().bucket, Key=folder + name, Body=body)
    return folder


def test_a_folder_of_any_formats_makes_the_workbook_of_one_object(pipeline: Pipeline) -> None:
    packed = gzip.compress(LINES.encode())
    folder = put(pipeline, **{"a.csv": CSV.encode(), "b.jsonl.gz": packed, "_SUCCESS": b""})
    execution = pipeline.run(input_obj=folder)
    assert json.loads(execution["output"]) == folder[:-1] + ".xlsx"
    assert pipeline.rows(execution) == expected(EXAMPLE)


def test_a_folder_has_the_summaries_of_one_object(pipeline: Pipeline) -> None:
    table = [*members(40)]
    parts = {f"{n}.json": json.dumps(table[10 * n : 10 * n + 10]).encode() for n in range(4)}
    folder = pipeline.run(input_obj=put(pipeline, **parts), division_number=15)
    whole = pipeline.run(input_obj=pipeline.put(table), division_number=15)
    for sheet in ("Sheet1", "会員ランク別"):
        assert pipeline.rows(folder, sheet) == pipeline.rows(whole, sheet)


def test_rejects_of_a_folder_name_object_and_record(pipeline: Pipeline) -> None:
    faulty = [EXAMPLE[0], {**EXAMPLE[1], "会員ランク": 9}]
    folder = put(
        pipeline, **{"a.json": json.dumps(EXAMPLE).encode(), "b.json": json.dumps(faulty).encode()}
    )
    execution = pipeline.run(input_obj=folder, rejects="sheet", source_column="ファイル")
    header, *rows = pipeline.rows(execution, "Rejects")
    assert header[:5] == ("object", "record", "column", "rule", "found")
    assert [row[:3] for row in rows] == [(f"{folder}b.json", 1, "会員ランク")]
    names = [row[0] for row in pipeline.rows(execution)]
    assert names == ["ファイル", *[f"{folder}a.json"] * 3, f"{folder}b.json"]


def test_a_faulty_record_of_a_folder_is_named_by_object_record_and_line(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty = LINES + json.dumps({**EXAMPLE[0], "会員ランク": 9}) + "\n"
    objects: dict[str, Any] = {
        "a.jsonl": LINES.encode(),
        "b.jsonl.gz": gzip.compress(faulty.encode()),
    }
    folder = put(pipeline, **objects)
    said = failed(capsys, input_obj=folder)
    assert f"{folder}b.jsonl.gz record 2: 会員ランク must be 1 to 5; found the number 9" in said
    assert "line     3, where that record begins" in said
    page = next(line for line in said.splitlines() if line.endswith(".html"))
    text = Path(page).read_text()
    assert f"Record 2 of {folder}b.jsonl.gz broke the run." in text
    assert "It begins on line 3 of the file." in text
    assert "(2 objects; 0 passed over)" in text


def test_the_closing_lines_count_objects_and_what_was_passed_over(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = put(
        pipeline, **{"a.json": json.dumps(EXAMPLE).encode(), "_SUCCESS": b"", "x.txt": b""}
    )
    run.run(emulator(), {"input_obj": folder})
    assert "1 object, 2 passed over" in capsys.readouterr().out
    key = folder[:-1] + ".xlsx"
    there = pipeline.s3.head_object(Bucket=emulator().bucket, Key=key)
    assert there["Metadata"] == {"made-by": "scatter-gather", "input": folder}


def test_a_list_names_its_workbook(pipeline: Pipeline) -> None:
    keys = [pipeline.put(EXAMPLE[2:]), pipeline.put(EXAMPLE[:2])]
    workbook = f"{uuid.uuid4()}.xlsx"
    execution = pipeline.run(input_obj=keys, workbook=workbook)
    assert json.loads(execution["output"]) == workbook
    assert pipeline.rows(execution) == expected([EXAMPLE[2], *EXAMPLE[:2]])


def put_days(pipeline: Pipeline) -> tuple[str, list[date]]:
    """An object for today and one for tomorrow, which may come while a test runs; returns their folder."""
    days = [datetime.now(UTC).date() + timedelta(days=n) for n in range(2)]
    table = json.dumps(EXAMPLE).encode()
    return put(pipeline, **{f"{day:%Y/%m/%d}.json": table for day in days}), days


@pytest.mark.parametrize("definition", MACHINES)
def test_a_date_in_a_key_is_that_of_the_executions_start(
    pipeline: Pipeline, definition: str
) -> None:
    folder, _ = put_days(pipeline)
    given = {"input_obj": folder + "{today:%Y/%m/%d}.json", "workbook": folder + "{yesterday}.xlsx"}
    execution = pipeline.run(definition, **given)
    day = execution["startDate"].astimezone(UTC).date() - timedelta(days=1)
    assert json.loads(execution["output"]) == f"{folder}{day}.xlsx"
    assert pipeline.rows(execution) == expected(EXAMPLE)


def test_dates_are_filled_from_the_command_line_and_what_is_none_is_named(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, days = put_days(pipeline)
    run.run(emulator(), {"input_obj": folder + "{today:%Y/%m/%d}.json"})
    said = capsys.readouterr().out
    assert any(f"{folder}{day:%Y/%m/%d}.xlsx" in said for day in days)
    said = failed(capsys, input_obj=folder + "{tomorrow}/")
    assert "error    InvalidEvent" in said
    assert "input_obj: a date in braces must be {today}" in said
    assert 'found the text "{tomorrow}"' in said


def daily(folder: Path, count: int) -> list[dict[str, Any]]:
    """Write a packed CSV file a day; returns all of their records."""
    folder.mkdir()
    table = [*members(2 * count, seed=1)]
    for day, records in enumerate(itertools.batched(table, 2)):
        rows = [",".join(records[0]), *(",".join(map(str, each.values())) for each in records)]
        name = f"{date(2024, 1, 1) + timedelta(day)}.csv.gz"
        (folder / name).write_bytes(gzip.compress("\n".join(rows).encode()))
    return table


def test_one_command_makes_a_workbook_of_a_month_of_daily_files(
    pipeline: Pipeline, make: Make, tmp_path: Path
) -> None:
    name = f"sales-{uuid.uuid4()}"
    table = daily(tmp_path / name, 31)
    said = checked(make("stepfunctions", f"FILE={tmp_path / name}/"))
    assert f"s3://{emulator().bucket}/{name}/: 31 files" in said
    assert "31 objects, 0 passed over" in said
    path = ROOT / "result" / f"{name}.xlsx"
    try:
        rows = [*load_workbook(path)["Sheet1"].values]
    finally:
        path.unlink()
    assert rows == expected(table)


def test_what_an_earlier_upload_left_in_a_folder_is_not_read_unasked(
    pipeline: Pipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / f"sales-{uuid.uuid4()}"
    daily(folder, 2)
    uploads.upload(emulator(), str(folder))
    (folder / "2024-01-01.csv.gz").unlink()
    left = f"found s3://{emulator().bucket}/{folder.name}/2024-01-01.csv.gz\n"
    with pytest.raises(Fault, match=left):
        run.run(emulator(), file=str(folder))
    run.run(emulator(), file=f"{folder}/*-02.csv.gz")
    (ROOT / "result" / f"{folder.name}.xlsx").unlink()
    assert "1 object, 0 passed over" in capsys.readouterr().out


def test_every_branchs_workbook_makes_one(pipeline: Pipeline, tmp_path: Path) -> None:
    """Again, too: the folder then holds the workbook of the run before, which is no branch's."""
    folder = f"{uuid.uuid4()}/"
    for number, member in enumerate(EXAMPLE):
        book = Workbook()
        for row in ([*member], [*member.values()]):
            book.worksheets[0].append(row)
        book.save(tmp_path / "branch.xlsx")
        key = f"{folder}{number}.xlsx"
        pipeline.s3.upload_file(str(tmp_path / "branch.xlsx"), emulator().bucket, key)
    workbook = f"{folder}all.xlsx"
    for _ in range(2):
        execution = pipeline.run(input_obj=folder, workbook=workbook)
        assert pipeline.rows(execution) == expected(EXAMPLE)


def test_days_of_a_workbook_stay_days(pipeline: Pipeline, tmp_path: Path) -> None:
    book = Workbook()
    member = {**EXAMPLE[0], "タイムスタンプ": datetime(2026, 11, 27, 6, 30)}
    for row in ([*member], [*member.values()]):
        book.worksheets[0].append(row)
    book.save(tmp_path / "days.xlsx")
    key = pipeline.put((tmp_path / "days.xlsx").read_bytes(), ".xlsx")
    execution = pipeline.run(input_obj=key, workbook=f"made-{key}")
    assert pipeline.rows(execution)[1][4] == datetime(2026, 11, 27, 6, 30)


def test_a_folder_may_lie_in_another_bucket(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """The record that broke is found there, too."""
    other, folder = f"other-{uuid.uuid4()}", f"{uuid.uuid4()}/"
    pipeline.s3.create_bucket(Bucket=other)
    pipeline.s3.put_object(Bucket=other, Key=f"{folder}1.jsonl", Body=LINES.encode())
    execution = pipeline.run(input_obj=folder, input_bucket=other)
    assert pipeline.rows(execution) == expected(EXAMPLE[1:])
    faulty = LINES + json.dumps({**EXAMPLE[0], "会員ランク": 9}) + "\n"
    pipeline.s3.put_object(Bucket=other, Key=f"{folder}2.jsonl", Body=faulty.encode())
    said = failed(capsys, input_obj=folder, input_bucket=other)
    assert f"{folder}2.jsonl record 2: 会員ランク must be 1 to 5" in said
    assert "line     3, where that record begins" in said
    [key] = [each["Key"] for each in pipeline.s3.list_objects_v2(Bucket=other)["Contents"]][:1]
    single = pipeline.run(input_obj=key, input_bucket=other)
    assert pipeline.rows(single) == expected(EXAMPLE[1:])


def test_a_bucket_that_is_not_to_be_read_is_said_in_one_sentence(pipeline: Pipeline) -> None:
    execution = pipeline.run(input_obj="a/", input_bucket="nobodys-bucket")
    assert execution["error"] == "NoInputBucket"
    assert json.loads(execution["cause"])["errorMessage"] == (
        "input_bucket: nobodys-bucket must be a bucket that the stack's InputBucket names and its "
        "InputBucketOwner owns; found nothing"
    )

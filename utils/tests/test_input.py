"""Input of every kind through whole executions: refused by name and place, or kept as it is."""

import json
from typing import Any

import pytest

from conftest import Pipeline, fault
from harness.target import emulator
from test_pipeline import EXAMPLE, HEADER, expected

FIRST, SECOND, THIRD = EXAMPLE
TEXT = json.dumps(EXAMPLE, ensure_ascii=False)
FAULTY = fault(
    "faulty input: empty, cut off, UTF-16, NaN, key twice, 100 MB string, 200,000 deep, `../`, …",
    "不正な入力: 空、途中切れ、UTF-16、NaN、キーの重複、100 MB の文字列、深さ 200,000、`../` など",
    "refused with record and byte or column; no workbook",
    "レコードと位置を示して拒否。ワークブックなし",
)


def encoded(*table: dict[str, Any]) -> bytes:
    return json.dumps(table).encode()


def without(member: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in member.items() if key != name}


REFUSED: dict[str, tuple[bytes, str, str]] = {
    "0 bytes": (b"", "InvalidJSON", "record 0, byte 0: must be a JSON array of objects"),
    "cut off": (TEXT.encode()[:-40], "InvalidJSON", "record 2, byte "),
    "UTF-16": (TEXT.encode("utf-16"), "InvalidJSON", "must be UTF-8; found UTF-16 or UTF-32"),
    "NaN": (TEXT.replace("75", "NaN").encode(), "InvalidJSON", "numbers must be finite; found NaN"),
    "a key twice": (
        TEXT.replace('"会員ランク": 2, "ポイント": 75', '"ポイント": 1, "ポイント": 75').encode(),
        "InvalidJSON",
        'a key may occur once in an object; found "ポイント" again',
    ),
    "nested 200,000 deep": (
        b'[{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}]",
        "InvalidJSON",
        "record 0, byte 1: values are nested at most 2000 deep; found more",
    ),
    "a required column missing": (
        encoded(*(without(member, "ポイント") for member in EXAMPLE)),
        "MissingColumn",
        ".json has the columns 会員番号, 名前, 会員ランク, タイムスタンプ; found no ポイント",
    ),
    "a required value missing": (
        encoded(FIRST, without(SECOND, "名前")),
        "InvalidMember",
        "record 1: 名前 must be given; found nothing",
    ),
    "32,768 characters": (
        encoded(FIRST, SECOND, {**THIRD, "名前": "あ" * 32_768}),
        "InvalidCell",
        "record 2, column 名前: a cell holds at most 32767 characters; found 32768",
    ),
    "16,385 columns": (
        encoded({**FIRST, **{f"c{n}": n for n in range(16_385 - 6)}, "extra": 1}),
        "TooManyColumns",
        "a sheet holds at most 16384 columns; found 16386",
    ),
    "a string of 100 MB": (
        b'[{"a": "' + b"x" * 100_000_000 + b'"}]',
        "InvalidJSON",
        "record 0, byte 1: a record holds at most 67108864 bytes",
    ),
}


@FAULTY
@pytest.mark.parametrize(("body", "error", "fault"), REFUSED.values(), ids=REFUSED)
def test_faulty_input_fails_the_execution_by_name_and_place(
    pipeline: Pipeline, body: bytes, error: str, fault: str
) -> None:
    key = pipeline.put(body)
    execution = pipeline.run(input_obj=key)
    assert (execution["status"], execution["error"]) == ("FAILED", error)
    message = json.loads(execution["cause"])["errorMessage"]
    assert key in message
    assert fault in message
    with pytest.raises(pipeline.s3.exceptions.ClientError):
        pipeline.s3.head_object(Bucket=emulator().bucket, Key=key.replace(".json", ".xlsx"))


@FAULTY
@pytest.mark.parametrize(
    ("given", "error", "fault"),
    [
        ("absent.json", "NoSuchKey", "The specified key does not exist"),
        (
            "../test.json",
            "InvalidEvent",
            'a pattern or a list of keys; found the text "../test.json"',
        ),
        (None, "InvalidEvent", "found null"),
        (
            "test.xls",
            "InvalidEvent",
            "must end in .json, .jsonl, .ndjson, .csv, .tsv, .xlsx or one of",
        ),
        ("test.xlsx", "InvalidEvent", "workbook: must be no object that is read"),
    ],
    ids=str,
)
def test_an_input_that_is_no_objects_key_is_refused(
    pipeline: Pipeline, given: Any, error: str, fault: str
) -> None:
    execution = pipeline.run(input_obj=given)
    assert (execution["status"], execution["error"]) == ("FAILED", error)
    assert fault in json.loads(execution["cause"])["errorMessage"]


@fault("a byte order mark", "BOM", "read as if it were not there", "ないものとして読まれる")
def test_a_byte_order_mark_is_no_fault(pipeline: Pipeline) -> None:
    key = pipeline.put(TEXT.encode("utf-8-sig"))
    assert pipeline.rows(pipeline.run(input_obj=key)) == expected(EXAMPLE)


@fault(
    "columns that only some records have",
    "一部のレコードにしかない列",
    "kept, in the order in which they come up",
    "現れた順に保たれる",
)
def test_more_columns_are_kept_in_the_order_they_come_up(pipeline: Pipeline) -> None:
    table = [FIRST, {**SECOND, "町": "京都"}, {"順": 3, **THIRD}]
    rows = pipeline.rows(pipeline.run(input_obj=pipeline.put(table), division_number=1))
    assert rows[0] == (*HEADER[:-1], "町", "順", HEADER[-1])
    assert [row[5:7] for row in rows[1:]] == [(None, None), ("京都", None), (None, 3)]


@fault("nested values", "入れ子の値", "written as JSON", "JSON として書かれる")
def test_nested_values_are_written_as_json(pipeline: Pipeline) -> None:
    nested = {"住所": {"町": "京都", "番": [1, 2.5, None]}}
    rows = pipeline.rows(pipeline.run(input_obj=pipeline.put([{**FIRST, **nested}])))
    assert json.loads(rows[1][5]) == nested["住所"]


AWKWARD = [
    *("=1+1", "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "http://example.com/", "000"),
    *("mailto:a@example.com", "<r>x</r>", "&amp;", "'quoted", "1e5", "TRUE", " x "),
]


@fault(
    "text like `=1+1`, a number or a URL",
    "`=1+1` や数、URL のような文字列",
    "stays text",
    "文字列のまま",
)
def test_text_that_looks_like_something_else_stays_text(pipeline: Pipeline) -> None:
    table = [{**FIRST, "名前": text} for text in AWKWARD]
    rows = pipeline.rows(pipeline.run(input_obj=pipeline.put(table), division_number=3))
    assert [row[1] for row in rows[1:]] == AWKWARD

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import segment
from pipeline.excel import InvalidFormat, InvalidSheetName
from pipeline.keys import InvalidEvent, rejects_key, result_key
from pipeline.reading import plain_numbers
from pipeline.segments import frames
from pipeline.summaries.merge import summarize
from pipeline.summaries.summary import InvalidSummary, Summary
from segment import (
    COLUMNS,
    NUMBERS,
    SUMMARIES,
    InvalidMember,
    SegmentHandler,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pd.set_option("mode.string_storage", "python")  # as deployed, where pyarrow is not

MEMBERS = pd.DataFrame(
    [
        ["000", "長野原 ひろし", 4, 58, "2021-05-16"],
        ["001", "般若 竜門", 2, 75, "2021-07-19"],
        ["002", "十河 アンナ", 2, 57, "2021-09-06"],
    ],
    columns=COLUMNS,
)


def process(df: pd.DataFrame) -> pd.DataFrame:
    return SegmentHandler(event={}, context={}, s3="").process(df)  # type: ignore[arg-type]


def members(**changed: Any) -> pd.DataFrame:
    df = MEMBERS.set_axis(pd.RangeIndex(20, 23)).astype(dict.fromkeys(changed, object))
    df.attrs["source"] = "members.json"
    for name, value in changed.items():
        df.at[21, name] = value
    return df


def test_ranks_4_and_5_earn_a_quarter_more() -> None:
    df = process(members())
    assert list(df.columns) == [*COLUMNS, "ボーナスポイント"]
    assert df["ボーナスポイント"].tolist() == [72.5, 75, 57]


def test_the_input_is_left_as_it_was() -> None:
    df = members()
    process(df)
    pd.testing.assert_frame_equal(df, members())


@pytest.mark.parametrize("rank", [1, 2, 3, 4, 5])
def test_the_bonus_is_integer_unless_a_rank_exceeds_3(rank: int) -> None:
    bonus = process(MEMBERS.assign(会員ランク=rank))["ボーナスポイント"]
    assert bonus.dtype == ("float64" if rank > 3 else "int64")
    assert bonus.tolist() == [points * (1.25 if rank > 3 else 1) for points in (58, 75, 57)]


def test_extra_columns_stay_before_the_new_one() -> None:
    df = process(members().assign(備考="x"))
    assert list(df.columns) == [*COLUMNS, "備考", "ボーナスポイント"]


def test_columns_without_rows_stay_columns() -> None:
    df = pd.DataFrame(columns=[*COLUMNS, "備考"])
    df.attrs["format"] = "csv"
    processed = process(plain_numbers.read_cells(df, NUMBERS))
    assert list(processed.columns) == [*COLUMNS, "備考", "ボーナスポイント"]
    summary = summarize(processed, SUMMARIES[0])
    assert list(summary.columns) == ["会員ランク", "人数", "ポイント", "平均"]
    assert summary.iloc[:, :3].values.tolist() == [["合計", 0, 0]]


def test_an_empty_table_has_its_headers() -> None:
    df = process(pd.DataFrame())
    assert list(df.columns) == [*COLUMNS, "ボーナスポイント"]
    assert df.empty


FAULTS = {
    "rank 0": ({"会員ランク": 0}, "会員ランク must be 1 to 5; found the number 0"),
    "rank 6": ({"会員ランク": 6}, "会員ランク must be 1 to 5; found the number 6"),
    "rank 4.5": ({"会員ランク": 4.5}, "会員ランク must be 1 to 5; found the number 4.5"),
    "rank as text": ({"会員ランク": "4"}, '会員ランク must be 1 to 5; found the text "4"'),
    "rank true": ({"会員ランク": True}, "会員ランク must be 1 to 5; found true"),
    "no rank": ({"会員ランク": None}, "会員ランク must be given; found nothing"),
    "no name": ({"名前": None}, "名前 must be given; found nothing"),
    "points as text": ({"ポイント": "58"}, 'ポイント must be a number; found the text "58"'),
    "points in a list": ({"ポイント": [58]}, "ポイント must be a number; found an array"),
}


@pytest.mark.parametrize(("changed", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_record_is_named(changed: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidMember, match=f"^members.json record 21: {fault}$"):
        process(members(**changed))


@pytest.mark.parametrize("name", COLUMNS)
def test_a_missing_column_is_named(name: str) -> None:
    with pytest.raises(InvalidMember, match=f"^members.json: members have .*; found no {name}$"):
        process(members().drop(columns=name))


def test_a_wrong_format_is_named_when_the_module_is_loaded() -> None:
    source = Path(segment.__file__).read_text(encoding="utf-8").replace('"#,##0"', '""')
    with pytest.raises(InvalidFormat, match="^FORMATS: ポイント must have a text"):
        exec(source, {"__name__": "segment"})


def test_ranks_are_counted_and_added_up() -> None:
    summary = summarize(process(members()), SUMMARIES[0])
    assert list(summary.columns) == ["会員ランク", "人数", "ポイント", "平均"]
    assert summary.values.tolist() == [
        [2, 2, 75 + 57, 66.0],
        [4, 1, 58, 72.5],
        ["合計", 3, 58 + 75 + 57, 204.5 / 3],
    ]


@pytest.mark.parametrize("name", ["a/b", "rejects"])
def test_a_name_that_no_sheet_can_have_is_refused_when_the_module_is_loaded(name: str) -> None:
    source = (
        Path(segment.__file__).read_text(encoding="utf-8").replace('"会員ランク別"', f'"{name}"')
    )
    with pytest.raises(InvalidSheetName, match=f'; found the text "{name}"$'):
        exec(source, {"__name__": "segment"})


def test_an_aggregation_that_is_none_is_refused_with_the_list() -> None:
    with pytest.raises(
        InvalidSummary, match="^summary x: n must be one of count, size, sum, .*avg"
    ):
        Summary("x", n=("ポイント", "avg"))


UNFIT = {
    "a column that does not exist": (
        Summary("x", by="店", 人数=("会員番号", "count")),
        "summary x needs one column 店; found 0 among 会員番号, 名前, ",
    ),
    "a sum of texts": (
        Summary("x", 計=("名前", "sum")),
        'record 20: 名前 must be a number for its sum in summary x; found the text "長野原 ひろし"',
    ),
    "a median of dates": (
        Summary("x", 中央=("日", "median")),
        "record 20: 日 must be a number for its median in summary x; found ",
    ),
    "a key that no cell holds": (
        Summary("x", by="一覧", 件数=("会員番号", "count")),
        "record 21: 一覧 must be a text, number, date or boolean in summary x; found ",
    ),
    "a function that makes no column": (
        Summary("x", by={"月": lambda df: 5}, 人数=("会員番号", "count")),
        "月 of summary x must be a column of 3 cells; found ",
    ),
}


@pytest.mark.parametrize(("summary", "fault"), UNFIT.values(), ids=UNFIT)
def test_a_summary_that_does_not_fit_the_table_fails_before_anything_is_written(
    s3: "S3Client", bucket: str, monkeypatch: pytest.MonkeyPatch, summary: Summary, fault: str
) -> None:
    monkeypatch.setattr(segment, "SUMMARIES", [summary])
    lists: list[Any] = ["a", [1], "c"]
    df = members().assign(日=pd.Timestamp("2021-05-16"), 一覧=lists)
    key = "scatter/job_000.pkl"
    s3.put_object(Bucket=bucket, Key=key, Body=frames.dump(df))
    with pytest.raises(InvalidSummary, match=fault):
        SegmentHandler(key, None, s3).main()
    assert [obj["Key"] for obj in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]


@pytest.mark.parametrize("name", ["job_000.pkl", "run-1/job_1000.pkl"])
def test_a_result_has_its_segments_name(name: str) -> None:
    assert result_key(f"scatter/{name}") == f"gather/{name}"


OTHER_KEYS = {
    "": 'the text ""',
    "job_000.pkl": 'the text "job_000.pkl"',
    "gather/job_000.pkl": 'the text "gather/job_000.pkl"',
    "scatter/../x.pkl": 'the text "scatter/../x.pkl"',
    "scatter/a.json": 'the text "scatter/a.json"',
    3: "the number 3",
    None: "null",
}


@pytest.mark.parametrize(("event", "found"), OTHER_KEYS.items(), ids=str)
def test_other_keys_are_refused(event: Any, found: str) -> None:
    with pytest.raises(InvalidEvent, match=f"^event: must be a key like .*; found {found}$"):
        result_key(event)


def test_cells_of_csv_are_numbers_one_by_one_where_the_etl_says_so() -> None:
    """So one bad cell is one faulty record; JSON says itself what is a number."""
    texts = members(会員ランク="4", ポイント="5O").astype({"会員ランク": str, "ポイント": str})
    texts.attrs["format"] = "csv"
    read = plain_numbers.read_cells(texts, NUMBERS)
    assert read["会員ランク"].tolist() == [4, 4, 2]
    assert read["会員ランク"].dtype == "int64"
    assert read["ポイント"].tolist() == [58, "5O", 57]
    assert read["会員番号"].tolist() == ["000", "001", "002"]
    with pytest.raises(InvalidMember, match='^members.json record 21: .*; found the text "5O"$'):
        process(read)
    texts.attrs.pop("format")
    pd.testing.assert_frame_equal(plain_numbers.read_cells(texts, NUMBERS), texts)


GAPS = {
    "integers": (["1", "", "-2"], [1.0, None, -2.0], "float64"),
    "decimals": (["1", "0.5"], [1.0, 0.5], "float64"),
    "only gaps": (["", ""], [None, None], "float64"),
    "a text": (["1", "", "x"], [1, None, "x"], "object"),
}


@pytest.mark.parametrize(("texts", "found", "dtype"), GAPS.values(), ids=GAPS)
def test_an_empty_cell_among_numbers_is_missing(
    texts: list[str], found: list[Any], dtype: str
) -> None:
    df = pd.DataFrame({"ポイント": texts})
    df.attrs["format"] = "csv"
    column = plain_numbers.read_cells(df, NUMBERS)["ポイント"]
    assert column.dtype == dtype
    assert column.astype(object).where(column.notna(), None).tolist() == found


@pytest.mark.parametrize(
    "asked", [{}, {"rejects": "sheet", "max_rejects": 5}], ids=["refused", "left out"]
)
def test_faulty_records_are_refused_or_left_out_as_asked(
    s3: "S3Client", bucket: str, asked: dict[str, Any]
) -> None:
    df = pd.concat([members(), members(会員ランク=9)], ignore_index=True)
    df.index = pd.RangeIndex(30, 36)
    df.attrs |= asked
    s3.put_object(Bucket=bucket, Key="scatter/job_004.pkl", Body=frames.dump(df))
    earlier = {"job_000": 4, "job_003": 3, "job_005": 50, "job_1000": 100}
    for name, count in earlier.items():
        key = rejects_key(f"gather/{name}.pkl", count)
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    handler = SegmentHandler("scatter/job_004.pkl", None, s3)
    if not asked:
        with pytest.raises(InvalidMember, match="^members.json record 34: 会員ランク must be"):
            handler.main()
        return
    key = handler.main()
    figures = json.loads(read(s3, bucket, "gather/job_004.json"))
    left_out = frames.load(read(s3, bucket, rejects_key(key, 1)), key)
    assert frames.load(read(s3, bucket, key), key).index.tolist() == [30, 31, 32, 33, 35]
    assert left_out.iloc[0, :5].tolist() == [
        34,
        "会員ランク",
        "must be 1 to 5",
        "the number 9",
        "001",
    ]
    assert [(part["position"], part["rows"]) for part in figures["parts"]] == [(23, 5)]
    assert (figures["rejects"]["count"], figures["rejects"]["most"]) == (1, 5)
    assert (figures["facts"]["rejects"], figures["facts"]["source"]) == (1, "members.json")


def read(s3: "S3Client", bucket: str, key: str) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import segment
from pipeline.etl_names import UnknownEtl, names
from pipeline.etls.module import load
from pipeline.excel import InvalidCell
from pipeline.keys import InvalidEvent, rejects_key, result_key
from pipeline.reading.plain_numbers import read_cells
from pipeline.segments import frames
from pipeline.segments.rules import InvalidMember, MissingColumn
from pipeline.summaries.summary import InvalidSummary
from segment import SegmentHandler

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pd.set_option("mode.string_storage", "python")  # as deployed, where pyarrow is not

KEY = "scatter/job_000.pkl"
COLUMNS = ["番号", "名前", "点"]
NUMBERS = ["点"]
ROWS = [["000", "長野原 ひろし", 58], ["001", "般若 竜門", 75], ["002", "十河 アンナ", 57]]
POINTS = """
from pipeline.etl import Summary, is_number, refuse

COLUMNS = ["番号", "名前", "点"]
NUMBERS = ["点"]


def process(df):
    refuse(df, "点", ~is_number(df["点"]), "must be a number")
    return df.assign(倍=df["点"] * 2)
"""
type Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write modules of a folder of ETLs in place of the user's, by their names."""
    monkeypatch.setattr(segment, "ETLS", tmp_path)
    monkeypatch.delenv("ETL", raising=False)

    def run(**sources: str) -> None:
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")

    return run


@pytest.fixture
def points(write: Write) -> None:
    """The only ETL."""
    write(points=POINTS)


def table(*rows: list[Any], **attrs: Any) -> pd.DataFrame:
    df = pd.DataFrame([*ROWS, *rows], columns=COLUMNS)
    df.index = pd.RangeIndex(20, 20 + len(df))
    df.attrs |= {"source": "points.json", **attrs}
    return df


def process(df: pd.DataFrame) -> pd.DataFrame:
    return SegmentHandler(KEY, None, None).process(df)  # type: ignore[arg-type]


def test_every_etl_of_the_folder_loads() -> None:
    there = names(segment.ETLS)
    assert [load(segment.ETLS, name).name for name in there] == there


@pytest.mark.usefixtures("points")
def test_a_table_is_processed_by_the_only_etl() -> None:
    df = process(table().assign(備考="x"))
    assert list(df.columns) == [*COLUMNS, "備考", "倍"]
    assert df["倍"].tolist() == [116, 150, 114]


@pytest.mark.usefixtures("points")
def test_an_etl_leaves_its_input_as_it_was() -> None:
    df = table()
    process(df)
    pd.testing.assert_frame_equal(df, table())


@pytest.mark.usefixtures("points")
def test_columns_without_rows_stay_columns() -> None:
    df = pd.DataFrame(columns=[*COLUMNS, "備考"])
    df.attrs["format"] = "csv"
    assert list(process(read_cells(df, NUMBERS)).columns) == [*COLUMNS, "備考", "倍"]


@pytest.mark.usefixtures("points")
def test_an_empty_table_has_the_headers_that_the_etl_names() -> None:
    df = process(pd.DataFrame())
    assert list(df.columns) == [*COLUMNS, "倍"]
    assert df.empty


@pytest.mark.usefixtures("points")
def test_a_missing_column_is_named() -> None:
    with pytest.raises(MissingColumn, match="^points.json has the columns .*; found no 点$"):
        process(table().drop(columns="点"))


def test_the_input_chooses_then_the_environment_then_members(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("members", "orders", "sales")
    write(**{name: f"def process(df): return df.assign(etl={name!r})" for name in names})

    def chosen(**attrs: str) -> str:
        [name] = set(process(table(**attrs))["etl"])
        return str(name)

    assert (chosen(), chosen(etl="sales")) == ("members", "sales")
    monkeypatch.setenv("ETL", "orders")
    assert (chosen(), chosen(etl="sales")) == ("orders", "sales")
    assert (chosen(folder="sales"), chosen(folder="2026")) == ("sales", "orders")
    assert chosen(etl="members", folder="sales") == "members"
    monkeypatch.setenv("ETL", "")  # as a stack's parameter without a value
    assert chosen() == "members"


@pytest.mark.parametrize("name", ["os", "../segment", "points.py", "_shared", "POINTS", ""])
def test_an_etl_is_a_module_of_the_folder_and_nothing_else(write: Write, name: str) -> None:
    write(points=POINTS, sums=POINTS, _shared="")
    with pytest.raises(UnknownEtl, match="^etl: must be one of points, sums; found "):
        process(table(etl=name))


def test_a_module_shares_code_and_has_dataclasses(write: Write) -> None:
    write(
        points="from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Rate:\n    rate: int\n"
        "def process(df): return df.assign(率=Rate(3).rate)"
    )
    assert process(table())["率"].tolist() == [3, 3, 3]


def test_a_faulty_etl_fails_its_own_tables_only(write: Write) -> None:
    write(points=POINTS, sums=POINTS + "SUMMARIES = [Summary('商品別', 数=('点', 'avg'))]")
    assert len(process(table(etl="points"))) == 3
    for _ in range(2):
        with pytest.raises(InvalidSummary, match="^summary 商品別: 数 must be one of .*avg"):
            process(table(etl="sums"))


OTHER_FRAMES = {
    "joined": (
        "df.join(pd.DataFrame({'x': ['\\ud800']}, df.index[2:]))",
        20,
        "points.json record 22",
    ),
    "of an index": (
        "df.assign(x=['', '', '\\ud800']).reset_index()",
        20,
        "gather/job_000.pkl record 2",
    ),
    "of fewer rows, numbered anew": (
        "df.assign(x=['', '', '\\ud800'])[1:].reset_index(drop=True)",
        0,
        "gather/job_000.pkl record 1",
    ),
}


@pytest.mark.parametrize(("made", "first", "named"), OTHER_FRAMES.values(), ids=OTHER_FRAMES)
def test_a_cell_is_named_by_the_record_that_it_is_made_of_or_by_its_result(
    s3: "S3Client", bucket: str, write: Write, made: str, first: int, named: str
) -> None:
    """Of a joined frame pandas forgets what it is made of, of a new index the records."""
    write(points=f"import pandas as pd\ndef process(df): return {made}")
    df = table().set_axis(range(first, first + 3))
    s3.put_object(Bucket=bucket, Key=KEY, Body=frames.dump(df))
    with pytest.raises(InvalidCell, match=f"^{named}, column x: "):
        SegmentHandler(KEY, None, s3).main()


@pytest.mark.parametrize("sheets", [{}, {"sheets": "summaries"}], ids=["table", "summaries alone"])
@pytest.mark.parametrize("of", ["点", "額"])
def test_a_signaling_nan_at_which_pandas_fails_is_named_by_its_record(
    s3: "S3Client", bucket: str, write: Write, of: str, sheets: dict[str, str]
) -> None:
    made = "df.assign(額=[1, None, Decimal('-sNaN7')])"
    imports = "from decimal import Decimal\nfrom pipeline.etl import Summary"
    summaries = f"SUMMARIES = [Summary('x', 件数=('{of}', 'count'))]"
    write(points=f"{imports}\n{summaries}\ndef process(df): return {made}")
    s3.put_object(Bucket=bucket, Key=KEY, Body=frames.dump(table(**sheets)))
    with pytest.raises(InvalidCell) as raised:
        SegmentHandler(KEY, None, s3).main()
    rule = "a Decimal must be a number or NaN; found -sNaN7"
    assert str(raised.value) == f"points.json record 22, column 額: {rule}"


REFERENCE = {
    "a record": (
        'refuse(rates, "率", rates["率"] < 1, "must be above 0")',
        "InvalidMember: reference/rates.csv record 1: 率 must be above 0; found the number 0",
    ),
    "a column": ('rates["割合"]', "MissingColumn: reference/rates.csv has the columns 点, 率; found no 割合"),
    "an index": ('rates.set_index("割合")', "MissingColumn: reference/rates.csv has the columns 点, 率; found no 割合"),
    "a merge": ('df.assign(割合=1).merge(rates, on="割合")', "MissingColumn: reference/rates.csv has the columns 点, 率; found no 割合"),
}  # fmt: skip


@pytest.mark.parametrize(("line", "error"), REFERENCE.values(), ids=REFERENCE)
@pytest.mark.parametrize("first", [0, 20])
def test_what_is_wrong_with_a_reference_is_not_told_of_the_input(
    s3: "S3Client", bucket: str, write: Write, line: str, error: str, first: int
) -> None:
    """Wherever the segment begins."""
    write(
        points='from pipeline.etl import refuse\nREFERENCES = {"率": "reference/rates.csv"}\n'
        f'def process(df, references):\n    rates = references["率"]\n    {line}\n    return df\n'
    )
    s3.put_object(Bucket=bucket, Key="reference/rates.csv", Body="点,率\n58,3\n75,0\n".encode())
    df = table().set_axis(range(first, first + 3))
    s3.put_object(Bucket=bucket, Key=KEY, Body=frames.dump(df))
    with pytest.raises(ValueError) as raised:
        SegmentHandler(KEY, None, s3).main()
    assert f"{raised.type.__name__}: {raised.value}" == error


@pytest.mark.usefixtures("points")
def test_cells_of_csv_are_numbers_one_by_one_where_the_etl_says_so(
    s3: "S3Client", bucket: str
) -> None:
    """So one bad cell is one faulty record."""
    df = table(["003", "7", "5O"]).astype(str)
    df.attrs |= {"format": "csv", "rejects": "sheet"}
    s3.put_object(Bucket=bucket, Key=KEY, Body=frames.dump(df))
    SegmentHandler(KEY, None, s3).main()
    made = frames.load(read(s3, bucket, "gather/job_000.pkl"), KEY)
    assert made["倍"].tolist() == [116, 150, 114]
    assert made["番号"].tolist() == ["000", "001", "002"]
    assert [*rejects(s3, bucket, "gather/job_000.pkl")["found"]] == ['the text "5O"']


@pytest.mark.usefixtures("points")
def test_a_call_logs_first_which_request_works_on_which_segment(
    s3: "S3Client", bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, whatever the key holds."""
    key = "scatter/a\nb/job_000.pkl"
    s3.put_object(Bucket=bucket, Key=key, Body=frames.dump(table()))
    SegmentHandler(key, SimpleNamespace(aws_request_id="4a77"), s3).main()
    first, _ = capsys.readouterr().out.split("\n", 1)
    assert first == 'SEGMENT RequestId: 4a77 Key: "scatter/a\\nb/job_000.pkl"'


def test_of_json_nothing_is_read_as_numbers() -> None:
    pd.testing.assert_frame_equal(read_cells(table().astype(str), NUMBERS), table().astype(str))


def test_a_column_of_numbers_without_one_in_a_segment_is_of_floats() -> None:
    df = pd.DataFrame({"点": [None, None], "名前": [None, None]}, dtype=object)
    df.attrs["source"] = "members.json"
    read = read_cells(df, ["点", "absent"])
    assert [str(dtype) for dtype in read.dtypes] == ["float64", "object"]
    assert read["点"].round(1).isna().all() and read["名前"].str[:1].isna().all()
    assert read.attrs == df.attrs


@pytest.mark.usefixtures("points")
def test_summaries_alone_are_refused_where_there_are_none(s3: "S3Client", bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key=KEY, Body=frames.dump(table(sheets="summaries")))
    rule = "must not be given where the ETL, points, has no SUMMARIES"
    with pytest.raises(InvalidEvent, match=f'^sheets: {rule}; found the text "summaries"$'):
        SegmentHandler(KEY, None, s3).main()
    assert s3.list_objects_v2(Bucket=bucket, Prefix="gather/")["KeyCount"] == 0


UNFIT = {
    "a column that does not exist": (
        "Summary('x', by='店', 人数=('番号', 'count'))",
        "summary x needs one column 店; found 0 among 番号, 名前, ",
    ),
    "a sum of texts": (
        "Summary('x', 計=('名前', 'sum'))",
        'record 20: 名前 must be a number for its sum in summary x; found the text "長野原 ひろし"',
    ),
    "a key that no cell holds": (
        "Summary('x', by='一覧', 件数=('番号', 'count'))",
        r"record 21: 一覧 must be a text \(.astype\(str\) makes it\), number, date or boolean in summary x; ",
    ),
}


@pytest.mark.parametrize(("summary", "fault"), UNFIT.values(), ids=UNFIT)
def test_a_summary_that_does_not_fit_the_table_fails_before_anything_is_written(
    s3: "S3Client", bucket: str, write: Write, summary: str, fault: str
) -> None:
    write(points=POINTS + f"SUMMARIES = [{summary}]")
    lists: list[Any] = ["a", [1], "c"]
    df = table().assign(一覧=lists)
    s3.put_object(Bucket=bucket, Key=KEY, Body=frames.dump(df))
    with pytest.raises(InvalidSummary, match=fault):
        SegmentHandler(KEY, None, s3).main()
    assert [obj["Key"] for obj in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [KEY]


@pytest.mark.parametrize("name", ["job_000.pkl", "run-1/job_1000.pkl"])
def test_a_result_has_its_segments_name(name: str) -> None:
    assert result_key(f"scatter/{name}") == f"gather/{name}"


OTHER_KEYS = {
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
    df = pd.DataFrame({"点": texts})
    df.attrs["format"] = "csv"
    column = read_cells(df, NUMBERS)["点"]
    assert column.dtype == dtype
    assert column.astype(object).where(column.notna(), None).tolist() == found


@pytest.mark.usefixtures("points")
@pytest.mark.parametrize(
    "asked", [{}, {"rejects": "sheet", "max_rejects": 5}], ids=["refused", "left out"]
)
def test_faulty_records_are_refused_or_left_out_as_asked(
    s3: "S3Client", bucket: str, asked: dict[str, Any]
) -> None:
    df = table(*ROWS[:1], ["001", "", "x"], ["002", "", 1], etl="points", **asked)
    df.index = pd.RangeIndex(30, 36)
    s3.put_object(Bucket=bucket, Key="scatter/job_004.pkl", Body=frames.dump(df))
    earlier = {"job_000": 4, "job_003": 3, "job_005": 50, "job_1000": 100}
    for name, count in earlier.items():
        key = rejects_key(f"gather/{name}.pkl", count)
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    handler = SegmentHandler("scatter/job_004.pkl", None, s3)
    if not asked:
        with pytest.raises(InvalidMember, match="^points.json record 34: 点 must be a number"):
            handler.main()
        return
    key = handler.main()
    figures = json.loads(read(s3, bucket, "gather/job_004.json"))
    assert frames.load(read(s3, bucket, key), key).index.tolist() == [30, 31, 32, 33, 35]
    assert rejects(s3, bucket, key).iloc[0, :5].tolist() == [
        *(34, "点", "must be a number", 'the text "x"', "001")
    ]
    assert [(part["position"], part["rows"]) for part in figures["parts"]] == [(23, 5)]
    assert (figures["rejects"]["count"], figures["rejects"]["most"]) == (1, 5)
    assert (figures["facts"]["rejects"], figures["facts"]["source"]) == (1, "points.json")


def rejects(s3: "S3Client", bucket: str, key: str) -> pd.DataFrame:
    """The one record that a result leaves out."""
    return frames.load(read(s3, bucket, rejects_key(key, 1)), key)


def read(s3: "S3Client", bucket: str, key: str) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()

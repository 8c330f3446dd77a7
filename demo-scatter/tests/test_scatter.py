import itertools
import json
import tracemalloc
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events import scatter as events
from pipeline.events.scatter import Job, TooManySegments
from pipeline.reading import cuts
from pipeline.reading.columns import Block, Table
from pipeline.reading.source import InputChanged, Source
from pipeline.segments import frames
from scatter import ScatterHandler, Segment, with_columns
from tests.scattering import put, scattered, source_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY = "members.json"
HANDLER = ScatterHandler({}, None, None)  # type: ignore[arg-type]  # one that makes no call


def member(number: int) -> dict[str, Any]:
    return {"会員番号": f"{number:03d}", "名前": "十河 アンナ", "会員ランク": 2, "ポイント": 57}


def put_table(s3: "S3Client", bucket: str, table: list[dict[str, Any]], key: str = KEY) -> None:
    put(s3, bucket, {key: json.dumps(table).encode()})


def make_segments(
    data: bytes, division_number: int | None = None, manifest: bool = False
) -> list[pd.DataFrame]:
    size = cuts.block_bytes(len(data))
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    job = Job(KEY, division_number, None, manifest, written=True)
    segments = HANDLER.make_segments(source_of(KEY, chunks, len(data)), job)
    return [frames.load(segment.pickled, KEY) for segment in segments]


def test_segments_hold_ten_rows_by_default(s3: "S3Client", bucket: str) -> None:
    put_table(s3, bucket, [member(n) for n in range(25)], "test.json")
    result = ScatterHandler({"input_obj": "test.json"}, None, s3).main()
    assert result == {"segment_definitions": [f"scatter/job_{n:03d}.pkl" for n in range(3)]}
    assert [len(df) for df in scattered(s3, input_obj="test.json")] == [10, 10, 5]


@pytest.mark.parametrize("division_number", [1, 7, 24, 25, 26, 10**9, 10**30])
def test_segments_cover_every_row_once(s3: "S3Client", bucket: str, division_number: int) -> None:
    table = [member(n) for n in range(25)]
    put_table(s3, bucket, table)
    segments = scattered(s3, input_obj=KEY, division_number=division_number)
    assert len(segments) == -(-25 // division_number)
    pd.testing.assert_frame_equal(pd.concat(segments), pd.DataFrame(table), check_index_type=False)


def test_a_division_number_beyond_the_table_takes_no_memory() -> None:
    data = json.dumps([member(n) for n in range(25)]).encode()
    tracemalloc.start()
    try:
        [segment] = make_segments(data, 10**9)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(segment) == 25
    assert peak < 10_000_000


def test_an_empty_table_is_one_segment_without_rows(s3: "S3Client", bucket: str) -> None:
    put_table(s3, bucket, [])
    [df] = scattered(s3, input_obj=KEY)
    assert df.empty


HEADERS = {
    "a header": ("会員番号,備考".encode(), ["会員番号", "備考"]),
    "a header and blank lines": (b"\xef\xbb\xbf\r\na,b\r\n\r\n", ["a", "b"]),
    "no header": (b"\n", []),
}


@pytest.mark.parametrize(("data", "columns"), HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("division_number", [None, 1])
def test_a_csv_file_of_a_header_alone_keeps_its_columns(
    s3: "S3Client", bucket: str, data: bytes, columns: list[str], division_number: int | None
) -> None:
    put(s3, bucket, {"t.csv": data})
    [df] = scattered(s3, input_obj="t.csv", division_number=division_number)
    assert (df.columns.tolist(), len(df)) == (columns, 0)
    assert df.attrs == {"source": "t.csv", "format": "csv"}


def test_the_execution_keeps_its_segments_apart(s3: "S3Client", bucket: str) -> None:
    put_table(s3, bucket, [member(0)])
    event = {"input_obj": "test.json", "execution": "run-1", "overrides": {"input_obj": KEY}}
    assert ScatterHandler(event, None, s3).main() == {
        "segment_definitions": ["scatter/run-1/job_000.pkl"],
        "workbook": "members.xlsx",
    }


def test_an_execution_pins_the_versions_of_all_reference_tables(
    s3: "S3Client", bucket: str
) -> None:
    put_table(s3, bucket, [member(0)])
    pin = "scatter/run-1/references.json"
    scattered(s3, input_obj=KEY, execution="run-1")
    assert pin not in keys_of(s3, bucket)
    tables = ["reference/2026/origins.csv", "reference/rates.csv"]
    etags = {key: s3.put_object(Bucket=bucket, Key=key, Body=b"a\n1\n")["ETag"] for key in tables}
    scattered(s3, input_obj=KEY)
    assert not any(key.endswith("references.json") for key in keys_of(s3, bucket))
    scattered(s3, input_obj=KEY, execution="run-1")
    assert json.loads(s3.get_object(Bucket=bucket, Key=pin)["Body"].read()) == etags


def keys_of(s3: "S3Client", bucket: str) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]]


@pytest.mark.parametrize("size", [1, 10_000, 123_457, 4_700_000, 700_000_000])
def test_no_table_makes_more_than_200_segments(size: int, small_scale: None) -> None:
    """The sizes are bytes of records of 7 bytes, before they are scaled down."""
    records = max(1, size // 1000 // 9)
    data = json.dumps([{"a": 1}] * records).encode()
    segments = list(map(len, make_segments(data)))
    assert sum(segments) == records
    assert len(segments) <= cuts.SEGMENTS


@pytest.mark.parametrize("size", [4_700_000, 700_000_000])
def test_segments_of_a_manifest_keep_their_size_however_long_the_table(
    size: int, small_scale: None
) -> None:
    """Sizes as above. A record may be cut off at the end of each block."""
    data = json.dumps([{"a": 1}] * (size // 1000 // 10)).encode()
    segments = list(map(len, make_segments(data, manifest=True)))
    assert sum(segments) == size // 1000 // 10
    most = (cuts.SEGMENT_BYTES + cuts.BLOCK_BYTES) / len('{"a": 1}, ')
    assert max(segments) <= most
    assert len(segments) <= -(-len(data) // cuts.SEGMENT_BYTES) + 2


@pytest.mark.parametrize(
    ("size", "segments"), [(3_400, 1), (3_500, 2), (13_800, 2), (13_900, 4), (69_000, 10)]
)
def test_longer_tables_make_pairs_of_segments(size: int, segments: int, small_scale: None) -> None:
    data = json.dumps([{"a": 1}] * (size // 10)).encode()
    assert len(data) == size
    made = list(map(len, make_segments(data)))
    assert len(made) == segments
    assert max(made) - min(made) <= segments


def test_small_tables_of_tiny_records_make_at_most_200_segments() -> None:
    data = json.dumps([{}] * 40_000).encode()
    assert len(data) <= cuts.SMALL_TABLE_BYTES
    assert list(map(len, make_segments(data))) == [200] * 200


def test_columns_agree_where_later_records_bring_new_ones(s3: "S3Client", bucket: str) -> None:
    put_table(s3, bucket, [{"a": 1}, {"a": 2, "c": "x"}, {"b": 3}])
    segments = scattered(s3, input_obj=KEY, division_number=1)
    assert [list(df.columns) for df in segments] == [["a", "c", "b"]] * 3
    assert pd.concat(segments).to_json(orient="values") == (
        '[[1,null,null],[2,"x",null],[null,null,3]]'
    )


def test_a_rule_works_where_no_record_of_a_segment_has_a_column() -> None:
    given = pd.DataFrame({"a": [1, 2]}, index=[7, 8])
    given.attrs["source"] = KEY
    df = with_columns(given, ["b", "a"], {})
    assert (df["a"].tolist(), df["b"].tolist()) == ([1, 2], [None, None])
    assert (df.index.tolist(), df.attrs) == ([7, 8], {"source": KEY})
    assert df["b"].str[:7].isna().all()
    assert (df["a"] * df["b"]).isna().all()
    assert not (df["b"] > 3).any()


VALUES = {
    "text": ["000", "x"],
    "integers": [1, 2],
    "integers beyond a float": [2**53 + 1, 2.5],
    "integers beyond 64 bits": [10**30, 1],
    "integers beyond 15 digits": [10**15, 1],
    "the largest float": [1.7976931348623157e308, 5e-324],
    "texts beside nothing": [None, "000"],
    "truth values beside nothing": [True, None],
    "truth values beside numbers": [True, 1, 1.0],
    "nothing": [None, None],
    "lone surrogates": ["\ud83d", "x"],
    "mixed": ["x", 1],
    "nested": [{"b": [1]}, [2]],
    "booleans": [True, False],
}


def test_blocks_join_to_the_table_of_all_their_records() -> None:
    records: list[dict[str, Any]] = [{"a": 1, "b": 2}, {"b": 3, "a": 4}, {}, {"c": 5, "a": None}]
    for size in (1, 2, 3, 4):
        blocks = [Block.of(records[at : at + size]) for at in range(0, 4, size)]
        table = Table(blocks)
        columns = {
            name: [None if v != v else v for v in array] for name, array in table.arrays().items()
        }
        expected = {"a": [1, 4, None, None], "b": [2, 3, None, None], "c": [None, None, None, 5]}
        assert (columns, table.rows) == (expected, 4)


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_values_are_kept_exactly(values: list[Any]) -> None:
    df = HANDLER.make_df(Table([Block.of([{"a": value}]) for value in values]), 0, KEY)
    kept = df["a"].astype(object).where(df["a"].notna(), None).tolist()
    assert (kept, list(map(type, kept))) == (values, list(map(type, values)))
    whole = HANDLER.make_df(Table([Block.of([{"a": value} for value in values])]), 0, KEY)
    pd.testing.assert_frame_equal(df, whole)


@pytest.mark.parametrize("values", [[1, None], [-(10**15) + 1, None], [1, 0.5], [None, 0.5]])
def test_numbers_with_gaps_or_fractions_are_floats(values: list[Any]) -> None:
    table = Table([Block.of([{"a": value} for value in values])])
    assert HANDLER.make_df(table, 0, KEY)["a"].dtype == "float64"


@given(
    st.lists(
        st.none() | st.sampled_from([1, 0.5, -(10**15), 10**16 + 1, 2**63, 10**400]), min_size=1
    ),
    st.integers(1, 5),
)
def test_no_float_holds_an_integer_beyond_15_digits_in_any_segment(
    values: list[Any], division_number: int
) -> None:
    """Whatever stands beside it, and however the table is cut."""
    data = json.dumps([{"a": value} for value in values]).encode()
    segments = make_segments(data, division_number)
    found = list(itertools.chain.from_iterable(df["a"].astype(object) for df in segments))
    long = [(row, value) for row, value in enumerate(values) if value and abs(value) >= 10**15]
    assert [(row, found[row]) for row, _ in long] == long
    assert all(type(found[row]) is int for row, _ in long)


def test_segment_files_tell_the_etl_and_where_faulty_records_go(
    s3: "S3Client", bucket: str
) -> None:
    put_table(s3, bucket, [member(0), {**member(1), "late": 1}], KEY)
    asked = {"etl": "orders", "rejects": "sheet", "max_rejects": 0, "sheets": "summaries"}
    event = {"input_obj": KEY, "division_number": 1, "overrides": asked}
    assert [df.attrs for df in scattered(s3, **event)] == [{"source": KEY, **asked}] * 2


@pytest.mark.parametrize(
    "key", ["会員　名簿.json", "a b/c&d=1.json", "漢" * 339, f"{'a' * 1019}.json", "..a/b..json"]
)
def test_a_key_that_s3_takes_is_taken(s3: "S3Client", bucket: str, key: str) -> None:
    put_table(s3, bucket, [member(0)], key)
    assert [len(df) for df in scattered(s3, input_obj=key)] == [1]


def test_a_division_beyond_the_limits_is_refused(
    s3: "S3Client", bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "ITERATIONS", 20)
    put_table(s3, bucket, [member(n) for n in range(25)])
    for event in ({"division_number": 1}, {}):
        with pytest.raises(TooManySegments, match="division_number 1 passes that at segment 21"):
            scattered(s3, input_obj=KEY, **event)
        monkeypatch.setenv("DIVISION_NUMBER", "1")


def test_a_manifest_lists_any_number_of_segments(
    s3: "S3Client", bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "ITERATIONS", 20)
    put_table(s3, bucket, [member(n) for n in range(25)])
    event = {"input_obj": KEY, "execution": "run-1", "manifest": True, "division_number": 1}
    result = ScatterHandler(event, None, s3).main()
    manifest = "scatter/run-1/manifest.json"
    assert result == {"bucket": bucket, "manifest": manifest, "workbook": "members.xlsx"}
    keys = json.loads(s3.get_object(Bucket=bucket, Key=manifest)["Body"].read())
    assert keys == [f"scatter/run-1/job_{n:03d}.pkl" for n in range(25)]


def test_a_column_that_turns_out_to_be_text_is_text_in_every_segment(
    s3: "S3Client", bucket: str
) -> None:
    """Its number stands far behind the first block, so that the table is cut once more."""
    rows = [*(f"{n},{n}" for n in range(20_000)), "x,1"]
    body = "\r\n".join(["a,b", *rows]).encode()
    put(s3, bucket, {"orders.csv": body})
    cut = scattered(s3, input_obj="orders.csv", division_number=7_000)
    whole = pd.concat(cut)
    assert [list(df.dtypes.astype(str)) for df in cut] == [["str", "int64"]] * 3
    assert [f"{a},{b}" for a, b in zip(whole["a"], whole["b"])] == rows
    assert list(whole.index) == list(range(20_001))
    assert {df.attrs["format"] for df in cut} == {"csv"}


def test_an_input_that_is_replaced_between_its_two_readings_is_named(
    s3: "S3Client", bucket: str
) -> None:
    class Replacing(ScatterHandler):
        def make_segments(self, source: Source, job: Job) -> Iterator[Segment]:
            yield from super().make_segments(source, job)
            self.s3.put_object(Bucket=bucket, Key="orders.csv", Body=b"a\n1\n")

    rows = [*map(str, range(200_000)), "x"]
    s3.put_object(Bucket=bucket, Key="orders.csv", Body="\n".join(["a", *rows]).encode())
    with pytest.raises(InputChanged, match="^orders.csv: must stay .*; found another object$"):
        Replacing({"input_obj": "orders.csv"}, None, s3).main()


def test_a_missing_object_is_s3s_own_error(s3: "S3Client", bucket: str) -> None:
    with pytest.raises(s3.exceptions.NoSuchKey):
        scattered(s3, input_obj=KEY)

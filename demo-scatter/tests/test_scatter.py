import itertools
import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import frames
import scatter
from records import InvalidJSON
from scatter import InvalidEvent, Job, ScatterHandler, TooManySegments
from tables import Table

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY = "members.json"


def member(number: int) -> dict[str, Any]:
    return {"会員番号": f"{number:03d}", "名前": "十河 アンナ", "会員ランク": 2, "ポイント": 57}


def put(s3: "S3Client", bucket: str, table: list[dict[str, Any]], key: str = KEY) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(table).encode())


def scatter_table(s3: "S3Client", **event: Any) -> list[str]:
    keys: list[str] = ScatterHandler({"input_obj": KEY, **event}, None, s3).main()[
        "segment_definitions"
    ]
    return keys


def read(s3: "S3Client", bucket: str, key: str) -> pd.DataFrame:
    return frames.load(s3.get_object(Bucket=bucket, Key=key)["Body"].read(), key)


def make_segments(data: bytes) -> list[pd.DataFrame]:
    handler = ScatterHandler({}, None, None)  # type: ignore[arg-type]
    chunks = [data[at : at + 1000] for at in range(0, len(data), 1000)]
    segments = handler.make_segments(chunks, len(data), Job(KEY, None, None))
    return [frames.load(segment.pickled, KEY) for segment in segments]


def test_segments_hold_ten_rows_by_default(s3: "S3Client", bucket: str) -> None:
    put(s3, bucket, [member(n) for n in range(25)], "test.json")
    result = ScatterHandler({"input_obj": "test.json"}, None, s3).main()
    keys = [f"scatter/job_{n:03d}.pkl" for n in range(3)]
    assert result == {"segment_definitions": keys}
    assert [len(read(s3, bucket, key)) for key in keys] == [10, 10, 5]


@pytest.mark.parametrize("division_number", [1, 7, 24, 25, 26])
def test_segments_cover_every_row_once(
    s3: "S3Client", bucket: str, division_number: int
) -> None:
    table = [member(n) for n in range(25)]
    put(s3, bucket, table)
    keys = scatter_table(s3, division_number=division_number)
    whole = pd.concat([read(s3, bucket, key) for key in keys])
    assert len(keys) == -(-25 // division_number)
    pd.testing.assert_frame_equal(whole, pd.DataFrame(table), check_index_type=False)


def test_an_empty_table_is_one_segment_without_rows(s3: "S3Client", bucket: str) -> None:
    put(s3, bucket, [])
    [key] = scatter_table(s3)
    assert read(s3, bucket, key).empty


def test_the_execution_keeps_its_segments_apart(s3: "S3Client", bucket: str) -> None:
    put(s3, bucket, [member(0)])
    event = {"input_obj": "test.json", "execution": "run-1", "overrides": {"input_obj": KEY}}
    assert ScatterHandler(event, None, s3).main() == {
        "segment_definitions": ["scatter/run-1/job_000.pkl"],
        "workbook": "members.xlsx",
    }


@pytest.mark.parametrize(
    ("key", "workbook"),
    [
        ("test.json", "test.xlsx"),
        ("2026/members.json", "2026/members.xlsx"),
        ("a.b/members", "a.b/members.xlsx"),
        ("v1.2.json", "v1.2.xlsx"),
    ],
)
def test_the_workbook_is_named_after_the_input(key: str, workbook: str) -> None:
    assert Job(key, None, "run-1").workbook == workbook


@pytest.mark.parametrize("size", [1, 10_000, 123_457, 4_700_000, 700_000_000])
def test_no_table_makes_more_than_200_segments(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scaled down a thousand times: the sizes are bytes of records of 7 bytes."""
    monkeypatch.setattr(scatter, "SEGMENT_BYTES", 6_900)
    monkeypatch.setattr(scatter, "BLOCK_BYTES", 960)
    monkeypatch.setattr(scatter, "SMALL_TABLE_BYTES", 200)
    records = max(1, size // 1000 // 9)
    data = json.dumps([{"a": 1}] * records).encode()
    segments = list(map(len, make_segments(data)))
    assert sum(segments) == records
    assert len(segments) <= scatter.SEGMENTS


@pytest.mark.parametrize(
    ("size", "segments"), [(3_400, 1), (3_500, 2), (13_800, 2), (13_900, 4), (69_000, 10)]
)
def test_longer_tables_make_pairs_of_segments(
    size: int, segments: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scatter, "SEGMENT_BYTES", 6_900)
    monkeypatch.setattr(scatter, "BLOCK_BYTES", 960)
    monkeypatch.setattr(scatter, "SMALL_TABLE_BYTES", 200)
    data = json.dumps([{"a": 1}] * (size // 10)).encode()
    assert len(data) == size
    made = list(map(len, make_segments(data)))
    assert len(made) == segments
    assert max(made) - min(made) <= segments


def test_small_tables_of_tiny_records_make_at_most_200_segments() -> None:
    data = json.dumps([{}] * 40_000).encode()
    assert len(data) <= scatter.SMALL_TABLE_BYTES
    assert list(map(len, make_segments(data))) == [200] * 200


def test_columns_agree_where_later_records_bring_new_ones(s3: "S3Client", bucket: str) -> None:
    put(s3, bucket, [{"a": 1}, {"a": 2, "c": "x"}, {"b": 3}])
    keys = scatter_table(s3, division_number=1)
    frames_read = [read(s3, bucket, key) for key in keys]
    assert [list(df.columns) for df in frames_read] == [["a", "c", "b"]] * 3
    assert pd.concat(frames_read).to_json(orient="values") == (
        '[[1.0,null,null],[2.0,"x",null],[null,null,3.0]]'
    )


VALUES = {
    "text": ["000", "x"],
    "integers": [1, 2],
    "integers beyond a float": [2**53 + 1, 2.5],
    "integers beyond a float beside nothing": [2**60 + 1, None],
    "integers beyond 64 bits": [10**30, 1],
    "mixed": ["x", 1],
    "nested": [{"b": [1]}, [2]],
    "booleans": [True, False],
}


def test_blocks_join_to_the_table_of_all_their_records() -> None:
    records: list[dict[str, Any]] = [{"a": 1, "b": 2}, {"b": 3, "a": 4}, {}, {"c": 5, "a": None}]
    for size in (1, 2, 3, 4):
        blocks = [records[at : at + size] for at in range(0, 4, size)]
        table = Table(blocks)
        columns = {name: list(column.joined()) for name, column in table.columns.items()}
        expected = {"a": [1, 4, None, None], "b": [2, 3, None, None], "c": [None, None, None, 5]}
        assert (columns, table.rows) == (expected, 4)


@pytest.mark.parametrize("block_rows", [1, 2])
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_values_are_kept_exactly(values: list[Any], block_rows: int) -> None:
    handler = ScatterHandler({}, None, None)  # type: ignore[arg-type]
    blocks = itertools.batched([{"a": value} for value in values], block_rows)
    df = handler.make_df(Table(blocks), 0, KEY)
    kept = df["a"].astype(object).where(df["a"].notna(), None).tolist()
    assert (kept, list(map(type, kept))) == (values, list(map(type, values)))
    whole = handler.make_df(Table([[{"a": value} for value in values]]), 0, KEY)
    pd.testing.assert_frame_equal(df, whole)


def test_numbers_with_gaps_are_floats() -> None:
    handler = ScatterHandler({}, None, None)  # type: ignore[arg-type]
    assert handler.make_df(Table([[{"a": 1}, {"a": None}]]), 0, KEY)["a"].dtype == "float64"


def test_a_number_beyond_the_range_is_named(s3: "S3Client", bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key=KEY, Body=b'[{"a": 1}, {"a": 1e999}]')
    with pytest.raises(InvalidJSON, match="^members.json record 1: a is beyond the range"):
        scatter_table(s3)


def test_a_faulty_record_is_named_with_the_object(s3: "S3Client", bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key=KEY, Body=b'[{"a": 1}, {"a" 1}, {"a": 1, "b": 2}]')
    with pytest.raises(InvalidJSON, match="^members.json record 1, byte 16: expected valid JSON"):
        scatter_table(s3)


EVENTS: dict[str, tuple[dict[str, Any], str]] = {
    "no input": ({}, "input_obj: must be the key of an object; found None"),
    "number": ({"input_obj": 7}, "input_obj: must be the key of an object; found 7"),
    "empty": ({"input_obj": ""}, "input_obj: must be the key of an object; found ''"),
    "climbing": ({"input_obj": "a/../b"}, "input_obj: must be the key of an object; found 'a/../b'"),
    "workbook": ({"input_obj": "a.xlsx"}, "input_obj: the workbook would overwrite it; found 'a.xlsx'"),
    "zero": ({"division_number": 0}, "division_number: must be a whole number from 1; found 0"),
    "half": ({"division_number": 2.5}, "division_number: must be a whole number from 1; found 2.5"),
    "true": ({"division_number": True}, "division_number: must be a whole number from 1; found True"),
    "text": ({"division_number": "9"}, "division_number: must be a whole number from 1; found '9'"),
    "typo": ({"overrides": {"division": 9}}, "overrides: knows input_obj, division_number; found division"),
    "list": ({"overrides": [1]}, r"overrides: must be an object; found \[1\]"),
}


@pytest.mark.parametrize(("event", "fault"), EVENTS.values(), ids=EVENTS)
def test_a_wrong_event_is_named(event: dict[str, Any], fault: str) -> None:
    event = event if "input" in fault.split(":")[0] else {"input_obj": KEY, **event}
    with pytest.raises(InvalidEvent, match=f"^{fault}$"):
        Job.from_event(event)


def test_a_division_beyond_the_limits_is_refused(
    s3: "S3Client", bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scatter, "ITERATIONS", 20)
    put(s3, bucket, [member(n) for n in range(25)])
    with pytest.raises(TooManySegments, match="division_number 1 passes that at segment 21"):
        scatter_table(s3, division_number=1)


def test_a_thousand_segments_fit_an_execution() -> None:
    job = Job(KEY, 10, "e" * 36)
    scatter.check_fits_execution(1000, job.segment_key(999), job)


def test_a_manifest_lists_any_number_of_segments(
    s3: "S3Client", bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scatter, "ITERATIONS", 20)
    put(s3, bucket, [member(n) for n in range(25)])
    event = {"input_obj": KEY, "execution": "run-1", "manifest": True, "division_number": 1}
    result = ScatterHandler(event, None, s3).main()
    manifest = "scatter/run-1/manifest.json"
    assert result == {"bucket": bucket, "manifest": manifest, "workbook": "members.xlsx"}
    keys = json.loads(s3.get_object(Bucket=bucket, Key=manifest)["Body"].read())
    assert keys == [f"scatter/run-1/job_{n:03d}.pkl" for n in range(25)]


def test_a_missing_object_is_s3s_own_error(s3: "S3Client", bucket: str) -> None:
    with pytest.raises(s3.exceptions.NoSuchKey):
        scatter_table(s3)

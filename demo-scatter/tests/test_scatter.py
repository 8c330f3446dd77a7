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
from pipeline.events.scatter import Job, NotATable, TooManySegments
from pipeline.keys import InvalidEvent, gathered
from pipeline.reading import cuts
from pipeline.reading.columns import Block, Table
from pipeline.reading.csv_table import CSVColumns
from pipeline.reading.formats import Format
from pipeline.reading.json_records import ArrayReader
from pipeline.reading.source import InputChanged, Opened, Source
from pipeline.segments import frames
from scatter import ScatterHandler, Segment, with_columns
from tests.scattering import put, scattered

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
    reader = ArrayReader(chunks, KEY)
    opened = Opened(KEY, "", len(data), Format("json", False, len(data)), reader)
    source = Source([opened], len(data), CSVColumns(), reader)
    job = Job(KEY, division_number, None, manifest, written=True)
    segments = HANDLER.make_segments(source, job)
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


@pytest.mark.parametrize(
    ("inbox", "key", "workbook"),
    [
        ("", "test.json", "test.xlsx"),
        ("", "2026/members.json", "2026/members.xlsx"),
        ("", "data.2024.01", "data.2024.01.xlsx"),
        ("", "data.2024.02.json", "data.2024.02.xlsx"),
        ("", "orders.csv.gz", "orders.xlsx"),
        ("", "2026/ORDERS.CSV", "2026/ORDERS.xlsx"),
        ("", "a.json.jsonl", "a.json.xlsx"),
        ("", "inbox/members.json", "inbox/members.xlsx"),
        ("inbox/", "inbox/a/members.json", "outbox/a/members.xlsx"),
        ("in/new/", "in/new/members.json", "outbox/members.xlsx"),
        ("inbox/", "members.json", "members.xlsx"),
        ("inbox/", "a/inbox/members.json", "a/inbox/members.xlsx"),
    ],
)
def test_the_workbook_is_named_after_the_input_and_out_of_the_inbox(
    inbox: str, key: str, workbook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INBOX", inbox)
    assert Job(key, None, "run-1").workbook == workbook


def test_what_others_write_into_an_input_is_no_fault() -> None:
    event = {"version": "0", "id": "1", "detail-type": "x", "source": "aws.s3", "detail": {}}
    event |= {"account": "1", "time": "t", "region": "r", "resources": [], "Comment": "c"}
    event |= {"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "arn:aws:states:…"}
    assert Job.from_event({"overrides": {**event, "input_obj": KEY}}) == Job(KEY, None, None)


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
    df = with_columns(given, ["b", "a"])
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


INPUT = "input_obj: must be the key of an object, a folder/, a pattern or a list of keys; found "
LONG = "input_obj: must be short enough for its workbook, whose key has at most 1,024 bytes; found "
ENDS = ".json, .jsonl, .ndjson, .csv, .tsv, .xlsx"
ENDING = (
    f"input_obj: must end in {ENDS} or one of these with .gz, or have no ending; found the text "
)
NUMBER = "division_number: must be a whole number from 1; found "
EXECUTION = "execution: must be an execution's name; found "
DELIMITER = "delimiter: must be one character, no quote and no line's end; found the text "
ENCODING = "encoding: must be utf-8 or cp932; found "
CSV_ALONE = 'encoding: only CSV has another than UTF-8; found the text "cp932" of members.json'
BUCKET = "input_bucket: must be a bucket's name; found "
READ = 'workbook: must be no object that is read; found the text "a.xlsx"'
LIMIT = "max_rejects: must be a whole number from 0; found "
KNOWN = (
    "input_obj, input_bucket, workbook, source_column, division_number, scheduled_time, zone, "
    "encoding, delimiter, sheet, etl, rejects, max_rejects, sheets"
)
KANJI = "漢" * 60 + "…"
EVENTS: list[tuple[dict[str, Any], str]] = [
    ({"input_obj": None}, INPUT + "null"),
    ({"input_obj": 7}, INPUT + "the number 7"),
    ({"input_obj": ""}, INPUT + 'the text ""'),
    ({"input_obj": "a/../b"}, INPUT + 'the text "a/../b"'),
    ({"input_obj": "/a.json"}, INPUT + 'the text "/a.json"'),
    ({"input_obj": "a\nb"}, INPUT + r'the text "a\nb"'),
    ({"input_obj": "a\ud83d"}, INPUT + r'the text "a\ud83d"'),
    ({"input_obj": "漢" * 342}, INPUT + f'the text "{KANJI}"'),
    ({"input_obj": "漢" * 340}, LONG + f'the text "{KANJI}"'),
    ({"input_obj": "漢" * 340 + ".csv"}, LONG + f'the text "{KANJI}"'),
    ({"input_obj": "a.xls"}, ENDING + '"a.xls"'),
    ({"overrides": {"input_obj": "b/a.csv.zip"}}, ENDING + '"b/a.csv.zip"'),
    ({"input_obj": "a.xlsx"}, READ),
    ({"workbook": ["a.xlsx"]}, "workbook: must be a key that ends in .xlsx; found an array"),
    ({"delimiter": ";;"}, DELIMITER + '";;"'),
    ({"delimiter": '"'}, DELIMITER + r'"\""'),
    ({"input_bucket": "A_b"}, BUCKET + 'the text "A_b"'),
    ({"input_obj": "a.xlsx", "input_bucket": "own"}, READ),
    ({"sheet": ""}, 'sheet: must be a sheet\'s name; found the text ""'),
    ({"encoding": "sjis"}, ENCODING + 'the text "sjis"'),
    ({"encoding": ["utf-8"]}, ENCODING + "an array"),
    ({"encoding": "cp932"}, CSV_ALONE),
    ({"division_number": 0}, NUMBER + "the number 0"),
    (json.loads('{"division_number": 1e400}'), NUMBER + "the number inf"),
    ({"division_number": 2.5}, NUMBER + "the number 2.5"),
    ({"division_number": True}, NUMBER + "true"),
    ({"division_number": "9"}, NUMBER + 'the text "9"'),
    ({"overrides": {"division": 9}}, f"overrides: knows {KNOWN}; found division"),
    ({"overrides": [1]}, "overrides: must be an object; found an array"),
    ({"overrides": {"etl": 5}}, "etl: must be the name of an ETL; found the number 5"),
    ({"etl": ""}, 'etl: must be the name of an ETL; found the text ""'),
    ({"rejects": None}, 'rejects: must be "sheet"; found null'),
    ({"overrides": {"rejects": "file"}}, 'rejects: must be "sheet"; found the text "file"'),
    ({"max_rejects": 3}, 'rejects: must be "sheet"; found max_rejects alone'),
    ({"rejects": "sheet", "max_rejects": -1}, LIMIT + "the number -1"),
    ({"rejects": "sheet", "max_rejects": True}, LIMIT + "true"),
    ({"sheets": "table"}, 'sheets: must be "summaries"; found the text "table"'),
    ({"overrides": {"sheets": None}}, 'sheets: must be "summaries"; found null'),
    ({"execution": "../x"}, EXECUTION + 'the text "../x"'),
    ({"execution": "a/b"}, EXECUTION + 'the text "a/b"'),
    ({"execution": 5}, EXECUTION + "the number 5"),
    ({"execution": "漢" * 81}, EXECUTION + f'the text "{KANJI}"'),
    ({"execution": ""}, EXECUTION + 'the text ""'),
]


@pytest.mark.parametrize(("event", "fault"), EVENTS, ids=[ascii(each)[:40] for each, _ in EVENTS])
def test_a_wrong_event_is_named(
    event: dict[str, Any], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKET", "own")
    with pytest.raises(InvalidEvent) as raised:
        Job.from_event({"input_obj": KEY, **event}).of(
            [event.get("input_obj") or KEY], written=True
        )
    assert str(raised.value) == fault


@pytest.mark.parametrize("key", ["notes.txt", "a/_SUCCESS", "x.gz", "x.json.part", "2026/", ""])
def test_of_the_inbox_is_passed_over_what_does_not_end_as_a_table(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INBOX", "inbox/")
    with pytest.raises(NotATable) as raised:
        Job.from_event({"input_obj": "test.json", "overrides": {"input_obj": f"inbox/{key}"}})
    assert str(raised.value) == (
        f"input_obj: a table of the inbox must end in {ENDS}, or one of these with .gz; "
        f'found the text "inbox/{key}", which is passed over'
    )


@pytest.mark.parametrize("inbox", ["", "inbox/"])
@pytest.mark.parametrize("end", [".json", ".CSV", ".jsonl.gz", ".ndjson"])
def test_a_table_of_the_inbox_is_a_job_and_so_is_one_beside_it_without_an_ending(
    end: str, inbox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INBOX", inbox)
    assert Job.from_event({"input_obj": f"inbox/a/x{end}"}).input_obj == f"inbox/a/x{end}"
    assert Job.from_event({"input_obj": "other/inbox/x"}).input_obj == "other/inbox/x"


@pytest.mark.parametrize("key", [7, None, ["inbox/"]])
def test_what_is_no_key_is_no_object_of_the_inbox(
    key: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INBOX", "inbox/")
    with pytest.raises(InvalidEvent):
        Job.from_event({"input_obj": key})


@pytest.mark.parametrize("execution", [None, "e" * 73, "漢" * 80], ids=["none", "long", "kanji"])
@pytest.mark.parametrize("key", ["members.json", "漢" * 330 + ".json"], ids=["short", "kanji"])
def test_the_state_of_every_division_that_is_allowed_is_at_most_256_kib(
    execution: str | None, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the Map leaves it, whichever way its texts are written."""
    monkeypatch.setattr(events, "ITERATIONS", 10**6)
    job = Job.from_event({"input_obj": key, "execution": execution})

    def state(segments: int) -> int:
        keys = [job.segment_key(number) for number in range(segments)]
        whole = {
            "segment_definitions": keys,
            "workbook": job.workbook,
            "segment_results": [gathered(each) for each in keys],
        }
        return max(len(json.dumps(whole)), len(json.dumps(whole, ensure_ascii=False).encode()))

    refused = next(n for n in range(1, 10**6) if not fits(n, job))
    # Keys of later segments are longer: not much is refused that would fit.
    assert state(refused - 1) <= 256 * 1024 < state(refused + refused // 30)


def fits(segments: int, job: Job) -> bool:
    try:
        events.check_fits_execution(segments, job.segment_key(segments - 1), job)
    except TooManySegments:
        return False
    return True


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


def test_a_thousand_segments_fit_an_execution() -> None:
    job = Job(KEY, 10, "e" * 36)
    events.check_fits_execution(1000, job.segment_key(999), job)


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


INBOX_INPUT = {"encoding": "cp932", "orders": {"rejects": "sheet", "encoding": "utf-8"}}
SHEET, CP932 = {"rejects": "sheet"}, {"encoding": "cp932"}
FOLDERS: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, str]]] = [
    ("inbox/orders/2026/a.csv", {}, {"folder": "orders", **SHEET}, {"encoding": "utf-8"}),
    ("inbox/x/a.csv", {}, {"folder": "x"}, CP932),
    ("inbox/orders.csv", {}, {}, CP932),
    ("inbox/orders/a.csv", {"etl": "sales", **CP932}, {"etl": "sales", **SHEET}, CP932),
    ("orders/a.csv", {}, {}, {}),
]


@pytest.mark.parametrize(("key", "given", "told", "reading"), FOLDERS)
def test_a_table_of_the_inbox_has_the_etl_and_the_input_of_its_folder(
    key: str,
    given: dict[str, Any],
    told: dict[str, Any],
    reading: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INBOX", "inbox/")
    monkeypatch.setenv("INBOX_INPUT", json.dumps(INBOX_INPUT))
    job = Job.from_event({"input_obj": "test.json", "overrides": {"input_obj": key, **given}})
    assert (job.told, job.reading) == (told, reading)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[1]", "InboxInput: must be a JSON object; found the text "),
        ('{"orders": {"etls": 1}}', "InboxInput: knows input_obj, .*; found etls"),
        ('{"orders": 1}', "InboxInput: knows input_obj, .*; found orders"),
        ('{"encoding": 1}', "encoding: must be utf-8 or cp932; found the number 1"),
    ],
)
def test_an_inbox_input_that_is_none_is_named(
    text: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INBOX", "inbox/")
    monkeypatch.setenv("INBOX_INPUT", text)
    with pytest.raises(InvalidEvent, match=f"^{fault}"):
        Job.from_event({"overrides": {"input_obj": "inbox/orders/a.csv"}})

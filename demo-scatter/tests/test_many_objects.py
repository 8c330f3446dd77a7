"""A table of several objects is read as one object with all of their records would be."""

import csv
import gzip
import io
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from pipeline.events.scatter import Job
from pipeline.facts.stages import workbook_metadata
from pipeline.keys import InvalidEvent
from pipeline.reading import cuts, objects, plain_numbers, segment_files, source
from pipeline.reading.csv_table import InvalidCSV
from pipeline.reading.json_records import InvalidJSON
from pipeline.reading.objects import NoObjects, TooManyObjects
from pipeline.reading.source import InputChanged, NoCommonColumn
from pipeline.reading.xlsx import InvalidWorkbook
from pipeline.segments.rules import is_number, refuse, rejects, sift
from scatter import ScatterHandler, Segment
from tests.scattering import as_json, as_lines, facts, put, scattered

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from pipeline.reading.source import Source

type Record = dict[str, Any]


def as_csv(records: list[Record], delimiter: str = ",") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["番号", "数"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def as_tsv(records: list[Record]) -> bytes:
    return as_csv(records, "\t")


def as_workbook(records: list[Record]) -> bytes:
    book, file = Workbook(write_only=True), io.BytesIO()
    sheet = book.create_sheet()
    for row in [["番号", "数"], *(list(record.values()) for record in records)]:
        sheet.append(row)
    book.save(file)
    return file.getvalue()


WRITERS = {
    **{".json": as_json, ".jsonl": as_lines, "": as_json},
    **{".csv": as_csv, ".tsv": as_tsv, ".xlsx": as_workbook},
}


def written(records: list[Record], ending: str) -> bytes:
    data = WRITERS[ending.removesuffix(".gz")](records)
    return gzip.compress(data) if ending.endswith(".gz") else data


@pytest.fixture
def small_segments(small_scale: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "SEGMENT_BYTES", 300)


ENDINGS = [end + packed for end in WRITERS for packed in ("", ".gz")]
# What CSV and JSON tell alike: 番号 holds texts of which one at least is no number.
ROWS = st.tuples(
    st.sampled_from(["000", "7", "0.5", "x"]),
    st.none() | st.integers(-9, 9) | st.sampled_from([0.5, "なし", "1,2"]),
)
RECORDS = st.lists(ROWS, min_size=1, max_size=30).map(
    lambda rows: [{"番号": name, "数": number} for name, number in [*rows, ("最後", 1)]]
)


def plain(cell: Any) -> Any:
    return None if pd.isna(cell) else cell


def cells(df: pd.DataFrame) -> list[list[Any]]:
    return [[plain(cell) for cell in row] for row in df.astype(object).itertuples(index=False)]


def doubled(df: pd.DataFrame) -> pd.DataFrame:
    refuse(df, "数", ~is_number(df["数"]), "must be a number")
    return df.assign(倍=df["数"] * 2)


def processed(segments: list[pd.DataFrame]) -> tuple[list[Any], list[Any], list[Any]]:
    """The rows of all segments, the result's, and what is refused: object, record and column."""
    rows, made, refused = [], [], []
    for df in segments:
        read = plain_numbers.read_cells(df, ["数"])
        result, faults = sift(doubled, read, ["数"])
        rows += cells(read)
        made += cells(result)
        refused += [row[:3] for row in cells(rejects(read, faults))]
    return rows, made, refused


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(RECORDS, st.data())
def test_any_cut_into_objects_is_one_table(
    s3: "S3Client", bucket: str, small_segments: None, table: list[Record], data: st.DataObject
) -> None:
    """By rows, or by bytes."""
    ends = sorted(data.draw(st.lists(st.integers(0, len(table)), max_size=6), "cuts"))
    parts, places = {}, []
    for n, (start, stop) in enumerate(itertools.pairwise([0, *ends, len(table)])):
        ending = data.draw(st.sampled_from(ENDINGS))
        parts[f"all/{n:03d}{ending}"] = written(table[start:stop], ending)
        places += [(f"all/{n:03d}{ending}", record) for record in range(stop - start)]
    put(s3, bucket, parts)
    try:
        rows = data.draw(st.sampled_from([None, 1, 7, 100]), "division_number")
        read, made, refused = processed(scattered(s3, input_obj="all/", division_number=rows))
    finally:
        for key in parts:
            s3.delete_object(Bucket=bucket, Key=key)
    assert read == [list(record.values()) for record in table]
    is_good = [type(record["数"]) in (int, float) for record in table]
    assert refused == [[*place, "数"] for place, good in zip(places, is_good) if not good]
    assert made == [[*row, row[1] * 2] for row, good in zip(read, is_good) if good]
    told = facts(s3, bucket)
    counts = Counter(key for key, _ in places)
    assert [(each.key, each.rows) for each in told.objects] == [(key, counts[key]) for key in parts]
    assert told.rows == len(table)


@pytest.mark.parametrize("count", [1, 7, 40])
@pytest.mark.parametrize("ending", [".jsonl", ".csv"])
def test_segments_are_as_large_however_many_objects_hold_the_table(
    s3: "S3Client", bucket: str, small_scale: None, count: int, ending: str
) -> None:
    table = [{"番号": f"x{n:05d}", "数": n} for n in range(1_400)]
    parts = [table[1_400 * n // count : 1_400 * (n + 1) // count] for n in range(count)]
    put(s3, bucket, {f"all/{n:04d}{ending}": written(part, ending) for n, part in enumerate(parts)})
    segments = scattered(s3, input_obj="all/")
    assert [record for df in segments for record in df.to_dict("records")] == table
    assert 6 <= len(segments) <= {".jsonl": 10, ".csv": 26}[ending]
    sizes = [len(df) for df in segments]
    assert max(sizes) <= 2 * sum(sizes) / len(sizes)


def test_a_day_without_rows_tells_nothing_of_how_the_others_are_packed(
    s3: "S3Client", bucket: str, small_scale: None
) -> None:
    table = [{"番号": f"x{n:05d}", "数": n} for n in range(1_400)]
    put(s3, bucket, {"t/2.json.gz": written(table, ".json.gz")})
    alone = scattered(s3, input_obj="t/")
    put(s3, bucket, {"t/1.json.gz": written([], ".json.gz")})
    assert len(scattered(s3, input_obj="t/")) == len(alone)


def test_a_column_that_is_text_in_one_object_is_text_in_all(s3: "S3Client", bucket: str) -> None:
    """Of CSV; and a text of JSON makes it text, too."""
    put(s3, bucket, {"t/1.csv": b"a,b\n1,1\n", "t/2.csv": b"a,b\nx,2\n", "t/4.csv": b"a,b\n3,3\n"})
    segments = scattered(s3, input_obj="t/", division_number=1)
    assert [cells(df) for df in segments] == [[["1", 1]], [["x", 2]], [["3", 3]]]
    put(s3, bucket, {"t/2.csv": b"a,b\n2,2\n", "t/3.json": b'[{"a": "x", "b": 3}]'})
    segments = scattered(s3, input_obj="t/", division_number=1)
    assert [cells(df) for df in segments] == [[["1", 1]], [["2", 2]], [["x", 3]], [["3", 3]]]
    assert [df.attrs.get("format") for df in segments] == ["csv", "csv", None, "csv"]
    [whole] = scattered(s3, input_obj="t/")
    assert whole.attrs["format"] == "mixed"


def test_columns_unite_in_first_seen_order(s3: "S3Client", bucket: str) -> None:
    bodies = {"t/1.csv": b"b,a\n1,2\n", "t/2.json": b'[{"a": 3, "d": 4}]', "t/3.csv": b"a,c\n"}
    put(s3, bucket, bodies)
    segments = scattered(s3, input_obj="t/", division_number=1)
    assert [list(df.columns) for df in segments] == [["b", "a", "d", "c"]] * 2
    assert [cells(df) for df in segments] == [[[1, 2, None, None]], [[None, 3, 4, None]]]


def test_cells_may_stand_between_other_signs(s3: "S3Client", bucket: str) -> None:
    """That of the key's ending, or that of the input for all."""
    put(
        s3,
        bucket,
        {"t/1.tsv": b"a\tb\n1,5\t2\n", "u/1.csv": b"a;b\n1,5;2\n", "u/2.tsv": b"a;b\n"},
    )
    assert cells(*scattered(s3, input_obj="t/")) == [["1,5", 2]]
    assert cells(*scattered(s3, input_obj="u/", delimiter=";")) == [["1,5", 2]]
    put(s3, bucket, {"v.csv": b'a;b\n1;"2"3\n'})
    with pytest.raises(InvalidCSV, match="^v.csv record 0, line 2: a quote must end its cell"):
        scattered(s3, input_obj="v.csv", delimiter=";")


def test_a_workbook_of_the_pipelines_own_is_no_input_of_a_folder(
    s3: "S3Client", bucket: str
) -> None:
    body = as_workbook([{"番号": "x", "数": 1}])
    put(s3, bucket, {"t/1.xlsx": body})
    metadata = workbook_metadata("t/x/")
    s3.put_object(Bucket=bucket, Key="t/x.xlsx", Body=body, Metadata=metadata)
    scattered(s3, input_obj="t/")
    told = facts(s3, bucket)
    assert ([each.key for each in told.objects], told.passed_over) == (["t/1.xlsx"], 1)


def test_a_sheet_is_read_by_its_name(s3: "S3Client", bucket: str) -> None:
    put(s3, bucket, {"t.xlsx": as_workbook([{"番号": "x", "数": 1}])})
    with pytest.raises(InvalidWorkbook, match='^t.xlsx: must have the sheet "控え"; found Sheet$'):
        scattered(s3, input_obj="t.xlsx", workbook="u.xlsx", sheet="控え")


def test_a_folder_of_headers_alone_keeps_its_columns(s3: "S3Client", bucket: str) -> None:
    put(s3, bucket, {"t/1.csv": b"a,b\n", "t/2.csv": b"b,c\n"})
    [df] = scattered(s3, input_obj="t/")
    assert (list(df.columns), len(df)) == (["a", "b", "c"], 0)


def test_the_column_of_keys_comes_first(s3: "S3Client", bucket: str) -> None:
    put(s3, bucket, {"t/1.csv": b"a\n1\n2\n", "t/2.json": b'[{"a": 3, "b": 4}]'})
    [df] = scattered(s3, input_obj="t/", source_column="ファイル")
    assert list(df.columns) == ["ファイル", "a", "b"]
    assert df["ファイル"].tolist() == ["t/1.csv", "t/1.csv", "t/2.json"]
    [alone] = scattered(s3, input_obj="t/1.csv", source_column="ファイル")
    assert cells(alone) == [["t/1.csv", 1], ["t/1.csv", 2]]


def test_the_column_of_keys_is_none_of_the_tables(s3: "S3Client", bucket: str) -> None:
    put(s3, bucket, {"t/1.csv": b"a\n1\n2\n"})
    with pytest.raises(
        InvalidEvent, match='^source_column: must be a column .*; found the text "a"'
    ):
        scattered(s3, input_obj="t/", source_column="a")


FAULTS = {
    "t/2.json": (b'[{"a": 1}, {"a" 2}]', InvalidJSON, "record 1, byte 16: expected valid JSON"),
    "t/2.csv": (b"a\n1\n1,2\n", InvalidCSV, "record 1, line 3: a row has as many cells"),
}


@pytest.mark.parametrize(("key", "fault"), FAULTS.items(), ids=FAULTS)
def test_a_faulty_object_is_named(
    s3: "S3Client", bucket: str, key: str, fault: tuple[bytes, type[ValueError], str]
) -> None:
    body, error, told = fault
    put(s3, bucket, {"t/1.csv": b"a\n1\n", key: body, "t/3.csv": b"a\n1\n"})
    with pytest.raises(error, match=f"^{key} {told}"):
        scattered(s3, input_obj="t/")


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("deleted", [False, True], ids=["replaced", "deleted"])
def test_an_object_that_changes_after_the_listing_is_named(
    s3: "S3Client", bucket: str, monkeypatch: pytest.MonkeyPatch, deleted: bool, large: bool
) -> None:
    monkeypatch.setattr(source, "WHOLE_BYTES", -1 if large else 100)

    class Changing(ScatterHandler):
        def get_s3_data(self, *args: Any) -> "Source":
            opened = super().get_s3_data(*args)
            self.s3.delete_object(Bucket=bucket, Key="t/2.csv")
            if not deleted:
                put(s3, bucket, {"t/2.csv": b"a\n7\n"})
            return opened

    put(s3, bucket, {f"t/{n}.csv": b"a\n1\n" for n in (1, 2, 3)})
    what = "nothing" if deleted else "another object"
    with pytest.raises(InputChanged, match=f"^t/2.csv: must stay while it is read; found {what}$"):
        Changing({"input_obj": "t/"}, None, s3).main()


def test_an_object_that_comes_after_the_listing_is_not_read(s3: "S3Client", bucket: str) -> None:
    class Adding(ScatterHandler):
        def make_segments(self, source: "Source", job: Job) -> Iterator[Segment]:
            put(s3, bucket, {"t/0.csv": b"a\n9\n"})
            yield from super().make_segments(source, job)

    put(s3, bucket, {"t/1.csv": b"a\n1\n"})
    Adding({"input_obj": "t/"}, None, s3).main()
    assert [each.key for each in facts(s3, bucket).objects] == ["t/1.csv"]


def test_objects_without_a_common_column_are_no_table(s3: "S3Client", bucket: str) -> None:
    put(s3, bucket, {"t/1.csv": b"a,b\n1,1\n", "t/2.json": b"[]", "t/3.csv": b"c\n1\n"})
    with pytest.raises(
        NoCommonColumn, match=r"^t/3.csv: must have a column of t/1.csv, .*; found c$"
    ):
        scattered(s3, input_obj="t/")


INPUTS: dict[str, tuple[Any, list[str], str]] = {
    "a folder": ("a/", ["a/1.csv", "a/2.tsv", "a/b/3.csv"], "a.xlsx"),
    "a folder within": ("a/b/", ["a/b/3.csv"], "a/b.xlsx"),
    "a step": ("a/*.csv", ["a/1.csv"], "a.xlsx"),
    "any steps": ("a/**/*.csv", ["a/1.csv", "a/b/3.csv"], "a.xlsx"),
    "a folder of any name": ("a/*/", ["a/b/3.csv"], "a.xlsx"),
    "a star in a step": ("a/b*/*.csv", ["a/b/3.csv"], "a.xlsx"),
    "brackets": ("a[1]/*", ["a[1]/5.csv"], "a[1].xlsx"),
    "a key with a star": ("x*.csv", ["x*.csv"], "x*.xlsx"),
}
THERE = ["a/1.csv", "a/2.tsv", "a/b/3.csv", "a1/4.csv", "a[1]/5.csv", "x*.csv", "x1.csv"]
OTHERS = ["a/", "a/_SUCCESS", "a/.1.csv.crc", "a/_delta_log/0.json", "a/1.txt", "b/"]


@pytest.mark.parametrize(("given", "keys", "workbook"), INPUTS.values(), ids=INPUTS)
def test_an_input_names_its_objects_and_its_workbook(
    s3: "S3Client", bucket: str, given: Any, keys: list[str], workbook: str
) -> None:
    put(s3, bucket, dict.fromkeys([*THERE, *OTHERS], b"a\n1\n"))
    made = ScatterHandler({"input_obj": given, "execution": "e"}, None, s3).main()
    assert made["workbook"] == workbook
    assert [each.key for each in facts(s3, bucket, "scatter/e").objects] == keys


def test_what_is_no_table_is_counted_and_a_list_is_read_in_its_order(
    s3: "S3Client", bucket: str
) -> None:
    put(s3, bucket, {key: b"a\n1\n" for key in ["a/1.csv", "a/3.csv", *OTHERS]})
    scattered(s3, input_obj="a/")
    assert facts(s3, bucket).passed_over == 4
    scattered(s3, input_obj=["a/3.csv", "a/1.csv"], workbook="a.xlsx")
    assert [each.key for each in facts(s3, bucket).objects] == ["a/3.csv", "a/1.csv"]


def test_a_run_on_all_passes_over_what_the_pipeline_wrote(s3: "S3Client", bucket: str) -> None:
    keys = ["a.csv", "scatter/x/b.csv", "gather/c.csv", "reference/d.csv", "outbox/e.csv"]
    put(s3, bucket, dict.fromkeys(keys, b"a\n1\n"))
    scattered(s3, input_obj="**", workbook="all.xlsx")
    assert [each.key for each in facts(s3, bucket).objects] == ["a.csv"]


ABSENT = "a/9.csv: must be there, as a list of keys names it; found nothing"
NAMED = (
    "workbook: must be named for a list of keys, and for a pattern that begins with a star; "
    "found none"
)
STEPS = 'input_obj: a pattern has ** for whole steps alone; found "a/x**.csv"'
CP932 = 'encoding: only CSV has another than UTF-8; found the text "cp932" of j/2.json'
REFUSED: list[tuple[dict[str, Any], type[ValueError], str]] = [
    ({"input_obj": "b/"}, NoObjects, "b/: must hold a table; found nothing"),
    ({"input_obj": "c/"}, NoObjects, "c/: must hold a table; found 1 objects that are none"),
    ({"input_obj": ["a/1.csv", "a/9.csv"], "workbook": "a.xlsx"}, NoObjects, ABSENT),
    ({"input_obj": "a/x**.csv"}, InvalidEvent, STEPS),
    ({"input_obj": ["a/1.csv"]}, InvalidEvent, NAMED),
    ({"input_obj": "*/1.csv"}, InvalidEvent, NAMED),
    ({"input_obj": "j/", "encoding": "cp932"}, InvalidEvent, CP932),
]


@pytest.mark.parametrize(
    ("event", "error", "fault"), REFUSED, ids=[str(event) for event, _, _ in REFUSED]
)
def test_an_input_that_cannot_be_meant_is_named(
    s3: "S3Client", bucket: str, event: dict[str, Any], error: type[ValueError], fault: str
) -> None:
    keys = ("a/1.csv", "c/x.txt", "j/1.csv", "j/2.json")
    put(s3, bucket, dict.fromkeys(keys, b"a\n1\n"))
    with pytest.raises(error) as raised:
        scattered(s3, **event)
    assert str(raised.value) == fault


def test_more_objects_than_the_limit_are_refused(
    s3: "S3Client", bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "MOST_OBJECTS", 2)
    put(s3, bucket, {f"a/{n}.csv": b"a\n1\n" for n in range(3)})
    with pytest.raises(
        TooManyObjects, match="^a/: an execution reads at most 2 objects; found more$"
    ):
        scattered(s3, input_obj="a/")


def test_the_inbox_holds_no_workbook(
    s3: "S3Client", bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INBOX", "inbox/")
    put(s3, bucket, {"inbox/a/1.csv": b"a\n1\n"})
    event = {"input_obj": "inbox/a/*.csv", "execution": "e"}
    assert ScatterHandler(event, None, s3).main()["workbook"] == "outbox/a.xlsx"
    with pytest.raises(InvalidEvent, match="^workbook: must lie outside"):
        scattered(s3, input_obj="inbox/a/*.csv", workbook="inbox/a.xlsx")


@pytest.mark.parametrize("given", ["t/a.json", "t/"])
def test_the_text_of_one_object_is_for_workers_however_it_is_named(
    s3: "S3Client", bucket: str, small_scale: None, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setattr(segment_files, "vcpus", lambda: 2)
    put(s3, bucket, {"t/a.json": as_json([{"n": n} for n in range(1_400)])})
    at: objects.At = {"Bucket": bucket}
    opened = source.open_table(s3, at, objects.find_objects(s3, at, given).objects, {})
    assert opened.reader and segment_files.for_workers(opened) is opened.reader


def test_the_gather_is_told_which_upload_the_table_is(
    s3: "S3Client", bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INBOX", "inbox/")
    put(s3, bucket, {"inbox/a.csv": b"a\n1\n", "b.csv": b"a\n1\n"})
    etag = s3.head_object(Bucket=bucket, Key="inbox/a.csv")["ETag"]

    def told(**event: str) -> Any:
        return ScatterHandler({**event, "execution": "e"}, None, s3).main().get("upload")

    assert told(input_obj="inbox/a.csv") == {"key": "inbox/a.csv", "etag": etag}
    assert told(input_obj="b.csv") is None
    assert told(input_obj="inbox/a.csv", input_bucket=bucket) == told(input_obj="inbox/a.csv")
    of_others = Job("inbox/a.csv", None, "e", input_bucket="others", written=True)
    assert not of_others.is_uploaded

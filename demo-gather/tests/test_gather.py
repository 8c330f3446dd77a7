import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from openpyxl import load_workbook

from gather import GatherHandler
from pipeline.events.gather import MissingSegment, result_keys
from pipeline.excel import SHEET_COLUMNS
from pipeline.facts.stages import WorkbookFacts, made_from, workbook_metadata
from pipeline.keys import InvalidEvent, partials_key
from pipeline.s3 import upload as uploads
from pipeline.s3.signed import Objects, signing_key
from pipeline.segments import figures as rendered
from pipeline.segments import frames, result
from pipeline.segments.figures import Figures
from pipeline.segments.rejects_sheet import TooManyRejects, on_a_sheet
from pipeline.segments.rules import COLUMNS, Fault, rejects
from pipeline.sheet.chunks import Chunks
from pipeline.sheet.layout import Layout
from pipeline.sheet.sheet_xml import render_rows
from pipeline.sheet.workbook import WorkbookTooLarge
from pipeline.summaries.combine import Summaries
from pipeline.summaries.summary import Summary

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TABLE = pd.DataFrame(
    {
        "会員番号": [f"{n:03d}" for n in range(9)],
        "ポイント": range(9),
        "日": pd.Timestamp("2021-05-16"),
    }
)
PLAIN = Layout()
THIRDS = [TABLE[0:3], TABLE[3:6], TABLE[6:9]]
LABELLED = TABLE.set_index(pd.to_timedelta(TABLE.index)).set_axis(
    pd.CategoricalIndex(TABLE.columns), axis=1
)


@dataclass
class Store:
    """The bucket as segments and gather use it."""

    s3: "S3Client"
    bucket: str
    folder: str = "gather/"  # of results

    @property
    def objects(self) -> Objects:
        return Objects(self.s3, self.bucket, signing_key())

    def put(self, key: str, body: bytes) -> str:
        """Returns the ETag."""
        return self.objects.put(key, body)

    def get(self, key: str = "test.xlsx") -> bytes:
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def put_pickle(self, number: int, df: pd.DataFrame) -> str:
        """Write a segment's result alone."""
        key = f"{self.folder}job_{number:03d}.pkl"
        self.put(key, frames.dump(df))
        return key

    def send(
        self,
        number: int,
        df: pd.DataFrame,
        position: int | None = None,
        faulty: Iterable[int] = (),
        summaries: Sequence[Summary] = (),
        formats: dict[str, str] | None = None,
        layout: Layout = PLAIN,
        **attrs: Any,
    ) -> str:
        """Write a result and what stands beside it, as a segment does.

        Args:
            position: of its first row in the whole table; by default its index tells.
            attrs: of its segment.
        """
        key = f"{self.folder}job_{number:03d}.pkl"
        segment = df.copy()
        if position is not None:
            segment = pd.DataFrame(index=range(position, position + 3))
        segment.attrs |= {"source": "members.json", **attrs}
        faults = {row: Fault("ポイント", "must be odd", f"the number {row}") for row in faulty}
        own = df.drop(index=[*faults])
        told = summaries, formats or {}, layout
        result.send(self.s3, self.bucket, key, own, segment, faults, *told)
        return key

    def put_all(self, segments: Iterable[pd.DataFrame]) -> list[str]:
        """Write results that were of three rows each before an ETL changed them."""
        return [self.send(n, df, n * 3) for n, df in enumerate(segments)]

    def gather(self, keys: list[str], **event: Any) -> str:
        definitions = [key.replace("gather", "scatter") for key in keys]
        event = {"segment_definitions": definitions, "segment_results": keys, **event}
        return GatherHandler(event, None, self.s3).main()

    def read(self, key: str = "test.xlsx", sheet: str = "Sheet1") -> list[tuple[Any, ...]]:
        return list(load_workbook(io.BytesIO(self.get(key)))[sheet].values)

    def assert_no_workbook(self) -> None:
        assert "Contents" not in self.s3.list_objects_v2(Bucket=self.bucket, Prefix="test.xlsx")
        assert "Uploads" not in self.s3.list_multipart_uploads(Bucket=self.bucket)


@pytest.fixture
def store(s3: "S3Client", bucket: str) -> Store:
    return Store(s3, bucket)


def values(df: pd.DataFrame) -> list[tuple[Any, ...]]:
    rows = df.astype(object).where(df.notna(), None).values
    return [tuple(df.columns), *map(tuple, rows)]


@pytest.mark.parametrize("rows", [3, 9])
def test_rendered_segments_are_joined_in_order_without_reading_their_pickles(
    store: Store, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = range(0, 9, rows)
    keys = [store.send(n, TABLE[at : at + rows]) for n, at in enumerate(starts)]
    monkeypatch.setattr(frames, "load", None)
    assert store.gather(keys) == "test.xlsx"
    assert store.read() == values(TABLE)


def test_the_workbook_is_the_same_however_it_was_rendered(store: Store) -> None:
    keys = store.put_all(THIRDS)
    store.gather(keys, workbook="rendered.xlsx")
    keys = [store.put_pickle(n, df) for n, df in enumerate(THIRDS)]
    store.gather(keys, workbook="pickled.xlsx")
    first, second = (store.get(key) for key in ("rendered.xlsx", "pickled.xlsx"))
    assert first == second


ETLS: dict[str, list[pd.DataFrame]] = {
    "dropped rows": [TABLE[0:1], TABLE[3:3], TABLE[6:9]],
    "dropped all": [TABLE[0:0], TABLE[3:3], TABLE[6:6]],
    "added rows": [pd.concat([TABLE[0:3]] * 3), TABLE[3:6], TABLE[6:9]],
    "a reset index": [df.reset_index(drop=True) for df in THIRDS],
    "a column of some": [TABLE[0:3], TABLE[3:6].assign(備考="x"), TABLE[6:9][["ポイント"]]],
    "labels of other kinds": [LABELLED[n : n + 2] for n in (0, 3, 6)],
    "columns of one name": [TABLE[["日", "日", "会員番号"]][n : n + 3] for n in (0, 3, 6)],
}


@pytest.mark.parametrize("segments", ETLS.values(), ids=ETLS)
def test_rows_and_columns_that_an_etl_changed_are_right(
    store: Store, segments: list[pd.DataFrame]
) -> None:
    store.gather(store.put_all(segments))
    assert store.read() == values(pd.concat(segments))


PIECES = {"ポイント": "#,##0", "日": "m/d"}
FORMATS: dict[str, list[tuple[int | None, dict[str, str]]]] = {
    "of all": [(0, PIECES), (3, PIECES), (6, PIECES)],
    "of the first": [(0, PIECES), (3, {}), (6, {"会員番号": "0", "ポイント": "0"})],
    "of the first that tells them": [(None, {}), (3, PIECES), (6, PIECES)],
    "moved rows": [(0, PIECES), (4, PIECES), (None, {})],
}


@pytest.mark.parametrize("segments", FORMATS.values(), ids=FORMATS)
def test_number_formats_are_the_first_ones(
    store: Store, segments: list[tuple[int | None, dict[str, str]]]
) -> None:
    keys = [
        store.put_pickle(n, df) if position is None else store.send(n, df, position, formats=told)
        for n, (df, (position, told)) in enumerate(zip(THIRDS, segments, strict=True))
    ]
    store.gather(keys)
    rows = list(load_workbook(io.BytesIO(store.get()))["Sheet1"].iter_rows(min_row=2))
    assert [[cell.number_format for cell in row] for row in rows] == [
        ["General", "#,##0", "m/d"]
    ] * 9


POINTS = Summary("all", n=("会員番号", "count"), points=("ポイント", "sum"))
LAYOUT = Layout(title="題", freeze="会員番号", hidden=["日"], widths={"ポイント": 30})


@pytest.mark.parametrize("moved", [0, 1], ids=["spliced", "rendered again"])
def test_the_layout_of_the_etl_is_that_of_the_workbook(store: Store, moved: int) -> None:
    """Also where a record before them seems to be missing."""
    keys = []
    for number, third in enumerate(THIRDS):
        df = third.assign(日=third["日"].mask(third.index > 0))
        keys.append(store.send(number, df, number * 3 + moved, [], [POINTS], layout=LAYOUT))
    store.gather(keys)
    book: Any = load_workbook(io.BytesIO(store.get()))
    for sheet in book:
        assert (sheet.oddHeader.center.text, sheet.oddFooter.left.text) == ("題", "&A")
    sheet = book["Sheet1"]
    assert (sheet.freeze_panes, sheet.column_dimensions["C"].hidden) == ("B2", True)
    assert 30 <= sheet.column_dimensions["B"].width < 31
    assert [cell.number_format for cell in sheet["C"][1:3]] == ["yyyy-mm-dd", "General"]
    assert book["all"]["A2"].number_format == "#,##0"


def test_stale_rows_beside_a_newer_pickle_are_not_used(store: Store) -> None:
    key = store.send(0, TABLE[0:3])
    store.put_pickle(0, TABLE[3:6])
    store.gather([key])
    assert store.read() == values(TABLE[3:6])


@pytest.fixture
def objects_of_partials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What results contribute to summaries is in objects of its own."""
    monkeypatch.setattr(rendered, "INLINE_BYTES", 0)


OLDER = pytest.mark.fault(
    tried=(
        "partial results of an older result, without a key",
        "鍵のない場合の、古い結果の部分集計",
    ),
    happened=(
        "counted again from the result, or refused by name; never added twice",
        "結果から数え直すか、名前を示して拒否。二重には加えない",
    ),
)


@OLDER
@pytest.mark.parametrize(
    "changed", [TABLE[3:6].assign(ポイント=100), TABLE[3:5]], ids=["values", "rows"]
)
def test_partial_results_of_an_older_result_are_not_added(
    store: Store, objects_of_partials: None, changed: pd.DataFrame
) -> None:
    pieces = [TABLE[:3], TABLE[3:6], TABLE[6:]]
    keys = [store.send(number, df, summaries=[POINTS]) for number, df in enumerate(pieces)]
    store.put_pickle(1, changed)
    for _ in range(2):  # as a retry reads what the first call rendered
        store.gather(keys)
        found = pd.concat([pieces[0], changed, pieces[2]])["ポイント"]
        assert store.read(sheet="all")[1:] == [(len(found), found.sum())]


@OLDER
def test_partial_results_that_somebody_replaced_leave_no_workbook(
    store: Store, objects_of_partials: None
) -> None:
    keys = [store.send(0, TABLE, summaries=[POINTS])]
    store.put(partials_key(keys[0]), b"others")
    with pytest.raises(MissingSegment, match=r"^gather/job_000\.partials: .*; found another$"):
        store.gather(keys)
    store.assert_no_workbook()


def test_summaries_alone_leave_the_table_out_and_render_no_row(store: Store) -> None:
    """Also where columns differ, and a text is longer than a cell."""
    late = TABLE[3:6].assign(備考="x" * 40_000)
    keys = [
        store.send(n, df, summaries=[POINTS], sheets="summaries")
        for n, df in enumerate([TABLE[:3], late, TABLE[6:]])
    ]
    store.gather(keys)
    assert load_workbook(io.BytesIO(store.get())).sheetnames == ["all"]
    assert store.read(sheet="all") == [("n", "points"), (9, 36)]
    facts = json.loads(store.get("gather/facts.json"))
    assert (facts["table"], facts["rows"], facts["sheets"]) == (False, 9, ["all"])
    assert facts["columns"] == [*late.columns]
    assert {store.get(f"gather/job_00{n}.xml.deflate") for n in range(3)} == {b""}


def test_a_table_that_is_left_out_may_be_wider_than_a_sheet(store: Store) -> None:
    names = [f"c{n}" for n in range(SHEET_COLUMNS)]
    df = pd.concat([TABLE[:3], pd.DataFrame(0, index=range(3), columns=names)], axis=1)
    store.gather([store.send(0, df, summaries=[POINTS], sheets="summaries")])
    assert load_workbook(io.BytesIO(store.get())).sheetnames == ["all"]
    assert store.read(sheet="all") == [("n", "points"), (3, 0 + 1 + 2)]
    assert json.loads(store.get("gather/facts.json"))["columns"] == [*df.columns]


def test_summaries_alone_keep_the_sheet_of_rejects_that_was_asked_for(store: Store) -> None:
    keys = [
        store.send(n, df, None, [n * 3], [POINTS], sheets="summaries", rejects="sheet")
        for n, df in enumerate(THIRDS)
    ]
    store.gather(keys)
    assert load_workbook(io.BytesIO(store.get())).sheetnames == ["all", "Rejects"]
    assert store.read(sheet="all") == [("n", "points"), (6, 36 - 0 - 3 - 6)]
    assert json.loads(store.get("gather/facts.json"))["rows"] == 6


@pytest.mark.fault(
    tried=("a workbook of more than 4 GiB", "4 GiB を超えるワークブック"),
    happened=(
        "refused by its size before a byte of it is written",
        "1 バイトも書かずに、大きさを示して拒否",
    ),
)
def test_a_workbook_that_would_pass_4_gib_is_refused_before_it_is_begun(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows alone do: so no summary is merged."""
    monkeypatch.setattr(Summaries, "tables", None)
    keys = store.put_all(THIRDS)
    for number, key in enumerate(keys):
        rows = render_rows(THIRDS[number], number * 3, key)
        [part] = rows.parts
        large = replace(rows, parts=[replace(part, deflated_bytes=3 << 29)])
        etag = store.s3.head_object(Bucket=store.bucket, Key=key)["ETag"]
        rendered.send(store.objects, key, large, Figures(etag))
    rule = "a workbook that Excel opens has at most 4,294,967,296 bytes; found 4,831,838,208"
    with pytest.raises(WorkbookTooLarge, match=f"^test.xlsx: {rule}$"):
        store.gather(keys)
    store.assert_no_workbook()


def test_a_formula_stands_in_the_workbook_as_a_value(store: Store) -> None:
    named: Any = {"n": ("会員番号", "count"), "points": ("ポイント", "sum"), "each": "points / n"}
    store.gather([store.send(0, TABLE, summaries=[Summary("all", **named)])])
    assert store.read(sheet="all") == [("n", "points", "each"), (9, 36, 4)]


def test_a_manifest_stands_for_the_lists(store: Store) -> None:
    store.put_all(THIRDS[:2])
    definitions = ["scatter/job_000.pkl", "scatter/job_001.pkl"]
    store.put("scatter/manifest.json", json.dumps(definitions).encode())
    event = {"manifest": "scatter/manifest.json", "workbook": "members.xlsx"}
    assert GatherHandler(event, None, store.s3).main() == "members.xlsx"
    assert store.read("members.xlsx") == values(TABLE[:6])


SOURCES = ["orders.json", ' 注文　1%=?".csv', "漢" * 341, "😀" * 256, "a" * 1024]


@pytest.mark.parametrize("source", SOURCES, ids=["ASCII", "kanji", "341 kanji", "emoji", "long"])
def test_a_workbook_names_the_object_that_it_was_made_from(store: Store, source: str) -> None:
    """Also where S3's 2 KB of ASCII hold only the beginning of the name."""
    store.gather([store.send(0, TABLE, source=source)])
    metadata = store.s3.head_object(Bucket=store.bucket, Key="test.xlsx")["Metadata"]
    assert metadata == workbook_metadata(source)
    assert source.startswith(made_from(metadata)[:100])
    assert len(source) > 100 or made_from(metadata) == source
    assert "input" in metadata and sum(map(len, [*metadata, *metadata.values()])) <= 2048


def test_a_workbook_whose_input_nobody_told_names_none(store: Store) -> None:
    store.gather([store.put_pickle(0, TABLE)])
    metadata = store.s3.head_object(Bucket=store.bucket, Key="test.xlsx")["Metadata"]
    assert metadata == {"made-by": "scatter-gather"}


def test_a_missing_result_leaves_the_workbook_as_it_was(store: Store) -> None:
    key = store.send(0, TABLE[0:3])
    store.gather([key])
    with pytest.raises(
        MissingSegment, match="^gather/job_001.pkl: each segment must have a result"
    ):
        store.gather([key, "gather/job_001.pkl"])
    assert store.read() == values(TABLE[0:3])


def test_late_columns_of_one_name_stay_apart(store: Store) -> None:
    twice = TABLE[["ポイント", "会員番号", "ポイント"]]
    late = twice[3:6].assign(備考="x")
    store.gather(store.put_all([twice[0:3], late, twice[6:9]]))
    header, *rows = store.read()
    assert header == ("ポイント", "会員番号", "ポイント", "備考")
    assert rows == [(n, f"{n:03d}", n, "x" if n in range(3, 6) else None) for n in range(9)]


@pytest.mark.parametrize(
    "faulty",
    [[[], [], []], [[0], [], [6, 8]], [[0, 1, 2], [4], []]],
    ids=["none", "some", "a segment"],
)
def test_rejects_are_on_a_sheet_and_not_in_the_table(store: Store, faulty: list[list[int]]) -> None:
    thirds = [*THIRDS[:2], THIRDS[2].assign(備考="x")]
    keys = [
        store.send(n, df, None, rows, rejects="sheet")
        for n, (df, rows) in enumerate(zip(thirds, faulty, strict=True))
    ]
    store.gather(keys)
    store.gather(keys)  # a retry finds what the first one rendered
    rows = [row for rows in faulty for row in rows]
    kept = pd.concat(thirds)
    assert store.read() == values(kept.drop(index=rows))
    titles, *sheet = store.read(sheet="Rejects")
    assert titles == (*COLUMNS, *TABLE.columns, "備考")
    assert [row[:5] for row in sheet] == [
        (n, "ポイント", "must be odd", f"the number {n}", f"{n:03d}") for n in rows
    ]
    facts = json.loads(store.get("gather/facts.json"))
    assert (facts["rejects"], facts["rows"], facts["sheets"]) == (
        len(rows),
        9 - len(rows),
        ["Sheet1", "Rejects"],
    )


@pytest.mark.fault(
    tried=(
        "more faulty records than `max_rejects`",
        "`max_rejects` より多い不備のあるレコード",
    ),
    happened=(
        "refused with the number and the first record; no workbook",
        "件数と最初のレコードを示して拒否。ワークブックなし",
    ),
)
def test_more_rejects_than_allowed_leave_no_workbook(store: Store) -> None:
    keys = [
        store.send(n, THIRDS[n], None, faulty, rejects="sheet", max_rejects=4)
        for n, faulty in enumerate([[1], [3, 4, 5], [8]])
    ]
    first = "members.json record 1: ポイント must be odd; found the number 1"
    with pytest.raises(TooManyRejects, match=f"^{first}: .* 5 faulty .* max_rejects is 4$"):
        store.gather(keys)
    store.assert_no_workbook()


HELD: dict[str, tuple[Any, Any]] = {
    "long": ("あ" * 40_000, "あ" * 32_766 + "…"),
    "as long as a cell": ("あ" * 32_767, "あ" * 32_767),
    "long emoji": ("😀" * 16_384, "😀" * 16_383 + "…"),
    "a surrogate": ("a\ud801b", r"a\ud801b"),
    "a pair": ("😀", "😀"),
    "nested": ({"b": ["\ud801", 1]}, r'{"b": ["\ud801", 1]}'),
    "long and nested": (["x" * 40_000], '["' + "x" * 32_764 + "…"),
    "surrogates that escapes make long": ("\ud801" * 32_767, r"\ud801" * 5_461 + "…"),
    "a long integer": (10**16 + 1, "10000000000000001"),
    "missing": (None, None),
    "a number": (0.5, 0.5),
}


@pytest.mark.fault(
    tried=(
        "a faulty record that no cell can hold, with `rejects`",
        "`rejects` で、セルに書けない値を持つ不備のあるレコード",
    ),
    happened=(
        "listed, its long texts cut with …, lone surrogates as `\\ud801`",
        "一覧になる。長い文字列は … で切られ、単独サロゲートは `\\ud801` と書かれる",
    ),
)
def test_a_record_that_no_cell_can_hold_is_listed_shortened(store: Store) -> None:
    held = {name: pd.Series([value, "x", None], dtype=object) for name, (value, _) in HELD.items()}
    df = pd.DataFrame({**held, "b\ud801": range(3), "n": 10**15})
    df.attrs = {"source": "members.json", "rejects": "sheet"}
    faults = {row: Fault("b\ud801", "must be \ud802", "nothing") for row in range(3)}
    result.send(store.s3, store.bucket, "gather/job_000.pkl", TABLE[:0], df, faults, [], {}, PLAIN)
    store.gather(["gather/job_000.pkl"])
    titles, first, second, third = store.read(sheet="Rejects")
    assert titles == (*COLUMNS, *HELD, r"b\ud801", "n")
    told = (r"b\ud801", r"must be \ud802", "nothing")
    assert first == (0, *told, *(cell for _, cell in HELD.values()), 0, str(10**15))
    assert set(second[4:-2]) == {"x"} and set(third[4:-2]) == {None}


@pytest.mark.parametrize("columns", [16_380, 16_381])
def test_rejects_of_a_wide_table_say_which_columns_do_not_fit(columns: int) -> None:
    wide = pd.DataFrame([range(columns)], columns=[f"c{n}" for n in range(columns)])
    shown = on_a_sheet(rejects(wide, {0: Fault("c0", "must be", "nothing")}))
    whole = [*COLUMNS, *wide.columns]
    cut = len(whole) - 16_384
    assert [*shown] == (whole if cut <= 0 else [*whole[:16_383], f"… {cut + 1} more columns"])
    last = [16_379] if cut <= 0 else [None]
    assert shown.replace(np.nan, None).values.tolist() == [
        [0, "c0", "must be", "nothing", *range(16_379), *last]
    ]


LINES = pd.DataFrame({"n": range(450), "a": "", "b": "", "c": "c"})
for row, text in ((3, "x" * 9), (199, "x" * 19), (200, "x" * 39), (449, "x" * 99)):
    LINES.loc[row, ["a", "b"]] = text
LINES.attrs = {"source": "lines.json", "rejects": "sheet"}
FAULTY = [3, 198, 201, 260, 448]
RULES: dict[str, tuple[list[int], Any]] = {
    "all rows": ([], lambda df: df),
    "some rows": ([], lambda df: df[df["n"] % 3 != 0]),
    "no rows": ([], lambda df: df[:0]),
    "sorted": ([], lambda df: df.sort_values("n", ascending=False)),
    "a new index": ([], lambda df: df.reset_index(drop=True)),
    "an index of texts": ([], lambda df: df.set_axis(df["n"].map(str))),
    "an index of two levels": ([], lambda df: df.set_index(["n", "c"], drop=False)),
    "rows made of rows": ([], lambda df: pd.concat([df, df.assign(c="c" * 7)])),
    "a column of late rows": (
        [],
        lambda df: (
            df.assign(e=df["n"].map({n: "e" * 99 for n in range(300, 450)}))
            if df["n"].max() >= 300
            else df
        ),
    ),
    "left out": (FAULTY, lambda df: df),
    "left out, and some rows": (FAULTY, lambda df: df[df["n"] % 2 == 1]),
}
CUTS: list[list[int]] = [[], [3, 199, 201, 350]]


def widths(book: bytes) -> dict[str, str]:
    """Of the columns of each sheet, as the file has them."""
    archive = zipfile.ZipFile(io.BytesIO(book))
    sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/sheet")]
    return {name: archive.read(name).decode().partition("<sheetData>")[0] for name in sheets}


@pytest.mark.parametrize(("left_out", "rule"), RULES.values(), ids=RULES)
def test_columns_are_as_wide_wherever_the_table_was_cut(
    store: Store, left_out: list[int], rule: Any
) -> None:
    """By the first 200 rows of the input, and of a sheet beside the table's."""
    top = Summary("a別", by="a", total="計", n=("n", "count"))
    found = []
    for number, cuts in enumerate(CUTS):
        edges = [0, *cuts, 450]
        keys = [f"gather/{number}/job_{edge:03d}.pkl" for edge in edges[:-1]]
        for key, start, stop in zip(keys, edges, edges[1:]):
            segment = LINES[start:stop]
            faults = {row: Fault("a", "must", "x" * row) for row in left_out if start <= row < stop}
            df = rule(segment.drop(index=list(faults)))
            result.send(store.s3, store.bucket, key, df, segment, faults, [top], {}, PLAIN)
        GatherHandler({"segment_results": keys}, None, store.s3).main()
        found.append(widths(store.get()))
    assert len(found[0]) == 3
    assert found == [found[0]] * len(CUTS)


EVENTS: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({}, "InvalidEvent: event: segment_results must be a list of keys; found null"),
    "definitions that are no list": (
        {"segment_definitions": 3, "segment_results": ["a"]},
        "InvalidEvent: event: segment_definitions must be a list of keys; found the number 3",
    ),
    "no results": (
        {"segment_results": []},
        "InvalidEvent: event: segment_results must hold a key; found an empty list",
    ),
    "a null": (
        {"segment_definitions": ["a", "b"], "segment_results": ["c", None]},
        "MissingSegment: b: each segment must have one result; found 1 results for 2 segments",
    ),
    "a null alone": (
        {"segment_results": ["c", None]},
        "MissingSegment: event: each segment must have one result; found 1 results for 2 segments",
    ),
    "too few": (
        {"segment_definitions": ["a", "b"], "segment_results": ["c"]},
        "MissingSegment: b: each segment must have one result; found 1 results for 2 segments",
    ),
    "too many": (
        {"segment_definitions": ["a"], "segment_results": ["b", "c"]},
        "InvalidEvent: event: found 2 results for 1 segments",
    ),
    "one twice": (
        {"segment_results": ["a", "b", "a"]},
        "InvalidEvent: event: each result must be another; found a again",
    ),
}


@pytest.mark.parametrize(("event", "fault"), EVENTS.values(), ids=EVENTS)
def test_a_wrong_event_is_named(event: dict[str, Any], fault: str) -> None:
    with pytest.raises((InvalidEvent, MissingSegment)) as raised:
        result_keys(event)
    assert f"{raised.typename}: {raised.value}" == fault


# Of two uploads of one key the later one has the workbook, whichever execution ends last.
INBOX = "inbox/x.json"


def upload(store: Store, body: bytes) -> dict[str, str]:
    """What the scatter tells of an object that is put into the inbox."""
    etag = store.s3.put_object(Bucket=store.bucket, Key=INBOX, Body=body)["ETag"]
    return {"key": INBOX, "etag": etag}


def workbook_facts(store: Store) -> WorkbookFacts:
    return WorkbookFacts.from_json(store.get("gather/facts.json"))


def test_the_workbook_of_the_latest_upload_is_written(store: Store) -> None:
    keys = store.put_all([TABLE[0:3]])
    first = upload(store, b"1")
    assert store.gather(keys, upload=first) == "test.xlsx"
    assert (store.read(), workbook_facts(store).later) == (values(TABLE[0:3]), False)
    store.put_all([TABLE[3:6]])
    assert store.gather(keys, upload=upload(store, b"2")) == "test.xlsx"
    assert store.read() == values(TABLE[3:6])


def test_an_earlier_upload_that_ends_last_leaves_the_workbook_and_says_so(store: Store) -> None:
    first, second = upload(store, b"1"), upload(store, b"2")
    keys = store.put_all([TABLE[3:6]])
    store.gather(keys, upload=second)
    store.put_all([TABLE[0:3]])
    assert store.gather(keys, upload=first) == "test.xlsx"
    assert (store.read(), workbook_facts(store).later) == (values(TABLE[3:6]), True)


def test_an_upload_that_was_removed_is_still_the_latest(store: Store) -> None:
    given = upload(store, b"1")
    store.s3.delete_object(Bucket=store.bucket, Key=INBOX)
    store.gather(store.put_all([TABLE[0:3]]), upload=given)
    assert store.read() == values(TABLE[0:3])


@pytest.mark.parametrize("again", [False, True], ids=["its upload is later", "ours is the latest"])
def test_a_workbook_that_is_written_meanwhile_is_looked_at_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """Between our look at the input and our writing, another execution writes."""
    given = upload(store, b"1")
    real: Any = uploads.upload
    raced: list[Any] = []

    def racing(*args: Any, **condition: str) -> None:
        if not raced:
            raced.append(store.s3.put_object(Bucket=store.bucket, Key="test.xlsx", Body=b"other"))
            if not again:
                upload(store, b"2")
        real(*args, **condition)

    monkeypatch.setattr(uploads, "upload", racing)
    store.gather(store.put_all([TABLE[0:3]]), upload=given)
    assert workbook_facts(store).later is not again
    if again:
        assert store.read() == values(TABLE[0:3])
    else:
        assert store.get() == b"other"


def test_a_conditional_upload_in_parts_is_whole_or_nothing(s3: "S3Client", bucket: str) -> None:
    body = bytes(range(256)) * 50_000

    def send(**condition: str) -> None:
        described = {"Metadata": {"a": "b"}}
        uploads.upload(s3, bucket, "x", Chunks([body]), len(body), described, **condition)

    send(IfNoneMatch="*")
    found = s3.get_object(Bucket=bucket, Key="x")
    assert (found["Body"].read(), found["Metadata"]) == (body, {"a": "b"})
    assert found["ETag"].endswith('-2"')
    with pytest.raises(s3.exceptions.ClientError, match="PreconditionFailed"):
        send(IfNoneMatch="*")
    with pytest.raises(s3.exceptions.ClientError, match="PreconditionFailed"):
        send(IfMatch='"0"')
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    send(IfMatch=found["ETag"])

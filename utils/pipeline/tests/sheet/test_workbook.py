"""A spliced workbook reads as XlsxWriter's own of the same table."""

import datetime as dt
import itertools
import math
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
import xlsxwriter
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from pipeline import excel
from pipeline.excel import SHEET_ROWS, STYLE_FORMATS, InvalidCell
from pipeline.sheet import zip_file
from pipeline.sheet.parts import SheetPart
from pipeline.sheet.rendered_table import render_table
from pipeline.sheet.sheet_xml import render_rows
from pipeline.sheet.table import SHEET, Table
from pipeline.sheet.workbook import Workbook, WorkbookTooLarge
from pipeline.tests.sheet.test_sheet_xml import FIRST, LEAP, render_parts, write_cell

NAME = "members.xlsx"
MEMBERS = pd.DataFrame(
    {
        "会員番号": ["000", "001", "002"],
        "名前": ["長野原 ひろし", "般若 竜門", "十河 アンナ"],
        "会員ランク": [4, 2, 2],
        "タイムスタンプ": ["2021-05-16", "2021-07-19", "2021-09-06"],
        "ボーナスポイント": [72.5, 75.0, 57.0],
    }
)


AWKWARD = [
    ["=1+1", "https://example.org/?a=1&b=<2>", "000", "1e5", "TRUE", "@x", "{=A1}"],
    ["😀", "e\u0301\u200d", "\u3000全角", "全角\u00a0", "]]>", "&amp;", '"quoted"'],
    [" leading", "trailing ", " ", "\n", "two\nlines", "tab\t", "return\r\n"],
    ["\0", "\x01\x1f\x7f\x85", "_x0041_", "_x005F_", "\ufffe\uffff", "_x", ""],
    ["a" * 32_767, "&" * 32_767, "😀" * 16_383, None, True, False, 0],
    [10**15, -(10**30), 0.1, 1e300, float("nan"), float("inf"), -float("inf")],
    [dt.date(2021, 5, 16), dt.datetime(2021, 5, 16, 12, 30), dt.timedelta(1.5), None, 1, 1.5, "1"],
]

texts = st.text(max_size=20)
cells = st.one_of(
    st.none(),
    texts,
    st.floats(),
    st.integers(-(10**20), 10**20),
    st.booleans(),
    st.dates(dt.date(1900, 1, 1)) | st.dates(dt.date(1900, 1, 1), dt.date(1900, 3, 1)),
    st.datetimes(FIRST) | st.datetimes(FIRST, LEAP),
    st.timedeltas(dt.timedelta(0), dt.timedelta(days=1_000)),
)


def table(rows: list[Any], names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=names, dtype=object)


def spliced(df: pd.DataFrame, cuts: tuple[int, ...] = (), chunk: int = 1_000_000) -> bytes:
    """The workbook of a table whose rows are rendered in pieces and arrive in chunks."""
    edges = [0, *cuts, len(df)]
    made = render_table(SHEET, [df[start:stop] for start, stop in zip(edges, edges[1:])], {})
    body = b"".join(made.bodies)
    chunks = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    book = Workbook(NAME, [replace(made, bodies=chunks)], {})
    file = b"".join(book.chunks())
    assert len(file) == book.size
    return file


def of_one(columns: list[str], parts: list[SheetPart], bodies: Iterable[bytes]) -> Workbook:
    """A workbook of one table."""
    holds = [0] * len(columns)
    table = Table(SHEET, columns, [""] * len(columns), parts, bodies, holds=holds)
    return Workbook(NAME, [table], {})


def only(columns: list[str], parts: list[SheetPart], bodies: Iterable[bytes]) -> Iterator[bytes]:
    return of_one(columns, parts, bodies).chunks()


def written_by_xlsxwriter(df: pd.DataFrame, **beside: pd.DataFrame) -> bytes:
    file = BytesIO()
    with xlsxwriter.Workbook(file, {"constant_memory": True}) as book:
        formats = [book.add_format({"num_format": number}) for number in STYLE_FORMATS[1:]]
        for name, each in {"Sheet1": df, **beside}.items():
            worksheet = book.add_worksheet(name)
            headers: list[Iterable[Any]] = [each.columns]
            if each.columns.nlevels > 1:
                headers = [
                    merged_headers(worksheet, each.columns),
                    each.columns.get_level_values(1),
                ]
            rows = [*each.itertuples(index=False, name=None)]
            of_datetimes = [formats[1 if no_times(column) else 2] for column in zip(*rows)]
            for row, values in enumerate([*headers, *rows]):
                for column, value in enumerate(values):
                    own = of_datetimes[column] if row >= len(headers) else None
                    write_cell(worksheet, row, column, value, formats, own)
    return file.getvalue()


def merged_headers(worksheet: Any, columns: pd.Index) -> list[Any]:
    """The texts above the columns of a cross table, whose cells are merged over equal ones."""
    texts: list[Any] = [columns.names[0]]
    for text, pairs in itertools.groupby(columns[1:], key=lambda pair: pair[0]):
        first, count = len(texts), len([*pairs])
        worksheet.merge_range(0, first, 0, first + count - 1, "")
        texts += [text or None, *[None] * (count - 1)]
    return texts


def no_times(values: Iterable[Any]) -> bool:
    """Whether all datetimes are midnight, to the microsecond."""
    moments = [pd.Timestamp(value) for value in values if isinstance(value, dt.datetime)]
    return all(moment.floor("us") == moment.normalize() for moment in moments if moment == moment)


def opened(file: bytes) -> Any:
    return openpyxl.load_workbook(BytesIO(file))


def read_by_openpyxl(file: bytes) -> dict[str, Any]:
    return {
        worksheet.title: {
            cell.coordinate: (cell.data_type, cell.value, cell.number_format)
            for row in worksheet.iter_rows()
            for cell in row
            if cell.value is not None
        }
        for worksheet in opened(file).worksheets
    }


def read_by_openpyxl_streaming(file: bytes) -> dict[str, Any]:
    """All rows but empty ones at the end, which XlsxWriter leaves out."""
    book = openpyxl.load_workbook(BytesIO(file), read_only=True)
    sheets = {worksheet.title: [*worksheet.iter_rows(values_only=True)] for worksheet in book}
    for rows in sheets.values():
        while rows and not any(cell is not None for cell in rows[-1]):
            rows.pop()
    return sheets


def read_by_calamine(file: bytes) -> dict[str, Any]:
    book = CalamineWorkbook.from_filelike(BytesIO(file))
    return {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}


def assert_same_content(ours: bytes, theirs: bytes) -> None:
    for read in (read_by_openpyxl, read_by_openpyxl_streaming, read_by_calamine):
        assert read(ours) == read(theirs), read.__name__


TABLES = {
    "empty": table([], ["空"]),
    "no columns": pd.DataFrame(),
    "awkward": table(AWKWARD, ["=1+1", "_x0041_", " a ", "&<>", "\n", "😀", "列"]),
}


@pytest.mark.parametrize("df", TABLES.values(), ids=TABLES)
def test_content_is_that_of_xlsxwriter(df: pd.DataFrame) -> None:
    """Of the rows' XML, test_sheet_xml proves it."""
    assert_same_content(spliced(df), written_by_xlsxwriter(df))


def test_the_first_dates_are_read_as_they_were_given() -> None:
    times = pd.date_range("1900-01-01", "1900-03-02", freq="7h").to_pydatetime().tolist()
    file = spliced(table([(time.date(), time) for time in times], ["日", "時刻"]))
    for read in (read_by_openpyxl_streaming, read_by_calamine):
        (_, *rows) = read(file)["Sheet1"]
        assert [dt.date(day.year, day.month, day.day) for day, _ in rows] == [
            time.date() for time in times
        ]
        assert [pd.Timestamp(time).round("s") for _, time in rows] == times


def test_the_greatest_numbers_and_the_last_second_are_read_as_they_were_given() -> None:
    """Rounded to 16 digits, these are infinite, or a day that Excel does not have."""
    greatest = sys.float_info.max
    numbers = [greatest, -greatest, math.nextafter(greatest, 0), 1e308]
    last = dt.datetime(9999, 12, 31, 23, 59, 59)
    moments = [last, last.replace(microsecond=999_999), last - dt.timedelta(seconds=1), None]
    file = spliced(table([*zip(numbers, moments)], ["n", "時刻"]))
    for read in (read_by_openpyxl_streaming, read_by_calamine):
        found, times = zip(*read(file)["Sheet1"][1:])
        assert [*found] == numbers
        assert [pd.Timestamp(time).round("s") for time in times[:3]] == [last, last, moments[2]]


def test_a_header_that_looks_like_rich_text_markup_stays_text() -> None:
    assert read_by_calamine(spliced(table([], ["<r>&</r>"]))) == {"Sheet1": [["<r>&</r>"]]}


def test_excels_last_row_is_used_and_not_passed() -> None:
    """Of the first sheet's part, the XML has but its last row."""
    last, next_ = (
        render_rows(pd.DataFrame({"n": [n]}), n, NAME) for n in (SHEET_ROWS - 2, SHEET_ROWS - 1)
    )
    parts = [replace(last.parts[0], position=0, rows=SHEET_ROWS - 1), *next_.parts]
    file = b"".join(only(["n"], parts, [last.xml, next_.xml]))
    first, second = read_by_calamine(file).values()
    assert len(first) == SHEET_ROWS and first[-1] == [SHEET_ROWS - 2]
    assert second == [["n"], [SHEET_ROWS - 1]]
    book = openpyxl.load_workbook(BytesIO(file), read_only=True)
    assert [sheet.calculate_dimension() for sheet in book] == [f"A1:A{SHEET_ROWS}", "A1:A2"]


@pytest.mark.parametrize("rows", [0, 3])
@pytest.mark.parametrize("columns", [1, 30])
def test_the_dimension_is_that_of_the_table(rows: int, columns: int) -> None:
    df = table([range(columns)] * rows, [f"c{n}" for n in range(columns)])
    book = openpyxl.load_workbook(BytesIO(spliced(df)), read_only=True)
    last = f"{excel.column_letters(columns - 1)}{rows + 1}"
    assert book["Sheet1"].calculate_dimension() == f"A1:{last}"


def test_no_column_is_wider_than_excel_allows() -> None:
    """The Open XML SDK takes a width of 0 to 255."""
    archive = zipfile.ZipFile(BytesIO(spliced(table([["W" * 300, "漢" * 300]], ["a", "b"]))))
    xml = archive.read("xl/worksheets/sheet1.xml")
    assert set(re.findall(b' width="([^"]*)"', xml)) == {b"255"}


def test_the_workbook_bears_no_date_of_its_making() -> None:
    file = spliced(MEMBERS)
    created = opened(file).properties.created
    assert created == dt.datetime(1980, 1, 1)
    assert {entry.date_time[:3] for entry in entries(file)} == {(1980, 1, 1)}


def run_python(script: str, **environment: str) -> str:
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[3]), **environment}
    run = [sys.executable, "-c", script]
    return subprocess.check_output(run, env=environment, text=True).strip()


def entries(file: bytes) -> list[zipfile.ZipInfo]:
    return zipfile.ZipFile(BytesIO(file)).infolist()


def test_entries_are_like_those_of_xlsxwriter() -> None:
    file = BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        book.add_worksheet()
    assert [*map(facts, entries(spliced(MEMBERS)))] == [*map(facts, entries(file.getvalue()))]


def facts(entry: zipfile.ZipInfo) -> tuple[Any, ...]:
    versions = (entry.create_system, entry.create_version, entry.extract_version)
    return (entry.filename, versions, entry.flag_bits, entry.date_time, entry.external_attr)


@pytest.mark.parametrize("limit", [0, 500, 2_000, 4_000])
def test_xml_that_passes_the_limit_of_a_zip_is_in_zip64(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = spliced(MEMBERS)
    monkeypatch.setattr(zip_file, "ZIP32_LIMIT", limit)
    file = spliced(MEMBERS)
    assert zipfile.ZipFile(BytesIO(file)).testzip() is None
    for entry in entries(file):
        assert bool(entry.extra) == (entry.file_size >= limit)
    assert_same_content(file, plain)


PIECE = 1 << 20


def of_size(size: int, xml_bytes: int = 1 << 34) -> Workbook:
    """A workbook of so many bytes, most of them zeros in one sheet."""
    without = of_one(["n"], [SheetPart(0, 1, xml_bytes, 0, 0)], []).size
    pieces, rest = divmod(size - without, PIECE)
    bodies = itertools.chain(itertools.repeat(bytes(PIECE), pieces), [bytes(rest)])
    return of_one(["n"], [SheetPart(0, 1, xml_bytes, size - without, 0)], bodies)


def test_a_workbook_may_have_4_gib_and_its_sheets_more_xml(tmp_path: Path) -> None:
    book = of_size(1 << 32)
    with (tmp_path / "sparse.xlsx").open("wb") as file:
        for chunk in book.chunks():
            file.seek(len(chunk), os.SEEK_CUR) if len(chunk) == PIECE else file.write(chunk)
    assert (tmp_path / "sparse.xlsx").stat().st_size == book.size == 1 << 32
    with zipfile.ZipFile(tmp_path / "sparse.xlsx") as archive:
        entry = archive.getinfo("xl/worksheets/sheet1.xml")
        assert entry.file_size > 1 << 34 and entry.compress_size > (1 << 32) - 20_000
        assert archive.getinfo("xl/workbook.xml").header_offset > (1 << 32) - 20_000
        assert b'<sheet name="Sheet1"' in archive.read("xl/workbook.xml")


@pytest.mark.parametrize("more", [1, 1 << 32, 1 << 40])
def test_a_workbook_of_more_than_4_gib_is_refused_before_a_body_is_taken(more: int) -> None:
    with pytest.raises(
        WorkbookTooLarge, match=f"^{NAME}: .* 4,294,967,296 bytes; found {(1 << 32) + more:,}$"
    ):
        of_size((1 << 32) + more)


def test_a_workbook_without_the_table_has_the_names_of_the_others() -> None:
    file = b"".join(Workbook(NAME, [render_table("会員", [MEMBERS], {})], {}).chunks())
    assert read_by_calamine(file) == {"会員": read_by_calamine(spliced(MEMBERS))["Sheet1"]}


def test_bodies_are_taken_one_at_a_time() -> None:
    parts, body = render_parts(MEMBERS, 0)
    taken = []

    def bodies() -> Iterator[bytes]:
        for at in range(0, len(body), 10):
            taken.append(at)
            yield body[at : at + 10]

    chunks = only([*MEMBERS.columns], parts, bodies())
    assert not taken
    chunk = next(chunk for chunk in chunks if taken)
    assert chunk == body[:10] and taken == [0]


def part(position: int, rows: int) -> SheetPart:
    return SheetPart(position, rows, xml_bytes=0, deflated_bytes=0, crc32=0)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([part(1, 1)], "parts must join: row 0 follows; found 1"),
        ([part(0, 2), part(3, 1)], "parts must join: row 2 follows; found 3"),
        ([part(0, 2), part(1, 2)], "parts must join: row 2 follows; found 1"),
    ],
)
def test_parts_that_do_not_join_are_refused(parts: list[SheetPart], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        only(["n"], parts, [])


@pytest.mark.parametrize(("cut", "extra"), [(None, b"!"), (-3, b"")], ids=["more", "less"])
def test_bodies_of_another_length_are_refused(cut: int | None, extra: bytes) -> None:
    parts, body = render_parts(MEMBERS, 0)
    bodies = [body[:cut], extra]
    rule = f"bodies must have {len(body)} bytes, as parts say; found {len(b''.join(bodies))}"
    with pytest.raises(ValueError, match=f"^{rule}$"):
        list(only([*MEMBERS.columns], parts, bodies))


def test_a_header_that_a_cell_cannot_hold_is_refused() -> None:
    rule = "header of column B: a cell holds at most 32767 characters; found 32768"
    with pytest.raises(InvalidCell, match=f"^members.xlsx: {rule}$"):
        only(["n", "a" * 32_768], [], [])

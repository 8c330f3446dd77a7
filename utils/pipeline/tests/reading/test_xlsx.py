"""What Excel's sheet shows is what is read: openpyxl writes the workbooks, or their XML is bent."""

import datetime as dt
import io
import re
import tracemalloc
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from pipeline.reading import xlsx
from pipeline.reading.columns import Table
from pipeline.reading.xlsx import InvalidWorkbook, XlsxReader, kind_of


def written(*rows: list[Any], format: str = "", is_1904: bool = False) -> bytes:
    """A workbook, whose second column has a number format."""
    book, file = Workbook(), io.BytesIO()
    if is_1904:
        book.epoch = CALENDAR_MAC_1904
    sheet = book.worksheets[0]
    for row in rows:
        sheet.append(row)
        if format and len(row) > 1:
            sheet.cell(sheet.max_row, 2).number_format = format
    book.create_sheet("控え").append(["b", "控え"])
    book.save(file)
    return file.getvalue()


def read(data: bytes, sheet: str = "") -> list[list[Any]]:
    """The header, and the values of each record."""
    reader = XlsxReader([data[at : at + 100] for at in range(0, len(data), 100)], "t.xlsx", sheet)
    records = [list(each.values()) for block in reader.blocks(1) for each in block.records]
    assert reader.index == len(records)
    return [reader.header, *records]


def bent(data: bytes, part: str, old: str, new: str) -> bytes:
    file = io.BytesIO()
    packed = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(io.BytesIO(data)) as given, packed as made:
        for name in given.namelist():
            text = given.read(name)
            if name == part:
                text, count = re.subn(old.encode(), new.encode(), text)
                assert count, text
            made.writestr(name, text)
    return file.getvalue()


def overwritten(data: bytes, part: str, packed: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        at = package.getinfo(part).header_offset + 30 + len(part)
    return data[:at] + packed + data[at + len(packed) :]


SHEET, TEXTS = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
STYLES = "xl/styles.xml"
CELLS = (
    st.none() | st.text("aあ<&> \n'\"", max_size=5) | st.booleans() | st.integers(-(10**9), 10**9)
)
# openpyxl writes 16 digits.
NUMBERS = st.floats(-1e9, 1e9).map(lambda x: round(x, 3)).filter(lambda x: x % 1 != 0)
MOMENTS = st.datetimes(dt.datetime(1900, 3, 1), dt.datetime(9999, 12, 31)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 9), CELLS | NUMBERS | MOMENTS, CELLS), max_size=20))
def test_cells_are_read_as_they_were_written(rows: list[tuple[Any, ...]]) -> None:
    found = read(written(["番号", "値", "他"], *map(list, rows)))
    expected = [list(row) for row in rows]
    assert found == [["番号", "値", "他"], *expected]
    assert [[*map(type, row)] for row in found[1:]] == [[*map(type, row)] for row in expected]


VALUES: dict[str, tuple[Any, str, Any]] = {
    "a day": (dt.date(2026, 11, 27), "yyyy/m/d", dt.datetime(2026, 11, 27)),
    "an era": (dt.date(2026, 11, 27), '[$-411]ggge"年"m"月"d"日"', dt.datetime(2026, 11, 27)),
    "a time": (dt.time(6, 30), "h:mm", dt.timedelta(hours=6, minutes=30)),
    "elapsed": (dt.timedelta(hours=30), "[h]:mm", dt.timedelta(hours=30)),
    "1900": (59, "yyyy-mm-dd", dt.datetime(1900, 2, 28)),
    "a number in red": (1.5, '#,##0.0"日";[Red]-#,##0.0', 1.5),
    "scientific": (1.5, "0.00E+00", 1.5),
    "general": (7, "General", 7),
    "yen": (1280, "\\¥#,##0", 1280),
}


@pytest.mark.parametrize(("value", "format", "found"), VALUES.values(), ids=VALUES)
def test_a_format_tells_days_from_numbers(value: Any, format: str, found: Any) -> None:
    [_, [_, cell]] = read(written(["a", "b"], [1, value], format=format))
    assert (cell, type(cell)) == (found, type(found))


def test_days_may_count_from_1904() -> None:
    moment = dt.datetime(2026, 11, 27, 6)
    assert read(written(["a"], [moment], is_1904=True)) == [["a"], [moment]]


CODES = {
    **dict.fromkeys(["yyyy", "m/d", "gge", "hh:mm", "aaa"], "days"),
    **dict.fromkeys(["[m]:ss", "[h]"], "elapsed"),
    **dict.fromkeys(["0", "#,##0.00", "General", "0%", "@", '"day" 0', "0.0E-0", "[Red]0"], ""),
}


@pytest.mark.parametrize(("code", "kind"), CODES.items(), ids=CODES)
def test_letters_of_dates_are_known(code: str, kind: str) -> None:
    assert kind_of(code) == kind


def test_runs_join_and_readings_do_not() -> None:
    rich = CellRichText("会員", TextBlock(InlineFont(b=True), "番号"))
    data = written(["a"], [rich], ["ひろし"])
    assert read(data)[1:] == [["会員番号"], ["ひろし"]]
    aloud = bent(data, TEXTS, "(<si>.*)</si>", r'\1<rPh sb="0" eb="1"><t>ヒロシ</t></rPh></si>')
    assert read(aloud) == read(data)


def test_the_first_sheet_or_that_of_a_name_is_read() -> None:
    data = written(["a"], [1])
    assert (read(data), read(data, "控え")) == ([["a"], [1]], [["b", "控え"]])
    with pytest.raises(
        InvalidWorkbook, match='^t.xlsx: must have the sheet "x"; found Sheet, 控え$'
    ):
        read(data, "x")


def test_parts_may_have_other_names_as_excel_for_the_web_gives_them() -> None:
    rows: list[list[Any]] = [["a", "b"], ["x", dt.datetime(2026, 11, 27)]]
    data, file = written(*rows), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as given, zipfile.ZipFile(file, "w") as made:
        for name in given.namelist():
            text = given.read(name)
            for old in ("workbook", "styles", "sharedStrings"):
                name = name.replace(f"{old}.xml", f"{old}22.xml")
                text = text.replace(f"{old}.xml".encode(), f"{old}22.xml".encode())
            made.writestr(name, text)
    assert read(file.getvalue()) == rows


def test_of_two_parts_of_a_type_the_first_is_read() -> None:
    other = '<Relationship Id="x" Type="x/styles" Target="absent.xml"/></Relationships>'
    data = bent(written(["a"], ["x"]), "xl/_rels/workbook.xml.rels", "</Relationships>", other)
    assert read(data) == [["a"], ["x"]]


def test_blank_rows_and_cells_without_a_reference_are_as_excel_has_them() -> None:
    data = written([], ["a", "b"], [None, 2], [], [3])
    assert read(data) == [["a", "b"], [None, 2], [3, None]]
    assert read(bent(written(["a", "b"], [1, 2]), SHEET, r' r="[A-Z]+\d"', "")) == [
        ["a", "b"],
        [1, 2],
    ]


def test_a_sheet_of_a_header_alone_keeps_its_columns() -> None:
    assert read(written(["a", "b"])) == [["a", "b"]]
    assert read(written()) == [[]]


def test_a_formula_has_the_value_that_excel_saved() -> None:
    data = written(["a", "b"], [1, "=A2+1"])
    saved = bent(data, SHEET, "<v ?/>|<v></v>", "<v>2</v>")
    assert read(saved) == [["a", "b"], [1, 2]]
    empty = bent(data, SHEET, "(?=><f>)", ' t="str"')
    assert read(empty) == [["a", "b"], [1, ""]]


def test_a_column_of_moments_is_one_of_datetimes() -> None:
    data = written(["a"], [dt.datetime(2026, 11, 27)], [dt.datetime(2026, 11, 28, 6, 30)])
    table = Table(XlsxReader([data], "t.xlsx").blocks(1000))
    found = table.arrays()["a"]
    assert found.dtype == np.dtype("datetime64[us]")


def test_pieces_of_any_size_make_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(["a", "b"], *([n, f"x{n}"] for n in range(2000)))
    whole = read(data)
    monkeypatch.setattr(xlsx, "BLOCK_BYTES", 1)
    reader = XlsxReader([data], "t.xlsx")
    blocks = [block.rows for block in reader.blocks(1)]
    assert (sum(blocks), max(blocks) < 1000, reader.offset) == (2000, True, len(data))
    assert read(data) == whole


MERGED = "".join(f'<mergeCell ref="A{n}:B{n}"/>' for n in range(20_000))
LONG = {
    "rows": written(["a", "b"], *([n, n] for n in range(5_000))),
    "merged cells": bent(written(["a", "b"], [1, 2]), SHEET, "(?=<pageM)", f"<m>{MERGED}</m>"),
}


@pytest.mark.parametrize("data", LONG.values(), ids=LONG)
def test_of_a_sheet_no_more_than_a_block_is_held(data: bytes) -> None:
    tracemalloc.start()
    try:
        assert sum(block.rows for block in XlsxReader([data], "t.xlsx").blocks(1))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


FAULTS: dict[str, tuple[bytes, str]] = {
    "an error": (
        bent(written(["a", "b"], [1, 2]), SHEET, '<c r="B2"[^>]*><v>2', '<c r="B2" t="e"><v>#N/A'),
        "cell B2: a cell must hold a value; found the error #N/A",
    ),
    "a formula without a value": (
        bent(written(["a", "b"], [1, "=A2"]), SHEET, "<v ?/>|<v></v>", ""),
        "cell B2: a formula has a value, as Excel saves it; found none",
    ),
    "a cell beyond the header": (
        written(["a", "b"], [1, 2], [1, 2, 3]),
        "cell C3: a row has as many cells as the header, 2; found more",
    ),
    "a nameless column": (
        written(["a", None, "c"]),
        ": each column has a name; found none for column B",
    ),
    "a name twice": (written(["a", "a"]), ': a column\'s name may occur once; found "a" again'),
    "no number": (
        bent(written(["a"], [1]), SHEET, "<v>1<", "<v>x<"),
        'cell A2: a cell holds what its type says; found "x"',
    ),
    "no such text": (
        bent(written(["a"], ["x"]), SHEET, 'r="A2".*?</c>', 'r="A2" t="s"><v>9</v></c>'),
        'cell A2: a cell holds what its type says; found "9"',
    ),
    "a day beyond 9999": (
        written(["a", "b"], [1, 3_000_000], format="yyyy-mm-dd"),
        "cell B2: a date lies within the years 1900 to 9999; found 3000000",
    ),
    "no zip file": (b"PK", ": must be a workbook of Excel; found File is not a zip file"),
    "an empty file": (b"", ": must be a workbook of Excel; found File is not a zip file"),
    "cut off": (written(["a"], [1])[:-30], ": must be a workbook of Excel; found "),
    "bent bytes": (
        overwritten(written(["a"], [1]), SHEET, b"\xff" * 9),
        ": must be a workbook of Excel; found ",
    ),
    "bent XML": (
        bent(written(["a"], [1]), SHEET, "</row>", ""),
        ": must be a workbook of Excel; found ",
    ),
}


@pytest.mark.parametrize(("data", "fault"), FAULTS.values(), ids=FAULTS)
def test_what_is_no_table_is_refused_by_its_cell(data: bytes, fault: str) -> None:
    with pytest.raises(InvalidWorkbook) as raised:
        read(data)
    assert str(raised.value).removeprefix("t.xlsx").removeprefix(" ").startswith(fault)


EMPTY, MORE = "<c/>" * 2_000, "a <row> has at most 1000 elements; found more"
BOMBS = {
    "a part": (SHEET, "$", " " * 1_000_000, f"{SHEET} must unpack to at most [0-9]+ bytes; found"),
    "formats": (STYLES, "$", " " * 5_000, f"{STYLES} must unpack to at most 4000 bytes; found"),
    "a row": (SHEET, "</row>", f"{EMPTY}</row>", MORE),
    "no row": (SHEET, "<sheetData>", "<x>" * 2_000, MORE),
}


@pytest.mark.parametrize(("part", "old", "new", "fault"), BOMBS.values(), ids=BOMBS)
def test_what_unpacks_to_more_than_a_table_would_is_refused(
    part: str, old: str, new: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "RECORD_BYTES", 4_000)
    monkeypatch.setattr(xlsx, "ELEMENTS", 1_000)
    data = written(["a"], [1])
    assert read(data) == [["a"], [1]]
    with pytest.raises(InvalidWorkbook, match=f"^t.xlsx: {fault}"):
        read(bent(data, part, old, new))


def test_entities_do_not_grow() -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 9))
    bomb = f'<!DOCTYPE x [<!ENTITY e0 "xxxxxxxxxx">{entities}]><worksheet'
    data = bent(written(["a"], [1]), SHEET, "<worksheet", bomb)
    with pytest.raises(InvalidWorkbook, match="must be a workbook of Excel; found"):
        read(bent(data, SHEET, "<v>1</v>", "<v>&e8;</v>"))

"""A sheet is as one would hand it on: its page, header, dates, and what LAYOUT says."""

import datetime as dt
import re
import zipfile
from decimal import Decimal
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.utils.cell import range_boundaries
from openpyxl.worksheet.worksheet import Worksheet

from pipeline.sheet import sheet_xml
from pipeline.sheet.chart import MOST
from pipeline.sheet.layout import InvalidLayout, Layout, layout_of
from pipeline.sheet.rendered_table import render_table
from pipeline.sheet.table import SHEET, Table, next_style
from pipeline.sheet.workbook import Workbook
from pipeline.tests.sheet.test_sheet_xml import frame, typed_columns
from pipeline.tests.sheet.test_workbook import MEMBERS, opened, spliced

NOON, MIDNIGHT = dt.datetime(2021, 5, 16, 12), dt.datetime(2021, 5, 16)
ORDERS = pd.DataFrame({"店": ["a", "b"], "件数": [1, 2], "金額": [10, 20], "率": [0.5, None]})


def workbook(
    *frames: pd.DataFrame,
    layout: Layout | None = None,
    formats: dict[str, str] | None = None,
    **kwargs: Any,
) -> bytes:
    """A table for each frame: `Sheet1`, `x2`, `x3`, …"""
    formats = formats or {}
    tables: list[Table] = []
    for number, df in enumerate(frames, 1):
        styles = next_style(tables)
        name = kwargs.pop("name", f"x{number}") if number > 1 else SHEET
        more = kwargs if number > 1 else {}
        tables.append(render_table(name, [df], formats, own_styles=styles, **more))
    return b"".join(Workbook("x.xlsx", tables, formats, layout).chunks())


def test_every_sheet_prints_on_pages_as_wide_as_itself_with_its_header() -> None:
    book = opened(workbook(ORDERS, ORDERS, chart="column"))
    for sheet in book:
        assert sheet.page_setup.orientation == "landscape"
        assert sheet.sheet_properties.pageSetUpPr.fitToPage
        assert (sheet.page_setup.fitToWidth or 1, sheet.page_setup.fitToHeight) == (1, 0)
        assert sheet.print_title_rows == "$1:$1"
        assert (sheet.oddFooter.left.text, sheet.oddFooter.right.text) == ("&A", "&P / &N")
        assert sheet.oddHeader.center.text is None and sheet.freeze_panes == "A2"
        assert [sheet[place].font.b for place in ("A1", "D1", "A2")] == [True, True, False]


COLUMNS: dict[str, tuple[list[Any], bool]] = {
    "numbers": ([1, 2.5], True),
    "a missing number": ([None, 2], True),
    "dates": ([NOON.date(), MIDNIGHT], True),
    "durations": ([dt.timedelta(1), None], True),
    "texts": (["a", "b"], False),
    "a text among numbers": ([1, "b"], False),
    "booleans": ([True, False], False),
    "a number of more than 15 digits": ([1, 10**15], False),
    "decimals": ([Decimal("0.1"), Decimal(2)], True),
    "a decimal of more than 15 digits": ([Decimal("0.1"), Decimal("1.0000000000000001")], False),
    "nothing": ([None, float("nan")], False),
    "no duration": ([np.timedelta64("NaT", "s"), np.timedelta64("NaT", "s")], False),
}


@pytest.mark.parametrize(("values", "right"), COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("dtype", ["object", None], ids=str)
def test_a_header_is_aligned_as_its_column(
    values: list[Any], right: bool, dtype: str | None
) -> None:
    df = pd.DataFrame({"n": pd.Series(values, dtype="object"), "b": 1})
    df = df if dtype else df.assign(n=df["n"].infer_objects())
    sheet = opened(spliced(df, cuts=(1,)))["Sheet1"]
    assert (sheet["A1"].alignment.horizontal == "right") == right
    assert sheet["B1"].alignment.horizontal == "right"


def test_the_label_of_a_total_does_not_move_the_header_of_its_column() -> None:
    ranks = pd.DataFrame({"ランク": [1, 2], "最大": ["a", "b"]})
    total = pd.DataFrame([["合計", "b"]], columns=ranks.columns)
    sheet = opened(workbook(ORDERS, ranks, total=total))["x2"]
    assert [cell.alignment.horizontal for cell in sheet[1]] == ["right", None]


TIMES: dict[str, tuple[list[Any], str]] = {
    "midnights": ([MIDNIGHT, None, MIDNIGHT], "yyyy-mm-dd"),
    "a time at the end": ([MIDNIGHT, MIDNIGHT, NOON], "yyyy-mm-dd hh:mm:ss"),
    "a time first": ([NOON, None, MIDNIGHT], "yyyy-mm-dd hh:mm:ss"),
    "a microsecond": ([MIDNIGHT, MIDNIGHT + dt.timedelta(microseconds=1)], "yyyy-mm-dd hh:mm:ss"),
    "beside a text": (["x", MIDNIGHT, 1], "yyyy-mm-dd"),
}


@pytest.mark.parametrize(("values", "shown"), TIMES.values(), ids=TIMES)
def test_times_that_are_all_midnight_are_shown_as_dates(values: list[Any], shown: str) -> None:
    """Of each column by itself, wherever the table is cut; the cells hold what they held."""
    df = pd.DataFrame({"日時": pd.Series(values, dtype=object)})
    df = df.assign(正午=NOON, 零時=MIDNIGHT)
    for cuts in [(), (1,), (2,), (1, 2)]:
        rows = list(opened(spliced(df, cuts))["Sheet1"].iter_rows(min_row=2))
        given = [cell for cell, *_ in rows if isinstance(cell.value, dt.datetime)]
        assert {cell.number_format for cell in given} == {shown}
        assert {cell.number_format for _, cell, _ in rows} == {"yyyy-mm-dd hh:mm:ss"}
        assert {cell.number_format for _, _, cell in rows} == {"yyyy-mm-dd"}
        held = [value for value in values if isinstance(value, dt.datetime)]
        assert [cell.value.replace(microsecond=0) for cell in given] == [
            value.replace(microsecond=0) for value in held
        ]


def test_a_time_behind_the_rows_that_are_rendered_first_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sheet_xml, "SLICE_CELLS", 1)
    sheet = opened(workbook(pd.DataFrame({"日時": [MIDNIGHT, NOON, MIDNIGHT]})))["Sheet1"]
    formats = [row[0].number_format for row in sheet.iter_rows(min_row=2)]
    assert formats == ["yyyy-mm-dd hh:mm:ss"] * 3


def test_tables_beside_each_other_choose_for_themselves() -> None:
    frames = [
        pd.DataFrame({"a": [NOON], "b": [MIDNIGHT]}),
        pd.DataFrame({"a": [MIDNIGHT], "n": [1], "b": [NOON], "c": [2]}),
        pd.DataFrame({"a": [NOON], "b": [MIDNIGHT], "c": [MIDNIGHT]}),
    ]
    book = opened(workbook(*frames, formats={"n": "0.0"}))
    times, dates = "yyyy-mm-dd hh:mm:ss", "yyyy-mm-dd"
    assert [[cell.number_format for cell in sheet[2]] for sheet in book] == [
        [times, dates],
        [dates, "0.0", times, "General"],
        [times, dates, dates],
    ]


def test_a_total_with_a_time_shows_its_column_with_times() -> None:
    df = pd.DataFrame({"k": ["a"], "最後": [MIDNIGHT]})
    total = pd.DataFrame([["計", NOON]], columns=df.columns)
    sheet = opened(workbook(ORDERS, df, total=total))["x2"]
    assert [sheet[f"B{row}"].number_format for row in (2, 3)] == ["yyyy-mm-dd hh:mm:ss"] * 2


def test_a_format_of_the_etls_holds_for_dates() -> None:
    file = workbook(pd.DataFrame({"日": [MIDNIGHT], "時": [MIDNIGHT]}), formats={"日": "m/d"})
    assert [cell.number_format for cell in opened(file)["Sheet1"][2]] == ["m/d", "yyyy-mm-dd"]


@settings(max_examples=50)
@given(typed_columns(), st.lists(st.integers(0, 12)), st.integers(1, 200), st.integers(1, 40))
def test_a_workbook_holds_the_same_wherever_its_rows_are_cut(
    columns: list[tuple[str, list[Any]]], cuts: list[int], chunk: int, slice_cells: int
) -> None:
    """And however they arrive: all files in it, once inflated: styles, widths and headers, too."""
    df = frame(columns)
    ordered = tuple(sorted(min(cut, len(df)) for cut in cuts))
    whole = inflated(spliced(df))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sheet_xml, "SLICE_CELLS", slice_cells)
        patch.setattr(sheet_xml, "CACHED_CELLS", 3)
        assert inflated(spliced(df, ordered, chunk)) == whole


def inflated(file: bytes) -> dict[str, bytes]:
    archive = zipfile.ZipFile(BytesIO(file))
    return {name: archive.read(name) for name in archive.namelist()}


LAYOUT: dict[str, Any] = {
    "title": "注文 2021年 A&B",
    "freeze": "件数",
    "hidden": ["金額", "無い列"],
    "widths": {"店": 30, "率": 4.5},
}


def columns(sheet: Worksheet) -> dict[str, Any]:
    """Widths, and whether they are hidden; of neighbours that are alike the first one's."""
    return {letters: (each.width, each.hidden) for letters, each in sheet.column_dimensions.items()}


def test_a_layout_is_that_of_every_sheet() -> None:
    members = MEMBERS.assign(店="x")
    book = opened(workbook(ORDERS, members, ORDERS, layout=layout_of(LAYOUT)))
    for sheet in book:
        assert sheet.oddHeader.center.text == "注文 2021年 A&&B"
    for name in ("Sheet1", "x3"):
        sheet = book[name]
        assert [cell.value for cell in sheet[1]] == list(ORDERS)
        assert sheet.freeze_panes == "C2"
        found = columns(sheet)
        assert round(found["A"][0]) in (30, 31) and round(found["D"][0]) in (4, 5)
        assert [found[letter][1] for letter in "ABCD"] == [False, False, True, False]
    assert book["x2"].freeze_panes == "A2"


def test_rejects_are_shown_whole() -> None:
    book = opened(workbook(ORDERS, ORDERS, name="Rejects", layout=layout_of(LAYOUT)))
    hidden = {sheet.title: [h for _, h in columns(sheet).values()] for sheet in book}
    assert hidden == {"Sheet1": [False, False, True, False], "Rejects": [False] * 3}


def test_a_hidden_column_has_no_chart() -> None:
    file = workbook(ORDERS, ORDERS, chart="column", layout=layout_of(LAYOUT))
    charts = opened(file)["x2"]._charts
    assert [chart.series[0].val.numRef.f for chart in charts] == [
        "'x2'!$B$2:$B$3",
        "'x2'!$D$2:$D$3",
    ]


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"titel": "x"}, 'has title, freeze, hidden, widths and nothing else; found the text "titel"'),
    "no text": ({"title": 3}, "title must be a text of up to 100 printable characters; found the number 3"),
    "long": ({"title": "x" * 101}, "title must be a text of up to 100 printable characters; found"),
    "two lines": ({"title": "a\nb"}, "title must be a text of up to 100 printable characters; found"),
    "a number": ({"freeze": 2}, "freeze must name a column; found the number 2"),
    "no list": ({"hidden": "金額"}, 'hidden must be a list of columns; found the text "金額"'),
    "no name": ({"hidden": [1]}, "hidden must name columns; found the number 1"),
    "no widths": ({"widths": [1]}, "widths must be a dictionary: column → width; found an array"),
    "no column": ({"widths": {1: 2}}, "widths must name columns; found the number 1"),
    "zero": ({"widths": {"a": 0}}, "the width of a must be above 0 and at most 255; found the number 0"),
    "wide": ({"widths": {"a": 256}}, "the width of a must be above 0 and at most 255; found the number 256"),
    "true": ({"widths": {"a": True}}, "the width of a must be above 0 and at most 255; found true"),
}  # fmt: skip


@pytest.mark.parametrize(("declared", "message"), INVALID.values(), ids=INVALID)
def test_a_wrong_layout_is_named(declared: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidLayout, match=f"^{re.escape(f'LAYOUT: {message}')}"):
        layout_of(declared)


@pytest.mark.parametrize("title", ["&" * 100, "😀" * 100])
def test_the_longest_title_fits_above_the_page(title: str) -> None:
    xml = inflated(workbook(ORDERS, layout=layout_of({"title": title})))
    shown = title.replace("&", "&amp;&amp;")
    assert f"<oddHeader>&amp;C{shown}</oddHeader>" in xml["xl/worksheets/sheet1.xml"].decode()


@pytest.mark.parametrize("rows", [3, 20, 21, 60, 100])
@pytest.mark.parametrize("kind", MOST)
def test_each_chart_is_on_one_page_and_covers_no_other(kind: str, rows: int) -> None:
    numbers = pd.DataFrame({f"n{place}": range(rows) for place in range(7)})
    df = pd.DataFrame({"k": [f"{row}" for row in range(rows)], **numbers})
    sheet = opened(workbook(ORDERS, df, chart=kind))["x2"]
    own, *pages = [range_of(area) for area in sheet.print_area.split(",")]
    assert own == (1, 1, 8, rows + 1)
    places = [place_of(chart) for chart in sheet._charts]
    assert len(places) == (1 if kind == "pie" else 7)
    for place in places:
        assert sum(lies_in(place, page) for page in pages) == 1
    assert all(any(lies_in(place, page) for place in places) for page in pages)
    assert not any(overlap(a, b) for a in places for b in places if a is not b)
    for left, top, right, bottom in [*pages]:
        assert (right - left + 1) * 64 <= 1026 and (bottom - top + 2) * 20 <= 650  # A4's pixels


type Box = tuple[float, float, float, float]


def range_of(area: str) -> Box:
    left, top, right, bottom = range_boundaries(area.rpartition("!")[2])
    assert left and top and right and bottom
    return left, top, right, bottom


def place_of(chart: Any) -> Box:
    """Its first and last cells, with fractions, as columns and rows from 1 on."""
    start, end = chart.anchor._from, chart.anchor.to
    emu = 9_525
    left, right = (at.col + 1 + at.colOff / emu / 64 for at in (start, end))
    top, bottom = (at.row + 1 + at.rowOff / emu / 20 for at in (start, end))
    return left, top, right, bottom


def lies_in(place: Box, page: Box) -> bool:
    left, top, right, bottom = place
    return page[0] <= left and page[1] < top and right < page[2] + 1 and bottom < page[3] + 1


def overlap(one: Box, two: Box) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


@pytest.mark.parametrize("kind", ["column", "line"])
def test_each_of_60_labels_is_shown_and_has_room(kind: str) -> None:
    df = pd.DataFrame({"k": [f"支店 {row}" for row in range(60)], "n": range(60)})
    [chart] = opened(workbook(ORDERS, df, chart=kind))["x2"]._charts
    left, _, right, _ = place_of(chart)
    axis = chart.x_axis
    assert axis.tickLblSkip == 1
    font = axis.txPr.p[0].pPr.defRPr.sz / 100
    assert axis.txPr.bodyPr.rot == -90 * 60_000
    assert (right - left) * 64 * 0.85 / 60 > font * 96 / 72  # pixels

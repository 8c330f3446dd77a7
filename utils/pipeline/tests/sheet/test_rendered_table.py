"""Tables beside the segments' own have sheets, filters, totals, charts and formats that others read."""

import datetime as dt
import hashlib
import json
import math
import re
import tracemalloc
import zipfile
from collections.abc import Iterator, Mapping
from decimal import Decimal
from io import BytesIO
from typing import Any

import pandas as pd
import pytest

from pipeline.sheet.rendered_table import render_table
from pipeline.sheet.table import SHEET, Table
from pipeline.sheet.workbook import Workbook
from pipeline.tests.sheet.test_workbook import (
    NAME,
    opened,
    read_by_calamine,
    read_by_openpyxl_streaming,
    run_python,
)

FORMATS = {
    "ポイント": "#,##0",
    "平均": "#,##0.0",
    "日": "m/d",
    "既定": "yyyy-mm-dd",
    "素": "General",
}
RANKS = pd.DataFrame(
    {
        "会員ランク": pd.Series([1, 2, None], dtype=object),
        "人数": [10, 20, 3],
        "ポイント": [1_000, 20_000, 300],
        "平均": [100.0, 1_000.5, None],
        "最初": ["a", "b", "c"],
    }
)
TOTAL = pd.DataFrame([["合計", 33, 21_300, 645.5, None]], columns=RANKS.columns)


def whole(df: pd.DataFrame, name: str = SHEET) -> Table:
    return render_table(name, [df], FORMATS)


def beside(*tables: Table, formats: Mapping[str, str] = FORMATS) -> bytes:
    """A workbook in which they stand beside a table of one cell."""
    first = whole(pd.DataFrame({"n": [1]}))
    return b"".join(Workbook(NAME, [first, *tables], formats).chunks())


def numbers(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"n": range(rows)})


def ranks(chart: str | None = None) -> Table:
    return render_table("会員ランク別", [RANKS[:1], RANKS[1:]], FORMATS, total=TOTAL, chart=chart)


@pytest.fixture
def sheets_of_4(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pipeline.sheet.sheet_xml", "pipeline.excel", "pipeline.sheet.workbook"):
        monkeypatch.setattr(f"{module}.DATA_ROWS", 4)


@pytest.mark.parametrize("read", [read_by_calamine, read_by_openpyxl_streaming])
@pytest.mark.parametrize("cuts", [(), (0, 0), (1,), (3, 4, 9), range(11)], ids=str)
def test_blocks_go_on_from_sheet_to_sheet_wherever_they_are_cut(
    sheets_of_4: None, cuts: tuple[int, ...], read: Any
) -> None:
    edges = [0, *cuts, 10]
    blocks = [numbers(10)[start:stop] for start, stop in zip(edges, edges[1:])]
    read_back = read(beside(render_table("数", blocks, {}), render_table("次", [numbers(1)], {})))
    assert {name: list(map(list, rows)) for name, rows in read_back.items()} == {
        "Sheet1": [["n"], [1]],
        "数": [["n"], [0], [1], [2], [3]],
        "数 (2)": [["n"], [4], [5], [6], [7]],
        "数 (3)": [["n"], [8], [9]],
        "次": [["n"], [0]],
    }


def test_a_name_that_is_taken_gets_the_next_free_number(sheets_of_4: None) -> None:
    long = ["x" * 30 + "a", "x" * 30 + "b"]
    counts = {"A": 9, "a (3)": 1, **dict.fromkeys(long, 5), "😀" * 15: 5}
    tables = [render_table(name, [numbers(rows)], {}) for name, rows in counts.items()]
    names = Workbook(NAME, [whole(numbers(8)), *tables], {}).sheet_names
    assert names == [
        *("Sheet1", "Sheet2"),
        *("A", "A (2)", "A (4)", "a (3)"),
        *(long[0], "x" * 27 + " (2)", long[1], "x" * 27 + " (3)"),
        *("😀" * 15, "😀" * 13 + " (2)"),
    ]
    assert opened(beside(*tables)).sheetnames == ["Sheet1", *names[2:]]


def test_a_filter_leaves_the_total_out(sheets_of_4: None) -> None:
    tables = [
        render_table("ranks", [RANKS], {}, total=TOTAL),
        render_table("full", [numbers(4)], {}, total=numbers(1)),
        render_table("empty", [numbers(0)], {}),
        render_table("only a total", [numbers(0)], {}, total=numbers(1)),
        render_table("no columns", [pd.DataFrame()], {}),
    ]
    book = opened(beside(*tables))
    assert {sheet.title: sheet.auto_filter.ref for sheet in book} == {
        "Sheet1": "A1:A2",
        "ranks": "A1:E4",
        "full": "A1:A5",
        "full (2)": "A1",
        "empty": "A1",
        "only a total": "A1",
        "no columns": None,
    }
    assert {sheet.freeze_panes for sheet in book} == {"A2"}


def test_a_total_stands_out() -> None:
    [(area, [rule])] = opened(beside(ranks()))[
        "会員ランク別"
    ].conditional_formatting._cf_rules.items()
    assert str(area.sqref) == "A5:E5"
    assert rule.dxf.font.b and rule.dxf.border.top.style == "thin"
    assert rule.formula == ["TRUE"]


CHARTS = {"column": "BarChart", "bar": "BarChart", "line": "LineChart", "pie": "PieChart"}


@pytest.mark.parametrize(("kind", "drawn"), CHARTS.items(), ids=CHARTS)
def test_a_chart_shows_the_numbers_of_the_rows(kind: str, drawn: str) -> None:
    charts = opened(beside(ranks(kind)))["会員ランク別"]._charts
    assert {type(chart).__name__ for chart in charts} == {drawn}
    bars = {"column": "col", "bar": "bar"}.get(kind)
    assert {getattr(chart, "barDir", None) for chart in charts} == {bars}
    corners = [chart.anchor._from for chart in charts]
    starts = {(at.col, at.colOff, at.row) for at in corners}
    assert len(starts) == len(charts)
    shown = []
    for chart in charts:
        [series] = chart.series
        assert chart.title.tx.strRef.f == series.tx.strRef.f
        assert series.cat.numRef.f == "会員ランク別!$A$2:$A$4"
        assert points(series.cat.numRef.numCache) == [1, 2]
        cached = points(series.val.numRef.numCache)
        shown.append((series.tx.strRef.f, series.val.numRef.f, cached))
        assert kind == "pie" or chart.y_axis.scaling.min == 0
    numbers = {"B": [10, 20, 3], "C": [1_000, 20_000, 300], "D": [100, 1_000.5]}
    assert (
        shown
        == [
            (f"会員ランク別!${column}$1", f"会員ランク別!${column}$2:${column}$4", cached)
            for column, cached in numbers.items()
        ][: 1 if kind == "pie" else 3]
    )


def points(cache: Any) -> list[float]:
    return [float(point.v) for point in cache.pt]


KEYS: dict[str, tuple[list[Any], list[str]]] = {
    "texts": (["a", "b"], ["a", "b"]),
    "texts of digits": (["000", "001"], ["000", "001"]),
    "a text that XML cannot hold": (["a\x01\uffff", "<&>"], ["a_x0001__xFFFF_", "<&>"]),
    "booleans": ([False, True], ["FALSE", "TRUE"]),
    "long numbers": (
        [10**400, Decimal("0.1234567890123456")],
        ["1" + "0" * 400, "0.1234567890123456"],
    ),
}


@pytest.mark.parametrize(("keys", "cached"), KEYS.values(), ids=KEYS)
def test_a_chart_knows_texts_as_the_cells_show_them(keys: list[Any], cached: list[str]) -> None:
    df = pd.DataFrame({"鍵": keys, "n": [1, 2]})
    [chart] = opened(beside(render_table("a b", [df], {}, chart="line")))["a b"]._charts
    labels = chart.series[0].cat.strRef
    assert labels.f == "'a b'!$A$2:$A$3"
    assert [point.v for point in labels.strCache.pt] == cached


MOMENTS: dict[str, list[Any]] = {
    "dates": [dt.date(2021, 5, 16), dt.date(1900, 3, 1), dt.date(1900, 2, 28), dt.date(1900, 1, 1)],
    "times": [dt.datetime(2021, 5, 16, 18), dt.datetime(1900, 2, 28, 6), dt.datetime(1900, 1, 1)],
    "durations": [dt.timedelta(1.5), dt.timedelta(0), dt.timedelta(-1)],
}


@pytest.mark.parametrize("keys", MOMENTS.values(), ids=MOMENTS)
def test_a_chart_knows_dates_as_the_cells_hold_them(keys: list[Any]) -> None:
    """Excel's serial numbers, in the format of the cells."""
    df = pd.DataFrame({"鍵": pd.Series(keys, dtype=object), "n": 1})
    file = beside(render_table("日別", [df], FORMATS, chart="column"))
    sheet = opened(file)["日別"]
    xml = zipfile.ZipFile(BytesIO(file)).read("xl/worksheets/sheet2.xml").decode()
    cells = [float(number) for number in re.findall(r'<c r="A\d+" s="\d+"><v>(.*?)</v>', xml)]
    [chart] = sheet._charts
    assert points(chart.series[0].cat.numRef.numCache) == cells and len(cells) == len(keys)
    assert chart.x_axis.number_format.formatCode == sheet["A2"].number_format


LONG = {
    "kanji": ("長い名前" * 8_000, "長い名前" * 63 + "長い…"),
    "emoji": ("😀" * 16_000, "😀" * 127 + "…"),
    "256": ("x" * 256, "x" * 254 + "…"),
}


@pytest.mark.parametrize(("label", "cut"), LONG.values(), ids=LONG)
def test_a_chart_has_the_beginning_of_a_long_label_and_the_cell_all_of_it(
    label: str, cut: str
) -> None:
    """The chart's own: of labels in cells LibreOffice lays out every character, for minutes."""
    df = pd.DataFrame({"鍵": [label, "x" * 255], label[:300]: [1, 2]})
    file = beside(render_table("x", [df], {}, chart="column"))
    assert read_by_calamine(file)["x"][1][0] == label
    [chart] = opened(file)["x"]._charts
    [series] = chart.series
    assert series.cat.strRef is None
    assert [point.v for point in series.cat.strLit.pt] == [cut, "x" * 255]
    assert series.val.numRef.f == "x!$B$2:$B$3"
    for title in (chart.title.tx, series.tx):
        name = title.strRef.strCache.pt[0].v
        assert name == cut if label[:300] == label else len(name.encode("utf-16-le")) <= 510


def test_long_labels_of_two_keys_are_joined() -> None:
    df = pd.DataFrame({"月": [5, 6], "名": ["x" * 300, None], "人数": [3, 4]})
    [chart] = opened(beside(render_table("x", [df], {}, chart="column", keys=2)))["x"]._charts
    labels = chart.series[0].cat.strLit
    assert [point.v for point in labels.pt] == ["5 " + "x" * 252 + "…", "6"]


LONG_NUMBERS = pytest.mark.fault(
    tried=(
        "numbers of more than 15 digits, or beyond the floats, in a summary",
        "集計の中の 15 桁を超える数、浮動小数点数に収まらない数",
    ),
    happened=(
        "exact, in their place by value; texts, which charts leave out",
        "正確なまま、値の順。文字列になり、グラフには描かない",
    ),
)


@LONG_NUMBERS
def test_a_chart_leaves_out_what_cells_hold_as_text() -> None:
    numbers = [10**400, 2, Decimal("0.5"), Decimal("1.00000000000000000001"), math.inf]
    df = pd.DataFrame({"鍵": [*"abcde"], "n": pd.Series(numbers, dtype=object), "long": 10**15})
    charts = opened(beside(render_table("x", [df], {"n": "0.0"}, chart="column")))["x"]._charts
    assert [points(chart.series[0].val.numRef.numCache) for chart in charts] == [[2, 0.5], []]


@LONG_NUMBERS
def test_numbers_that_cells_hold_as_text_are_told_as_such() -> None:
    numbers = [10**5_000, -(10**309), 7, Decimal("0.5"), Decimal("1.00000000000000000001"), None]
    df = pd.DataFrame({"n": pd.Series(numbers, dtype=object)})
    told = render_table("x", [df], {"n": "0.0"}).facts()
    longest, long = "1" + "0" * 5_000, "-1" + "0" * 309
    shown = [[longest], [long], [7], [0.5], ["1.00000000000000000001"], [None]]
    assert json.loads(json.dumps(told.first_rows)) == shown


def test_two_keys_are_two_levels() -> None:
    df = pd.DataFrame({"月": ["2021-05", "2021-06"], "ランク": [1, 2], "人数": [3, 4]})
    [chart] = opened(beside(render_table("x", [df], {}, chart="column", keys=2)))["x"]._charts
    [series] = chart.series
    labels = series.cat.multiLvlStrRef
    assert labels.f == "x!$A$2:$B$3"
    levels = [[point.v for point in level.pt] for level in labels.multiLvlStrCache.lvl]
    assert levels == [["1", "2"], ["2021-05", "2021-06"]]
    assert series.val.numRef.f == "x!$C$2:$C$3"


READABLE = {"column": 60, "bar": 30, "line": 200, "pie": 30}


@pytest.mark.parametrize(("kind", "readable"), READABLE.items(), ids=READABLE)
@pytest.mark.parametrize("more", [0, 1_000])
def test_a_chart_shows_the_first_rows_that_can_be_told_apart_and_says_so(
    kind: str, readable: int, more: int
) -> None:
    df = pd.concat([RANKS[:1]] * (readable + more))
    chart, *_ = opened(beside(render_table("x", [df], {}, total=TOTAL, chart=kind)))["x"]._charts
    assert chart.series[0].val.numRef.f == f"x!$B$2:$B${readable + 1}"
    assert len(chart.series[0].val.numRef.numCache.pt) == readable
    title = chart.title.tx
    if more:
        [text] = [run.t for paragraph in title.rich.p for run in paragraph.r]
        assert text == f"人数 (the first {readable} of {readable + more:,})"
    else:
        assert title.strRef.f == "x!$B$1"


def test_a_chart_of_a_long_table_is_beside_its_first_sheet(sheets_of_4: None) -> None:
    two = render_table("two", [numbers(5)], {}, chart="line", keys=0)
    texts = render_table("texts", [RANKS[["会員ランク", "最初"]]], {}, chart="line")
    one = render_table("one", [numbers(4)], {}, total=numbers(1), chart="line", keys=0)
    charts = {sheet.title: len(sheet._charts) for sheet in opened(beside(two, texts, one))}
    assert charts == {"Sheet1": 0, "two": 1, "two (2)": 0, "texts": 0, "one": 1, "one (2)": 0}


def test_numbers_and_dates_have_the_format_of_their_column() -> None:
    day = dt.datetime(2021, 5, 16, 12)
    mixed = pd.Series([1, "x", True, None, 0.5, day, 10**15], dtype=object)
    df = pd.DataFrame({"素": mixed, "日": mixed, "平均": mixed, "無": mixed, "既定": mixed})
    book = opened(beside(render_table("mixed", [df[["日", "既定"]]], FORMATS), whole(df, "df")))
    for name, columns in {"mixed": ["日", "既定"], "df": list(df.columns)}.items():
        for cells, column in zip(book[name].iter_cols(min_row=2), columns):
            plain, dates = (
                FORMATS.get(column, "General"),
                FORMATS.get(column, "yyyy-mm-dd hh:mm:ss"),
            )
            none = "General"
            found = [cell.number_format for cell in cells]
            assert found == [plain, none, none, none, plain, dates, none], column


def test_the_same_tables_make_the_same_bytes() -> None:
    """Also in a process that hashes otherwise than this one."""
    script = (
        "import hashlib\nfrom pipeline.tests.sheet import test_rendered_table as t\n"
        "print(hashlib.sha256(t.beside(t.ranks('column'))).hexdigest())"
    )
    ours = hashlib.sha256(beside(ranks("column"))).hexdigest()
    assert run_python(script, PYTHONHASHSEED="1") == ours


def test_no_more_than_a_block_is_in_memory() -> None:
    def blocks(count: int) -> Iterator[pd.DataFrame]:
        for _ in range(count):
            yield pd.DataFrame({"n": range(2_000), "t": [f"{n}" * 9 for n in range(2_000)]})

    def peak(count: int) -> int:
        tracemalloc.start()
        table = render_table("n", blocks(count), {})
        for _ in table.bodies:
            pass
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(1)  # imports and caches
    assert peak(16) < 1.5 * peak(2)

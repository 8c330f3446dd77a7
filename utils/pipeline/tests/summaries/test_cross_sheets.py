"""The sheet of a cross table: its headers, filter, formats and charts, whatever the cut."""

import json
from io import BytesIO
from itertools import pairwise
from typing import Any

import openpyxl
import pandas as pd
import pytest

from pipeline.sheet.rendered_table import render_table
from pipeline.sheet.table import Table
from pipeline.sheet.workbook import Workbook
from pipeline.summaries import combine
from pipeline.summaries.contribution import carried
from pipeline.summaries.summary import Summary
from pipeline.tests.summaries.test_combine import no_pickle

VISITS = pd.DataFrame(
    {
        "店": [f"{n * 7 % 11:02}" for n in range(300)],
        "月": [f"2024-{n * 5 % 12 + 1:02}" for n in range(300)],
        "金額": [n * 0.5 for n in range(300)],
    }
)
FORMATS = {"金額": "#,##0.0"}
TWO: dict[str, Any] = {"件数": ("金額", "count"), "金額": ("金額", "sum")}
BY_SHOP: dict[str, Any] = {"by": "店", "across": "月", "total": "合計"}


def table_of(summary: Summary, df: pd.DataFrame, *cuts: int) -> Table:
    made = combine.Summaries(no_pickle)
    for start, stop in pairwise([0, *cuts, len(df)]):
        fields, data = carried([summary], df[start:stop], "table")
        made.add("gather/x.pkl", json.loads(json.dumps(fields)), data)
    return next(made.tables(FORMATS))


def workbook(summary: Summary, df: pd.DataFrame = VISITS, *cuts: int) -> bytes:
    first = render_table("Sheet1", [pd.DataFrame({"n": [1]})], FORMATS)
    return b"".join(Workbook("x.xlsx", [first, table_of(summary, df, *cuts)], FORMATS).chunks())


def opened(file: bytes) -> Any:
    return openpyxl.load_workbook(BytesIO(file))


def test_values_across_stand_merged_above_their_columns_and_the_filter_below() -> None:
    sheet = opened(workbook(Summary("月別", **BY_SHOP, **TWO)))["月別"]
    above, below = ([cell.value for cell in sheet[row]] for row in (1, 2))
    assert above[:4] == ["月", "2024-01", None, "2024-02"] and above[-2:] == ["合計", None]
    assert below == ["店", *["件数", "金額"] * 13]
    merges = {str(area) for area in sheet.merged_cells.ranges}
    assert len(merges) == 13 and {"B1:C1", "D1:E1", "Z1:AA1"} <= merges
    assert {cell.alignment.horizontal for cell in sheet[1] if cell.value} == {"center"}
    assert {cell.font.b for row in (1, 2) for cell in sheet[row] if cell.value} == {True}
    assert (sheet.freeze_panes, sheet.print_title_rows) == ("A3", "$1:$2")
    assert sheet.auto_filter.ref == "A2:AA13"
    assert sheet.dimensions == "A1:AA14"
    assert [str(each.sqref) for each in sheet.conditional_formatting] == ["A14:AA14"]
    assert {cell.number_format for cell in sheet[3][2::2] if cell.value} == {"#,##0.0"}


def test_one_column_stands_under_the_values_across_alone() -> None:
    sheet = opened(workbook(Summary("月別", **BY_SHOP, 金額=("金額", "sum"))))["月別"]
    months = [f"2024-{month:02}" for month in range(1, 13)]
    assert [cell.value for cell in sheet[1]] == ["店", *months, "合計"]
    assert not sheet.merged_cells.ranges
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:N12")
    assert {cell.number_format for cell in sheet[2][1:] if cell.value} == {"#,##0.0"}


def test_both_headers_stand_on_each_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pipeline.sheet.sheet_xml", "pipeline.excel", "pipeline.sheet.workbook"):
        monkeypatch.setattr(f"{module}.DATA_ROWS", 5)
    book = opened(workbook(Summary("月別", **BY_SHOP, **TWO)))
    assert book.sheetnames == ["Sheet1", "月別", "月別 (2)", "月別 (3)"]
    rows = [[[cell.value for cell in row] for row in sheet] for sheet in book.worksheets[1:]]
    assert [len(each) for each in rows] == [6, 6, 6]
    assert [row[0] for each in rows for row in each[2:]] == [
        *[f"{n:02}" for n in range(11)],
        "合計",
    ]
    assert {str(each[:2]) for each in rows} == {str(rows[0][:2])}
    assert [str(sheet.auto_filter.ref) for sheet in book.worksheets[1:]][-1] == "A2:AA5"


@pytest.mark.parametrize(
    ("kind", "drawn", "grouping"),
    [
        ("column", "BarChart", "stacked"),
        ("bar", "BarChart", "stacked"),
        ("line", "LineChart", "standard"),
    ],
)
def test_a_chart_shows_a_column_with_all_values_across(
    kind: str, drawn: str, grouping: str
) -> None:
    charts = opened(workbook(Summary("月別", **BY_SHOP, chart=kind, **TWO)))["月別"]._charts
    assert [type(chart).__name__ for chart in charts] == [drawn] * 2
    assert {chart.grouping for chart in charts} == {grouping}
    amounts = charts[1]
    assert amounts.title.tx.rich.p[0].r[0].t == "金額"
    assert [each.tx.strRef.f for each in amounts.series][:2] == ["月別!$B$1", "月別!$D$1"]
    assert [each.val.numRef.f for each in amounts.series][:2] == [
        "月別!$C$3:$C$13",
        "月別!$E$3:$E$13",
    ]
    months = [each.tx.strRef.strCache.pt[0].v for each in amounts.series]
    assert months == [f"2024-{month:02}" for month in range(1, 13)]
    assert {each.cat.strRef.f for each in amounts.series} == {"月別!$A$3:$A$13"}
    of_january = VISITS[VISITS["月"] == "2024-01"].groupby("店")["金額"].sum()
    cached = {int(point.idx): float(point.v) for point in amounts.series[0].val.numRef.numCache.pt}
    shops = sorted(VISITS["店"].unique())
    assert cached == {shops.index(shop): amount for shop, amount in of_january.items()}


def test_more_values_across_than_colors_make_no_chart() -> None:
    for values, charts in ((60, 1), (61, 0)):
        df = pd.DataFrame({"k": 1, "a": range(values)})
        summary = Summary("x", by="k", across="a", chart="line", n=("k", "size"))
        assert len(opened(workbook(summary, df))["x"]._charts) == charts


def test_the_report_is_told_each_column_by_its_whole_name() -> None:
    facts = table_of(Summary("月別", **BY_SHOP, chart="line", **TWO), VISITS).facts()
    assert facts.columns[:3] == ["店", "2024-01 件数", "2024-01 金額"]
    assert (facts.rows, facts.keys, facts.chart, facts.total[0]) == (11, 1, None, "合計")


def test_a_wide_table_tells_the_report_its_first_rows_only() -> None:
    df = pd.DataFrame({"k": range(300), "a": [n % 500 for n in range(300)]})
    summary = Summary("x", by="k", across="a", n=("k", "size"), m=("k", "max"), o=("k", "min"))
    facts = table_of(summary, df).facts()
    assert (len(facts.first_rows), len(facts.columns), facts.rows) == (110, 901, 300)


def test_a_cross_table_may_be_the_first_sheet() -> None:
    """The first sheet's cells number the styles."""
    table = table_of(Summary("月別", **BY_SHOP, **TWO), VISITS)
    (sheet,) = opened(b"".join(Workbook("x.xlsx", [table], FORMATS).chunks()))
    assert (sheet["B1"].alignment.horizontal, sheet["B1"].number_format) == ("center", "General")
    assert {cell.number_format for cell in sheet[3][2::2] if cell.value} == {"#,##0.0"}

"""Cross tables, and formulas over their columns: beside pandas, and beside sums of fractions."""

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.summaries import merge, partials
from pipeline.summaries import rows as rows_module
from pipeline.summaries.merge import summarize
from pipeline.summaries.summary import InvalidSummary, Summary
from pipeline.tests.summaries.tables import cells, frame, merged, segments, tiny_blocks

ORDERS = pd.DataFrame(
    {
        "商品": ["りんご", "みかん", "りんご", "ぶどう", "りんご"],
        "月": ["2024-02", "2024-01", "2024-01", "2024-02", "2024-02"],
        "数量": [3, 12, 10, 1, 2],
        "金額": [360, 864, 4050, 7, 240],
    }
)
ROWS = st.lists(
    st.tuples(
        st.integers(0, 4) | st.none(),
        st.sampled_from(["a", "b", "c", None]),
        st.integers(-9, 9) | st.floats(-1e3, 1e3),
    ),
    min_size=1,
    max_size=40,
)
CUTS = st.lists(st.integers(0, 40), max_size=4)


def test_groups_stand_in_rows_and_values_across_in_columns() -> None:
    summary = Summary("x", by="商品", across="月", total="合計", 金額=("金額", "sum"))
    found = summarize(ORDERS, summary)
    assert [*found.columns] == ["商品", "2024-01", "2024-02", "合計"]
    assert cells(found) == [
        ["ぶどう", None, 7, 7],
        ["みかん", 864, None, 864],
        ["りんご", 4050, 600, 4650],
        ["合計", 4914, 607, 5521],
    ]


def test_several_columns_stand_under_each_value() -> None:
    summary = Summary("x", by="商品", across="月", 数量=("数量", "sum"), 件数=("数量", "count"))
    found = summarize(ORDERS, summary)
    under = ["数量", "件数"]
    months = [(month, name) for month in ("2024-01", "2024-02") for name in under]
    assert [*found.columns] == [("", "商品"), *months]
    assert cells(found) == [
        ["ぶどう", None, None, 1, 1],
        ["みかん", 12, 1, None, None],
        ["りんご", 10, 1, 5, 2],
    ]


@settings(deadline=None, max_examples=40)
@given(ROWS, CUTS, st.sampled_from(["sum", "mean", "count", "min", "max", "median", "nunique"]))
def test_a_cross_table_with_margins_is_pandas_pivot_table(
    rows: list[Any], cuts: list[int], how: str
) -> None:
    df = frame("kax", [row for row in rows if None not in row] or [(1, "a", 2)])
    table: Any = df.astype({"x": float})
    wanted = table.pivot_table(
        values="x", index="k", columns="a", aggfunc=how, margins=True, margins_name="all"
    )
    named: Any = {"x": ("x", how)}
    summary = Summary("x", by="k", across="a", total="all", **named)
    with tiny_blocks():
        found = merged(summary, segments(df, cuts))
    answer = cells(wanted.reset_index())
    assert len(found) == len(answer)
    for mine, theirs in zip(found, answer):
        for one, other in zip(mine, theirs, strict=True):
            # Pandas rounds at each step.
            assert one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6)


@pytest.mark.parametrize("sort", [None, "-k"])
def test_as_many_rows_are_shown_as_asked_for_however_few_groups_are_merged_at_a_time(
    sort: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row of the sheet is made of a row for each value across, and one over all."""
    monkeypatch.setattr(partials, "BLOCK_BYTES", 1)
    monkeypatch.setattr(merge, "RANGE_BYTES", 1)
    rows = [(key, across, 1) for key in range(10) for across in "xyz"]
    summary = Summary("x", by="k", across="a", sort=sort, top=7, n=("x", "sum"))
    keys = range(9, 2, -1) if sort else range(7)
    assert merged(summary, [frame("kax", rows)]) == [[key, 1, 1, 1] for key in keys]


def test_values_across_are_headers_in_the_order_of_keys() -> None:
    days = [dt.datetime(2024, 3, 1), dt.datetime(2024, 2, 1)]
    values = ["b", True, None, 1.5, 10**20, *days, dt.date(2024, 1, 9), "", 2.0]
    df = pd.DataFrame({"k": 1, "a": pd.Series(values, dtype=object)})
    found = summarize(df, Summary("x", by="k", across="a", n=("k", "size")))
    assert [*found.columns] == [
        *("k", "1.5", "2", "100000000000000000000", "2024-01-09", "2024-02-01", "2024-03-01"),
        *("", "b", "TRUE", ""),
    ]
    assert cells(found) == [[1, *[1] * 10]]


def test_a_price_across_is_the_header_that_one_typed() -> None:
    typed = ["0.07", "0.56", "10.1", "619.57", "8.95"]
    df = pd.DataFrame({"k": 1, "a": map(float, typed)})
    found = summarize(df, Summary("x", by="k", across="a", n=("k", "size")))
    assert [*found.columns] == ["k", *sorted(typed, key=Decimal)]


def test_a_time_across_is_shown_with_all_times() -> None:
    texts = ["2024-02-01 00:00:00", "2024-02-01 12:30:00", "2024-03-01 00:00:00"]
    df = pd.DataFrame({"k": 1, "a": map(pd.Timestamp, texts)})
    found = summarize(df, Summary("x", by="k", across="a", n=("k", "size")))
    assert [*found.columns] == ["k", *texts]


def test_a_duration_across_reads_as_its_cells_do() -> None:
    hours = {"0:00:00": 0, "1:30:00": 1.5, "36:00:05": 36 + 5 / 3600, "100:00:00": 100}
    df = pd.DataFrame({"k": 1, "a": [dt.timedelta(hours=each) for each in hours.values()]})
    found = summarize(df, Summary("x", by="k", across="a", n=("k", "size")))
    assert [*found.columns] == ["k", *hours]


def test_an_infinite_value_across_is_the_text_that_its_cells_hold() -> None:
    df = pd.DataFrame({"k": 1, "a": [math.inf, -math.inf]})
    found = summarize(df, Summary("x", by="k", across="a", n=("k", "size")))
    assert [*found.columns] == ["k", "-inf", "inf"]


@pytest.mark.parametrize("sort", [None, "-k"])
def test_a_group_of_a_cross_table_is_spelled_as_without_across(sort: str | None) -> None:
    """It shows the float, if it has one, whatever stands under the first value across."""
    df = pd.DataFrame({"k": pd.Series([10**16, 1e16], dtype=object), "a": ["a", "b"]})
    found = summarize(df, Summary("x", by="k", across="a", sort=sort, n=("k", "size")))
    assert [*map(type, found["k"])] == [float]


def test_a_table_without_rows_has_its_total() -> None:
    summary = Summary(
        "x", by="商品", across="月", total="合計", n=("数量", "sum"), m=("数量", "max")
    )
    assert cells(summarize(ORDERS[:0], summary)) == [["合計", 0, None]]
    without = Summary("x", by="商品", across="月", n=("数量", "sum"))
    assert summarize(ORDERS[:0], without).shape == (0, 1)


@pytest.mark.parametrize(
    ("values", "columns", "words"),
    [
        (501, 1, "table: a of summary x must have at most 500 values; found the number 501"),
        (500, 33, "table: summary x must have at most 16384 columns; found the number 16534"),
    ],
    ids=["values", "columns"],
)
def test_more_columns_than_can_stand_side_by_side_are_counted(
    values: int, columns: int, words: str
) -> None:
    df = pd.DataFrame({"k": 1, "a": range(values)})
    named: Any = {f"n{number}": ("k", "size") for number in range(columns)}
    with pytest.raises(InvalidSummary, match=words):
        summarize(df, Summary("x", by="k", across="a", total="all", **named))
    several = [df[:300], df[300:]]
    with pytest.raises(InvalidSummary, match=words.replace("table", "all segments")):
        merged(Summary("x", by="k", across="a", total="all", **named), several)


def test_500_values_and_as_many_groups_make_a_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rows_module, "BLOCK_CELLS", 100_000)  # in slices of 199 rows
    df = pd.DataFrame({"k": range(500), "a": range(499, -1, -1)})
    found = merged(Summary("x", by="k", across="a", total="all", n=("k", "size")), [df])
    diagonal = [[1 if a + k == 499 else None for a in range(500)] for k in range(500)]
    assert found == [*([k, *row, 1] for k, row in enumerate(diagonal)), ["all", *[1] * 500, 500]]


FAULTY: dict[str, tuple[dict[str, Any], str]] = {
    "no groups": ({"across": "月"}, 'across needs groups (by); found the text "月"'),
    "two": ({"by": "商品", "across": ["月", "年"]}, "across must be one column; found an array"),
    "number": ({"by": "商品", "across": 5}, "across must be a column, "),
    "the same": ({"by": "月", "across": "月"}, "by must name each column once; found an array"),
    "a column's name": ({"by": "商品", "across": "n"}, "a column has one name"),
    "a pie": ({"by": "商品", "across": "月", "chart": "pie"}, "must not be a pie"),
    "computed with": ({"by": "商品", "across": "月", "f": "月 + 1"}, "compute with 商品, n;"),
    "sorted by": ({"by": "商品", "across": "月", "sort": "月"}, "sort must be one of 商品, n"),
    "running": (
        {"by": "商品", "sort": "-g", "f": "running(n)", "g": "f / 2"},
        'sort must not go by a running total; found the text "-g"',
    ),
    "a key's total": ({"by": "商品", "f": "total(商品)"}, "f must compute with n;"),
    "a sum's total": ({"by": "商品", "f": "total(n + n)"}, "total(…) is of one column"),
    "itself": ({"by": "商品", "f": "running(f)"}, "must not compute with itself; found f"),
}


@pytest.mark.parametrize(("given", "words"), FAULTY.values(), ids=FAULTY)
def test_a_faulty_cross_table_is_refused_by_name(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidSummary, match="^summary 月別: ") as caught:
        _ = Summary("月別", n=("数量", "sum"), **given).declared
    assert words in str(caught.value)


def test_a_total_in_a_formula_needs_no_total_row_and_knows_no_top() -> None:
    summary = Summary(
        "x", by="商品", sort="-金額", top=2, 金額=("金額", "sum"), 構成比="金額 / total(金額)"
    )
    assert cells(summarize(ORDERS, summary)) == [
        ["りんご", 4650, 4650 / 5521],
        ["みかん", 864, 864 / 5521],
    ]


def test_a_column_may_be_called_running() -> None:
    summary = Summary(
        "x", running=("数量", "sum"), f="running / 2", g="total(running) + running (`running`)"
    )
    assert cells(summarize(ORDERS, summary)) == [[28, 14, 56]]


def test_a_running_total_of_unlike_divisors_is_refused_before_it_takes_forever() -> None:
    df = pd.DataFrame({"k": range(6000), "x": [2**61 + 2 * n + 1 for n in range(6000)]})
    summary = Summary("x", by="k", x=("x", "sum"), part="1 / x", down="running(part)")
    with pytest.raises(InvalidSummary, match="^summary x: a running total must have a divisor"):
        summarize(df, summary)

from typing import Any

import pandas as pd
import pytest

from pipeline.summaries.merge import summarize
from pipeline.summaries.summary import InvalidSummary, Summary
from pipeline.tests.summaries.tables import cells

ORDERS = pd.DataFrame(
    {
        "商品": ["りんご", "みかん", "りんご", "ぶどう"],
        "数量": [3, 12, 10, 0],
        "金額": [360, 864, 4050, 7],
    }
)
SUMS: Any = {"数量": ("数量", "sum"), "金額": ("金額", "sum")}


def test_every_group_and_the_total_compute_their_own() -> None:
    summary = Summary(
        "商品別", by="商品", total="合計", sort="-平均単価", **SUMS, 平均単価="金額 / 数量"
    )
    assert cells(summarize(ORDERS, summary)) == [
        ["りんご", 13, 4410, 4410 / 13],
        ["みかん", 12, 864, 72],
        ["ぶどう", 0, 7, None],
        ["合計", 25, 5281, 5281 / 25],
    ]


def test_a_formula_takes_the_exact_value_not_the_rounded_one() -> None:
    """Three thirds are one, and two sums that round to one float differ."""
    df = pd.DataFrame({"a": [1.0, 0, 0], "b": [1e16, 1, 1], "c": [1e16, 2, 1]})
    summary = Summary(
        "x",
        a=("a", "mean"),
        b=("b", "sum"),
        c=("c", "sum"),
        three="a × 3",
        gap="c - b",
        half="gap ÷ 2",
    )
    assert cells(summarize(df, summary))[0][3:] == [1, 1, 0.5]


def test_a_whole_answer_of_whole_numbers_keeps_its_digits() -> None:
    df = pd.DataFrame({"n": [10**17, 1]})
    summary = Summary("x", n=("n", "sum"), more="n * 10 + 1", part="n / 10")
    assert cells(summarize(df, summary)) == [[10**17 + 1, 10**18 + 11, 1e16]]


def test_a_running_total_of_a_float_of_many_digits_is_a_float_from_there_on() -> None:
    """Of whole numbers alone it keeps its digits, as a sum does."""
    for first, kind in ((1e16, float), (10**16, int)):
        df = pd.DataFrame({"k": [1, 2], "n": pd.Series([first, 4], dtype=object)})
        found = summarize(df, Summary("x", by="k", n=("n", "sum"), down="running(n)"))
        downs = found["down"].tolist()
        assert [(type(down), down) for down in downs] == [(kind, first), (kind, first + 4)]


FAULTY = {
    "": "a formula must have a value there; found the end",
    "n /": "a formula must have a value there; found the end",
    "n n": "a formula must have a sign there; found a value",
    "n ** n": "a formula must have a value there; found *",
    "(n": "a formula must have its brackets in pairs; found one alone",
    "n) + (n": "a formula must have its brackets in pairs; found one alone",
    "n @ 2": 'in ` ` if need be; found "@"',
    "n + m": 'each must compute with n, other; found the text "m"',
    "`x y`": 'each must compute with n, other; found the text "x y"',
    "each + 1": "must not compute with itself; found each",
    "other": "must not compute with itself; found each, other",
    "__import__('os')": "a formula must have a sign there; found (",
}


@pytest.mark.fault(
    tried=("faulty formulas, circles among them", "不備のある式、循環する式"),
    happened=("refused by name; no workbook", "名前を示して拒否。ワークブックなし"),
)
@pytest.mark.parametrize(("formula", "words"), FAULTY.items(), ids=FAULTY)
def test_a_faulty_formula_is_refused_by_name(formula: str, words: str) -> None:
    with pytest.raises(InvalidSummary, match="^summary 商品別: ") as caught:
        _ = Summary("商品別", n=("数量", "sum"), each=formula, other="each * n").declared
    assert words in str(caught.value)


def test_a_formula_of_many_brackets_is_read() -> None:
    text = "(" * 10_000 + "n" + ")" * 10_000
    assert cells(summarize(ORDERS, Summary("x", n=("数量", "sum"), same=text))) == [[25, 25]]


def test_a_formula_of_texts_is_refused_where_they_are() -> None:
    for summary in (
        Summary("x", first=("商品", "first"), f="first + 1"),
        Summary("x", by="商品", f="商品"),
    ):
        with pytest.raises(
            InvalidSummary, match='record 0: 商品 must be a number for its f.*"りんご"$'
        ):
            summarize(ORDERS, summary)

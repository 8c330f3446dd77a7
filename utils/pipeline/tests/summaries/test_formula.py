import math
from fractions import Fraction
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.summaries.aggregations import AGGREGATIONS
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

NAMES = ["a", "b", "金額", "x y", "1st", "mean of c"]
VALUES = st.lists(
    st.integers(-9, 9) | st.integers(-9999, 9999).map(lambda n: n / 7),
    min_size=len(NAMES),
    max_size=len(NAMES),
)
SIGNS = {"+": "+", "−": "-", "-": "-", "×": "*", "*": "*", "÷": "/", "/": "/"}
TERMS = st.sampled_from([*NAMES, "2", "0.5", "10"])


@st.composite
def formulas(draw: st.DrawFn, depth: int = 4) -> tuple[str, str]:
    """A formula, and the same for Python."""
    kind = (
        draw(st.sampled_from(["term", "negative", "bracket", "signs", "signs"]))
        if depth
        else "term"
    )
    if kind == "term":
        term = draw(TERMS)
        return (f"`{term}`", f"v[{NAMES.index(term)}]") if term in NAMES else (term, f"F('{term}')")
    text, python = draw(formulas(depth - 1))
    if kind == "bracket":
        return f"( {text})", f"({python})"
    if kind == "negative":
        return f"-({text})", f"-({python})"
    sign, (other, of_other) = draw(st.sampled_from([*SIGNS])), draw(formulas(depth - 1))
    return f"{text} {sign}{other}", f"{python} {SIGNS[sign]} {of_other}"


@settings(deadline=None, max_examples=150)
@given(formulas(), VALUES)
def test_a_formula_is_what_python_computes_of_fractions(
    formula: tuple[str, str], values: list[Any]
) -> None:
    text, python = formula
    df = pd.DataFrame({f"c{n}": pd.Series([value], dtype=object) for n, value in enumerate(values)})
    named: Any = {name: (f"c{n}", "sum") for n, name in enumerate(NAMES)} | {"the formula": text}
    found = cells(summarize(df, Summary("x", **named)))[0][-1]
    try:
        exact = eval(python, {"F": Fraction, "v": [*map(Fraction, values)]})
    except ZeroDivisionError:
        exact = math.nan
    assert (found is None) if exact != exact else float(found) == float(exact)


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


def test_a_formula_computes_with_every_aggregation_and_with_keys() -> None:
    df = pd.DataFrame({"k": [2, 2], "x": [1.5, 4.5]})
    named: Any = {how: ("x", how) for how in AGGREGATIONS} | {
        f"{how} k": f"{how} * k" for how in AGGREGATIONS
    }
    answer = df.groupby("k")["x"].agg([*AGGREGATIONS]).iloc[0] * 2
    row, total = cells(summarize(df, Summary("x", by="k", total="all", **named)))
    assert row[13:] == answer.tolist()
    assert total[13:] == [None] * 12  # which has no key


@pytest.mark.parametrize(
    "values",
    [[None, None], [math.inf, 1.0], [-math.inf, math.inf], [math.nan, math.nan]],
    ids=str,
)
def test_what_is_no_number_leaves_the_cell_empty(values: list[Any]) -> None:
    df = pd.DataFrame({"x": pd.Series(values, dtype=float)})
    summary = Summary(
        "x", x=("x", "mean"), n=("x", "size"), twice="x * 2", of="n / x", rest="n + of"
    )
    assert cells(summarize(df, summary))[0][2:] == [None, None, None]


def test_an_answer_beyond_the_floats_is_infinite() -> None:
    df = pd.DataFrame({"x": [1e308]})
    summary = Summary("x", x=("x", "sum"), more="x * 10", less="-x * 10", back="more / 10")
    assert cells(summarize(df, summary)) == [[1e308, math.inf, -math.inf, 1e308]]


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

import math
import multiprocessing
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.summaries import merge as merged_module
from pipeline.summaries import partials
from pipeline.summaries.aggregations import AGGREGATIONS
from pipeline.summaries.merge import summarize
from pipeline.summaries.summary import InvalidSummary, Summary
from pipeline.tests.summaries.tables import cells, frame, merged, plain, segments, tiny_blocks

EVERY_NUMBER = {f"{how} of x": ("x", how) for how in AGGREGATIONS}
EVERY_TEXT = {
    f"{how} of s": ("s", how) for how in ("count", "min", "max", "first", "last", "nunique")
}

TEXTS = st.none() | st.text("abあ", max_size=2)


SORTABLE = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(0, 2)) | st.floats(0, 2).map(lambda x: round(x, 1)),
        st.text("ab", max_size=1) | st.none(),
        st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | st.none(),
        TEXTS,
    ),
    min_size=1,
    max_size=30,
)


@settings(deadline=None, max_examples=50)
@given(SORTABLE, st.lists(st.integers(0, 30), max_size=4), st.sampled_from([1, 3]))
def test_a_summary_is_what_pandas_answers_over_the_whole_table(
    rows: list[Any], cuts: list[int], vcpus: int
) -> None:
    df = frame("kjxs", rows).astype({"x": float})
    named: Any = {**EVERY_NUMBER, **EVERY_TEXT}
    summary = Summary("x", by=["k", "j"], **named)
    keyed = df.astype({"k": float}).groupby(["k", "j"], dropna=False)
    answer = cells(keyed.agg(**named).reset_index())
    with tiny_blocks() as patch:
        patch.setattr(merged_module, "RANGES", 1)
        patch.setattr(merged_module, "vcpus", lambda: vcpus)
        found = merged(summary, segments(df, cuts))
    assert len(found) == len(answer)
    for mine, theirs in zip(found, answer):
        for one, other in zip(mine, theirs):
            # Pandas rounds at each step.
            assert one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-3), (
                mine,
                theirs,
            )


def test_sums_and_means_of_floats_with_all_their_bits_are_rounded_once() -> None:
    random = Random(1)
    for count in range(2, 40):
        numbers = [random.uniform(2**28, 2**30) for _ in range(count)]
        total = sum(map(Fraction, numbers))
        found = summarize(
            pd.DataFrame({"x": numbers}), Summary("x", s=("x", "sum"), m=("x", "mean"))
        )
        assert found.values.tolist() == [[float(total), float(total / count)]]


@pytest.mark.filterwarnings("error")
def test_an_etls_tests_may_make_errors_of_warnings() -> None:
    """An open file is one."""
    assert cells(summarize(pd.DataFrame({"x": [1]}), Summary("x", n=("x", "size")))) == [[1]]


def test_a_zero_has_no_sign_whatever_stands_beside_it() -> None:
    df = pd.DataFrame({"k": [1, 1, 2, 2], "x": [-5e-324, 0.0, 1.5, 1.0]})
    summary = Summary("x", by="k", mean=("x", "mean"), median=("x", "median"))
    assert summarize(df, summary).iloc[0].map(str).tolist() == ["1.0", "0.0", "0.0"]


NUMBERS_BY_VALUE: list[Any] = [
    *(-math.inf, -(10**400), -(10**309), -1.5e308, -(10**20), -1e15, -5e-324, 0, 5e-324),
    *(Decimal("0.09999999999999999999999"), 0.1, Decimal("0.10000000000000000000001")),
    *(Decimal("0.3"), 1, 2.5, 10**15 - 1, 1e15, 2**53, 2**53 + 1, 10**16, 10**16 + 1, 1e18, 2e18),
    *(2**70 - 1, 2.0**70, 1.7976931348623157e308, 10**309, 10**400, 10**400 + 1, math.inf),
]


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
@pytest.mark.parametrize("sort", ["k", "-k"])
def test_numbers_sort_by_value_whatever_their_spelling(sort: str) -> None:
    df = pd.DataFrame(
        {"k": pd.Series([*NUMBERS_BY_VALUE[::2], *NUMBERS_BY_VALUE[1::2]], dtype=object)}
    )
    summary = Summary("x", by="k", sort=sort, n=("k", "size"), low=("k", "min"))
    found = cells(summarize(df, summary))
    in_order = [[value, 1, value] for value in map(plain, NUMBERS_BY_VALUE)]
    assert found == in_order[:: -1 if sort == "-k" else 1]


@pytest.mark.parametrize(
    ("equal", "shown"),
    [
        ([1e15, 10**15], 1e15),
        ([10**15, 10**15], 10**15),
        ([2.0**70, 2**70, 2.0**70], 2.0**70),
        ([0.1, Decimal("0.1"), Decimal("0.100")], 0.1),
        ([Decimal("0.25"), 0.25], 0.25),
        ([10**23, Decimal("1E+23")], Decimal(10**23)),
        ([Decimal("12345678901234567890"), 12345678901234567890], Decimal("12345678901234567890")),
        ([0.0, -0.0, 0, Decimal("-0")], 0),
    ],
    ids=str,
)
def test_equal_numbers_are_one_group_however_the_table_is_cut(equal: list[Any], shown: Any) -> None:
    df = pd.DataFrame({"k": pd.Series(equal, dtype=object), "one": 1})
    summary = Summary("x", by=["k", "one"], n=("k", "size"), u=("k", "nunique"))
    row = [[shown, 1, len(equal), 1]]
    assert cells(summarize(df, summary)) == row
    found = merged(summary, [df.iloc[[row]] for row in range(len(df))])
    assert (found, type(found[0][0])) == (row, type(shown))


def test_a_number_of_too_many_digits_to_compute_with_is_named() -> None:
    df = pd.DataFrame({"d": pd.Series([1, Decimal("1E+999999999")], dtype=object)})
    assert cells(summarize(df, Summary("x", max=("d", "max")))) == [[Decimal("1E+999999999")]]
    with pytest.raises(
        InvalidSummary, match="record 1: d must have at most 5000 digits for its sum"
    ):
        summarize(df, Summary("x", sum=("d", "sum")))


def test_the_first_and_the_last_of_all_characters_sort_both_ways() -> None:
    texts = ["\0", "a", "a\U0010ffff", "a\U0010ffffa", "b", "\ud800", "\U0010ffff"]
    df = pd.DataFrame({"k": texts[::-1]})
    for sort, order in {"k": texts, "-k": texts[::-1]}.items():
        found = cells(summarize(df, Summary("x", by="k", sort=sort, n=("k", "size"))))
        assert found == [[text, 1] for text in order]


def test_a_column_without_a_name_is_a_column() -> None:
    df = pd.DataFrame({"": [1, 2, 2, 5]})
    summary = Summary(
        "x", total="all", by={"k": lambda df: df[""] > 1}, m=("", "median"), u=("", "nunique")
    )
    assert cells(summarize(df, summary)) == [[False, 1, 1], [True, 2, 2], ["all", 2, 3]]


TIMES = pd.DataFrame({"t": [30, 10, 20], "n": [1, 2, 3]}, index=[7, 8, 9])
FUNCTIONS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "the column": lambda df: df["t"],
    "sorted": lambda df: df["t"].sort_values(),
    "of more records": lambda df: pd.Series([0, 20, 10, 30], index=[6, 9, 8, 7]),
    "an array": lambda df: df["t"].to_numpy(),
    "a choice": lambda df: np.where(df["t"] > 0, df["t"], 0),
    "a list": lambda df: df["t"].tolist(),
    "an index": lambda df: pd.Index(df["t"]),
    "categories": lambda df: pd.Categorical(df["t"]),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_function_makes_keys_as_for_pandas(function: Callable[[pd.DataFrame], Any]) -> None:
    found = cells(summarize(TIMES, Summary("x", by={"t": function}, n=("n", "sum"))))
    made = function(TIMES)
    answer = TIMES.groupby(made.reindex(TIMES.index) if isinstance(made, pd.Series) else made)["n"]
    assert found == [[*pair] for pair in answer.sum().items()]


STRANGE: dict[str, tuple[Any, str]] = {
    "a scalar": (5, "must be a column of 3 cells; found the number 5"),
    "a text": ("abc", 'must be a column of 3 cells; found the text "abc"'),
    "too few": ([1, 2], "must be a column of 3 cells; found 2 cells"),
    "two dimensions": (np.zeros((3, 1)), "found the ndarray of shape (3, 1)"),
    "a frame": (TIMES, "found the DataFrame of shape (3, 2)"),
    "repeated": (pd.Series(1, index=[7, 8, 8]), "each record once in its index; found 8 again"),
    "incomplete": (pd.Series(1, index=[7, 9]), "the frame's 3 records in its index; found no 8"),
}


@pytest.mark.fault(
    tried=(
        "keys made by a function that leave records out or repeat them",
        "レコードの抜けや重複のあるキーを返す関数",
    ),
    happened=("refused by name; no workbook", "名前を示して拒否。ワークブックなし"),
)
@pytest.mark.parametrize(("made", "words"), STRANGE.values(), ids=STRANGE)
def test_what_is_no_column_of_keys_is_refused(made: Any, words: str) -> None:
    with pytest.raises(InvalidSummary) as caught:
        summarize(TIMES, Summary("x", by={"t": lambda df: made}, n=("n", "sum")))
    assert str(caught.value).startswith("table: t of summary x must ")
    assert str(caught.value).endswith(words)


@pytest.mark.parametrize(
    ("numbers", "answer"),
    [
        ([math.inf, 1.5], [math.inf, math.inf, None]),
        ([-math.inf, 1.5], [-math.inf, -math.inf, None]),
        ([math.inf, -math.inf], [None, None, None]),
        ([None, None], [0, None, None]),
        ([1e308, 1e308], [math.inf, 1e308, 0]),
    ],
    ids=str,
)
def test_infinite_and_missing_numbers_answer_as_in_pandas(
    numbers: list[Any], answer: list[Any]
) -> None:
    df = pd.DataFrame({"x": pd.Series(numbers, dtype=float)})
    summary = Summary("x", sum=("x", "sum"), mean=("x", "mean"), var=("x", "var"))
    assert cells(summarize(df, summary)) == [answer]


def test_groups_are_kept_apart_and_sorted_as_excel_sorts() -> None:
    keys = [
        *("1", "", True, None, "b", "あ", "a", date(2024, 1, 2), 10**15, -(10**20), 1, 1.0, -0.0),
        *(0, False, math.nan, datetime(2024, 1, 1), pd.NaT, pd.Timedelta(hours=1), -(10**15), 2.5),
        np.timedelta64(60, "m"),
    ]
    df = pd.DataFrame({"k": pd.Series(keys, dtype=object)})
    found = cells(summarize(df, Summary("x", by="k", n=("k", "size"))))
    assert found == [
        [-(10**20), 1],
        [-(10**15), 1],
        [0, 2],
        [1, 2],
        [2.5, 1],
        [10**15, 1],
        [date(2024, 1, 2), 1],
        [datetime(2024, 1, 1), 1],
        [pd.Timedelta(hours=1), 2],
        ["", 1],
        ["1", 1],
        ["a", 1],
        ["b", 1],
        ["あ", 1],
        [False, 1],
        [True, 1],
        [None, 3],
    ]


def test_a_group_may_hold_nearly_all_records_each_with_a_value_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partials, "BLOCK_BYTES", 4_000)
    monkeypatch.setattr(merged_module, "RANGE_BYTES", 20_000)
    rows = 20_000
    values = np.random.default_rng(1).permutation(rows)
    df = pd.DataFrame({"k": ["all"] * (rows - 1) + ["one"], "x": values, "s": values.astype(str)})
    summary = Summary("x", by="k", u=("s", "nunique"), m=("x", "median"), n=("x", "nunique"))
    pieces = [df.iloc[start : start + 3000] for start in range(0, rows, 3000)]
    most = np.median(values[:-1])
    expected = [["all", rows - 1, plain(most), rows - 1], ["one", 1, int(values[-1]), 1]]
    assert merged(summary, pieces) == expected


def test_the_longest_text_of_a_cell_is_a_key() -> None:
    long = ["あ" * 32_767, "あ" * 32_766 + "い"]
    df = pd.DataFrame({"k": long * 2})
    assert cells(summarize(df, Summary("x", by="k", n=("k", "size")))) == [[k, 2] for k in long]


@pytest.mark.parametrize("vcpus", [1, 2])
def test_an_error_of_a_merge_is_the_same_in_workers(
    monkeypatch: pytest.MonkeyPatch, vcpus: int
) -> None:
    def refuse(*_: Any) -> Any:
        raise InvalidSummary("x: must merge")

    monkeypatch.setattr(partials, "BLOCK_BYTES", 1)
    monkeypatch.setattr(merged_module, "RANGE_BYTES", 1)
    monkeypatch.setattr(merged_module, "vcpus", lambda: vcpus)
    monkeypatch.setattr(merged_module, "finished", refuse)
    df = pd.DataFrame({"k": range(50)})
    with pytest.raises(InvalidSummary, match="^x: must merge$"):
        merged(Summary("x", by="k", n=("k", "count")), [df])
    assert multiprocessing.active_children() == []

import math
from datetime import date, datetime
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.summaries import merge as merged_module
from pipeline.summaries import partials
from pipeline.summaries.merge import Spool, group_frames, summarize, total_frame
from pipeline.summaries.summary import AGGREGATIONS, Columns, Summary

EVERY_NUMBER = {f"{how} of x": ("x", how) for how in AGGREGATIONS}
EVERY_TEXT = {
    f"{how} of s": ("s", how) for how in ("count", "min", "max", "first", "last", "nunique")
}

KEYS = st.one_of(
    st.none(),
    st.integers(-3, 3),
    st.floats(-2, 2).map(lambda x: round(x, 1)),
    st.integers(10**15 - 2, 10**15 + 2) | st.integers(-(10**15) - 2, -(10**15) + 2),
    st.text("aあ😀\0\ud800_", max_size=3),
    st.dates(date(2024, 1, 1), date(2024, 1, 3)),
    st.datetimes(datetime(2024, 1, 1), datetime(2024, 1, 1, 0, 0, 1)),
)
NUMBERS = st.one_of(
    st.none(),
    st.integers(-(10**15), 10**15),
    st.integers(-(10**40), 10**40),
    st.floats(-1e6, 1e6),
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e150, max_value=1e150),
    st.booleans(),
)
TEXTS = st.none() | st.text("abあ", max_size=2)
ROWS = st.lists(st.tuples(KEYS, KEYS, NUMBERS, TEXTS), max_size=30)


def frame(rows: list[Any]) -> pd.DataFrame:
    columns = zip(*rows) if rows else [()] * 4
    made = {
        name: pd.Series(list(column), dtype=object)
        for name, column in zip(["k", "j", "x", "s"], columns)
    }
    return pd.DataFrame(made)


def as_segments(df: pd.DataFrame, cuts: list[int]) -> list[pd.DataFrame]:
    """Cut the table; each segment has dtypes of its own, where none of its integers would change."""
    ends = [0, *sorted(min(cut, len(df)) for cut in cuts), len(df)]
    pieces = [df.iloc[start:stop].copy() for start, stop in zip(ends, ends[1:])]
    for piece in pieces:
        for name in piece.columns:
            if not any(isinstance(cell, int) and abs(cell) >= 10**15 for cell in piece[name]):
                piece[name] = piece[name].infer_objects()
    return pieces


def merged(summary: Summary, pieces: list[pd.DataFrame]) -> list[list[Any]]:
    """What the gather makes of segments: the rows, the total's last."""
    spool = Spool()
    sources = [
        [
            spool.put(each)
            for each in Columns(piece, "table").partials(summary.declared, summary.keys)
        ]
        for piece in pieces
    ]
    groups, *total = zip(*sources)
    frames = [*group_frames(summary.declared, groups)]
    frames += [total_frame(summary.declared, each) for each in total]
    return [row for each in frames for row in cells(each)]


def cells(df: pd.DataFrame) -> list[list[Any]]:
    """As a workbook shows them: 5.0 is 5."""
    rows = df.astype(object).itertuples(index=False, name=None)
    return [[plain(cell) for cell in row] for row in rows]


def plain(cell: Any) -> Any:
    if cell is None or cell is pd.NaT or cell != cell:
        return None
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 10**15:
        return int(cell)
    return cell


@settings(deadline=None)
@given(ROWS, st.lists(st.integers(0, 30), max_size=4), st.sampled_from([None, "mean of x", "-k"]))
def test_a_summary_does_not_depend_on_the_cut(
    rows: list[Any], cuts: list[int], sort: str | None
) -> None:
    numbers = {name: made for name, made in EVERY_NUMBER.items() if "median" not in name}
    named: Any = {**numbers, **EVERY_TEXT}
    summary = Summary("x", by=["k", "j"], total="all", sort=sort, **named)
    df = frame(rows)
    whole = merged(summary, [df])
    assert repr(merged(summary, as_segments(df, cuts))) == repr(whole)
    with pytest.MonkeyPatch.context() as patch:  # many blocks, and ranges of a few groups
        patch.setattr(partials, "BLOCK_BYTES", 1)
        patch.setattr(merged_module, "RANGE_BYTES", 2_000)
        assert repr(merged(summary, as_segments(df, cuts))) == repr(whole)


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


@settings(deadline=None)
@given(SORTABLE, st.lists(st.integers(0, 30), max_size=4))
def test_a_summary_is_what_pandas_answers_over_the_whole_table(
    rows: list[Any], cuts: list[int]
) -> None:
    df = frame(rows).astype({"x": float})
    named: Any = {**EVERY_NUMBER, **EVERY_TEXT}
    summary = Summary("x", by=["k", "j"], **named)
    keyed = df.astype({"k": float}).groupby(["k", "j"], dropna=False)
    answer = cells(keyed.agg(**named).reset_index())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partials, "BLOCK_BYTES", 1)
        patch.setattr(merged_module, "RANGE_BYTES", 2_000)
        found = merged(summary, as_segments(df, cuts))
    assert len(found) == len(answer)
    for mine, theirs in zip(found, answer):
        for one, other in zip(mine, theirs):
            # Pandas rounds at each step.
            assert one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-3), (
                mine,
                theirs,
            )


@settings(deadline=None)
@given(st.lists(st.floats(-1e306, 1e306), min_size=1, max_size=50))
def test_a_sum_is_rounded_once(numbers: list[float]) -> None:
    df = pd.DataFrame({"x": numbers})
    (row,) = cells(summarize(df, Summary("x", sum=("x", "sum"), mean=("x", "mean"))))
    exact = sum(map(Fraction, numbers), Fraction())
    assert row == [plain(float(exact)), plain(float(exact / len(numbers)))]


@settings(deadline=None)
@given(st.lists(st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9), min_size=2, max_size=50))
def test_a_variance_is_right_to_the_last_digit(numbers: list[float]) -> None:
    df = pd.DataFrame({"x": pd.Series(numbers, dtype=object)})
    ((variance, deviation),) = cells(
        summarize(df, Summary("x", var=("x", "var"), std=("x", "std")))
    )
    mean = sum(map(Fraction, numbers)) / len(numbers)
    exact = sum((Fraction(n) - mean) ** 2 for n in numbers) / (len(numbers) - 1)
    assert variance == float(exact)
    assert deviation == math.sqrt(float(exact))


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
        [pd.Timedelta(hours=1), 1],
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

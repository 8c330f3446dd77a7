import math
from datetime import date, datetime
from fractions import Fraction
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from merged import Spool, group_frames, summarize, total_frame
from summary import AGGREGATIONS, Columns, Summary

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
        [spool.source(each) for each in summary.partials(Columns(piece, "table"))]
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
    summary = Summary("x", by=["k", "j"], total="all", sort=sort, **numbers, **EVERY_TEXT)
    df = frame(rows)
    assert repr(merged(summary, as_segments(df, cuts))) == repr(merged(summary, [df]))


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
    summary = Summary("x", by=["k", "j"], **EVERY_NUMBER, **EVERY_TEXT)
    keyed = df.astype({"k": float}).groupby(["k", "j"], dropna=False)
    named: Any = {**EVERY_NUMBER, **EVERY_TEXT}
    answer = cells(keyed.agg(**named).reset_index())
    found = merged(summary, as_segments(df, cuts))
    assert len(found) == len(answer)
    for mine, theirs in zip(found, answer):
        for one, other in zip(mine, theirs):
            # Pandas rounds at each step.
            assert one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-3), (
                mine,
                theirs,
            )


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

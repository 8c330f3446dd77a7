"""A profile is of the whole table, however that was cut."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.facts.column_profile import BINS, DISTINCT, Column
from pipeline.facts.stages import FIRST_ROWS, SegmentFacts, WorkbookFacts
from pipeline.facts.table import TableFacts
from pipeline.segments.profile import COLUMNS, segment_facts

CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**18), 10**18),
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9),
    st.sampled_from("abc"),
    st.dates(),
)


def profile(*cells: Any) -> Column:
    [column] = segment_facts(pd.DataFrame({"x": list(cells)}), len(cells)).columns
    return column


@pytest.mark.parametrize(
    ("cells", "kinds", "missing"),
    [
        ([1, 2.5, 3], {"numbers": 3}, 0),
        ([1, None, 3], {"numbers": 2}, 1),
        (["a", None], {"texts": 1}, 1),
        (
            [True, 1, "1", date(2021, 5, 16)],
            {"booleans": 1, "numbers": 1, "texts": 1, "dates": 1},
            0,
        ),
        ([10**15, 1], {"texts": 1, "numbers": 1}, 0),
        (
            [timedelta(1), np.timedelta64(1, "D"), np.datetime64("2021-05-16")],
            {"durations": 2, "dates": 1},
            0,
        ),
        ([[1], {"a": 1}], {"texts": 2}, 0),
        ([], {}, 0),
    ],
    ids=["numbers", "a gap", "texts", "mixed", "beyond 15 digits", "moments", "nested", "nothing"],
)
def test_cells_are_counted_by_kind(cells: list[Any], kinds: dict[str, int], missing: int) -> None:
    found = profile(*pd.Series(cells, dtype=object))
    assert (found.kinds, found.missing) == (kinds, missing)


def test_decimals_are_the_numbers_or_texts_that_their_cells_show() -> None:
    spelled = ["1.10", "1.1", "2.0", "1E+2", "NaN"]
    short = profile(*map(Decimal, spelled))
    assert (short.kinds, short.missing, short.low, short.high) == ({"numbers": 4}, 1, 1.1, 100)
    assert short.values == {"1.1": 2, "2": 1, "100": 1}
    long = "1.0000000000000001"
    assert profile(Decimal(long), Decimal(1)).values == {long: 1, "1": 1}
    assert profile(Decimal(long), Decimal(1)).kinds == {"texts": 1, "numbers": 1}
    df = pd.DataFrame({"x": [Decimal("1.10"), Decimal(long)]})
    assert segment_facts(df, 2).first_rows == [["1.1"], [long]]


def test_numbers_have_a_range_and_a_histogram_of_all() -> None:
    found = profile(*range(1000))
    assert (found.low, found.high) == (0, 999)
    assert found.histogram is not None
    assert sum(found.histogram.counts.values()) == 1000
    assert len(found.histogram.counts) <= BINS


def test_few_values_are_counted_one_by_one_and_many_are_not() -> None:
    assert profile("a", "b", "a", 1.0, 1.5).values == {"a": 2, "b": 1, "1": 1, "1.5": 1}
    many = profile(*(f"text {number}" for number in range(DISTINCT + 1)))
    assert (many.values, many.many) == ({}, True)
    assert profile("x" * 1000).many


def test_the_first_rows_are_shown_as_the_workbook_shows_them() -> None:
    df = pd.DataFrame({"a": [1.0, 72.5, None], "b": ["000", None, "x" * 100]})
    assert segment_facts(df, 3).first_rows == [["1", "000"], ["72.5", ""], ["", "x" * 60 + "…"]]


def test_wide_and_long_tables_have_small_facts() -> None:
    df = pd.DataFrame([[0] * 1000] * 50)
    facts = segment_facts(df, 50)
    assert (len(facts.columns), len(facts.first_rows)) == (COLUMNS, FIRST_ROWS)


@given(cells=st.lists(CELLS, max_size=30), cuts=st.lists(st.integers(0, 30), max_size=4))
def test_any_cut_gives_the_profile_of_the_whole_table(cells: list[Any], cuts: list[int]) -> None:
    table = pd.DataFrame({"x": pd.Series(cells, dtype=object)})
    bounds = [0, *sorted(cuts), len(table)]
    parts = [table.iloc[start:stop] for start, stop in zip(bounds, bounds[1:])]
    [whole] = segment_facts(table, len(table)).columns
    told = TableFacts()
    for part in parts:
        told.add(segment_facts(part, len(part)))
    facts = told.facts("x.xlsx", 0, len(table), ["x"], ["Sheet1"])
    assert WorkbookFacts.from_json(facts.to_json()) == facts
    assert facts.first_rows == segment_facts(table, len(table)).first_rows
    [joined] = facts.profile
    assert (joined.kinds, joined.missing, joined.many) == (whole.kinds, whole.missing, whole.many)
    assert joined.values == whole.values
    if set(whole.kinds) == {"numbers"}:
        assert whole.histogram and joined.histogram
        assert (joined.low, joined.high) == (whole.low, whole.high)
        exponent = max(whole.histogram.exponent, joined.histogram.exponent)
        assert joined.histogram.coarser(exponent) == whole.histogram.coarser(exponent)


def test_a_column_that_a_segment_lacks_is_missing_there() -> None:
    told = TableFacts()
    told.add(segment_facts(pd.DataFrame({"a": [1, 2]}), 2))
    told.add(segment_facts(pd.DataFrame({"b": ["x"], "a": [3]}), 1))
    a, b = told.facts("x.xlsx", 0, 3, ["a", "b"], []).profile
    assert (a.name, a.missing, b.name, b.missing, b.values) == ("a", 0, "b", 2, {"x": 1})


@pytest.mark.parametrize("text", [b"[]", b"{}", b'{"facts": 1}', b"null", b"not JSON"])
def test_other_json_is_no_facts(text: bytes) -> None:
    with pytest.raises(ValueError):
        SegmentFacts.from_json(text)


def test_a_segment_that_tells_nothing_leaves_the_whole_without_a_profile() -> None:
    told = TableFacts()
    told.add(segment_facts(pd.DataFrame({"a": [1]}), 1))
    told.add(None)
    assert told.facts("x.xlsx", 7, 1, ["a"], ["Sheet1"]).profile == []

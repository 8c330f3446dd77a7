import math
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.summaries.merge import summarize
from pipeline.summaries.summary import InvalidSummary, Summary
from pipeline.tests.summaries.tables import cells, frame

SHORT = Decimal("0.1")
PERCENTS = st.sampled_from([1, 5, 25, 33, 50, 75, 90, 99])


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), PERCENTS)
def test_a_percentile_is_pandas_quantile(numbers: list[float], percent: int) -> None:
    df = pd.DataFrame({"x": numbers})
    ((found,),) = cells(summarize(df, Summary("x", p=("x", f"p{percent}"))))
    # Pandas rounds at each step.
    assert math.isclose(found, df["x"].quantile(percent / 100), rel_tol=1e-9, abs_tol=1e-6)


@pytest.mark.parametrize(
    ("numbers", "how", "percentile"),
    [
        ([1e308, 1.5e308], "median", 1.25e308),
        ([-1.5e308, -1e308], "median", -1.25e308),
        ([10**17, 10**17 + 2], "median", 10**17 + 1),
        ([10**17, 10**17 + 1], "median", Decimal("100000000000000000.5")),
        ([10**17, 10**17 + 1], "p25", Decimal("100000000000000000.25")),
        ([10**17, 10**17 + 100], "p1", 10**17 + 1),
        ([1e18, 2e18, 10**16], "median", 1e18),
        ([0, 10**15 - 1], "median", 499999999999999.5),
        ([10**400, 7], "median", Decimal(f"5{'0' * 398}3.5")),
        ([SHORT, SHORT + Decimal("3E-23")], "median", SHORT + Decimal("1.5E-23")),
        ([SHORT, SHORT + Decimal("4E-23")], "p25", SHORT + Decimal("1E-23")),
        ([5e-324, 1e-323], "median", 1e-323),
        ([1e308, -1e308], "p75", 5e307),
        ([1.0, math.inf], "p1", math.inf),
        ([-math.inf, 1.0], "p99", -math.inf),
        ([-math.inf, math.inf], "median", None),
        ([5.5, math.inf, math.inf], "p99", math.inf),
        ([math.inf, 10**400], "median", math.inf),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_percentile_neither_overflows_nor_loses_digits(
    numbers: list[Any], how: str, percentile: Any
) -> None:
    """Nor does it change beside a group of other numbers."""
    df = frame("kx", [*((1, number) for number in numbers), (2, 10**30)])
    named: Any = {"p": ("x", how)}
    assert cells(summarize(df[:-1], Summary("x", **named))) == [[percentile]]
    found = cells(summarize(df, Summary("x", by="k", **named)))
    assert [*map(repr, found)] == [*map(repr, [[1, percentile], [2, 10**30]])]


@pytest.mark.parametrize("how", ["p0", "p100", "p05", "P50", "p"])
def test_what_is_no_percentile_is_refused(how: str) -> None:
    with pytest.raises(InvalidSummary, match=f'nunique, p1 … p99; found the text "{how}"'):
        _ = Summary("x", p=("x", how)).declared


@pytest.mark.parametrize("how", ["p90", "median"])
@pytest.mark.parametrize("value", ["a", True, pd.Timestamp("2021-05-16")], ids=repr)
def test_a_percentile_of_what_is_no_number_is_refused(how: str, value: Any) -> None:
    df = pd.DataFrame({"x": [value]})
    with pytest.raises(InvalidSummary, match=f"record 0: x must be a number for its {how}"):
        summarize(df, Summary("x", p=("x", how)))

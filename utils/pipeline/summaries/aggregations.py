"""Each aggregation: what it takes of a segment's cells, and what it shows of merged groups."""

import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.excel import EXACT_INTEGER, is_long
from pipeline.summaries.cells import BOOLEAN, NUMBER, Cells, Codes, whole
from pipeline.summaries.exact import Fractions, exact_number, quotient, root, small_totals, totals
from pipeline.summaries.partials import SIZE, Groups, Pick, Sum

NUMERIC = (NUMBER, BOOLEAN)
INFINITE = (math.inf, -math.inf)
SMALL = 2.0**46  # 100 times a whole number below it is one of a float's


class DistinctValues:
    """How many distinct values groups have that are given so many, and the percentiles sought."""

    def __init__(self, given: Codes, percents: Iterable[int]) -> None:
        self.unique = np.zeros_like(given)
        self.percentiles = {percent: _Percentile(given, percent) for percent in percents}
        self._seen = np.zeros_like(given)

    def add(self, groups: Codes, cells: Cells, counts: Codes) -> None:
        """Values, and how often each is there: groups ascend from call to call, and in each of them
        its values.
        """
        np.add.at(self.unique, groups, 1)
        through = np.cumsum(counts)
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        earlier = (through - counts)[starts].repeat(np.diff(starts, append=len(groups)))
        through += self._seen[groups] - earlier
        for percentile in self.percentiles.values():
            percentile.add(groups, cells, through - counts, through)
        np.add.at(self._seen, groups, counts)


class _Percentile:
    """The number at (n - 1) * percent / 100 among the n sorted ones of each group, counted from 0;
    between two places, it is in proportion between their numbers.
    """

    def __init__(self, given: Codes, percent: int) -> None:
        below, self._rest = divmod((given - 1) * percent, 100)  # hundredths of the way
        self._places = [below, below + (self._rest > 0)]
        self._found: list[Any] = [np.full(len(given), math.nan) for _ in self._places]

    def add(self, groups: Codes, cells: Cells, start: Codes, stop: Codes) -> None:
        """Values, each of which takes the places from start to stop in its group."""
        for which, places in enumerate(self._places):
            rows = np.flatnonzero((start <= places[groups]) & (places[groups] < stop))
            values = cells.take(rows).to_series()
            if values.dtype == object:  # with an exact number
                self._found[which] = self._found[which].astype(object)
            self._found[which][groups[rows]] = values

    @np.errstate(invalid="ignore", over="ignore")
    def numbers(self) -> Any:
        """Rounded once; exact, where a number is longer than a float."""
        low, high = self._found
        if object in (low.dtype, high.dtype):
            return _between(low, high, self._rest)
        common = np.gcd(self._rest, 100)
        parts, above = 100 // common, self._rest // common
        found = (low * (parts - above) + high * above) / parts + 0.0  # no -0.0
        whole = (low % 1 == 0) & (high % 1 == 0)
        small = whole & (np.maximum(np.abs(low), np.abs(high)) < SMALL)
        rows = ~(np.isfinite(found) & (small | (parts <= 2)))  # where it may be rounded twice
        found[rows] = _between(low[rows], high[rows], self._rest[rows])
        return found

    def exact(self) -> Fractions:
        low, high = (Fractions.of(values.tolist()) for values in self._found)
        over = low.over * high.under * (100 - self._rest) + high.over * low.under * self._rest
        return Fractions(over, low.under * high.under * 100, low.rounded | high.rounded)


def _number_between(low: Any, high: Any, rest: int) -> Any:
    """So many hundredths of the way from one to the other: exact where one is longer than a float,
    and neither is a fraction of one.
    """
    if low == high or low != low:
        return low
    if infinite := [number for number in (low, high) if number in INFINITE]:
        return sum(infinite)
    number = (Fraction(low) * (100 - rest) + Fraction(high) * rest) / 100
    long = [is_long(number) or isinstance(number, Decimal) for number in (low, high)]
    whole = [number == int(number) and abs(number) <= EXACT_INTEGER for number in (low, high)]
    exact = any(long) and all(map(operator.or_, long, whole))
    return exact_number(number) if exact else quotient(*number.as_integer_ratio())


_between = np.frompyfunc(_number_between, 3, 1)


class Merged(NamedTuple):
    """Some groups, merged from all sources; of a column the distinct values of each."""

    groups: Groups
    distinct: dict[str, DistinctValues]


@dataclass(frozen=True)
class Aggregation:
    """An aggregation of a column.

    Attributes:
        shown: of the column, what the cells of groups hold.
        exact: the values before they are rounded, for formulas; None where they are those shown.
        kinds: of the cells that it can take; none for any.
        gaps: whether missing cells are counted.
        powers: of the numbers, those that are added up.
        pick: which of the cells it is.
        is_count: whether it shows how many there are of something.
        percents: of the percentiles that it takes of the distinct values; None for no such values.
    """

    shown: Callable[[str, Merged], Any]
    exact: Callable[[str, Merged], Fractions] | None = None
    kinds: tuple[int, ...] = ()
    powers: tuple[int, ...] = ()
    gaps: bool = True
    pick: str = ""
    is_count: bool = False
    percents: tuple[int, ...] | None = None


def given(column: str, groups: Groups) -> Codes:
    """How many cells of the column are not missing."""
    return groups.sum(SIZE) - groups.sum(Sum("gaps", column))


def _computed(how: str, column: str, found: Merged) -> Any:
    """A sum, mean, var or std."""
    groups = found.groups
    count, digits = given(column, groups), _digits("sum", column, groups)
    above = groups.sum(Sum("above", column))
    infinite = above + groups.sum(Sum("below", column))
    small = small_totals(digits, groups.rows)
    if small is not None and not infinite.any() and how in ("sum", "mean"):
        with np.errstate(invalid="ignore"):
            return whole(small) if how == "sum" else small / count
    exact = _moment(how, column, found)
    shown: Any
    if how == "sum":
        shown = _sums(exact.over, exact.under, exact.rounded)
    else:
        shown = (_roots if how == "std" else _quotients)(exact.over, exact.under)
    for row in np.flatnonzero(infinite).tolist():
        one_sign = above[row] in (0, infinite[row]) and how in ("sum", "mean")
        shown[row] = (math.inf if above[row] else -math.inf) if one_sign else math.nan
    return numbers(shown)


def _moment(how: str, column: str, found: Merged) -> Fractions:
    """A sum, mean or var, or that of a std; of infinite numbers none."""
    groups = found.groups
    sums, scale = totals(_digits("sum", column, groups), groups.rows)
    count = given(column, groups).astype(object)
    over, under = sums, np.full(groups.rows, scale, dtype=object)
    if how == "mean":
        under = count * scale
    elif how != "sum":
        squares, squares_scale = totals(_digits("square", column, groups), groups.rows)
        common = math.lcm(scale * scale, squares_scale)
        over = count * squares * (common // squares_scale)
        over -= sums * sums * (common // (scale * scale))
        under = count * (count - 1) * common
    under[groups.sum(Sum("above", column)) + groups.sum(Sum("below", column)) > 0] = 0
    return Fractions(over, under, groups.sum(Sum("fractions", column)) > 0)


def _sum(total: int, scale: int, rounded: bool) -> Any:
    if rounded or not scale:
        return quotient(total, scale)
    return exact_number(Fraction(total, scale))


_sums = np.frompyfunc(_sum, 3, 1)
_quotients = np.frompyfunc(quotient, 2, 1)
_roots = np.frompyfunc(root, 2, 1)


def _digits(what: str, column: str, groups: Groups) -> dict[tuple[int, int], Codes]:
    return {
        (of.place, of.tens): sums
        for of, sums in groups.sums.items()
        if (of.what, of.column) == (what, column)
    }


def numbers(values: NDArray[Any]) -> NDArray[Any]:
    """As numbers, unless one is kept exactly."""
    objects = values.tolist() if values.dtype == object else []
    others = [value for value in objects if type(value) is not float]
    if any(isinstance(value, Decimal) or is_long(value) for value in others):
        return values
    return whole(values.astype(np.float64))


def _of_numbers(how: str, *powers: int) -> Aggregation:
    exact = None if how == "std" else partial(_moment, how)
    return Aggregation(partial(_computed, how), exact, NUMERIC, powers)


def _picked(how: str) -> Aggregation:
    return Aggregation(
        lambda column, found: found.groups.pick(Pick(how, column)).to_series(), gaps=False, pick=how
    )


def _percentile(percent: int) -> Aggregation:
    return Aggregation(
        lambda column, found: numbers(found.distinct[column].percentiles[percent].numbers()),
        lambda column, found: found.distinct[column].percentiles[percent].exact(),
        (NUMBER,),
        percents=(percent,),
    )


AGGREGATIONS = {
    "count": Aggregation(lambda column, found: given(column, found.groups), is_count=True),
    "size": Aggregation(lambda _, found: found.groups.sum(SIZE), gaps=False, is_count=True),
    "sum": _of_numbers("sum", 1),
    "mean": _of_numbers("mean", 1),
    "median": _percentile(50),
    "min": _picked("min"),
    "max": _picked("max"),
    "var": _of_numbers("var", 1, 2),
    "std": _of_numbers("std", 1, 2),
    "first": _picked("first"),
    "last": _picked("last"),
    "nunique": Aggregation(
        lambda column, found: found.distinct[column].unique, is_count=True, percents=()
    ),
}
PERCENTILES = {f"p{percent}": _percentile(percent) for percent in range(1, 100)}

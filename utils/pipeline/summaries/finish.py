"""What a summary shows of groups that are merged: sums, means, percentiles, formulas."""

import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.excel import EXACT_INTEGER, is_long
from pipeline.summaries.cells import Cells, Codes, whole
from pipeline.summaries.exact import (
    Fractions,
    RunningSums,
    exact_number,
    quotient,
    root,
    small_totals,
    totals,
)
from pipeline.summaries.formula import Formula, Name
from pipeline.summaries.partials import SIZE, Groups, Pick, Sum
from pipeline.summaries.rows import Rows
from pipeline.summaries.summary import PERCENTILES, PICKED, Column, Declared

INFINITE = (math.inf, -math.inf)
SMALL = 2.0**46  # 100 times a whole number below it is one of a float's


class DistinctValues:
    """How many distinct values groups have, and their percentiles.

    Args:
        given: how many values each group has.
        percents: of the percentiles that are sought.
    """

    def __init__(self, given: Codes, percents: Iterable[int]) -> None:
        self.unique = np.zeros_like(given)
        self.percentiles = {percent: _Percentile(given, percent) for percent in percents}
        self._seen = np.zeros_like(given)

    def add(self, groups: Codes, cells: Cells, counts: Codes, exact: Codes) -> None:
        """Values that follow those before: groups ascend, and in each of them its values.

        Args:
            counts: how often each value is there.
            exact: how often it is exact.
        """
        np.add.at(self.unique, groups, 1)
        through = np.cumsum(counts)
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        earlier = (through - counts)[starts].repeat(np.diff(starts, append=len(groups)))
        through += self._seen[groups] - earlier
        for percentile in self.percentiles.values():
            percentile.add(groups, cells, through - counts, through, exact == counts)
        np.add.at(self._seen, groups, counts)


class _Percentile:
    """The number at (n - 1) * percent / 100 among the n sorted ones of each group, counted from 0;
    between two places, it is in proportion between their numbers.
    """

    def __init__(self, given: Codes, percent: int) -> None:
        below, self._rest = divmod((given - 1) * percent, 100)  # hundredths of the way
        self._places = [below, below + (self._rest > 0)]
        self._found: list[Any] = [np.full(len(given), math.nan) for _ in self._places]

    def add(self, groups: Codes, cells: Cells, start: Codes, stop: Codes, exact: Any) -> None:
        """
        Args:
            start, stop: of each value, the places that it takes in its group.
            exact: whether it is exact.
        """
        for which, places in enumerate(self._places):
            rows = np.flatnonzero((start <= places[groups]) & (places[groups] < stop))
            values = cells.take(rows).to_series(exact[rows])
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


class Range(NamedTuple):
    """Some groups, merged from all sources; of a column the distinct values of each."""

    groups: Groups
    distinct: dict[str, DistinctValues]


def finished(
    declared: Declared,
    by: list[str],
    found: Range,
    column: Codes,
    totals: Mapping[str, Fractions] | None = None,
) -> Rows:
    """The rows of a summary: its keys and its columns, but for what the rows' order decides.

    Args:
        column: of each row.
        totals: the exact values over everything of each column; None for a row over everything.
    """
    groups, distinct = found
    size = groups.sum(SIZE)
    shown: dict[str, Any] = {
        name: cells.to_series(groups.sum(Sum("exact", name)) == size)
        for name, cells in zip(by, groups.keys, strict=True)
    }
    for each in declared.columns:
        shown[each.name] = _shown(each, groups, distinct.get(each.of))
    formulas, exact = declared.formulas, {}
    for name in declared.operands() - formulas.keys():
        exact[name] = _exact(name, declared, shown, groups, distinct)
    rows = Rows(pd.DataFrame(shown), exact, np.arange(groups.rows), column)
    if totals is None:
        compute(formulas, rows)
        return rows
    after = declared.after
    compute({name: formulas[name] for name in formulas if name not in after}, rows, totals)
    used = {name for formula in after.values() for name in formula.names if name.over != "total"}
    left = {name.column for name in used} - after.keys()
    return replace(rows, exact={name: exact[name] for name in left})


def compute(
    formulas: Mapping[str, Formula],
    rows: Rows,
    totals: Mapping[str, Fractions] | None = None,
    sums: Mapping[str, RunningSums] | None = None,
) -> None:
    """Add columns to the rows.

    Args:
        totals: the exact values over everything of each column; None for a row over everything,
            which is its own total, and the only row of a running total.
        sums: of the rows before these, by column.
    """
    running: dict[Name, Fractions] = {}

    def operand(name: Name) -> Fractions:
        if name.over == "total" and totals is not None:
            return totals[name.column].take(rows.column)
        exact: Fractions = rows.exact[name.column]
        if name.over != "running" or sums is None:
            return exact
        if name not in running:
            running[name] = sums[name.column].add(exact, rows.column)
        return running[name]

    for name, formula in formulas.items():
        rows.exact[name] = formula.value(operand, len(rows.df))
        rows.df[name] = _column(rows.exact[name].numbers())


def _shown(column: Column, groups: Groups, distinct: DistinctValues | None) -> Any:
    """What its cells hold; of a formula, which is computed last, nothing yet."""
    match column.how:
        case None:
            return None
        case "size":
            return groups.sum(SIZE)
        case "count":
            return given(column.of, groups)
        case "nunique" if distinct:
            return distinct.unique
        case how if how in PERCENTILES and distinct:
            return _column(distinct.percentiles[PERCENTILES[how]].numbers())
        case how if how in PICKED:
            picked = groups.picks.get(Pick(how, column.of))
            return pd.Series([None] * groups.rows) if picked is None else picked.to_series()
    return _computed(str(column.how), column.of, groups)


def _exact(
    name: str,
    declared: Declared,
    shown: dict[str, Any],
    groups: Groups,
    distinct: dict[str, DistinctValues],
) -> Fractions:
    """The values of a column before they are rounded; a `std` is a root and has none.

    A key is no number in the total.
    """
    column = next((each for each in declared.columns if each.name == name), None)
    if column and column.how in ("sum", "mean", "var"):
        return _moment(column.how, column.of, groups)
    if column and column.how in PERCENTILES:
        return distinct[column.of].percentiles[PERCENTILES[column.how]].exact()
    return Fractions.of(shown[name].tolist() if name in shown else [None] * groups.rows)


def given(column: str, groups: Groups) -> Codes:
    return groups.sum(SIZE) - groups.sum(Sum("gaps", column))


def _computed(how: str, column: str, groups: Groups) -> Any:
    """A sum, mean, var or std."""
    count, digits = given(column, groups), _digits("sum", column, groups)
    above = groups.sum(Sum("above", column))
    infinite = above + groups.sum(Sum("below", column))
    small = small_totals(digits, groups.rows)
    if small is not None and not infinite.any() and how in ("sum", "mean"):
        with np.errstate(invalid="ignore"):
            return whole(small) if how == "sum" else small / count
    exact = _moment(how, column, groups)
    found: Any
    if how == "sum":
        found = _sums(exact.over, exact.under, exact.rounded)
    else:
        found = (_roots if how == "std" else _quotients)(exact.over, exact.under)
    for row in np.flatnonzero(infinite).tolist():
        one_sign = above[row] in (0, infinite[row]) and how in ("sum", "mean")
        found[row] = (math.inf if above[row] else -math.inf) if one_sign else math.nan
    return _column(found) if how == "sum" else whole(found.astype(np.float64))


def _moment(how: str, column: str, groups: Groups) -> Fractions:
    """A sum, mean or var, or that of a std; of infinite numbers none."""
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


def _column(values: NDArray[Any]) -> NDArray[Any]:
    """As numbers, unless one is kept exactly."""
    objects = values.tolist() if values.dtype == object else []
    others = [value for value in objects if type(value) is not float]
    if any(isinstance(value, Decimal) or is_long(value) for value in others):
        return values
    return whole(values.astype(np.float64))

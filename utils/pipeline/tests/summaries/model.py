"""What a summary shows, by fractions, decimals and Python's own order."""

import datetime as dt
import math
import re
from collections.abc import Mapping
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from pipeline.summaries.summary import Summary

PERCENTILES = {"median": 50, "p1": 1, "p25": 25, "p33": 33, "p90": 90, "p99": 99}
COUNTS = ("count", "size", "nunique")

Row = dict[str, Any]
Shown = list[list[Any]]  # of each cell of a row the values of which it may show one
Exact = dict[str, Fraction | None]  # the numbers of a row before they are rounded


def is_missing(value: Any) -> bool:
    return bool(pd.isna(value))


def is_infinite(value: Any) -> bool:
    return isinstance(value, float) and math.isinf(value)


def place(value: Any) -> tuple[Any, ...]:
    """Where a value sorts. A float that a cell spells with 15 digits is the number of those digits."""
    if is_missing(value):
        return (9,)
    match value:
        case bool() | np.bool():
            return 5, bool(value)
        case float() if math.isinf(value):
            return 0, math.copysign(1, value), 0
        case float() if abs(value) < 2**53 and float(f"{value:.15g}") == value:
            return 0, 0, Fraction(f"{value:.15g}")
        case int() | float() | Decimal() | Fraction():
            return 0, 0, Fraction(value)
        case str():
            return 4, value
        case dt.datetime():
            return 2, value
        case dt.date():
            return 1, value
    return 3, value


def cell(value: Any) -> Any:
    """A cell as it is read: a number of more digits is a text, here a fraction."""
    match value:
        case dt.datetime() if value.time() == dt.time():
            return value.date()
        case bool() | str() | dt.date() | dt.timedelta():
            return value
        case float() if math.isinf(value):
            return str(value)
        case float():
            short = float(f"{value:.16G}") + 0.0  # no -0.0
            return value if math.isinf(short) else short
        case int() if abs(value) < 10**15:
            return float(value)
        case int():
            return Fraction(value)
    number = rounded(Fraction(value))
    short = math.isfinite(number) and Fraction(f"{number:.15g}") == value
    return float(f"{number:.16G}") if short else Fraction(value)


def matches(found: Any, values: list[Any]) -> bool:
    """Whether a cell shows one of the values."""
    if found == "":
        return is_missing(values[0])
    wanted = [cell(value) for value in values if not is_missing(value)]
    if isinstance(found, str) and re.fullmatch(r"-?[0-9.]+(E[+-]?[0-9]+)?", found):
        return found in wanted or Fraction(found) in wanted
    found = cell(found) if isinstance(found, dt.datetime) else found
    return (type(found), str(found)) in [(type(value), str(value)) for value in wanted]


def rounded(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def is_exact(value: Any) -> bool:
    """Whether a sum of such numbers keeps all digits: no float, nor a Decimal that is one."""
    if isinstance(value, Decimal) and abs(value) >= 10**15:
        return isinstance(cell(value), Fraction) or value != float(value)
    return not isinstance(value, float) or (value.is_integer() and abs(value) < 10**15)


def whole_or_not(value: Fraction) -> Any:
    return int(value) if value.denominator == 1 else value


def exact(how: str, column: list[Any]) -> Fraction | None:
    """An aggregation before it is rounded; None for no number."""
    given = [value for value in column if not is_missing(value)]
    if how in COUNTS:
        counts = {"count": len(given), "size": len(column), "nunique": len({*map(place, given)})}
        return Fraction(counts[how])
    if how in ("first", "last", "min", "max"):
        return number(picked(how, given)[0])
    if how in PERCENTILES:
        low, high, way = neighbours(given, PERCENTILES[how])
        below, above = number(low), number(high)
        return None if below is None or above is None else below + (above - below) * way
    least = {"sum": 0, "mean": 1}.get(how, 2)
    return None if any(map(is_infinite, given)) or len(given) < least else moment(how, given)


def moment(how: str, given: list[Any]) -> Fraction:
    numbers = [*map(Fraction, given)]
    total = sum(numbers, Fraction())
    if how == "sum":
        return total
    mean = total / len(numbers)
    if how == "mean":
        return mean
    variance = sum(((each - mean) ** 2 for each in numbers), Fraction()) / (len(numbers) - 1)
    if how == "var":
        return variance
    with localcontext(prec=2_500):
        return Fraction((Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt())


def number(value: Any) -> Fraction | None:
    """What a formula computes with."""
    is_number = isinstance(value, int | float | Decimal) and not is_missing(value)
    return Fraction(value) if is_number and not is_infinite(value) else None


def picked(how: str, given: list[Any]) -> list[Any]:
    """The first, last, least or greatest value, and those that sort beside it."""
    if not given or how in ("first", "last"):
        return (given or [None])[:: 1 if how == "first" else -1][:1]
    best = (min if how == "min" else max)(map(place, given))
    return [value for value in given if place(value) == best]


def neighbours(given: list[Any], percent: int) -> tuple[Any, Any, Fraction]:
    """The values between which a percentile lies, and how far it is from the first."""
    if not given:
        return None, None, Fraction()
    ordered = sorted(given, key=place)
    at = Fraction((len(ordered) - 1) * percent, 100)
    return ordered[math.floor(at)], ordered[math.ceil(at)], at % 1


def aggregated(how: str, column: list[Any]) -> list[Any]:
    """The values of which a summary may show one; the first says where it sorts."""
    given = [value for value in column if not is_missing(value)]
    value = exact(how, column)
    if how in ("first", "last", "min", "max"):
        return picked(how, given)
    if how in PERCENTILES:
        return percentile(given, PERCENTILES[how], value)
    if value is None:
        return [infinite_sum(given) if how in ("sum", "mean") else None]
    keeps_digits = how in COUNTS or (how == "sum" and all(map(is_exact, given)))
    return [whole_or_not(value) if keeps_digits else rounded(value)]


def percentile(given: list[Any], percent: int, value: Fraction | None) -> list[Any]:
    low, high, _ = neighbours(given, percent)
    if place(low) == place(high):
        return spelled([each for each in given if place(each) == place(low)]) or [None]
    if value is None:
        return [infinite_sum([low, high])]
    inexact = {place(each) for each in given if not is_exact(each)}
    is_rounded = {place(low), place(high)} & inexact or (is_short(low) and is_short(high))
    return [rounded(value) if is_rounded else whole_or_not(value)]


def is_short(value: Any) -> bool:
    """Whether a float is as good."""
    return isinstance(value, float) or (Fraction(value).denominator == 1 and abs(value) < 10**15)


def infinite_sum(given: list[Any]) -> float | None:
    infinite = {value for value in given if is_infinite(value)}
    return infinite.pop() if len(infinite) == 1 else None


def sheet(rows: list[Row], summary: Summary, formulas: Mapping[str, str]) -> list[Shown]:
    """The rows of the sheet below its headers.

    Args:
        formulas: of each column that has one Python over `own`, `total` and `running`; each after
            those that it computes with.
    """
    declared = summary.declared
    groups = by_key(rows, declared.by) if declared.by else [rows]
    if declared.sort:
        total = line(rows, summary, formulas)[1]
        groups = ordered(groups, declared.sort, summary, formulas, total)
    groups = groups[: declared.top]
    found = [keys_of(group, declared.by) for group in groups]
    if declared.total is not None:
        found.append([[declared.total], *[[None]] * (len(declared.by) - 1)])
    columns = [] if declared.across is None else by_key(rows, [declared.across])
    if declared.across is None or declared.total is not None:
        columns.append(rows)
    for column in columns:
        last, total = line(column, summary, formulas)
        sums: dict[str, Fraction] = {}
        within = {*map(id, column)}
        for cells, group in zip(found, groups):
            part = [row for row in group if id(row) in within]
            is_empty = not part and column is not rows
            empty = [[None]] * len(summary.named)
            cells += empty if is_empty else line(part, summary, formulas, total, sums)[0]
        if declared.total is not None:
            found[-1] += last
    return found


def ordered(
    groups: list[list[Row]],
    sort: str,
    summary: Summary,
    formulas: Mapping[str, str],
    total: Exact,
) -> list[list[Row]]:
    """By a column of the sheet, those last that have nothing there."""
    by, name = summary.declared.by, sort.removeprefix("-")
    at = [*by, *summary.named].index(name)
    rows = [[*keys_of(each, by), *line(each, summary, formulas, total, {})[0]] for each in groups]
    values = [row[at][0] for row in rows]
    given = [n for n, value in enumerate(values) if not is_missing(value)]
    given.sort(key=lambda n: place(values[n]), reverse=sort != name)
    left = [n for n in range(len(groups)) if n not in given]
    return [groups[n] for n in [*given, *left]]


def by_key(rows: list[Row], by: list[str]) -> list[list[Row]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(place(row[name]) for name in by), []).append(row)
    return [groups[key] for key in sorted(groups)]


def keys_of(group: list[Row], by: list[str]) -> Shown:
    return [spelled([row[name] for row in group]) for name in by]


def spelled(equal: list[Any]) -> list[Any]:
    """Of values that sort as one those that may be shown: floats, if there are any."""
    return [value for value in equal if type(value) is float and not is_missing(value)] or equal


def line(
    group: list[Row],
    summary: Summary,
    formulas: Mapping[str, str],
    total: Exact | None = None,
    sums: dict[str, Fraction] | None = None,
) -> tuple[Shown, Exact]:
    """The columns after the keys.

    Args:
        total: that of all records; None in their own row.
        sums: of the rows before, of each column.
    """
    own: Exact = {}
    for key in summary.declared.by:
        own[key] = None if total is None else number(group[0][key])
    running: Exact = {}
    shown: dict[str, list[Any]] = {}
    for name in [*(each for each in summary.named if each not in formulas), *formulas]:
        if name in formulas:
            known = {"own": own, "running": running, "total": own if total is None else total}
            own[name] = computed(formulas[name], known)
            shown[name] = answers(own[name])
        else:
            made: Any = summary.named[name]
            column, how = made
            values = [row[column] for row in group]
            shown[name] = aggregated(how, values)
            # A root has no last digit to compute with.
            own[name] = number(shown[name][0]) if how == "std" else exact(how, values)
        running[name] = value = own[name]
        if sums is not None and value is not None:
            running[name] = sums[name] = sums.get(name, Fraction()) + value
    return [shown[name] for name in summary.named], own


def computed(formula: str, known: dict[str, Exact]) -> Fraction | None:
    """By Python, whose signs and precedence are those of formulas."""
    try:
        return Fraction(eval(formula, {"Fraction": Fraction, **known}))
    except (TypeError, ZeroDivisionError):  # of None
        return None


def answers(value: Fraction | None) -> list[Any]:
    return [None] if value is None else [rounded(value), whole_or_not(value)]

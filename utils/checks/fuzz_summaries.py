"""Summaries of random tables beside a model of fractions, decimals and Python's own order.

    python fuzz_summaries.py [seconds] [first seed]

Each table is gathered in two cuts, whose workbooks must be the same bytes, and read by calamine. A
table that fails is named by its seed.
"""

import datetime as dt
import json
import math
import re
import sys
import time
from decimal import Decimal, localcontext
from fractions import Fraction
from io import BytesIO
from random import Random
from typing import Any

import numpy as np
import pandas as pd
from python_calamine import CalamineWorkbook

from pipeline.sheet.workbook import Workbook
from pipeline.summaries import combine as summaries
from pipeline.summaries import merge as merged
from pipeline.summaries import partials
from pipeline.summaries.aggregations import AGGREGATIONS
from pipeline.summaries.contribution import carried
from pipeline.summaries.summary import Summary

HUGE = 10**309
INTEGERS = [0, 1, -3, 7, 10**15 - 1, 10**15, -(10**15), 2**53 + 1, 10**16, 10**16 + 2, 10**18]
INTEGERS += [2**70, 10**23, HUGE, -HUGE, HUGE + 1, 10**400]
FLOATS = [0.0, -0.0, 0.1, 0.3, 0.1 + 0.2, 1.0, -2.5, 1e15, -1e15, 1e16, 1e18, 2.0**70, 1e23, 1e200]
FLOATS += [-1e200, 1e308, -1e308, 1.5e308, 1.7976931348623157e308, 5e-324, -5e-324, 1e-310, 3e-200]
SHORT = [*map(Decimal, ("0.1", "19.99", "0.05", "2.5", "-7"))]
LONG = "0.10000000000000000000001 0.09999999999999999999999 1E+23 1E+16 -1E-400 1E+400"
LONG += " 12345678901234567890 -12345678901234567890.5"
DECIMALS = [*SHORT, *map(Decimal, LONG.split()), Decimal.from_float(0.1)]
TIMES = [dt.date(2024, 1, 1), dt.date(2024, 1, 2), dt.datetime(2024, 1, 1), dt.timedelta(hours=30)]
TIMES += [dt.datetime(2024, 1, 1, 12, 30, 15, 250_000)]
TEXTS = ["1", "0.1", "a", "b", "あ", "\U0010ffff", "a\U0010ffff", "ab", "1e15", "x y"]
NUMBERS: list[list[Any]] = [
    *(INTEGERS, FLOATS, [*FLOATS, math.inf, -math.inf], SHORT, DECIMALS),
    [1, 2, 3, 2.5, True, False],
    [*INTEGERS, *FLOATS, *DECIMALS, True, False],
]
ANY = [*NUMBERS[-1], *TIMES, *TEXTS]
KEYS = [[1, 2.0, "a"], ANY, *NUMBERS]
MISSING: list[Any] = [None, math.nan, pd.NaT, pd.NA]
COMPUTED = ("count", "size", "sum", "mean")  # with formulas, here
PERCENTILES = {"median": 50, "p1": 1, "p25": 25, "p33": 33, "p90": 90, "p99": 99}
OF_NUMBERS = ("sum", "mean", "var", "std", *PERCENTILES)
FUNCTIONS: list[Any] = [
    lambda df: df["k"].iloc[::-1],
    lambda df: df["k"].to_numpy(),
    lambda df: df["k"].tolist(),
]
FORMATS = {"x sum": "#,##0.0"}

Row = dict[Any, Any]
Exact = dict[str, Fraction | None]


# The model: a value's place in the order, and what a cell shows of it.
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


def shown(value: Any) -> Any:
    """A cell as it is read: a number of more digits is a text, here a fraction."""
    match value:
        case dt.datetime() if value.time() == dt.time():
            return value.date()
        case bool() | str() | dt.date() | dt.timedelta():
            return value
        case float() if math.isinf(value):
            return str(value)
        case float():
            return float(f"{value:.16G}")
        case int() if abs(value) < 10**15:
            return float(value)
        case int():
            return Fraction(value)
    number = rounded(Fraction(value))
    short = math.isfinite(number) and Fraction(f"{number:.15g}") == value
    return float(f"{number:.16G}") if short else Fraction(value)


def rounded(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def is_exact(value: Any) -> bool:
    """Whether a sum of such numbers keeps all digits: no float, nor a Decimal that is one."""
    if isinstance(value, Decimal) and abs(value) >= 10**15:
        return isinstance(shown(value), Fraction) or value != float(value)
    return not isinstance(value, float) or (value.is_integer() and abs(value) < 10**15)


def whole_or_not(value: Fraction) -> Any:
    return int(value) if value.denominator == 1 else value


def aggregate(how: str, column: list[Any]) -> list[Any]:
    """The values of which a summary may show one; the first says where it sorts."""
    given = [value for value in column if not is_missing(value)]
    if how == "nunique":
        return [len({*map(place, given)})]
    if how in ("count", "size", "sum"):
        exact = before_rounding(how, column)
        if exact is None:
            return [infinite_sum(given)]
        return [
            whole_or_not(exact) if all(map(is_exact, given)) or how != "sum" else rounded(exact)
        ]
    if not given:
        return [None]
    if how in ("first", "last"):
        return [given[0 if how == "first" else -1]]
    if how in ("min", "max"):
        best = (min if how == "min" else max)(map(place, given))
        return [value for value in given if place(value) == best]
    return percentile(given, PERCENTILES[how]) if how in PERCENTILES else [moment(how, given)]


def before_rounding(how: str, column: list[Any]) -> Fraction | None:
    given = [value for value in column if not is_missing(value)]
    if how in ("count", "size"):
        return Fraction(len(given if how == "count" else column))
    if any(map(is_infinite, given)) or (how == "mean" and not given):
        return None
    exact = sum(map(Fraction, given), Fraction())
    return exact if how == "sum" else exact / len(given)


def infinite_sum(given: list[Any]) -> float | None:
    infinite = {value for value in given if is_infinite(value)}
    return infinite.pop() if len(infinite) == 1 else None


def moment(how: str, given: list[Any]) -> float | None:
    mean = before_rounding("mean", given)
    if mean is None:
        return infinite_sum(given) if how == "mean" else None
    if how == "mean":
        return rounded(mean)
    if len(given) < 2:
        return None
    squares = sum(((Fraction(number) - mean) ** 2 for number in given), Fraction())
    variance = squares / (len(given) - 1)
    if how == "var":
        return rounded(variance)
    with localcontext(prec=2_500):
        return float((Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt())


def percentile(given: list[Any], percent: int) -> list[Any]:
    ordered = sorted(given, key=place)
    at = Fraction((len(ordered) - 1) * percent, 100)
    low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
    if place(low) == place(high):
        return [value for value in given if place(value) == place(low)]
    if is_infinite(low) or is_infinite(high):
        return [infinite_sum([low, high])]
    between = Fraction(low) + (Fraction(high) - Fraction(low)) * (at % 1)
    inexact = {place(value) for value in given if not is_exact(value)}
    is_rounded = {place(low), place(high)} & inexact or (is_short(low) and is_short(high))
    return [rounded(between) if is_rounded else whole_or_not(between)]


def is_short(value: Any) -> bool:
    """Whether a float is as good."""
    return isinstance(value, float) or (Fraction(value).denominator == 1 and abs(value) < 10**15)


def model(rows: list[Row], summary: Summary) -> list[list[list[Any]]]:
    """The sheet: of each cell the values of which it may show one."""
    declared = summary.declared
    ordered = by_key(rows, declared.by) if declared.by else [rows]
    if declared.sort:
        name, total = declared.sort.removeprefix("-"), exact_values(rows, summary)
        names = [*declared.by, *summary.named]
        values = [
            line(group, summary, declared.by, total, {})[names.index(name)][0] for group in ordered
        ]
        given = [n for n, value in enumerate(values) if not is_missing(value)]
        given.sort(key=lambda n: place(values[n]), reverse=declared.sort != name)
        left = [n for n in range(len(ordered)) if n not in given]
        ordered = [ordered[n] for n in [*given, *left]]
    ordered = ordered[: declared.top]
    sheet = [[[row[name] for row in group] for name in declared.by] for group in ordered]
    if declared.total is not None:
        sheet.append([[declared.total], *[[None]] * (len(declared.by) - 1)])
    columns = [] if declared.across is None else by_key(rows, [declared.across])
    if declared.across is None or declared.total is not None:
        columns.append(rows)
    for column in columns:
        total, running, within = exact_values(column, summary), {}, {*map(id, column)}
        for cells, group in zip(sheet, ordered):
            part = [row for row in group if id(row) in within]
            empty = [[None]] * len(summary.named)
            cells += line(part, summary, [], total, running) if part or not columns[1:] else empty
        if declared.total is not None:
            sheet[-1] += line(column, summary, [], total, None)
    return sheet


def by_key(rows: list[Row], by: list[str]) -> list[list[Row]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(place(row[name]) for name in by), []).append(row)
    return [groups[key] for key in sorted(groups)]


def exact_values(rows: list[Row], summary: Summary) -> Exact:
    return {
        column.name: before_rounding(column.how, [row[column.of] for row in rows])
        for column in summary.declared.columns
        if column.how in COMPUTED
    }


def line(
    group: list[Row],
    summary: Summary,
    by: list[str],
    total: Exact,
    running: dict[str, Fraction] | None,
) -> list[list[Any]]:
    """
    Args:
        running: sums of the rows before; None in the total.
    """
    exact = exact_values(group, summary)
    down = exact
    if running is not None:
        for name, value in exact.items():
            running[name] = running.get(name, Fraction()) + (value or 0)
        down = {name: None if exact[name] is None else running[name] for name in exact}
    known = {"exact": exact, "total": total, "running": down}
    cells = [[row[name] for row in group] for name in by]
    for column in summary.declared.columns:
        values = [row[column.of] for row in group] if column.how else []
        cells.append(aggregate(column.how, values) if column.how else answers(column.of, known))
    return cells


def answers(formula: str, known: dict[str, Exact]) -> list[Any]:
    """By Python, whose signs and precedence are those of formulas."""
    called = re.sub(r"(total|running)\(`([^`]*)`\)", r"\1['\2']", formula)
    numbers = re.sub("`([^`]*)`", r"exact['\1']", called)
    try:
        value = Fraction(eval(numbers.translate(str.maketrans("−×÷", "-*/")), known))
    except (TypeError, ZeroDivisionError):  # of None
        return [None]
    return [rounded(value), whole_or_not(value)]


# What the gather makes.
def gathered(df: pd.DataFrame, summary: Summary, cuts: list[int]) -> bytes:
    """The workbook."""
    made = summaries.Summaries(lambda key: pd.DataFrame())
    for start, stop in zip([0, *cuts], [*cuts, len(df)], strict=True):
        fields, data = carried([summary], as_segment(df.iloc[start:stop]), "table")
        made.add("gather/x.pkl", json.loads(json.dumps(fields)), data)
    (table,) = made.tables(FORMATS)
    json.dumps([vars(table.facts())])
    return b"".join(Workbook("x.xlsx", [table], FORMATS).chunks())


def as_segment(piece: pd.DataFrame) -> pd.DataFrame:
    """With dtypes of its own, where no value would change."""
    made = {}
    for name, column in piece.items():
        typed = column.infer_objects()
        same = [*map(repr, typed.astype(object))] == [*map(repr, column)]
        made[name] = typed if same else column
    return pd.DataFrame(made, index=piece.index)


def matches(found: Any, values: list[Any]) -> bool:
    if found == "":
        return is_missing(values[0])
    wanted = [shown(value) for value in values if not is_missing(value)]
    if isinstance(found, str) and re.fullmatch(r"-?[0-9.]+(E[+-]?[0-9]+)?", found):
        return found in wanted or Fraction(found) in wanted
    found = shown(found) if isinstance(found, dt.datetime) else found
    return (type(found), found) in [(type(value), value) for value in wanted]


# Random tables and summaries.
def random_table(random: Random) -> pd.DataFrame:
    rows = random.choice([0, 1, 2, 5, 12, 40])
    pools = {
        name: random.choice(KEYS if name in ("k", "j") else NUMBERS)
        for name in ("k", "j", "x", "y", "")
    }
    table = {}
    for name, values in (pools | {"s": ANY}).items():
        pool = random.sample(values, min(len(values), random.choice([2, 4, 50])))
        gaps = random.choice([0, 0, 0.2])
        drawn = [random.choice(MISSING if random.random() < gaps else pool) for _ in range(rows)]
        table[name] = pd.Series(drawn, dtype=object)
    return pd.DataFrame(table)


def random_summary(random: Random, df: pd.DataFrame) -> Summary:
    by = random.choice([[], ["k"], ["k", "j"], ["j", "k", "s"]])
    named: dict[str, Any] = {}
    for _ in range(random.randint(1, 6)):
        how, column = random.choice([*AGGREGATIONS, *PERCENTILES]), random.choice([*df.columns])
        kinds = {type(value) for value in df[column] if not is_missing(value)}
        numbers = {int, float, Decimal} | (set() if how in PERCENTILES else {bool})
        if how not in OF_NUMBERS or kinds <= numbers:
            named[f"{column} {how}"] = (column, how)
    named = named or {"n": ("k", "size")}
    shown = [*by, *named]
    operands = [name for name, (_, how) in named.items() if how in COMPUTED]
    if operands and random.random() < 0.5:
        named["formula"] = random_formula(random, operands)
        shown += [] if "running" in named["formula"] else ["formula"]
    across = random.choice([None, None, *sorted({"s", "j", "x"} - {*by})]) if by else None
    functions = {name: random.choice(FUNCTIONS) if name == "k" else name for name in by}
    return Summary(
        "fuzz",
        by=random.choice([by, functions]) if by else None,
        across=across,
        total=random.choice([None, "all"]) if by else None,
        sort=random.choice([None, random.choice(["", "-"]) + random.choice(shown)]),
        top=random.choice([None, None, 3]),
        chart=random.choice([None, "column", "line" if across else "pie"]),
        **named,
    )


def random_formula(random: Random, operands: list[str], depth: int = 3) -> str:
    if not depth or random.random() < 0.3:
        of = random.choice(["{}", "{}", "total({})", "running({})"])
        return of.format(f"`{random.choice(operands)}`")
    pair = [random_formula(random, operands, depth - 1) for _ in range(2)]
    return random.choice(["({} − {})", "{} + {}", "{}×{}", "({}) / ({})", "-{} * {}"]).format(*pair)


def check(seed: int) -> None:
    """Raise AssertionError unless a table of this seed is summarized as the model has it."""
    random = Random(seed)
    df = random_table(random)
    summary = random_summary(random, df)
    cuts = sorted(random.randint(0, len(df)) for _ in range(random.randint(0, 4)))
    partials.BLOCK_BYTES, merged.RANGE_BYTES = random.choice(
        [(1, 200), (200, 2_000), (9_999, 9_999)]
    )
    summaries.INLINE_BYTES = random.choice([0, 8_192])
    summaries.AT_ONCE = random.choice([1, 2, 64])
    workbook = gathered(df, summary, cuts)
    assert workbook == gathered(df, summary, [len(df) // 2]), "two cuts, two workbooks"
    wanted = model(df.to_dict("records"), summary)
    headers = 2 if summary.declared.across is not None and len(summary.named) > 1 else 1
    sheet = CalamineWorkbook.from_filelike(BytesIO(workbook)).get_sheet_by_name("fuzz")
    found = sheet.to_python(skip_empty_area=False)[headers:]
    assert len(found) <= len(wanted), f"{len(wanted)} rows; found {len(found)}"
    found += [[]] * (len(wanted) - len(found))  # of empty cells alone
    for number, (cells, row) in enumerate(zip(found, wanted)):
        cells = [*cells, *[""] * (len(row) - len(cells))]
        for column, (cell, values) in enumerate(zip(cells, row, strict=True)):
            where = f"row {number}, column {column}"
            assert matches(cell, values), f"{where}: {values[:3]}; found {cell}"


def main(seconds: float = 60, seed: int = 1) -> int:
    end, first = time.monotonic() + seconds, seed
    while time.monotonic() < end:
        try:
            check(seed)
        except Exception:
            print(f"summaries: the table of seed {seed} failed", file=sys.stderr)
            raise
        seed += 1
    print(f"summaries: {seed - first} tables in two cuts are as the model has them")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))

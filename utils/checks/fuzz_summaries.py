"""Summaries of random tables beside a model of fractions, decimals and Python's own order.

    python fuzz_summaries.py [seconds] [first seed]

Each table is gathered in two cuts, whose sheets must be the same bytes, and read from its workbook's
XML. A table that fails is named by its seed.
"""

import datetime as dt
import json
import math
import re
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from fractions import Fraction
from io import BytesIO
from random import Random
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from xlsxwriter.utility import xl_col_to_name

from pipeline.sheet.rendered_table import render_table
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
SHORT = [Decimal("0.1"), Decimal("19.99"), Decimal("0.05"), Decimal("2.5"), Decimal("-7")]
DECIMALS = [*SHORT, Decimal("0.10000000000000000000001"), Decimal("0.09999999999999999999999")]
DECIMALS += [
    Decimal.from_float(0.1),
    Decimal("1E+23"),
    Decimal("1E+16"),
    Decimal("-1E-400"),
    Decimal("1E+400"),
]
DECIMALS += [Decimal("12345678901234567890"), Decimal("-12345678901234567890.5")]
TIMES = [dt.date(2024, 1, 1), dt.date(2024, 1, 2), dt.datetime(2024, 1, 1), dt.timedelta(hours=30)]
TIMES += [dt.datetime(2024, 1, 1, 12, 30, 15, 250_000)]
TEXTS = ["1", "0.1", "a", "b", "あ", "\U0010ffff", "a\U0010ffff", "ab", "1e15", "x y"]
NUMBERS: dict[str, list[Any]] = {
    "integers": INTEGERS,
    "floats": FLOATS,
    "infinite": [*FLOATS, math.inf, -math.inf],
    "money": SHORT,
    "decimals": DECIMALS,
    "small": [1, 2, 3, 2.5, True, False],
    "all": [*INTEGERS, *FLOATS, *DECIMALS, True, False],
}
ANY: list[Any] = [*NUMBERS["all"], *TIMES, *TEXTS]
MISSING: list[Any] = [None, math.nan, pd.NaT, pd.NA]
KEYS: dict[str, list[Any]] = {"few": [1, 2.0, "a"], "any": ANY, **NUMBERS}
COMPUTED = ("count", "size", "sum", "mean")  # with formulas, here
PERCENTILES = {"median": 50, "p1": 1, "p25": 25, "p33": 33, "p90": 90, "p99": 99}
OF_NUMBERS = ("sum", "mean", "var", "std", *PERCENTILES)

Row = dict[Any, Any]


# The model: a value's place in the order, and what a cell shows of it.
def is_missing(value: Any) -> bool:
    return bool(pd.isna(value))


def exactly(value: Any) -> Fraction:
    return Fraction(value)


def as_spelled(value: Any) -> Fraction:
    """A float that a cell spells with 15 digits is the number of those digits."""
    if isinstance(value, float) and abs(value) < 2**53 and float(f"{value:.15g}") == value:
        return Fraction(f"{value:.15g}")
    return exactly(value)


def place(value: Any) -> tuple[Any, ...]:
    """Where a value that is not missing sorts."""
    match value:
        case bool() | np.bool():
            return 5, bool(value)
        case float() if math.isinf(value):
            return 0, math.copysign(1, value), 0
        case int() | float() | Decimal() | Fraction():
            return 0, 0, as_spelled(value)
        case str():
            return 4, value
        case dt.datetime():
            return 2, value
        case dt.date():
            return 1, value
    return 3, value


def shows(value: Any) -> tuple[str, Any]:
    """A cell as it is read: its type, and a number's or a text's value."""
    match value:
        case bool():
            return "b", value
        case str():
            return "text", value
        case dt.datetime():
            return "number", f"{(value - dt.datetime(1899, 12, 30)) / dt.timedelta(1):.16G}"
        case dt.date():
            return "number", str((value - dt.date(1899, 12, 30)).days)
        case dt.timedelta():
            return "number", f"{value / dt.timedelta(1):.16G}"
        case float() if math.isinf(value):
            return "text", str(value)
        case float():
            return "number", f"{value + 0.0:.16G}"
        case int():
            return ("number", f"{value}") if abs(value) < 10**15 else ("long", Fraction(value))
    number = rounded(Fraction(value))
    short = math.isfinite(number) and Fraction(f"{number:.15g}") == value
    return ("number", f"{number:.16G}") if short else ("long", Fraction(value))


def rounded(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def is_exact(value: Any) -> bool:
    """Whether a sum of such numbers keeps all digits: no float, nor a Decimal that is one."""
    if isinstance(value, Decimal) and abs(value) >= 10**15:
        return shows(value)[0] == "long" or value != float(value)
    return not isinstance(value, float) or (value.is_integer() and abs(value) < 10**15)


def whole_or_not(value: Fraction) -> Any:
    return int(value) if value.denominator == 1 else value


def aggregate(how: str, column: list[Any]) -> list[Any]:
    """The values of which a summary may show one; the first says where it sorts."""
    given = [value for value in column if not is_missing(value)]
    if how == "size":
        return [len(column)]
    if how == "count":
        return [len(given)]
    if how == "nunique":
        return [len({place(value) for value in given})]
    if how == "sum":
        return [total(given)]
    if not given:
        return [None]
    if how in ("first", "last"):
        return [given[0 if how == "first" else -1]]
    if how in ("min", "max"):
        best = (min if how == "min" else max)(map(place, given))
        return [value for value in given if place(value) == best]
    return percentile(given, PERCENTILES[how]) if how in PERCENTILES else [moment(how, given)]


def total(given: list[Any]) -> Any:
    if infinite := {value for value in given if isinstance(value, float) and math.isinf(value)}:
        return infinite.pop() if len(infinite) == 1 else None
    exact = sum(map(exactly, given), Fraction())
    return whole_or_not(exact) if all(map(is_exact, given)) else rounded(exact)


def moment(how: str, given: list[Any]) -> Any:
    if any(isinstance(value, float) and math.isinf(value) for value in given):
        return total(given) if how == "mean" else None
    numbers = [*map(exactly, given)]
    mean = sum(numbers, Fraction()) / len(numbers)
    if how == "mean":
        return rounded(mean)
    if len(numbers) < 2:
        return None
    squares = sum(((number - mean) ** 2 for number in numbers), Fraction())
    variance = squares / (len(numbers) - 1)
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
    if any(isinstance(value, float) and math.isinf(value) for value in (low, high)):
        return [None if math.isfinite(low) == math.isfinite(high) else float(low) + float(high)]
    between = exactly(low) + (exactly(high) - exactly(low)) * (at % 1)
    inexact = {place(value) for value in given if not is_exact(value)}
    is_rounded = {place(low), place(high)} & inexact or (is_short(low) and is_short(high))
    return [rounded(between) if is_rounded else whole_or_not(between)]


def is_short(value: Any) -> bool:
    """Whether a float is as good."""
    return isinstance(value, float) or (exactly(value).denominator == 1 and abs(value) < 10**15)


def model(rows: list[Row], summary: Summary) -> list[list[list[Any]]]:
    """The sheet: of each cell the values of which it may show one."""
    declared = summary.declared
    ordered = by_key(rows, declared.by) if declared.by else [rows]
    if declared.sort:
        at = names_of(summary).index(declared.sort.removeprefix("-"))
        total = exact_values(rows, summary)
        sorting = [
            (line(group, summary, declared.by, total, {})[at][0], group) for group in ordered
        ]
        given = [pair for pair in sorting if not is_missing(pair[0])]
        given.sort(key=lambda pair: place(pair[0]), reverse=declared.sort.startswith("-"))
        ordered = [group for _, group in (*given, *(p for p in sorting if is_missing(p[0])))]
    ordered = ordered[: declared.top]
    sheet = [[[row[name] for row in group] for name in declared.by] for group in ordered]
    if declared.total is not None:
        sheet.append([[declared.total], *[[None]] * (len(declared.by) - 1)])
    values = [] if declared.across is None else by_key(rows, [declared.across])
    if declared.across is None or declared.total is not None:
        values.append(rows)
    for column in values:
        total, running, within = exact_values(column, summary), {}, {*map(id, column)}
        for shown, group in zip(sheet, ordered):
            cell = [row for row in group if id(row) in within]
            empty = [[None]] * len(declared.columns)
            shown += line(cell, summary, [], total, running) if cell or not values[1:] else empty
        if declared.total is not None:
            sheet[-1] += line(column, summary, [], total, None)
    return sheet


def by_key(rows: list[Row], by: list[str]) -> list[list[Row]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        key = tuple((9,) if is_missing(row[name]) else place(row[name]) for name in by)
        groups.setdefault(key, []).append(row)
    return [groups[key] for key in sorted(groups)]


def names_of(summary: Summary) -> list[str]:
    return [*summary.declared.by, *(column.name for column in summary.declared.columns)]


Exact = dict[str, Fraction | None]


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
    cells = [[row[name] for row in group] for name in by]
    exact = exact_values(group, summary)
    down = exact
    if running is not None:
        for name, value in exact.items():
            running[name] = running.get(name, Fraction()) + (value or 0)
        down = {name: None if exact[name] is None else running[name] for name in exact}
    known = {"exact": exact, "total": total, "running": down}
    for column in summary.declared.columns:
        values = [row[column.of] for row in group] if column.how else []
        cells.append(aggregate(column.how, values) if column.how else answers(column.of, known))
    return cells


def before_rounding(how: str, column: list[Any]) -> Fraction | None:
    given = [value for value in column if not is_missing(value)]
    if how in ("count", "size"):
        return Fraction(len(given if how == "count" else column))
    if any(isinstance(value, float) and math.isinf(value) for value in given):
        return None
    if how == "sum":
        return sum(map(exactly, given), Fraction())
    return sum(map(exactly, given), Fraction()) / len(given) if given else None


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
    """The XML of the summary's sheet."""
    made = summaries.Summaries(lambda key: pd.DataFrame())
    for start, stop in zip([0, *cuts], [*cuts, len(df)], strict=True):
        piece = as_segment(df.iloc[start:stop])
        fields, data = carried([summary], piece, "table")
        made.add("gather/x.pkl", json.loads(json.dumps(fields)), data)
    (table,) = made.tables({"x sum": "#,##0.0"})
    json.dumps([vars(table.facts())])
    first = render_table("Sheet1", [pd.DataFrame({"n": [1]})], {})
    file = b"".join(Workbook("x.xlsx", [first, table], {"x sum": "#,##0.0"}).chunks())
    return zipfile.ZipFile(BytesIO(file)).read("xl/worksheets/sheet2.xml")


def as_segment(piece: pd.DataFrame) -> pd.DataFrame:
    """With dtypes of its own, where no value would change."""
    made = {}
    for name, column in piece.items():
        typed = column.infer_objects()
        same = [*map(repr, typed.astype(object))] == [*map(repr, column)]
        made[name] = typed if same else column
    return pd.DataFrame(made, index=piece.index)


def read(xml: bytes, width: int) -> Iterator[list[tuple[str, Any] | None]]:
    """The rows, with so many columns."""
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    root = ElementTree.fromstring(xml)
    for row in root.iter(f"{space}row"):
        cells = {}
        for cell in row:
            letters = (cell.get("r") or "").rstrip("0123456789")
            kind, text = cell.get("t", "number"), "".join(cell.itertext())
            value: Any = text == "1" if kind == "b" else text
            cells[letters] = "text" if kind == "inlineStr" else kind, value
        yield [cells.get(xl_col_to_name(at)) for at in range(width)]


def matches(found: tuple[str, Any] | None, values: list[Any]) -> bool:
    if found is None:
        return is_missing(values[0])
    for value in values:
        if is_missing(value):
            continue
        kind, shown = shows(value)
        if kind == "long" and found[0] == "text" and found[1][-1:].isdigit():
            if Fraction(found[1]) == shown:
                return True
        elif found == (kind, shown):
            return True
    return False


# Random tables and summaries.
def random_table(random: Random) -> pd.DataFrame:
    rows = random.choice([0, 1, 2, 5, 12, 40])
    pools = {name: random.choice([*KEYS.values()]) for name in "kj"}
    pools |= {"x": random.choice([*NUMBERS.values()]), "y": random.choice([*NUMBERS.values()])}
    pools |= {"": random.choice([*NUMBERS.values()]), "s": ANY}
    table = {}
    for name, pool in pools.items():
        pool = random.sample(pool, min(len(pool), random.choice([2, 4, 50])))
        gaps = random.choice([0, 0, 0.2])
        drawn = [random.choice(MISSING if random.random() < gaps else pool) for _ in range(rows)]
        table[name] = pd.Series(drawn, dtype=object)
    return pd.DataFrame(table, columns=[*pools])


def random_summary(random: Random, df: pd.DataFrame) -> Summary:
    by: Any = random.choice([None, "k", ["k"], ["k", "j"], ["j", "k", "s"], functions(random)])
    named: dict[str, Any] = {}
    for _ in range(random.randint(1, 6)):
        how = random.choice([*AGGREGATIONS, *PERCENTILES])
        column = random.choice([*df.columns])
        given = [value for value in df[column] if not is_missing(value)]
        fits = all(isinstance(value, int | float | Decimal) for value in given)
        if how in PERCENTILES:
            fits = fits and not any(isinstance(value, bool) for value in given)
        if fits or how not in OF_NUMBERS:
            named[f"{column} {how}"] = (column, how)
    named = named or {"n": ("k", "size")}
    shown = [*([by] if isinstance(by, str) else by or []), *named]
    operands = [name for name, (_, how) in named.items() if how in COMPUTED]
    if operands and random.random() < 0.5:
        named["formula"] = random_formula(random, operands)
        if "running" in named["formula"]:
            shown = [name for name in shown if name != "formula"]
        else:
            shown.append("formula")
    keys = [by] if isinstance(by, str) else [*(by or [])]
    across = random.choice([None, None, *sorted({"s", "j", "x"} - {*keys})]) if by else None
    return Summary(
        "fuzz",
        by=by,
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
    left, right = (random_formula(random, operands, depth - 1) for _ in range(2))
    return random.choice(["({} − {})", "{} + {}", "{}×{}", "({}) / ({})", "-{} * {}"]).format(
        left, right
    )


def functions(random: Random) -> dict[str, Any]:
    ways: list[Callable[[pd.DataFrame], Any]] = [
        lambda df: df["k"].iloc[::-1],
        lambda df: df["k"].to_numpy(),
        lambda df: df["k"].tolist(),
        lambda df: df["k"],
    ]
    return {"k": random.choice(ways), "j": "j"}


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
    summaries.SMALL_GROUPS = random.choice([0, 20_000])
    xml = gathered(df, summary, cuts)
    assert xml == gathered(df, summary, [len(df) // 2]), "two cuts, two sheets"
    wanted = model(df.to_dict("records"), summary)
    headers = 2 if summary.declared.across is not None and len(summary.declared.columns) > 1 else 1
    found = [*read(xml, len(wanted[0]) if wanted else 0)][headers:]
    assert len(found) == len(wanted), f"{len(wanted)} rows; found {len(found)}"
    for number, (mine, theirs) in enumerate(zip(found, wanted, strict=True)):
        for at, (cell, values) in enumerate(zip(mine, theirs, strict=True)):
            where = f"row {number}, column {xl_col_to_name(at)}"
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

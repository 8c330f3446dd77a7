"""Random tables, summaries of them, and formulas, each with what Python makes of it."""

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pandas as pd

from pipeline.summaries.aggregations import AGGREGATIONS
from pipeline.summaries.summary import Summary
from pipeline.tests.summaries.model import COUNTS, PERCENTILES, is_infinite, is_missing, place

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
TEXTS = ["1", "0.1", "a", "b", "あ", "\U0010ffff", "a\U0010ffff", "a\U0010ffffa", "ab", "1e15"]
SMALL = [1, 2, 3, 2.5, 4]
EQUAL = [10**15, 1e15, 10**16, 1e16, Decimal("0.1"), 0.1]
NUMBERS: list[list[Any]] = [
    *(INTEGERS, FLOATS, [2.5, 1e308, math.inf, -math.inf], SHORT, DECIMALS),
    *(SMALL, EQUAL, [*SMALL, True, False], [*INTEGERS, *FLOATS, *DECIMALS, True, False]),
]
ANY = [*NUMBERS[-1], *TIMES, *TEXTS]
KEYS: list[list[Any]] = [[1, 2.0, "a"], TEXTS, ANY, *NUMBERS]
MISSING: list[Any] = [None, math.nan, pd.NaT, pd.NA]
OF_NUMBERS = ("sum", "mean", "var", "std", *PERCENTILES)
FUNCTIONS: list[Callable[[pd.DataFrame], Any]] = [
    lambda df: df["k"].iloc[::-1],
    lambda df: df["k"].to_numpy(),
    lambda df: df["k"].tolist(),
]
SIGNS = [("({} − {})", "({} - {})"), ("{} + {}", "{} + {}"), ("{}×{}", "{} * {}")]
SIGNS += [
    ("({}) ÷ ({})", "({}) / ({})"),
    ("({}) / ({})", "({}) / ({})"),
    ("-{} * {}", "-{} * {}"),
    ("{} - -({})", "{} - -({})"),
]


def random_table(random: Random) -> pd.DataFrame:
    rows = random.choice([0, 1, 2, 5, 12, 40])
    table = {}
    for name in ("k", "j", "x", "y", "", "s"):
        drawn = [random.uniform(-1e6, 1e6) for _ in range(9)]
        pools = {"k": KEYS, "j": KEYS, "s": [ANY]}
        values = random.choice(pools.get(name, [*NUMBERS, drawn]))
        pool = random.sample(values, min(len(values), random.choice([2, 4, 50])))
        gaps = random.choice([0, 0, 0.2])
        cells = [random.choice(MISSING if random.random() < gaps else pool) for _ in range(rows)]
        table[name] = pd.Series(cells, dtype=object)
    return pd.DataFrame(table)


def random_summary(random: Random, df: pd.DataFrame) -> tuple[Summary, dict[str, str]]:
    """A summary, and its formulas in Python."""
    by = random.choice([[], ["k"], ["k", "j"], ["j", "k", "s"]])
    named: dict[str, Any] = {}
    for _ in range(random.randint(1, 6)):
        how, column = random.choice([*AGGREGATIONS, *PERCENTILES]), random.choice([*df.columns])
        if how not in OF_NUMBERS or are_numbers(df[column], how not in PERCENTILES):
            named[f"{column} {how}"] = (column, how)
    named = named or {"n": ("k", "size")}
    operands = [name for name, (column, how) in named.items() if computes(df[column], how)]
    keys = [name for name in by if computes(df[name], "first")]
    formulas = {}
    for number in range(random.choice([0, 1, 2]) if operands else 0):
        named[f"f{number}"], formulas[f"f{number}"] = random_formula(random, operands, keys)
        operands.append(f"f{number}")
    if random.random() < 0.3:
        named = dict(random.sample([*named.items()], len(named)))
    running = [name for name, python in formulas.items() if "running" in python]
    down = [name for name, python in formulas.items() if "f0" in python] if running else []
    shown = [name for name in [*by, *named] if name not in {*running, *down}]
    functions: dict[str, Any] = {n: random.choice(FUNCTIONS) if n == "k" else n for n in by}
    keyed: Any = random.choice([by, functions])
    across = random.choice([None, None, *sorted({"s", "j", "x"} - {*by})]) if by else None
    summary = Summary(
        "fuzz",
        by=keyed if by else None,
        across=across,
        total=random.choice([None, "all"]) if by else None,
        sort=random.choice([None, random.choice(["", "-"]) + random.choice(shown)]),
        top=random.choice([None, None, 3]),
        chart=random.choice([None, "column", "line" if across else "pie"]),
        **named,
    )
    return summary, formulas


def are_numbers(column: "pd.Series[Any]", with_booleans: bool) -> bool:
    kinds = {type(value) for value in column if not is_missing(value)}
    return kinds <= {int, float, Decimal} | ({bool} if with_booleans else set())


def computes(column: "pd.Series[Any]", how: str) -> bool:
    """Whether a formula may take the aggregation, and there is one answer: a float and a Decimal that
    a cell spells alike are one value, but not one number.
    """
    if how in COUNTS or not are_numbers(column, with_booleans=True):
        return how in COUNTS
    given = [value for value in column if not is_missing(value) and not is_infinite(value)]
    return len({*map(place, given)}) == len({(place(value), Fraction(value)) for value in given})


def random_formula(
    random: Random, operands: list[str], keys: list[str], depth: int = 3
) -> tuple[str, str]:
    """A formula, and the same for Python."""
    if depth and random.random() < 0.7:
        pairs = [random_formula(random, operands, keys, depth - 1) for _ in range(2)]
        text, python = random.choice(SIGNS)
        return text.format(*(each for each, _ in pairs)), python.format(*(of for _, of in pairs))
    if random.random() < 0.2:
        number = random.choice(["2", "0.1", "0", "10"])
        return number, f"Fraction('{number}')"
    over = random.choice(["", "", "total", "running"])
    name = random.choice(operands if over else [*operands, *keys])
    text = name if name.isidentifier() else f"`{name}`"
    return f"{over}( {text})" if over else text, f"{over or 'own'}['{name}']"

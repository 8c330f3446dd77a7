"""The profile of a segment's result: each column's kind, gaps, range and distribution."""

import math
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from pipeline.arrays import only_texts
from pipeline.excel import EXACT_INTEGER, is_number
from pipeline.facts.column_profile import DISTINCT, Column, Histogram, exponent_of
from pipeline.facts.stages import FIRST_ROWS, SegmentFacts

COLUMNS = 100  # profiled; a wider table's others are not
CHARACTERS = 60  # of a value that is counted; a column with longer ones has too many to show
SMALL = 100  # rows, of which Python counts the values faster than pandas
HEAD = 1000  # rows that show at once that a column has more than DISTINCT values

KINDS = {
    bool | np.bool_: "booleans",
    timedelta | np.timedelta64: "durations",  # NumPy's are its integers, too
    int | float | np.number: "numbers",
    date | np.datetime64: "dates",
}


def segment_facts(df: pd.DataFrame, rows_in: int) -> SegmentFacts:
    """
    Args:
        rows_in: rows of the segment file that df was made from.
    """
    shown = df.iloc[:, :COLUMNS]
    columns = [column(str(name), shown.iloc[:, place]) for place, name in enumerate(shown.columns)]
    first = shown.head(FIRST_ROWS).astype(object)
    rows = [[cell_text(cell) for cell in row] for row in first.itertuples(index=False, name=None)]
    return SegmentFacts(rows_in, len(df), columns, rows)


def column(name: str, cells: pd.Series) -> Column:
    if only_texts(cells):  # much faster than a look at each cell
        given, kinds = cells, {"texts": len(cells)}
    else:
        given = cells.dropna()
        kinds = kinds_of(given)
    low, high, histogram = spread(given) if set(kinds) == {"numbers"} else (None, None, None)
    # pandas counts False and 0 as one value.
    values = few_values(given if len(kinds) < 2 else given.map(cell_text))
    return Column(
        name=name,
        kinds=kinds,
        missing=len(cells) - len(given),
        low=low,
        high=high,
        histogram=histogram,
        values=values or {},
        many=values is None,
    )


def kinds_of(given: pd.Series) -> dict[str, int]:
    """Kinds of the cells that are not missing, by their counts."""
    integers = pd.api.types.is_integer_dtype(given.dtype)
    some = [given.min(), given.max()] if integers and len(given) else given.head(1)
    kinds = set(map(kind_of, some))
    mixed = given.dtype == object or isinstance(given.dtype, pd.CategoricalDtype)
    if mixed or (integers and "texts" in kinds):
        return dict(Counter(given.map(kind_of)))
    return {kind: len(given) for kind in kinds}


def kind_of(cell: Any) -> str:
    if isinstance(cell, Decimal):
        return "numbers" if is_number(cell) else "texts"
    kind = next((kind for types, kind in KINDS.items() if isinstance(cell, types)), "texts")
    whole = kind == "numbers" and isinstance(cell, int | np.integer)
    return "texts" if whole and abs(int(cell)) > EXACT_INTEGER else kind


def spread(given: pd.Series) -> tuple[float | None, float | None, Histogram | None]:
    """Least and greatest number, and the numbers in bins; Nones without a finite one."""
    numbers = given.to_numpy(dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return None, None, None
    low, high = float(numbers.min()), float(numbers.max())
    exponent = exponent_of(low, high)
    bins = np.floor(np.ldexp(numbers, -exponent))
    first = int(bins.min())
    counts = np.bincount((bins - first).astype(np.int64))
    found = {first + place: int(count) for place, count in enumerate(counts.tolist()) if count}
    return low, high, Histogram(exponent, found).fitted()


def few_values(given: pd.Series) -> dict[str, int] | None:
    """How many cells have each value; None where there are more than DISTINCT, or long ones."""
    found: Counter[str] = Counter()
    try:
        if len(given) <= SMALL:
            counts: Any = Counter(given.tolist())
        elif given.head(HEAD).nunique() > DISTINCT:
            return None
        else:
            counts = given.value_counts(sort=False)
    except TypeError:  # lists and dictionaries cannot be counted
        return None
    if len(counts) > DISTINCT:
        return None
    for value, count in counts.items():
        found[cell_text(value)] += int(count)
    few = len(found) <= DISTINCT and all(len(text) <= CHARACTERS for text in found)
    return dict(found) if few else None


def cell_text(cell: Any) -> str:
    """A cell as the report shows it; numbers as Excel does, without a .0."""
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return ""
    if isinstance(cell, float) or (isinstance(cell, Decimal) and is_number(cell)):
        return "" if math.isnan(cell) else f"{float(cell):.15g}"
    text = str(cell)
    return text if len(text) <= CHARACTERS + 1 else text[:CHARACTERS] + "…"

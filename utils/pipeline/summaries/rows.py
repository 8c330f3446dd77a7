"""The rows of a summary on their way to its sheet: keys, aggregations and formulas, and how those of
a cross table stand there.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.excel import duration_text, float_text, integer_text
from pipeline.summaries.aggregations import Merged, numbers
from pipeline.summaries.cells import Cells, Codes
from pipeline.summaries.exact import Fractions, RunningSums
from pipeline.summaries.formula import Formula, Name
from pipeline.summaries.summary import Declared

BLOCK_ROWS = 1 << 14  # rendered at a time, however the groups came: the same bytes for every cut
BLOCK_CELLS = 1 << 20  # at most, of a wide table


@dataclass(frozen=True)
class Rows:
    """Some rows of a sheet; in a cross table several, one for each value across and one over all,
    make one of the sheet's, and stand one after another.

    Attributes:
        df: their keys and columns, by name.
        exact: columns that formulas compute with once the rows are in order.
        at: of each, the number of its row among these on the sheet.
        column: of each, the number of its value across; the last number is that of all values.
    """

    df: pd.DataFrame
    exact: dict[str, Fractions]
    at: Codes
    column: Codes

    @property
    def count(self) -> int:
        """Of rows on the sheet."""
        return int(self.at[-1]) + 1 if len(self.at) else 0

    def take(self, places: Any) -> "Rows":
        exact = {name: each.take(places) for name, each in self.exact.items()}
        df = self.df.iloc[places].reset_index(drop=True)
        return Rows(df, exact, self.at[places], self.column[places])

    def beside(self, other: "Rows") -> "Rows":
        """Both, by row of the sheet and value across."""
        at = np.concatenate([self.at, other.at])
        column = np.concatenate([self.column, other.column])
        exact = {name: each.followed_by(other.exact[name]) for name, each in self.exact.items()}
        joined = Rows(pd.concat([self.df, other.df], ignore_index=True), exact, at, column)
        return joined.take(np.lexsort((column, at)))


def finished(
    declared: Declared,
    by: list[str],
    found: Merged,
    column: Codes,
    totals: Mapping[str, Fractions] | None = None,
) -> Rows:
    """The rows of a summary: its keys and its columns, but for what the rows' order decides.

    Args:
        column: of each row.
        totals: the exact values over everything of each column; None for a row over everything.
    """
    groups, formulas = found.groups, declared.formulas
    shown: dict[str, Any] = {
        name: cells.to_series() for name, cells in zip(by, groups.keys, strict=True)
    }
    shown |= dict.fromkeys(column.name for column in declared.columns)  # formulas come last
    exact = {}
    for each, aggregation in declared.aggregated:
        shown[each.name] = aggregation.shown(each.of, found)
        if aggregation.exact and each.name in declared.operands:
            exact[each.name] = aggregation.exact(each.of, found)
    for name in declared.operands - formulas.keys() - exact.keys():
        # A key is no number in the total.
        exact[name] = Fractions.of(shown[name].tolist() if name in shown else [None] * groups.rows)
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
        rows.df[name] = numbers(rows.exact[name].numbers())


def top(rows: Iterator[Rows], count: int | None) -> Iterator[Rows]:
    """So many rows of the sheet, the first ones; all for None."""
    for each in rows:
        yield each if count is None or each.count <= count else each.take(each.at < count)
        if count is not None and (count := count - each.count) <= 0:
            return


def runs_of(keys: Sequence[Cells]) -> Codes:
    """Numbers each row of sorted keys; equal ones have one number."""
    changed = np.zeros(len(keys[0]), bool)
    for cells in keys:
        for part in cells.order:
            changed[1:] |= part[1:] != part[:-1]
    return np.cumsum(changed)


def side_by_side(rows: Rows, keys: list[str], across: int | None) -> Iterator[pd.DataFrame]:
    """The rows as they stand on the sheet, a slice at a time: keys, then for each value across the
    other columns, under their own names; what has no records is missing.

    Args:
        across: how many values to show; None where it is no cross table.
    """
    if across is None:
        yield rows.df
        return
    names = [name for name in rows.df.columns if name not in keys]
    # The rows over all values, whose keys have all spellings.
    ends = np.flatnonzero(np.diff(rows.at, append=-1))
    step = block_rows(len(keys) + len(names) * across)
    for start in range(0, len(ends) or 1, step):
        end = ends[start : start + step]
        first, last = np.searchsorted(rows.at, [start, start + step])
        at, column = rows.at[first:last] - start, rows.column[first:last]
        arrays = [rows.df[name].to_numpy()[end] for name in keys]
        shape = len(end), across + 1  # with the one over all values, shown or not
        tables = [_table(rows.df[name].to_numpy()[first:last], at, column, shape) for name in names]
        arrays += [table[:, number] for number in range(across) for table in tables]
        df = pd.DataFrame(dict(enumerate(arrays)))
        yield df.set_axis([*keys, *names * across], axis=1)


def _table(values: NDArray[Any], at: Codes, column: Codes, shape: tuple[int, int]) -> NDArray[Any]:
    """Values at their rows and columns; a cell without one is missing."""
    plain = values.dtype.kind in "iuf"
    table: NDArray[Any] = np.full(shape, np.nan if plain else None, float if plain else object)
    table[at, column] = values
    return table


def block_rows(columns: int) -> int:
    return max(1, min(BLOCK_ROWS, BLOCK_CELLS // max(1, columns)))


def in_blocks(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The same rows in frames of as many as are rendered at a time; one at least."""
    held = pd.DataFrame()
    for df in frames:
        held = pd.concat([held, df], ignore_index=True) if len(held) else df
        step = block_rows(len(held.columns))
        starts = range(0, len(held) or 1, step)
        *full, held = [held.iloc[start : start + step] for start in starts]
        yield from full
    yield held


def header_texts(values: Sequence[Any]) -> list[str]:
    """Of the values across; days where all times are midnight."""
    times = [value for value in values if isinstance(value, dt.datetime)]
    if not any(value.time() != dt.time() for value in times):
        values = [value.date() if value in times else value for value in values]
    return [_header_text(value) for value in values]


def _header_text(value: Any) -> str:
    match value:
        case bool():
            return str(value).upper()
        case int():
            return integer_text(value)
        case float():
            return "" if value != value else float_text(value)
        case dt.timedelta():
            return duration_text(value)
    return "" if value is None else str(value)

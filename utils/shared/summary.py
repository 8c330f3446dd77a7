"""Summaries of the whole table: what an ETL declares, and what one segment contributes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from cells import BOOLEAN, MISSING, NUMBER, SPELLED, TEXT, Cells, NoCell, in_order, only_texts
from exact import digits, long_digits, square_digits
from excel import EXACT_INTEGER
from found import found
from partials import Partials, Table, combined

AGGREGATIONS = (
    *("count", "size", "sum", "mean", "median", "min", "max"),
    *("var", "std", "first", "last", "nunique"),
)
OF_NUMBERS = ("sum", "mean", "var", "std", "median")
SORTED = ("nunique", "median")  # from the distinct values and their counts
PICKED = ("min", "max", "first", "last")  # one of the cells
CHARTS = ("column", "bar", "line", "pie")

Key = str | Callable[[pd.DataFrame], Any]


class InvalidSummary(ValueError):
    """A summary that cannot be declared so, or not made of this table."""


@dataclass(frozen=True)
class Declared:
    """A summary as it travels with the data.

    Attributes:
        by: names of the key columns; none for one row over everything.
        computed: those of them that a function makes.
        named: name of a column of the summary → column of the table, aggregation.
        total: what the first cell of the row over everything says; None for no such row.
        sort: a column, after a minus where it descends; None for the order of the keys.
        top: rows, at most; None for all.
    """

    name: str
    by: list[str]
    computed: list[str]
    named: dict[str, tuple[str, str]]
    total: str | None = None
    sort: str | None = None
    top: int | None = None
    chart: str | None = None

    def __post_init__(self) -> None:
        _check(self)

    @classmethod
    def of(cls, fields: Any) -> Self:
        """
        Raises:
            InvalidSummary: they are not those of a summary.
        """
        try:
            named = {
                name: (str(column), str(how)) for name, (column, how) in fields["named"].items()
            }
            return cls(**{**fields, "named": named})
        except (TypeError, KeyError, AttributeError) as error:
            raise InvalidSummary(f"must be a summary's declaration; found {error}") from None

    def columns(self, *aggregations: str) -> list[str]:
        """The table's columns to which these are applied."""
        used = [column for column, how in self.named.values() if how in aggregations]
        return list(dict.fromkeys(used))


class Summary:
    """Groups and totals over all segments, on a sheet of their own.

    `Summary("会員ランク別", by="会員ランク", total="合計", ポイント=("ポイント", "sum"))`

    The answer does not depend on how the table was cut. Sums and means are exact and rounded once,
    so are var and std; a sum of whole numbers is whole. Missing cells are skipped, as in pandas; a
    missing key is a group of its own, the last. 1 and 1.0 are one group; True, 1 and "1" are three.
    Numbers come first, then dates, times and durations, texts by code point, then booleans.

    Args:
        name: of its sheet.
        by: the columns of a group, of what `process` returns, or name → function of that frame.
        total: makes a last row over all records, and stands in its first cell.
        sort: a column of the summary, "-…" for descending order; equal ones in the order of keys.
        top: shows that many rows.
        chart: column, bar, line or pie, of up to 200 rows.
        named: name of a column → (column of the table, one of AGGREGATIONS).

    Raises:
        InvalidSummary: names the summary, the rule and what was found.
    """

    def __init__(
        self,
        name: str,
        /,
        by: str | Sequence[str] | Mapping[str, Key] | None = None,
        *,
        total: str | None = None,
        sort: str | None = None,
        top: int | None = None,
        chart: str | None = None,
        **named: tuple[str, str],
    ) -> None:
        names = [by] if isinstance(by, str) else list(by or [])
        self.keys: dict[str, Key] = dict(by) if isinstance(by, Mapping) else dict(zip(names, names))
        computed = [key for key, made in self.keys.items() if callable(made)]
        self.declared = Declared(name, names, computed, named, total, sort, top, chart)

    def partials(self, df: pd.DataFrame, source: str) -> list[Partials]:
        """What these rows contribute: to the groups and, where one is declared, to the total.

        Raises:
            InvalidSummary: names the record, the rule and what was found.
        """
        columns = Columns(df, self.declared.name, source)
        keys = [columns.key(name, made) for name, made in self.keys.items()]
        return partials_of(self.declared, keys, columns)


class Columns:
    """The columns of a result, each turned into what aggregations need once."""

    def __init__(self, df: pd.DataFrame, summary: str, source: str) -> None:
        self.df = df
        self.names = [str(name) for name in df.columns]
        self.summary = summary
        self.source = str(df.attrs.get("source", source))
        self._cells: dict[str, Cells] = {}

    def series(self, name: str) -> "pd.Series[Any]":
        if self.names.count(name) != 1:
            raise InvalidSummary(
                f"{self.source}: summary {self.summary} needs one column {name}; "
                f"found {self.names.count(name)} among {', '.join(self.names)}"
            )
        return self.df.iloc[:, self.names.index(name)]

    def cells(self, name: str) -> Cells:
        if name not in self._cells:
            self._cells[name] = self._cells_of(name, self.series(name))
        return self._cells[name]

    def key(self, name: str, made: Key) -> Cells:
        if isinstance(made, str):
            return self.cells(made)
        column = made(self.df)
        if not isinstance(column, pd.Series) or len(column) != len(self.df):
            what = f"{len(column)} cells" if isinstance(column, pd.Series) else found(column)
            raise InvalidSummary(
                f"{self.source}: {name} of summary {self.summary} must be made by a function that "
                f"returns a cell for each of {len(self.df)} rows; found {what}"
            )
        return self._cells_of(name, column)

    def _cells_of(self, name: str, column: "pd.Series[Any]") -> Cells:
        try:
            return Cells.of(column)
        except NoCell as error:
            self.refuse(error.row, name, "must be a text, number, date or boolean", str(error))
            raise

    def given(self, name: str) -> Any:
        column = self.series(name)
        if only_texts(column):
            return np.ones(len(column), bool)
        return column.notna().to_numpy(dtype=bool)

    def numbers(self, name: str, how: str) -> Cells:
        cells = self.cells(name)
        countable = [MISSING, NUMBER, *SPELLED, *([] if how == "median" else [BOOLEAN])]
        faulty = ~np.isin(cells.kinds, countable) | (cells.kinds == TEXT)
        if faulty.any():
            row = int(faulty.argmax())
            value = self.series(name).astype(object).iloc[row]
            self.refuse(row, name, f"must be a number for its {how}", found(value))
        return cells

    def refuse(self, row: int, column: str, rule: str, what: str) -> None:
        record = f"{self.source} record {self.df.index[row]}"
        raise InvalidSummary(f"{record}: {column} {rule} in {self.summary}; found {what}")


def partials_of(declared: Declared, keys: list[Cells], columns: Columns) -> list[Partials]:
    for column, how in declared.named.values():
        if how in OF_NUMBERS:
            columns.numbers(column, how)
    every = rows_of(declared, columns)
    distinct = {}
    for column in declared.columns(*SORTED):
        values = columns.cells(column)
        given = np.flatnonzero(values.given)
        ones = {"size": np.ones(len(given), np.int64)}
        distinct[column] = Table(len(given), [Cells.numbered(given), values.take(given)], ones, {})
    scopes = [keys] if declared.total is None else [keys, []]
    return [combined([Partials(replace(every, keys=scope), distinct)]) for scope in scopes]


def rows_of(declared: Declared, columns: Columns) -> Table:
    """Each row as a group of its own, without a key."""
    rows = len(columns.df)
    sums: dict[str, Any] = {"size": np.ones(rows, np.int64)}
    for column in declared.columns(*set(AGGREGATIONS) - {"size", *PICKED}):
        sums[f"count {column}"] = columns.given(column).astype(np.int64)
    for column in declared.columns("sum", "mean", "var", "std"):
        squares = column in declared.columns("var", "std")
        parts = addends(columns.cells(column), squares)
        sums |= {f"{name} {column}": part for name, part in parts.items()}
    picks = {
        f"{how} {column}": columns.cells(column)
        for column, how in declared.named.values()
        if how in PICKED
    }
    return Table(rows, [], sums, picks)


def addends(cells: Cells, squares: bool) -> dict[str, Any]:
    """Of each cell, what adds up to sums: see `exact`."""
    numbers = in_order(cells.values).view("f8")
    if not (cells.kinds == NUMBER).all():
        numbers = np.where(cells.kinds == NUMBER, numbers, 0.0)
        numbers = np.where(cells.kinds == BOOLEAN, cells.values, numbers)
    infinite = np.isinf(numbers)
    found: dict[str, Any] = {}
    if infinite.any():
        found = {"above": infinite & (numbers > 0), "below": infinite & (numbers < 0)}
        numbers = np.where(infinite, 0.0, numbers)
    found["fractions"] = (np.abs(numbers) > EXACT_INTEGER) | (numbers != np.floor(numbers))
    found |= {f"sum{place}": digit for place, digit in digits(numbers).items()}
    if squares:
        found |= {f"square{place}": digit for place, digit in square_digits(numbers).items()}
    long = np.flatnonzero(cells.spelled)
    if len(long):
        integers = cells.take(long).to_series().tolist()
        for name, power in (("sum", 1), ("square", 2))[: 1 + squares]:
            for place, digit in long_digits([n**power for n in integers]).items():
                column = np.zeros(len(cells), np.int64) + found.get(f"{name}{place}", 0)
                column[long] += digit
                found[f"{name}{place}"] = column
    return {name: part.astype(np.int64) for name, part in found.items() if part.any()}


def _check(declared: Declared) -> None:

    def require(holds: bool, rule: str, value: Any) -> None:
        if not holds:
            raise InvalidSummary(f"summary {declared.name}: {rule}; found {found(value)}")

    require(bool(declared.named), 'must name a column, as in 人数=("会員番号", "count")', None)
    for name, made in declared.named.items():
        pair = isinstance(made, tuple) and len(made) == 2 and all(type(e) is str for e in made)
        require(pair, f"{name} must be (column, aggregation)", made)
        rule = f"{name} must be one of {', '.join(AGGREGATIONS)}"
        require(made[1] in AGGREGATIONS, rule, made[1])
        require(name not in declared.by, "a column has one name", name)
    for key in declared.by:
        require(type(key) is str, "by must name columns", key)
    require(len(set(declared.by)) == len(declared.by), "by must name each column once", declared.by)
    if declared.total is not None:
        require(bool(declared.by), "total needs groups (by)", declared.total)
        require(type(declared.total) is str, "total must be a text", declared.total)
    if declared.sort is not None:
        shown = [*declared.by, *declared.named]
        known = type(declared.sort) is str and declared.sort.removeprefix("-") in shown
        require(known, f"sort must be one of {', '.join(shown)}", declared.sort)
    top = declared.top
    require(top is None or (type(top) is int and top > 0), "top must be a number above 0", top)
    chart = declared.chart
    require(chart is None or chart in CHARTS, f"chart must be one of {', '.join(CHARTS)}", chart)

"""Summaries of the whole table: what an ETL declares, and what one segment contributes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NoReturn, Self

import numpy as np
import pandas as pd

from cells import (
    BOOLEAN,
    MISSING,
    NEGATIVE,
    NUMBER,
    POSITIVE,
    Cells,
    Codes,
    NoCell,
    in_order,
    only_texts,
)
from exact import digits, long_digits, square_digits
from excel import EXACT_INTEGER, check_sheet_name, check_sheet_names
from found import found
from partials import Groups, Partials, combined, written
from rendered import REJECTS

AGGREGATIONS = (
    *("count", "size", "sum", "mean", "median", "min", "max"),
    *("var", "std", "first", "last", "nunique"),
)
MEDIANS = {MISSING, NEGATIVE, NUMBER, POSITIVE}
ADDENDS = {*MEDIANS, BOOLEAN}
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

    @property
    def scopes(self) -> list[list[str]]:
        """The key columns of the groups and, where there is a total, of that."""
        return [self.by] if self.total is None else [self.by, []]

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

    def partials(self, columns: "Columns") -> list[Partials]:
        """What these rows contribute: to the groups and, where one is declared, to the total.

        Raises:
            InvalidSummary: names the record, the rule and what was found.
        """
        name = self.declared.name
        keys = [columns.key(key, made, name) for key, made in self.keys.items()]
        return partials_of(self.declared, keys, columns)


class Columns:
    """The columns of a result, each turned into what aggregations need once.

    Args:
        source: of its rows, for error messages.
    """

    def __init__(self, df: pd.DataFrame, source: str) -> None:
        self.df = df
        self._names = [str(name) for name in df.columns]
        self._source = str(df.attrs.get("source", source))
        self._cells: dict[str, Cells] = {}
        self._addends: dict[tuple[str, int], dict[str, Codes]] = {}

    def key(self, name: str, made: Key, summary: str) -> Cells:
        if isinstance(made, str):
            return self.cells(made, summary)
        column = made(self.df)
        if not isinstance(column, pd.Series) or len(column) != len(self.df):
            what = f"{len(column)} cells" if isinstance(column, pd.Series) else found(column)
            raise InvalidSummary(
                f"{self._source}: {name} of summary {summary} must be a column of "
                f"{len(self.df)} cells; found {what}"
            )
        return self._cells_of(name, column, summary)

    def cells(self, name: str, summary: str) -> Cells:
        if name not in self._cells:
            self._cells[name] = self._cells_of(name, self._series(name, summary), summary)
        return self._cells[name]

    def gaps(self, name: str, summary: str) -> Any:
        column = self._series(name, summary)
        return np.zeros(1, bool) if only_texts(column) else column.isna().to_numpy(dtype=bool)

    def numbers(self, name: str, how: str, summary: str) -> Cells:
        """Cells that may be added up.

        Raises:
            InvalidSummary: one of them is no number.
        """
        cells = self.cells(name, summary)
        strange = set(np.flatnonzero(np.bincount(cells.kinds)).tolist()) - (
            MEDIANS if how == "median" else ADDENDS
        )
        if strange:
            row = int(np.isin(cells.kinds, [*strange]).argmax())
            value = self._series(name, summary).astype(object).iloc[row]
            self._refuse(row, name, f"must be a number for its {how}", found(value), summary)
        return cells

    def addends(self, name: str, power: int, summary: str) -> dict[str, Codes]:
        """What adds up to the sum of the cells, or of their squares: see `exact`."""
        if (name, power) not in self._addends:
            self._addends[name, power] = addends(self.cells(name, summary), power)
        return self._addends[name, power]

    def _series(self, name: str, summary: str) -> "pd.Series[Any]":
        if self._names.count(name) != 1:
            raise InvalidSummary(
                f"{self._source}: summary {summary} needs one column {name}; "
                f"found {self._names.count(name)} among {', '.join(self._names)}"
            )
        return self.df.iloc[:, self._names.index(name)]

    def _cells_of(self, name: str, column: "pd.Series[Any]", summary: str) -> Cells:
        try:
            return Cells.of(column)
        except NoCell as error:
            rule = "must be a text, number, date or boolean"
            self._refuse(error.row, name, rule, str(error), summary)

    def _refuse(self, row: int, column: str, rule: str, what: str, summary: str) -> NoReturn:
        record = f"{self._source} record {self.df.index[row]}"
        raise InvalidSummary(f"{record}: {column} {rule} in summary {summary}; found {what}")


def carried(summaries: Sequence[Summary], df: pd.DataFrame, source: str) -> tuple[list[Any], bytes]:
    """What these rows contribute, as it travels: what it means, and its blocks one after another.

    Raises:
        InvalidSummary: names the record, the rule and what was found.
    """
    columns = Columns(df, source)
    fields, bodies = [], []
    for summary in summaries:
        scopes, blocks = zip(*map(written, summary.partials(columns)))
        fields.append({"declared": asdict(summary.declared), "scopes": scopes})
        bodies += blocks
    return fields, b"".join(bodies)


def check_summaries(summaries: Sequence[Summary]) -> None:
    """Raise InvalidSheetName unless each has a sheet of its own, which is not that of rejects."""
    check_sheet_names([REJECTS, *(summary.declared.name for summary in summaries)])


def partials_of(declared: Declared, keys: list[Cells], columns: Columns) -> list[Partials]:
    """
    Args:
        keys: the cells of each key column.
    """
    for column, how in declared.named.values():
        if how in OF_NUMBERS:
            columns.numbers(column, how, declared.name)
    every = rows_of(declared, columns)
    distinct = {}
    for column in declared.columns(*SORTED):
        values = columns.cells(column, declared.name)
        given = np.flatnonzero(values.given)
        ones = {"size": np.ones(len(given), np.int64)}
        distinct[column] = Groups(len(given), [Cells.numbered(given), values.take(given)], ones, {})
    return [
        combined([{"": replace(every, keys=keys if by else []), **distinct}])
        for by in declared.scopes
    ]


def rows_of(declared: Declared, columns: Columns) -> Groups:
    """Each row as a group of its own, without a key."""
    rows, name = len(columns.df), declared.name
    sums: dict[str, Any] = {"size": np.ones(rows, np.int64)}
    for column in declared.columns(*set(AGGREGATIONS) - {"size", *PICKED}):
        if (gaps := columns.gaps(column, name)).any():
            sums[f"gaps {column}"] = gaps.astype(np.int64)
    for power, how in ((1, ("sum", "mean", "var", "std")), (2, ("var", "std"))):
        for column in declared.columns(*how):
            parts = columns.addends(column, power, name)
            sums |= {f"{part} {column}": numbers for part, numbers in parts.items()}
    picks = {
        f"{how} {column}": columns.cells(column, name)
        for column, how in declared.named.values()
        if how in PICKED
    }
    return Groups(rows, [], sums, picks)


def addends(cells: Cells, power: int) -> dict[str, Codes]:
    numbers = in_order(cells.values).view("f8")
    if not (cells.kinds == NUMBER).all():
        numbers = np.where(cells.kinds == NUMBER, numbers, 0.0)
        numbers = np.where(cells.kinds == BOOLEAN, cells.values, numbers)
    infinite = np.isinf(numbers)
    parts: dict[str, Any] = {}
    if infinite.any():
        parts = {"above": infinite & (numbers > 0), "below": infinite & (numbers < 0)}
        numbers = np.where(infinite, 0.0, numbers)
    parts["fractions"] = (np.abs(numbers) > EXACT_INTEGER) | (numbers != np.floor(numbers))
    name, split_up = ("sum", digits) if power == 1 else ("square", square_digits)
    parts |= {f"{name}{place}": part for place, part in split_up(numbers).items()}
    long = np.flatnonzero(cells.spelled)
    if len(long):
        integers = [integer**power for integer in cells.take(long).to_series().tolist()]
        for place, part in long_digits(integers).items():
            column = np.zeros(len(cells), np.int64) + parts.get(f"{name}{place}", 0)
            column[long] += part
            parts[f"{name}{place}"] = column
    return {part: column.astype(np.int64) for part, column in parts.items() if column.any()}


def _check(declared: Declared) -> None:
    check_sheet_name(declared.name)

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

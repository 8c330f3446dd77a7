"""Summaries of the whole table: what an ETL declares, and what one segment contributes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, NoReturn

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
from facts import Json
from found import found, require
from partials import Groups, Partials, combined, written
from rendered import REJECTS

AGGREGATIONS = (
    *("count", "size", "sum", "mean", "median", "min", "max"),
    *("var", "std", "first", "last", "nunique"),
)
MEDIANS = [MISSING, NEGATIVE, NUMBER, POSITIVE]
OF_NUMBERS = ("sum", "mean", "var", "std", "median")
SORTED = ("nunique", "median")  # from the distinct values and their counts
PICKED = ("min", "max", "first", "last")  # one of the cells
CHARTS = ("column", "bar", "line", "pie")

Key = str | Callable[[pd.DataFrame], Any]


class InvalidSummary(ValueError):
    """A summary that cannot be declared so, or not made of this table."""


@dataclass(frozen=True)
class Declared(Json):
    """A summary as it travels with the data.

    Attributes:
        by: names of the key columns; none for one row over everything.
        computed: those of them that a function makes.
        named, total, sort, top, chart: see Summary.
    """

    name: str
    by: list[str]
    computed: list[str]
    named: dict[str, tuple[str, str]]
    total: str | None = None
    sort: str | None = None
    top: int | None = None
    chart: str | None = None

    def check(self) -> None:
        """
        Raises:
            InvalidSheetName, InvalidSummary: names the summary, the rule and what was found.
        """
        check_sheet_name(self.name)
        for holds, rule, value in self._rules():
            if not holds:
                raise InvalidSummary(f"summary {self.name}: {rule}; found {found(value)}")

    def _rules(self) -> Iterator[tuple[bool, str, Any]]:
        """Each rule, whether it holds, and what was found; the next is asked only if it does."""
        yield bool(self.named), 'must name a column, as in 人数=("会員番号", "count")', None
        for name, made in self.named.items():
            pair = isinstance(made, tuple) and [*map(type, made)] == [str, str]
            yield pair, f"{name} must be (column, aggregation)", made
            yield (
                made[1] in AGGREGATIONS,
                f"{name} must be one of {', '.join(AGGREGATIONS)}",
                made[1],
            )
            yield name not in self.by, "a column has one name", name
        for key in self.by:
            yield type(key) is str, "by must name columns", key
        yield len({*self.by}) == len(self.by), "by must name each column once", self.by
        if self.total is not None:
            yield bool(self.by), "total needs groups (by)", self.total
            yield type(self.total) is str, "total must be a text", self.total
        if self.sort is not None:
            shown = [*self.by, *self.named]
            known = type(self.sort) is str and self.sort.removeprefix("-") in shown
            yield known, f"sort must be one of {', '.join(shown)}", self.sort
        top = self.top
        yield top is None or (type(top) is int and top > 0), "top must be a number above 0", top
        charts = ", ".join(CHARTS)
        yield self.chart in (None, *CHARTS), f"chart must be one of {charts}", self.chart

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

    What is given is stored, and checked when it is first used: an error of a module that is being
    loaded reaches nobody, as Lambda's runtime client sends it in Latin-1.
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
        self.name, self.by, self.named = name, by, named
        self.total, self.sort, self.top, self.chart = total, sort, top, chart

    @cached_property
    def keys(self) -> dict[str, Key]:
        """What makes each key column: a column of the table, or a function."""
        return dict(self._keys())

    @cached_property
    def declared(self) -> Declared:
        """
        Raises:
            InvalidSheetName, InvalidSummary: names the summary, the rule and what was found.
        """
        require(type(self.name) is str, "a summary must have a name", self.name, InvalidSummary)
        names = [name for name, _ in self._keys()]
        computed = [key for key, made in self.keys.items() if callable(made)]
        shown = (self.total, self.sort, self.top, self.chart)
        declared = Declared(self.name, names, computed, self.named, *shown)
        declared.check()
        return declared

    def _keys(self) -> list[tuple[str, Key]]:
        names = [self.by] if isinstance(self.by, str) else self.by or []
        rule = f"summary {self.name}: by must be a column, a list of them, or name → column or function"
        require(isinstance(names, Mapping | list | tuple), rule, self.by, InvalidSummary)
        pairs: Any = [*names.items()] if isinstance(names, Mapping) else [*zip(names, names)]
        for _, made in pairs:
            require(type(made) is str or callable(made), rule, made, InvalidSummary)
        return [*pairs]


class Columns:
    """The columns of a result, each turned into what aggregations need once.

    Args:
        source: of its rows, for error messages.
    """

    def __init__(self, df: pd.DataFrame, source: str) -> None:
        self._df = df
        self._names = [str(name) for name in df.columns]
        self._source = str(df.attrs.get("source", source))
        self._summary = ""  # that is being made, for error messages
        self._cells: dict[str, Cells] = {}
        self._addends: dict[tuple[str, int], dict[str, Codes]] = {}

    def partials(self, declared: Declared, keys: Mapping[str, Key]) -> list[Partials]:
        """What the rows contribute: to the groups and, where one is declared, to the total.

        Args:
            keys: of the summary, see there.

        Raises:
            InvalidSummary: names the record, the rule and what was found.
        """
        self._summary = declared.name
        by = [self._of_key(name, made) for name, made in keys.items()]
        for column, how in declared.named.values():
            if how in OF_NUMBERS:
                self._check_numbers(column, how)
        rows = self._rows(declared)
        distinct = {}
        for column in declared.columns(*SORTED):
            values = self._of(column)
            given = np.flatnonzero(values.given)
            cells, ones = [Cells.numbered(given), values.take(given)], np.ones_like(given)
            distinct[column] = Groups(len(given), cells, {"size": ones}, {})
        scopes = [by, []] if declared.total is not None else [by]
        return [combined([{"": replace(rows, keys=scope), **distinct}]) for scope in scopes]

    def _rows(self, declared: Declared) -> Groups:
        """Each row as a group of its own, without a key."""
        sums: dict[str, Any] = {"size": np.ones(len(self._df), np.int64)}
        for column in declared.columns(*set(AGGREGATIONS) - {"size", *PICKED}):
            series = self._series(column)
            if not only_texts(series) and (gaps := series.isna().to_numpy(dtype=bool)).any():
                sums[f"gaps {column}"] = gaps.astype(np.int64)
        for power, how in ((1, ("sum", "mean", "var", "std")), (2, ("var", "std"))):
            for column in declared.columns(*how):
                if (column, power) not in self._addends:
                    self._addends[column, power] = addends(self._of(column), power)
                parts = self._addends[column, power]
                sums |= {f"{part} {column}": numbers for part, numbers in parts.items()}
        picks = {
            f"{how} {column}": self._of(column)
            for column, how in declared.named.values()
            if how in PICKED
        }
        return Groups(len(self._df), [], sums, picks)

    def _of_key(self, name: str, made: Key) -> Cells:
        if isinstance(made, str):
            return self._of(made)
        column = made(self._df)
        if not isinstance(column, pd.Series) or len(column) != len(self._df):
            what = f"{len(column)} cells" if isinstance(column, pd.Series) else found(column)
            raise InvalidSummary(
                f"{self._source}: {name} of summary {self._summary} must be a column of "
                f"{len(self._df)} cells; found {what}"
            )
        return self._cells_of(name, column)

    def _of(self, name: str) -> Cells:
        if name not in self._cells:
            self._cells[name] = self._cells_of(name, self._series(name))
        return self._cells[name]

    def _series(self, name: str) -> "pd.Series[Any]":
        if self._names.count(name) != 1:
            raise InvalidSummary(
                f"{self._source}: summary {self._summary} needs one column {name}; "
                f"found {self._names.count(name)} among {', '.join(self._names)}"
            )
        return self._df.iloc[:, self._names.index(name)]

    def _cells_of(self, name: str, column: "pd.Series[Any]") -> Cells:
        try:
            return Cells.of(column)
        except NoCell as error:
            rule = "must be a text, number, date or boolean"
            self._refuse(error.row, name, rule, str(error))

    def _check_numbers(self, name: str, how: str) -> None:
        kinds = self._of(name).kinds
        strange = ~np.isin(kinds, MEDIANS if how == "median" else [*MEDIANS, BOOLEAN])
        if strange.any():
            row = int(strange.argmax())
            value = self._series(name).astype(object).iloc[row]
            self._refuse(row, name, f"must be a number for its {how}", found(value))

    def _refuse(self, row: int, column: str, rule: str, what: str) -> NoReturn:
        record = f"{self._source} record {self._df.index[row]}"
        raise InvalidSummary(f"{record}: {column} {rule} in summary {self._summary}; found {what}")


def carried(summaries: Sequence[Summary], df: pd.DataFrame, source: str) -> tuple[list[Any], bytes]:
    """What these rows contribute, as it travels: what it means, and its blocks one after another.

    Raises:
        InvalidSummary: names the record, the rule and what was found.
    """
    columns = Columns(df, source)
    fields, bodies = [], []
    for summary in summaries:
        partials = columns.partials(summary.declared, summary.keys)
        scopes, blocks = zip(*map(written, partials))
        fields.append({"declared": asdict(summary.declared), "scopes": scopes})
        bodies += blocks
    return fields, b"".join(bodies)


def check_summaries(summaries: Sequence[Summary]) -> None:
    """Raise InvalidSheetName unless each has a sheet of its own, which is not that of rejects."""
    check_sheet_names([REJECTS, *(summary.declared.name for summary in summaries)])


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

"""Summaries of the whole table: what an ETL declares, and what one segment contributes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray

from pipeline.arrays import only_texts
from pipeline.errors.places import named
from pipeline.errors.wording import found, require
from pipeline.excel import EXACT_INTEGER, SHEET_COLUMNS, check_sheet_name, check_sheet_names
from pipeline.facts.json_dataclass import Json
from pipeline.sheet.table import REJECTS
from pipeline.summaries.cells import (
    BOOLEAN,
    MISSING,
    NUMBER,
    Cells,
    Codes,
    Distinct,
    NoCell,
    in_order,
)
from pipeline.summaries.exact import decimal_digits, digits, square_digits
from pipeline.summaries.formula import Formula, InvalidFormula, Name, read_formulas
from pipeline.summaries.partials import (
    EXACT_VALUE,
    SIZE,
    Groups,
    Partials,
    Pick,
    Sum,
    combined,
    written,
)

AGGREGATIONS = (
    *("count", "size", "sum", "mean", "median", "min", "max"),
    *("var", "std", "first", "last", "nunique"),
)
PERCENTILES = {"median": 50} | {f"p{percent}": percent for percent in range(1, 100)}
MOST_DIGITS = 5_000  # before the point and after it, of a number that is computed with
OF_NUMBERS = ("sum", "mean", "var", "std", *PERCENTILES)
SORTED = ("nunique", *PERCENTILES)  # from the distinct values and their counts
PICKED = ("min", "max", "first", "last")  # one of the cells
CHARTS = ("column", "bar", "line", "pie")
MOST_ACROSS = 500  # values side by side

Key = str | Callable[[pd.DataFrame], Any]


class InvalidSummary(ValueError):
    """A summary that cannot be declared so, or not made of this table."""


@dataclass(frozen=True)
class Column:
    """A column of a summary: an aggregation of one of the table's columns, or a formula.

    Attributes:
        name: its header.
        of: the table's column; or the formula, over other columns of the summary.
        how: one of AGGREGATIONS or PERCENTILES; None for a formula.
    """

    name: str
    of: str
    how: str | None = None


@dataclass(frozen=True)
class Declared(Json):
    """A summary as it travels with the data.

    Attributes:
        by: names of the key columns; none for one row over everything.
        computed: those of them that a function makes.
        columns: those after them.
        total, sort, top, chart: see Summary.
        across: the name of the key whose values stand side by side in a cross table.
    """

    name: str
    by: list[str]
    computed: list[str]
    columns: list[Column]
    total: str | None = None
    sort: str | None = None
    top: int | None = None
    chart: str | None = None
    across: str | None = None

    @cached_property
    def scopes(self) -> list[list[str]]:
        """The keys of each grouping that is counted: of rows; of the total; in a cross table of its
        cells, and of the total of each value across.
        """
        if self.across is not None:
            return [self.by, [], [*self.by, self.across], [self.across]]
        uses_total = any(name.over == "total" for name in self._names())
        return [self.by, []] if uses_total or self.total is not None else [self.by]

    @cached_property
    def after(self) -> dict[str, Formula]:
        """The formulas that the order of the rows decides: those with running totals."""
        found: dict[str, Formula] = {}
        for name, formula in self.formulas.items():
            if any(
                each.over == "running" or (not each.over and each.column in found)
                for each in formula.names
            ):
                found[name] = formula
        return found

    def check(self) -> None:
        """
        Raises:
            InvalidSheetName, InvalidSummary: names the summary, the rule and what was found.
        """
        check_sheet_name(self.name)
        try:
            for holds, rule, value in self._rules():
                require(holds, f"summary {self.name}: {rule}", value, InvalidSummary)
        except InvalidFormula as error:
            raise InvalidSummary(f"summary {self.name}: {error}") from None

    def _rules(self) -> Iterator[tuple[bool, str, Any]]:
        """Each rule, whether it holds, and what was found; the next is asked only if it does."""
        yield bool(self.columns), 'must name a column, as in 人数=("会員番号", "count")', None
        keys = self.by if self.across is None else [*self.by, self.across]
        for column in self.columns:
            known = column.how in (None, *AGGREGATIONS, *PERCENTILES)
            hows = f"{', '.join(AGGREGATIONS)}, p1 … p99"
            yield known, f"{column.name} must be one of {hows}", column.how
            yield column.name not in keys, "a column has one name", column.name
        columns = [column.name for column in self.columns]
        shown = [*self.by, *columns]
        for formula, read in self.formulas.items():
            for name in read.names:
                known = name.column in (columns if name.over else shown)
                yield known, f"{formula} must compute with columns of the summary", name.column
        for key in keys:
            yield type(key) is str, "by must name columns", key
        yield len({*keys}) == len(keys), "by must name each column once", keys
        for argument, value in (("across", self.across), ("total", self.total)):
            yield value is None or bool(self.by), f"{argument} needs groups (by)", value
        yield type(self.total) in (str, type(None)), "total must be a text", self.total
        if self.sort is not None:
            known = type(self.sort) is str and self.sort.removeprefix("-") in shown
            yield known, f"sort must be one of {', '.join(shown)}", self.sort
            running = self.sort.removeprefix("-") in self.after
            yield not running, "sort must not go by a running total", self.sort
        top = self.top
        yield top is None or (type(top) is int and top > 0), "top must be a number above 0", top
        charts = ", ".join(CHARTS)
        yield self.chart in (None, *CHARTS), f"chart must be one of {charts}", self.chart
        is_pie = self.across is not None and self.chart == "pie"
        yield not is_pie, "chart of a cross table must not be a pie", self.across

    @cached_property
    def formulas(self) -> dict[str, Formula]:
        """Of each column that has one, each after those that it computes with.

        Raises:
            InvalidFormula: one is none, or computes with itself.
        """
        return read_formulas({each.name: each.of for each in self.columns if each.how is None})

    def operands(self) -> set[str]:
        """The columns that formulas compute with."""
        return {name.column for name in self._names()}

    def _names(self) -> list[Name]:
        return [name for formula in self.formulas.values() for name in formula.names]

    def used(self, *aggregations: str) -> list[str]:
        """The table's columns to which these are applied."""
        return list(dict.fromkeys(each.of for each in self.columns if each.how in aggregations))

    def percents(self, column: str) -> set[int]:
        """Of the percentiles of one of the table's columns; the median is the 50th."""
        hows = (str(each.how) for each in self.columns if each.of == column)
        return {PERCENTILES[how] for how in hows if how in PERCENTILES}


class Summary:
    """Groups and totals over all segments, on a sheet of their own.

    `Summary("会員ランク別", by="会員ランク", total="合計", ポイント=("ポイント", "sum"))`

    The answer does not depend on how the table was cut. Sums and means are exact and rounded once,
    so are var and std; a sum of whole numbers or Decimals keeps all digits. Missing cells are
    skipped, as in pandas; a missing key is a group of its own, the last. 1 and 1.0 are one group,
    as are all numbers of one value; True, 1 and "1" are three. Numbers come first, then dates,
    times and durations, texts by code point, then booleans.

    Args:
        name: of its sheet.
        by: the columns of a group, of what `process` returns, or name → function of that frame,
            whose Series goes by its index, its array or list by position.
        across: makes a cross table, with the columns side by side for each value of a column of the
            table, or of name → function, in the order of keys. `total` is its last column, too.
        total: makes a last row over all records, and stands in its first cell.
        sort: a column of the summary, "-…" for descending order; equal ones in the order of keys. A
            cross table goes by what it is over all values across.
        top: shows that many rows.
        chart: column, bar, line or pie, of the first rows.
        named: name of a column → (column of the table, one of AGGREGATIONS or p1 … p99), or a
            formula over other columns of the summary, `平均単価="金額 / 数量"`, which is computed
            exactly and rounded once; `total(金額)` is that of all records, `running(金額)` that of
            the rows down to this one.

    What is given is stored, and checked when it is first used: an error of a module that is being
    loaded reaches nobody, as Lambda's runtime client sends it in Latin-1.
    """

    def __init__(
        self,
        name: str,
        /,
        by: str | Sequence[str] | Mapping[str, Key] | None = None,
        *,
        across: str | Mapping[str, Key] | None = None,
        total: str | None = None,
        sort: str | None = None,
        top: int | None = None,
        chart: str | None = None,
        **named: tuple[str, str] | str,
    ) -> None:
        self.name, self.by, self.across, self.named = name, by, across, named
        self.total, self.sort, self.top, self.chart = total, sort, top, chart

    @cached_property
    def keys(self) -> dict[str, Key]:
        """What makes each key column: a column of the table, or a function."""
        return dict([*self._keys("by"), *self._keys("across")])

    @cached_property
    def declared(self) -> Declared:
        """
        Raises:
            InvalidSheetName, InvalidSummary: names the summary, the rule and what was found.
        """
        require(type(self.name) is str, "a summary must have a name", self.name, InvalidSummary)
        names = [name for name, _ in self._keys("by")]
        across = [name for name, _ in self._keys("across")]
        rule = f"summary {self.name}: across must be one column"
        require(len(across) < 2, rule, self.across, InvalidSummary)
        computed = [key for key, made in self.keys.items() if callable(made)]
        shown = (self.total, self.sort, self.top, self.chart)
        columns = [self._column(name, made) for name, made in self.named.items()]
        declared = Declared(self.name, names, computed, columns, *shown, *across)
        declared.check()
        return declared

    def _column(self, name: str, made: tuple[str, str] | str) -> Column:
        given = (made, None) if isinstance(made, str) else made
        pair = isinstance(given, tuple) and [*map(type, given)][:1] == [str] and len(given) == 2
        rule = f"summary {self.name}: {name} must be (column, aggregation) or a formula"
        require(pair and type(given[1]) in (str, type(None)), rule, made, InvalidSummary)
        return Column(name, *given)

    def _keys(self, argument: str) -> list[tuple[str, Key]]:
        """Of by or across."""
        given: Any = getattr(self, argument)
        names = [given] if isinstance(given, str) else given or []
        what = "a column, a list of them, or name → column or function"
        rule = f"summary {self.name}: {argument} must be {what}"
        require(isinstance(names, Mapping | list | tuple), rule, given, InvalidSummary)
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
        self._addends: dict[tuple[str, int], dict[Sum, Codes]] = {}

    def partials(self, declared: Declared, keys: Mapping[str, Key]) -> list[Partials]:
        """What the rows contribute: to the groups and, where one is declared, to the total.

        Args:
            keys: of the summary, see there.

        Raises:
            InvalidSummary: names the record, the rule and what was found.
        """
        self._summary = declared.name
        of_keys = {name: self._of_key(name, made) for name, made in keys.items()}
        operands = declared.operands()
        for column in declared.columns:
            if column.how in OF_NUMBERS or (column.how in PICKED and column.name in operands):
                self._check_numbers(self._of(column.of), column.of, str(column.how))
        for name, cells in of_keys.items():
            if name in operands:
                self._check_numbers(cells, name, "formula")
        rows = self._rows(declared)
        exact = {
            Sum("exact", name): cells.exact.astype(np.int64)
            for name, cells in of_keys.items()
            if cells.exact.any()
        }
        by_value = {name: cells.by_value() for name, cells in of_keys.items()}
        values = {column: self._values(column) for column in declared.used(*SORTED)}
        found = []
        for names in declared.scopes:
            sums = rows.sums | {of: flags for of, flags in exact.items() if of.column in names}
            groups = replace(rows, keys=[by_value[name] for name in names], sums=sums)
            found.append(combined([Partials(groups, values)]))
            if names == [declared.across]:
                check_across(declared, found[-1].groups.rows, self._source)
        return found

    def _rows(self, declared: Declared) -> Groups:
        """Each row as a group of its own, without a key."""
        sums: dict[Sum, Any] = {SIZE: np.ones(len(self._df), np.int64)}
        for column in declared.used(*{*AGGREGATIONS, *PERCENTILES} - {"size", *PICKED}):
            series = self._series(column)
            if not only_texts(series) and (gaps := series.isna().to_numpy(dtype=bool)).any():
                sums[Sum("gaps", column)] = gaps.astype(np.int64)
        for power, how in ((1, ("sum", "mean", "var", "std")), (2, ("var", "std"))):
            for column in declared.used(*how):
                if (column, power) not in self._addends:
                    self._addends[column, power] = addends(column, self._of(column), power)
                sums |= self._addends[column, power]
        picks = {
            Pick(column.how, column.of): self._of(column.of)
            for column in declared.columns
            if column.how in PICKED
        }
        return Groups(len(self._df), [], sums, picks)

    def _values(self, column: str) -> Groups:
        """The value of each row that has one, by the row's number."""
        cells = self._of(column)
        given = np.flatnonzero(cells.given)
        values, ones = cells.take(given), np.ones_like(given)
        sums = {SIZE: ones}
        if (exact := values.exact).any():
            sums[EXACT_VALUE] = exact.astype(np.int64)
        return Groups(len(given), [Cells.numbered(given), values.by_value()], sums, {})

    def _of_key(self, name: str, made: Key) -> Cells:
        if isinstance(made, str):
            return self._of(made)
        column, rows = made(self._df), len(self._df)
        if isinstance(column, pd.Series):
            return self._cells_of(name, self._by_index(name, column))
        is_list = isinstance(column, list | tuple | np.ndarray | pd.Index | ExtensionArray)
        if not is_list or np.ndim(column) != 1 or len(column) != rows:
            what = f"{len(column)} cells" if is_list and np.ndim(column) == 1 else found(column)
            self._refuse_key(name, f"must be a column of {rows} cells", what)
        dtype = None if isinstance(column, np.ndarray) else object
        return self._cells_of(name, pd.Series(column, dtype=dtype))

    def _by_index(self, name: str, column: "pd.Series[Any]") -> "pd.Series[Any]":
        """Its cells in the order of the frame, as pandas' groupby takes them."""
        index = self._df.index
        if column.index.equals(index):
            return column
        if not column.index.is_unique:
            again = column.index[column.index.duplicated()][0]
            self._refuse_key(name, "must have each record once in its index", f"{again} again")
        left_out = index[~index.isin(column.index)]
        if len(left_out):
            rule = f"must have the frame's {len(index)} records in its index"
            self._refuse_key(name, rule, f"no {left_out[0]}")
        return column.reindex(index)

    def _refuse_key(self, name: str, rule: str, what: str) -> NoReturn:
        raise InvalidSummary(
            f"{self._source}: {name} of summary {self._summary} {rule}; found {what}"
        )

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

    def _check_numbers(self, cells: Cells, name: str, how: str) -> None:
        kinds = [MISSING, NUMBER] if how in PERCENTILES else [MISSING, NUMBER, BOOLEAN]
        strange = ~np.isin(cells.kinds, kinds)
        if strange.any():
            row = int(strange.argmax())
            value = cells.take([row]).to_series().iloc[0]
            self._refuse(row, name, f"must be a number for its {how}", found(value))
        too_long = cells.digits > MOST_DIGITS
        if too_long.any():
            row = int(too_long.argmax())
            value = cells.take([row]).to_series().iloc[0]
            self._refuse(
                row, name, f"must have at most {MOST_DIGITS} digits for its {how}", found(value)
            )

    def _refuse(self, row: int, column: str, rule: str, what: str) -> NoReturn:
        record = named(self._df.attrs, self._df.index[row], self._source)
        raise InvalidSummary(f"{record}: {column} {rule} in summary {self._summary}; found {what}")


def check_across(declared: Declared, values: int, source: str) -> None:
    """Raise InvalidSummary unless so many values of a cross table can stand side by side."""
    rule = f"{source}: {declared.across} of summary {declared.name} must have"
    require(values <= MOST_ACROSS, f"{rule} at most {MOST_ACROSS} values", values, InvalidSummary)
    columns = len(declared.by) + len(declared.columns) * (values + (declared.total is not None))
    rule = f"{source}: summary {declared.name} must have at most {SHEET_COLUMNS} columns"
    require(columns <= SHEET_COLUMNS, rule, columns, InvalidSummary)


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


def addends(column: str, cells: Cells, power: int) -> dict[Sum, Codes]:
    long = cells.long
    numbers = in_order(cells.values).view("f8")
    if not (cells.kinds == NUMBER).all() or long.any():
        numbers = np.where((cells.kinds == NUMBER) & ~long, numbers, 0.0)
        numbers = np.where(cells.kinds == BOOLEAN, cells.values, numbers)
    infinite = np.isinf(numbers)
    parts: dict[Sum, Any] = {}
    if infinite.any():
        parts[Sum("above", column)] = infinite & (numbers > 0)
        parts[Sum("below", column)] = infinite & (numbers < 0)
        numbers = np.where(infinite, 0.0, numbers)
    fractions = (np.abs(numbers) > EXACT_INTEGER) | (numbers != np.floor(numbers))
    parts[Sum("fractions", column)] = fractions
    what, split_up = ("sum", digits) if power == 1 else ("square", square_digits)
    parts |= {Sum(what, column, place): part for place, part in split_up(numbers).items()}
    rows = np.flatnonzero(long)
    distinct = Distinct([cells.take(rows)])
    values = distinct.cells(np.arange(len(distinct))).to_series().tolist() if len(rows) else []
    for (place, tens), part in decimal_digits(values, power).items():
        total = np.zeros(len(cells), np.int64) + parts.get(Sum(what, column, place, tens), 0)
        total[rows] += part[distinct.places[0]]
        parts[Sum(what, column, place, tens)] = total
    return {part: total.astype(np.int64) for part, total in parts.items() if total.any()}

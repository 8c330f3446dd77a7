"""Summaries of the whole table, as an ETL declares them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from pipeline.errors.wording import require
from pipeline.excel import SHEET_COLUMNS, check_sheet_name, check_sheet_names
from pipeline.facts.json_dataclass import Json
from pipeline.sheet.table import REJECTS
from pipeline.summaries.aggregations import AGGREGATIONS, PERCENTILES, Aggregation
from pipeline.summaries.formula import Formula, InvalidFormula, Name, read_formulas

KNOWN = AGGREGATIONS | PERCENTILES
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
        how: one of KNOWN; None for a formula.
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
            known = column.how is None or column.how in KNOWN
            hows = f"{', '.join(AGGREGATIONS)}, p1 … p99"
            yield known, f"{column.name} must be one of {hows}", column.how
            yield column.name not in keys, "a column has one name", column.name
        columns = [column.name for column in self.columns]
        shown = [*self.by, *columns]
        for formula, read in self.formulas.items():
            for name in read.names:
                operands = [each for each in (columns if name.over else shown) if each != formula]
                rule = f"{formula} must compute with {', '.join(operands)}"
                yield name.column in operands, rule, name.column
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
        yield not is_pie, "chart of a cross table must not be a pie", self.chart

    @cached_property
    def formulas(self) -> dict[str, Formula]:
        """Of each column that has one, each after those that it computes with.

        Raises:
            InvalidFormula: one is none, or computes with itself.
        """
        return read_formulas({each.name: each.of for each in self.columns if each.how is None})

    @cached_property
    def operands(self) -> set[str]:
        """The columns that formulas compute with."""
        return {name.column for name in self._names()}

    @cached_property
    def aggregated(self) -> list[tuple[Column, Aggregation]]:
        """The columns that are no formulas."""
        return [(each, KNOWN[each.how]) for each in self.columns if each.how]

    @cached_property
    def distinct(self) -> dict[str, set[int]]:
        """The table's columns whose distinct values are sought, and the percentiles of each."""
        found: dict[str, set[int]] = {}
        for column, aggregation in self.aggregated:
            if aggregation.percents is not None:
                found.setdefault(column.of, set()).update(aggregation.percents)
        return found

    def _names(self) -> list[Name]:
        return [name for formula in self.formulas.values() for name in formula.names]


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


def check_across(declared: Declared, values: int, source: str) -> None:
    """Raise InvalidSummary unless so many values of a cross table can stand side by side."""
    rule = f"{source}: {declared.across} of summary {declared.name} must have"
    require(values <= MOST_ACROSS, f"{rule} at most {MOST_ACROSS} values", values, InvalidSummary)
    columns = len(declared.by) + len(declared.columns) * (values + (declared.total is not None))
    rule = f"{source}: summary {declared.name} must have at most {SHEET_COLUMNS} columns"
    require(columns <= SHEET_COLUMNS, rule, columns, InvalidSummary)


def check_summaries(summaries: Sequence[Summary]) -> None:
    """Raise InvalidSheetName unless each has a sheet of its own, which is not that of rejects."""
    check_sheet_names([REJECTS, *(summary.declared.name for summary in summaries)])

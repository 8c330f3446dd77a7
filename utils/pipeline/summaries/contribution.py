"""What a segment contributes to the summaries of the whole table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray

from pipeline.arrays import only_texts
from pipeline.errors.places import named
from pipeline.errors.wording import found
from pipeline.excel import EXACT_INTEGER
from pipeline.summaries.aggregations import NUMERIC
from pipeline.summaries.cells import BOOLEAN, KINDS, NUMBER, Cells, Codes, NoCell, in_order
from pipeline.summaries.exact import digits, exact_digits, square_digits
from pipeline.summaries.partials import SIZE, Groups, Partials, Pick, Sum, combined, written
from pipeline.summaries.summary import Declared, InvalidSummary, Key, Summary, check_across

MOST_DIGITS = 5_000  # before the point and after it, of a number that is computed with


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
        """What the rows contribute to each of the declared scopes, by the summary's keys.

        Raises:
            InvalidSummary: names the record, the rule and what was found.
        """
        self._summary = declared.name
        of_keys = {name: self._of_key(name, made) for name, made in keys.items()}
        for column, aggregation in declared.aggregated:
            computed = column.name in declared.operands and aggregation.pick
            if kinds := NUMERIC if computed else aggregation.kinds:
                self._check_numbers(self._of(column.of), column.of, str(column.how), kinds)
        for name, cells in of_keys.items():
            if name in declared.operands:
                self._check_numbers(cells, name, "formula", NUMERIC)
        rows = self._rows(declared)
        values = [self._values(column) for column in declared.distinct]
        found = []
        for names in declared.scopes:
            groups = replace(rows, keys=[of_keys[name] for name in names])
            found.append(combined([[groups, *values]]))
            if names == [declared.across]:
                check_across(declared, found[-1][0].rows, self._source)
        return found

    def _rows(self, declared: Declared) -> Groups:
        """Each row as a group of its own, without a key."""
        sums: dict[Sum, Any] = {SIZE: np.ones(len(self._df), np.int64)}
        picks = {}
        for column, aggregation in declared.aggregated:
            of = column.of
            if aggregation.gaps and (gaps := self._gaps(of)).any():
                sums[Sum("gaps", of)] = gaps.astype(np.int64)
            for power in aggregation.powers:
                if (of, power) not in self._addends:
                    self._addends[of, power] = addends(of, self._of(of), power)
                sums |= self._addends[of, power]
            if aggregation.pick:
                picks[Pick(aggregation.pick, of)] = self._of(of)
        return Groups(len(self._df), [], sums, picks)

    def _gaps(self, column: str) -> NDArray[np.bool_]:
        series = self._series(column)
        return np.zeros(len(series), bool) if only_texts(series) else series.isna().to_numpy(bool)

    def _values(self, column: str) -> Groups:
        """The value of each row that has one, by the row's number."""
        cells = self._of(column)
        given = np.flatnonzero(cells.given)
        values = [Cells.numbered(given), cells.take(given)]
        return Groups(len(given), values, {SIZE: np.ones_like(given)}, {})

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
            rule = "must be a text (.astype(str) makes it), number, date or boolean"
            self._refuse(error.row, name, rule, str(error))

    def _check_numbers(self, cells: Cells, name: str, how: str, kinds: Sequence[int]) -> None:
        rules = {
            "be a number": ~cells.given | np.isin(cells.kinds & KINDS, kinds),
            f"have at most {MOST_DIGITS} digits": cells.digits <= MOST_DIGITS,
        }
        for rule, holds in rules.items():
            if not holds.all():
                row = int(holds.argmin())
                value = cells.take([row]).to_series().iloc[0]
                self._refuse(row, name, f"must {rule} for its {how}", found(value))

    def _refuse(self, row: int, column: str, rule: str, what: str) -> NoReturn:
        record = named(self._df.attrs, self._df.index[row], self._source)
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


def addends(column: str, cells: Cells, power: int) -> dict[Sum, Codes]:
    long = cells.long
    numbers = np.where((cells.kinds == NUMBER) & ~long, in_order(cells.values).view("f8"), 0.0)
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
    values = cells.take(rows).to_series().tolist()
    for (place, tens), part in exact_digits(values, power).items():
        total = np.zeros(len(cells), np.int64) + parts.get(Sum(what, column, place, tens), 0)
        total[rows] += part
        parts[Sum(what, column, place, tens)] = total
    return {part: total.astype(np.int64) for part, total in parts.items() if total.any()}

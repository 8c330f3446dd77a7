"""A table as the workbook takes it: rendered rows, and what its sheets need to know of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pipeline.excel import EXACT_INTEGER, integer_text
from pipeline.facts.stages import SummaryFacts
from pipeline.sheet.parts import DATE, TIME, SheetPart

SHEET = "Sheet1"  # the first sheet of the segments' own rows; no other table has such a name
REJECTS = "Rejects"  # the sheet of the records that are left out
CHART_ROWS = 200  # that a chart may show
FIRST_CELLS = 100_000  # of them, in a wide table


@dataclass(frozen=True)
class Across:
    """What stands above the columns of a cross table.

    Attributes:
        name: of the column whose values are across.
        values: those, as texts; the total's last, where the table has one.
        columns: how many stand under each; if it is one, the value is its header.
    """

    name: str
    values: list[str]
    columns: int

    @property
    def headers(self) -> int:
        """Rows of them."""
        return 2 if self.columns > 1 else 1


@dataclass(frozen=True)
class Table:
    """Rows under a header, on as many sheets as they take.

    Attributes:
        name: of its first sheet; the next ones are `name (2)`, `name (3)`, …, or Sheet2, Sheet3, …
        columns: the header.
        widest: for each column its widest text; the column is as wide as that or its header.
        parts: all rows, in order; none for an empty table.
        bodies: the bytes of the parts one after another, in chunks of any size; a chunk is taken
            only when those before it have been yielded.
        total: values of the last row, where it is a total, which stands out and is not filtered.
        chart: column, bar, line or pie, drawn beside the rows.
        keys: how many columns, the first ones, name a row in the chart.
        first_rows: the values of the first CHART_ROWS rows, or FIRST_CELLS cells, without the total.
        holds: for each column what its cells hold, without the total's label.
        formats: the number formats that its rows were rendered with.
        own_styles: how many other tables' stand before the style of its first column's datetimes.
        across: of a cross table, what stands above its columns.
    """

    name: str
    columns: Sequence[str]
    widest: Sequence[str]
    parts: Sequence[SheetPart]
    bodies: Iterable[bytes]
    total: Sequence[Any] = ()
    chart: str | None = None
    keys: int = 1
    first_rows: Sequence[Sequence[Any]] = ()
    holds: Sequence[int] = ()
    formats: Mapping[str, str] = field(default_factory=dict)
    own_styles: int = 0
    across: Across | None = None

    @cached_property
    def header(self) -> list[list[str]]:
        return header_rows(self.columns, self.keys, self.across)

    @property
    def over(self) -> list[tuple[str, range]]:
        """What stands over several headers, and the columns of those."""
        if self.across is None or self.across.headers == 1:
            return []
        names, starts = self.header[0], range(self.keys, len(self.columns), self.across.columns)
        spans = [(names[start], range(start, start + self.across.columns)) for start in starts]
        return [(self.across.name, range(self.keys)), *spans]

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def next_style(self) -> int:
        """The own_styles of the table that follows: it takes one for each column up to the last that
        holds datetimes.
        """
        own = [n for n, holds in enumerate(self.holds, 1) if holds & (DATE | TIME)]
        return self.own_styles + max(own, default=0)

    def facts(self) -> SummaryFacts:
        """A table beside the segments' own, as JSON has it."""
        rows = [[json_cell(cell) for cell in row] for row in (*self.first_rows, self.total)]
        count, chart = self.rows - bool(self.total), self.chart if self.across is None else None
        columns = [" ".join(filter(None, each)) for each in zip(*self.header)]
        return SummaryFacts(self.name, columns, self.keys, count, chart, rows[:-1], rows[-1])


def header_rows(columns: Sequence[str], keys: int, across: Across | None) -> list[list[str]]:
    """The headers of a table; where several columns stand under a value across, below the values."""
    if across is None:
        return [[*columns]]
    if across.headers == 1:
        return [[*columns[:keys], *across.values]]
    over = [value for value in across.values for _ in range(across.columns)]
    return [[*[""] * keys, *over], [*columns]]


def next_style(tables: Sequence[Table]) -> int:
    """The own_styles of the table that follows these."""
    return tables[-1].next_style if tables else 0


def json_cell(cell: Any) -> Any:
    plain = cell is None or (isinstance(cell, int | float) and abs(cell) <= EXACT_INTEGER)
    if plain:
        return cell
    return integer_text(cell) if isinstance(cell, int) else str(cell)

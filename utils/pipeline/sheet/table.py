"""A table as the workbook takes it: rendered rows, and what its sheets need to know of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.excel import EXACT_INTEGER, integer_text
from pipeline.facts.stages import SummaryFacts
from pipeline.sheet.parts import SheetPart

SHEET = "Sheet1"  # the first sheet of the segments' own rows; no other table has such a name
REJECTS = "Rejects"  # the sheet of the records that are left out
CHART_ROWS = 200  # a chart of more cannot be read


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
        chart: column, bar, line or pie, drawn beside the rows if there are at most CHART_ROWS.
        keys: how many columns, the first ones, name a row in the chart.
        first_rows: the values of the first CHART_ROWS rows, without the total.
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

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    def facts(self) -> SummaryFacts:
        """A table beside the segments' own, as JSON has it."""
        rows = [[json_cell(cell) for cell in row] for row in (*self.first_rows, self.total)]
        count = self.rows - bool(self.total)
        return SummaryFacts(
            self.name, list(self.columns), self.keys, count, self.chart, rows[:-1], rows[-1]
        )


def json_cell(cell: Any) -> Any:
    plain = cell is None or (isinstance(cell, int | float) and abs(cell) <= EXACT_INTEGER)
    if plain:
        return cell
    return integer_text(cell) if isinstance(cell, int) else str(cell)

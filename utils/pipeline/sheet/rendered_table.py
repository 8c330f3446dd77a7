"""A table beside the segments' own, rendered block by block and kept in a file until it is its turn."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from itertools import chain
from typing import IO, Any

import pandas as pd

from pipeline.excel import EXACT_INTEGER, is_number
from pipeline.sheet.parts import OTHER, SheetPart, merged
from pipeline.sheet.sheet_xml import render_rows
from pipeline.sheet.table import CHART_ROWS, FIRST_CELLS, Across, Table
from pipeline.sheet.widths import widest

PIECE_BYTES = 1 << 20  # read at a time


def render_table(
    name: str,
    blocks: Iterable[pd.DataFrame],
    formats: Mapping[str, str],
    *,
    total: pd.DataFrame | None = None,
    chart: str | None = None,
    keys: int = 1,
    own_styles: int = 0,
    across: Across | None = None,
) -> Table:
    """Render a table of which one block is in memory at a time.

    Args:
        blocks: its rows in order, cut anywhere; all have the same columns. The first one gives
            the header, even without rows.
        formats: all of the workbook, as render_rows takes them.
        total: its last row, of the same columns.
        name, chart, keys, own_styles, across: see Table.

    Raises:
        InvalidCell, TooManyColumns: as render_rows does; it names the table.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115  # closed when its pieces have been read
    columns: list[str] = []
    widths: list[str] = []
    parts: list[SheetPart] = []
    first_rows: list[list[Any]] = []
    holds: list[int] = []
    headers = across.headers if across else 1
    rows = 0
    for df in chain(blocks, [] if total is None else [total]):
        first = total if df is total else None
        rendered = render_rows(df, rows, name, formats, first, own_styles, headers)
        file.write(rendered.xml)
        columns = columns or rendered.columns
        widths = widest([widths or rendered.widest, rendered.widest])
        held = [each & ~OTHER for each in rendered.holds] if df is total else rendered.holds
        holds = merged(holds or held, held)
        parts += rendered.parts
        rows += len(df)
        if df is not total:
            most = min(CHART_ROWS, FIRST_CELLS // max(1, len(columns)))
            first_rows += plain_rows(df.head(most - len(first_rows)))
    return Table(
        name,
        columns,
        widths,
        parts,
        _pieces(file),
        () if total is None else plain_rows(total)[0],
        chart,
        keys,
        first_rows,
        holds,
        formats,
        own_styles,
        across=across,
    )


def plain_rows(df: pd.DataFrame) -> list[list[Any]]:
    """Its values as Python's own: None for a missing one, a Decimal that a cell holds as a number
    as that one; whole numbers as integers, whatever their column has beside them.
    """
    rows: list[list[Any]] = df.astype(object).where(df.notna(), None).values.tolist()
    return [[*map(_plain, row)] for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal) and is_number(value):
        value = float(value)
    is_whole = isinstance(value, float) and abs(value) <= EXACT_INTEGER and value.is_integer()
    return int(value) if is_whole else value


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        yield from iter(partial(file.read, PIECE_BYTES), b"")

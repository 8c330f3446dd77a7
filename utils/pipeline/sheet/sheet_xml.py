"""Rows of a DataFrame as deflated worksheet XML that joins without inflating.

A cell is written as opening, row number, rest: `<c r="C` `17` `"><v>58</v></c>`. The rests of a
column are made as a list, each distinct value once where values repeat, and a slice of rows is one
bytes.join over all lists: no Python code runs per cell.
"""

import math
import zlib
from collections.abc import Hashable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from isal import isal_zlib
from numpy.typing import NDArray

from pipeline.arrays import plain_array
from pipeline.errors.places import named
from pipeline.excel import (
    DATA_ROWS,
    DATE_STYLE,
    DURATION_STYLE,
    EXACT_INTEGER,
    InvalidCell,
    check_columns,
    check_header,
    column_letters,
    excel_row,
    style_formats,
)
from pipeline.sheet import cell_xml
from pipeline.sheet.cell_xml import Cells, Renderer
from pipeline.sheet.parts import DATE, NUMBER, OTHER, TIME, RenderedRows, SheetPart
from pipeline.sheet.widths import NO_FORMATS, first_rows, formatted, widest, widest_of, widest_texts

LEVEL = 1  # as fast as 0 here, and a fifth smaller; 3 takes three times as long
CACHED_CELLS = 20_000  # of each column: some 2 MB
SLICE_CELLS = 6_000  # rendered at a time: about 300 KB of XML, which stays in the CPU's cache

_BELOW_THOUSAND = [b"%d" % n for n in range(1000)]
_THREE_DIGITS = [b"%03d" % n for n in range(1000)]


def render_rows(
    df: pd.DataFrame,
    position: int,
    source: str,
    formats: Mapping[str, str] = NO_FORMATS,
    first: pd.DataFrame | None = None,
    own_styles: int = 0,
    headers: int = 1,
) -> RenderedRows:
    """Render all rows of a frame for their place in the whole table.

    Args:
        df: rows of the table; error messages take its index for the record numbers, from 0 on,
            and its attribute "source", where it has one, for the source.
        position: zero-based number of the first row among the data rows of the whole table.
        source: the object that the rows come from.
        formats: Excel's number formats by the names of columns, of which the table has some; all
            of the workbook, because they number its styles.
        first: the rows that tell how wide columns are; by default those of the whole table's first
            WIDTH_ROWS.
        own_styles: how many styles stand between those of the formats and that of the first column's
            datetimes; the next column has the next one. The workbook chooses their formats.
        headers: rows of them on each sheet.

    Raises:
        InvalidCell: names the source, the record, the column and the rule; of a header, its letters.
        TooManyColumns: more columns than a sheet has.
    """
    source = str(df.attrs.get("source", source))
    check_columns(df.shape[1], source)
    names = [str(name) for name in df.columns]
    check_header(names, source)
    styles = style_formats(formats)
    numbers = [styles.index(formats[name]) if name in formats else None for name in names]
    own = len(styles) + own_styles
    columns = [_Column(df, index, source, style, own) for index, style in enumerate(numbers)]
    rendered = [
        _render_part(columns, start, stop, position + start, headers)
        for start, stop in _sheet_ranges(len(df), position, headers)
    ]
    return RenderedRows(
        columns=names,
        widest=widest(
            [
                widest_texts(first_rows(df, position) if first is None else first, formats),
                [column.widest_number(formats.get(column.name, "")) for column in columns],
            ]
        ),
        parts=[part for part, _ in rendered],
        xml=b"".join(body for _, body in rendered),
        formats=dict(formats),
        holds=[column.holds for column in columns],
    )


class _Column:
    """One column of a frame, with the cells of values that repeat.

    Attributes:
        holds: what the cells that are rendered so far hold.
    """

    def __init__(
        self, df: pd.DataFrame, index: int, source: str, style: int | None, own_styles: int
    ) -> None:
        """style: of numbers, dates and durations; None for that of their kind."""
        self.name = str(df.columns[index])
        self.holds = 0
        self._named = partial(named, df.attrs, source=source)
        self._style = style
        self._datetime_style = own_styles + index
        self._labels = df.index
        self._values = plain_array(df.iloc[:, index])
        self._opening = f'<c r="{column_letters(index)}'.encode()
        self._ends = (math.inf, -math.inf)  # of its numbers of up to 15 digits
        self._cache: dict[Hashable, dict[Any, bytes]] = {}
        self._uncached: set[Hashable] = {None}
        if self._values.dtype.kind in "iuf" and len(self._values):
            self._note_array(self._values)

    def pieces(self, start: int, stop: int, numbers: list[bytes]) -> list[bytes | list[bytes]]:
        """The cells of some rows as _interleave takes them; a missing cell leaves no trace."""
        opening, cells = self._opening, self._cells(start, stop)
        if all(cells):
            return [opening, numbers, cells]
        return [[opening + n + cell if cell else b"" for n, cell in zip(numbers, cells)]]

    def widest_number(self, number_format: str) -> str:
        """Of the cells that are rendered, of up to 15 digits, and without what stands behind the point
        and no format asks for: one that is too wide for its column is shown as ####.
        """
        low, high = self._ends
        return widest_of(formatted(end, number_format or "0") for end in (low, high) if low <= high)

    def _cells(self, start: int, stop: int) -> Cells:
        """What follows the row number in each cell; b"" for a missing one."""
        try:
            return self._array_cells(self._values[start:stop])
        except InvalidCell as error:
            if stop - start > 1:  # which row's?
                return [cell for row in range(start, stop) for cell in self._cells(row, row + 1)]
            where = f"{self._named(self._labels[start])}, column {self.name}"
            raise InvalidCell(f"{where}: {error}") from None

    def _array_cells(self, values: NDArray[Any]) -> Cells:
        if values.dtype.kind in "fMm":
            return cell_xml.skip_missing(values, self._present_cells)
        return self._mixed_cells(values.tolist())

    def _present_cells(self, values: NDArray[Any]) -> Cells:
        """Of floats, dates, datetimes or durations; at least one."""
        if values.dtype.kind == "f":
            return self._rendered(float, values.tolist(), cell_xml.floats)
        if values.dtype.kind == "m":
            self.holds |= NUMBER
            serials, style = cell_xml.duration_serials(values), DURATION_STYLE
        else:
            serials = cell_xml.date_serials(values)
            style = DATE_STYLE if values.dtype == "M8[D]" else self._datetime_style
            if not self.holds & TIME:
                self.holds |= TIME if (serials != np.floor(serials)).any() else DATE
        return self._rendered(style, serials.tolist(), cell_xml.floats, style)

    def _mixed_cells(self, values: list[Any]) -> Cells:
        """Render the values of each type together."""
        kinds = set(map(type, values))
        if len(kinds) == 1:
            return self._cells_of(kinds.pop(), values)
        cells = {
            kind: iter(self._cells_of(kind, [value for value in values if type(value) is kind]))
            for kind in kinds
        }
        return [next(cells[type(value)]) for value in values]

    def _cells_of(self, kind: type, values: list[Any]) -> Cells:
        base = cell_xml.base_of(kind)
        if base in cell_xml.ARRAYS:
            array = cell_xml.ARRAYS[base](values)
            if array.dtype.kind == "f":
                self._note_array(array)
            return self._array_cells(array)
        render = cell_xml.RENDERERS[base]
        if base in cell_xml.INTEGERS:
            if self._values.dtype == object:
                self._note_numbers(values, min(values), max(values))
            if not self.holds & OTHER:
                render = cell_xml.short_integers
        elif base not in cell_xml.MISSING:
            self.holds |= OTHER
        return self._rendered(kind if kind in cell_xml.REPEATING else None, values, render)

    def _note_array(self, values: NDArray[Any]) -> None:
        if values.dtype.kind == "f" and (np.signbit(values) & (values == 0)).any():
            self._uncached.add(float)  # -0.0 equals 0.0 and is written otherwise
        self._note_numbers(values, np.fmin.reduce(values), np.fmax.reduce(values))

    def _note_numbers(self, values: Any, low: Any, high: Any) -> None:
        """What the cells of numbers from low to high hold; NaN has no cell."""
        if low != low:
            return
        self.holds |= NUMBER
        if not -EXACT_INTEGER <= low <= high <= EXACT_INTEGER:
            if isinstance(values, list):
                values = np.array(values, object)
            self.holds |= 0 if values.dtype.kind == "f" else OTHER
            short = values[(values >= -EXACT_INTEGER) & (values <= EXACT_INTEGER)]
            if not len(short):
                return
            low, high = short.min(), short.max()
        self._ends = min(self._ends[0], low), max(self._ends[1], high)

    def _rendered(
        self, kind: Hashable, values: list[Any], render: Renderer, style: int | None = None
    ) -> Cells:
        """Render each distinct value of a kind once, unless few repeat.

        Args:
            kind: None for values of which none is kept.
            style: of numbers, where the column has none.
        """
        opening = cell_xml.number_opening(style if self._style is None else self._style)
        if kind in self._uncached:
            return render(values, opening)
        cells = self._cache.setdefault(kind, {})
        try:
            return list(map(cells.__getitem__, values))
        except KeyError:
            new = set(values).difference(cells)
        if len(new) > len(values) // 2 or len(cells) > CACHED_CELLS:
            self._uncached.add(kind)
            return render(values, opening)
        cells.update(zip(new, render(list(new), opening)))
        return list(map(cells.__getitem__, values))


def _sheet_ranges(rows: int, position: int, headers: int) -> Iterator[tuple[int, int]]:
    start, most = 0, DATA_ROWS + 1 - headers
    while start < rows:
        stop = min(rows, start + most - (position + start) % most)
        yield start, stop
        start = stop


def _render_part(
    columns: list[_Column], start: int, stop: int, position: int, headers: int
) -> tuple[SheetPart, bytes]:
    deflate = isal_zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    chunks, xml_bytes, crc32 = [], 0, 0
    for xml in _row_slices(columns, start, stop, excel_row(position, headers)):
        chunks.append(deflate.compress(xml))
        xml_bytes += len(xml)
        crc32 = isal_zlib.crc32(xml, crc32)
    chunks.append(deflate.flush(zlib.Z_FULL_FLUSH))
    body = b"".join(chunks)
    return SheetPart(position, stop - start, xml_bytes, len(body), crc32), body


def _row_slices(columns: list[_Column], start: int, stop: int, number: int) -> Iterator[bytes]:
    step = max(1, SLICE_CELLS // max(1, len(columns)))
    for first in range(start, stop, step):
        last = min(first + step, stop)
        numbers = _row_numbers(number + first - start, number + last - start)
        cells = [piece for column in columns for piece in column.pieces(first, last, numbers)]
        yield _interleave([b'<row r="', numbers, b'">', *cells, b"</row>"], last - first)


def _row_numbers(first: int, stop: int) -> list[bytes]:
    """Decimal digits of a range, by thousands: half the time of formatting each."""
    numbers: list[bytes] = []
    for thousand in range(first // 1000, (stop - 1) // 1000 + 1):
        head, ends = (b"%d" % thousand, _THREE_DIGITS) if thousand else (b"", _BELOW_THOUSAND)
        before = thousand * 1000
        numbers += map(head.__add__, ends[max(0, first - before) : stop - before])
    return numbers


def _interleave(pieces: list[bytes | list[bytes]], rows: int) -> bytes:
    """Join row by row the pieces of a row: bytes that all rows share, or a list with each row's.

    `[b'<row r="', [b"2", b"3"], b'"/>']` makes `<row r="2"/><row r="3"/>`.
    """
    joined = [piece if isinstance(piece, bytes) else b"" for piece in pieces] * rows
    for place, piece in enumerate(pieces):
        if isinstance(piece, list):
            joined[place :: len(pieces)] = piece
    return b"".join(joined)

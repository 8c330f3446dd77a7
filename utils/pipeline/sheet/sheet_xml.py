"""Rows of a DataFrame as deflated worksheet XML that joins without inflating.

A cell is written as opening, row number, rest: `<c r="C` `17` `"><v>58</v></c>`. The rests of a
column are made as a list, each distinct value once where values repeat, and a slice of rows is one
bytes.join over all lists: no Python code runs per cell.
"""

import datetime as dt
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import cache, partial
from types import NoneType
from typing import Any

import numpy as np
import pandas as pd
from isal import isal_zlib
from numpy.typing import NDArray

from pipeline.arrays import plain_array
from pipeline.errors.places import named
from pipeline.excel import (
    CELL_CHARACTERS,
    DATA_ROWS,
    DATE_STYLE,
    DURATION_STYLE,
    EXACT_INTEGER,
    FIRST_DAY,
    LAST_DAY,
    LEAP_DAY,
    InvalidCell,
    check_columns,
    check_header,
    column_letters,
    excel_row,
    integer_text,
    is_number,
    style_formats,
    text_element,
)
from pipeline.sheet.parts import DATE, NUMBER, OTHER, TIME, RenderedRows, SheetPart
from pipeline.sheet.widths import NO_FORMATS, first_rows, formatted, widest, widest_of, widest_texts

LEVEL = 1  # as fast as 0 here, and a fifth smaller; 3 takes three times as long
CACHED_CELLS = 20_000  # of each column: some 2 MB
SLICE_CELLS = 6_000  # rendered at a time: about 300 KB of XML, which stays in the CPU's cache

_Cells = list[bytes]
_Renderer = Callable[[list[Any]], _Cells]
_NUMBER_OPENING = re.compile(rb'"(?: s="[0-9]+")?><v>')
_TEXT = b'" t="inlineStr"><is><t>', b"</t></is></c>"
_BELOW_THOUSAND = [b"%d" % n for n in range(1000)]
_THREE_DIGITS = [b"%03d" % n for n in range(1000)]
_CONTROLS = bytes(code for code in range(1, 32) if code not in b"\t\n")


def render_rows(
    df: pd.DataFrame,
    position: int,
    source: str,
    formats: Mapping[str, str] = NO_FORMATS,
    first: pd.DataFrame | None = None,
    own_styles: int | None = None,
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
        own_styles: number of the style of the first column's datetimes; the next column has the next
            one. The workbook chooses their formats. By default they follow those of the formats.
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
    own = len(styles) if own_styles is None else own_styles
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
        self._cache: dict[type, dict[Any, bytes]] = {}
        self._uncached_kinds: set[type] = set()
        if self._values.dtype.kind == "f" and _has_negative_zero(self._values):
            self._uncached_kinds.add(float)
        if self._values.dtype.kind in "iuf" and len(self._values):
            ends = np.fmin.reduce(self._values), np.fmax.reduce(self._values)
            self._note_numbers(self._values, *ends)

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

    def _cells(self, start: int, stop: int) -> _Cells:
        """What follows the row number in each cell; b"" for a missing one."""
        try:
            return self._array_cells(self._values[start:stop])
        except InvalidCell:
            for row in range(start, stop):
                self._check(row)
            raise

    def _check(self, row: int) -> None:
        try:
            self._array_cells(self._values[row : row + 1])
        except InvalidCell as error:
            where = f"{self._named(self._labels[row])}, column {self.name}"
            raise InvalidCell(f"{where}: {error}") from None

    def _array_cells(self, values: NDArray[Any]) -> _Cells:
        if values.dtype.kind in "fMm":
            return _skip_missing(values, self._present_cells)
        return self._mixed_cells(values.tolist())

    def _present_cells(self, values: NDArray[Any]) -> _Cells:
        if values.dtype.kind == "f":
            return self._mixed_cells(values.tolist())
        if values.dtype.kind == "m":
            self.holds |= NUMBER
            return self._serials(np.timedelta64, _duration_serials(values), DURATION_STYLE)
        serials = _date_serials(values)
        if not self.holds & TIME and len(serials):
            self.holds |= TIME if (serials != np.floor(serials)).any() else DATE
        return self._serials(np.datetime64, serials, self._datetime_style)

    def _serials(self, kind: type, serials: NDArray[Any], style: int) -> _Cells:
        return self._cached(
            kind, serials.tolist(), self._styled(partial(_number_cells, style=style))
        )

    def _mixed_cells(self, values: list[Any]) -> _Cells:
        """Render the values of each type together."""
        kinds = set(map(type, values))
        if len(kinds) == 1:
            return self._cells_of(kinds.pop(), values)
        cells = {
            kind: iter(self._cells_of(kind, [value for value in values if type(value) is kind]))
            for kind in kinds
        }
        return [next(cells[type(value)]) for value in values]

    def _cells_of(self, kind: type, values: list[Any]) -> _Cells:
        base = _base(kind)
        if base in _ARRAYS:
            return _skip_missing(_ARRAYS[base](values), self._present_cells)
        if self._values.dtype == object:
            self._note(base, values)
        short = base in _INTEGERS and not self.holds & OTHER
        render = self._styled(_short_integers if short else _RENDERERS[base])
        if kind is float and self._values.dtype == object and _has_negative_zero(np.array(values)):
            return render(values)
        return self._cached(kind, values, render) if kind in _REPEATING else render(values)

    def _note(self, base: type, values: list[Any]) -> None:
        """What the cells of values of one type hold."""
        if base in _INTEGERS:
            self._note_numbers(values, min(values), max(values))
        elif base in _FLOATS:
            distinct = np.array(list(set(values)), float)  # of NaN alone, one
            self._note_numbers(distinct, np.fmin.reduce(distinct), np.fmax.reduce(distinct))
        else:
            self.holds |= _HELD.get(base, OTHER)

    def _note_numbers(self, values: Any, low: Any, high: Any) -> None:
        """What the cells of numbers from low to high hold; NaN has no cell."""
        if low != low:
            return
        self.holds |= NUMBER
        if not -EXACT_INTEGER <= low <= high <= EXACT_INTEGER:
            if isinstance(values, list):
                values = np.array(values, object)
            self.holds |= 0 if values.dtype.kind == "f" else OTHER
            numbers = values[(values >= -EXACT_INTEGER) & (values <= EXACT_INTEGER)]
            if not len(numbers):
                return
            low, high = numbers.min(), numbers.max()
        self._ends = min(self._ends[0], low), max(self._ends[1], high)

    def _styled(self, render: _Renderer) -> _Renderer:
        if self._style is None:
            return render
        opening = b'" s="%d"><v>' % self._style
        return lambda values: [
            opening + cell[number.end() :] if (number := _NUMBER_OPENING.match(cell)) else cell
            for cell in render(values)
        ]

    def _cached(self, kind: type, values: list[Any], render: _Renderer) -> _Cells:
        """Render each distinct value once, unless few repeat."""
        cache = self._cache.setdefault(kind, {})
        if kind in self._uncached_kinds:
            return render(values)
        try:
            return list(map(cache.__getitem__, values))
        except KeyError:
            new = set(values).difference(cache)
        if len(new) > len(values) // 2 or len(cache) > CACHED_CELLS:
            self._uncached_kinds.add(kind)
            return render(values)
        cache.update(zip(new, render(list(new))))
        return list(map(cache.__getitem__, values))


def _has_negative_zero(numbers: NDArray[Any]) -> bool:
    """Whether -0.0, which equals 0.0 and is written otherwise, is among them."""
    return bool((np.signbit(numbers) & (numbers == 0)).any())


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


def _skip_missing(values: NDArray[Any], render: Callable[[NDArray[Any]], _Cells]) -> _Cells:
    missing = np.isnan(values)
    if not missing.any():
        return render(values)
    cells = iter(render(values[~missing]))
    return [b"" if is_missing else next(cells) for is_missing in missing.tolist()]


@cache
def _base(kind: type) -> type:
    """The type, of those that a cell can hold, that a kind is of."""
    for base in kind.__mro__:
        if base in _RENDERERS or base in _ARRAYS:
            return base
    found = kind.__qualname__
    raise InvalidCell(f"a cell holds text, a number, a bool, a date or JSON; found {found}")


def _texts(values: list[str]) -> _Cells:
    if not all(values):
        cells = iter(_texts(list(filter(None, values))))
        return [next(cells) if value else b"" for value in values]
    joined = "\0".join(values)
    if not _is_plain(values, joined):
        return [_text(value) for value in values]
    xml = joined.encode().replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")
    opening, closing = _TEXT
    return (opening + xml.replace(b"\0", closing + b"\0" + opening) + closing).split(b"\0")


def _is_plain(values: list[str], joined: str) -> bool:
    """Whether only & < > need escaping; False may also mean that only a closer look can tell."""
    return (
        list(map(str.strip, values)) == values
        and (len(joined) <= CELL_CHARACTERS // 2 or max(map(len, values)) <= CELL_CHARACTERS // 2)
        and joined.count("\0") == len(values) - 1
        and not any(suspect in joined for suspect in ("_x", "\ufffe", "\uffff"))
        and _is_clean(joined)
    )


def _is_clean(joined: str) -> bool:
    try:
        encoded = joined.encode()
    except UnicodeEncodeError:
        return False
    return len(encoded.translate(None, _CONTROLS)) == len(encoded)


def _text(value: str) -> bytes:
    return f'" t="inlineStr"><is>{text_element(value)}</is></c>'.encode()


def _short_integers(values: list[int]) -> _Cells:
    return [b'"><v>%d</v></c>' % value for value in values]


def _integers(values: list[int]) -> _Cells:
    if min(values) >= -EXACT_INTEGER and max(values) <= EXACT_INTEGER:
        return _short_integers(values)
    cells = iter(_texts([integer_text(value) for value in values if abs(value) > EXACT_INTEGER]))
    return [
        next(cells) if abs(value) > EXACT_INTEGER else b'"><v>%d</v></c>' % value
        for value in values
    ]


def _floats(values: list[float]) -> _Cells:
    if math.isfinite(sum(values)):
        return _number_cells(values)
    return [_float(value) for value in values]


def _float(value: float) -> bytes:
    if math.isfinite(value):
        return _number_cells([value])[0]
    return b"" if math.isnan(value) else _text(str(value))


def _decimal(value: Decimal) -> bytes:
    return _float(float(value)) if is_number(value) else _text(str(value))


def _json(value: Any) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InvalidCell(f"a dict or a list is written as JSON; found {error}") from None
    return _text(text)


def _datetimes(values: list[dt.datetime]) -> NDArray[Any]:
    zoned = next((value for value in values if value.tzinfo), None)
    if zoned is not None:
        raise InvalidCell(f"Excel has no time zones; found {zoned}")
    return np.array(values, "M8[us]")


def _dates(values: list[dt.date]) -> _Cells:
    return _number_cells(_date_serials(np.array(values, "M8[D]")).tolist(), DATE_STYLE)


def _date_serials(values: NDArray[Any]) -> NDArray[Any]:
    """Days of Excel's 1900 date system, which takes 1900 for a leap year, as XlsxWriter writes dates."""
    days = values.astype("M8[D]")
    serials = (days - np.datetime64("1899-12-31")).astype(np.int64)
    serials = np.where(serials > LEAP_DAY - 1, serials + 1, serials)
    if serials.min(initial=FIRST_DAY) < FIRST_DAY:
        raise InvalidCell(f"the first date is 1900-01-01; found {values.min()}")
    if serials.max(initial=FIRST_DAY) > LAST_DAY:
        raise InvalidCell(f"the last date is 9999-12-31; found {values.max()}")
    return _with_fraction(serials, values - days)


def _duration_serials(values: NDArray[Any]) -> NDArray[Any]:
    day = np.timedelta64(1, "D")
    return _with_fraction(values // day, values % day)


def _with_fraction(days: NDArray[Any], rest: NDArray[Any]) -> NDArray[Any]:
    micros = rest.astype("m8[us]").astype(np.int64)
    return days + (micros // 1_000_000 + micros % 1_000_000 / 1e6) / 86_400


def _number_cells(numbers: list[float], style: int = 0) -> _Cells:
    pattern = b'" s="%d"><v>%%.16G</v></c>' % style if style else b'"><v>%.16G</v></c>'
    return [pattern % number for number in numbers]


# What makes an array of objects that a column renders as one.
_ARRAYS: dict[type, Callable[[list[Any]], NDArray[Any]]] = {
    dt.datetime: _datetimes,
    np.datetime64: partial(np.array, dtype="M8[us]"),
    **dict.fromkeys((dt.timedelta, np.timedelta64), partial(np.array, dtype="m8[us]")),
}
_MISSING = (NoneType, type(pd.NA), type(pd.NaT))
_REPEATING = {str, int, float, bool}

_RENDERERS: dict[type, _Renderer] = {
    **dict.fromkeys(_MISSING, lambda values: [b""] * len(values)),
    **dict.fromkeys(
        (bool, np.bool), lambda values: [b'" t="b"><v>%d</v></c>' % bool(value) for value in values]
    ),
    **dict.fromkeys((dict, list), lambda values: list(map(_json, values))),
    str: _texts,
    int: _integers,
    np.integer: lambda values: _integers(list(map(int, values))),
    float: _floats,
    np.floating: lambda values: _floats(list(map(float, values))),
    Decimal: lambda values: list(map(_decimal, values)),
    dt.date: _dates,
}
_INTEGERS, _FLOATS = (int, np.integer), (float, np.floating)
_HELD: dict[type, int] = {**dict.fromkeys(_MISSING, 0), Decimal: NUMBER, dt.date: DATE}

"""One .xlsx file around sheet parts that are deflated already; nothing is inflated to join them.

A sheet's zip entry is a deflated beginning, the parts and a deflated end. All but the end stop
with a full flush, so that together they are one deflate stream. XlsxWriter writes the rest.
"""

import datetime as dt
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import chain, count, islice
from typing import Any

import xlsxwriter.utility  # type: ignore[import-untyped]  # XlsxWriter has no annotations
from isal import isal_zlib

from chart import insert_charts, with_own_labels
from excel import (
    COLUMN_WIDTH,
    DATA_ROWS,
    HEADER_STYLE,
    check_columns,
    check_header,
    check_sheet_names,
    column_letters,
    excel_row,
    numbered_sheet,
    style_formats,
    text_element,
    wide_characters,
)
from rendered import SheetPart
from table import Table

HEADER = {"bold": True, "bottom": 1}
TOTAL = {"bold": True, "top": 1}
CREATED = dt.datetime(1980, 1, 1)  # the date of each zip entry, as XlsxWriter has it
DIGIT_PIXELS = 7
WIDE_PIXELS = 7  # a kanji takes 15; XlsxWriter gives any character that it does not know 8
FILTER_PIXELS = 16  # the button in a header

# APPNOTE.TXT 4.4: a field with all bits set refers to a wider one in a zip64 record.
_IN_ZIP64 = ZIP32_LIMIT = 0xFFFF_FFFF
_VERSION, _VERSION_ZIP64 = 20, 45
_UNIX, _READ_WRITE = 3 << 8, 0o600 << 16
_DEFLATED_1980 = (zlib.DEFLATED, 0, 1 << 5 | 1)  # method, time, date


class Chunks:
    """Chunks of any size, read by sizes that need not match them.

    Attributes:
        size: bytes read so far.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.size = 0
        self._chunks = filter(None, chunks)
        self._rest = b""

    def take(self, size: int) -> Iterator[bytes]:
        """So many bytes, or as many as are left, in pieces."""
        while size and (chunk := self._rest or next(self._chunks, b"")):
            piece, self._rest = chunk[:size], chunk[size:]
            self.size += len(piece)
            size -= len(piece)
            yield piece

    def read(self, size: int = sys.maxsize) -> bytes:
        return b"".join(self.take(size))


@dataclass(frozen=True)
class _Sheet:
    """
    Attributes:
        header: its XML.
        has_total: whether its last row is the table's total.
        source: the table's bodies.
    """

    name: str
    table: Table
    header: str
    parts: list[SheetPart]
    has_total: bool
    source: Chunks

    @property
    def last_row(self) -> int:
        """One-based."""
        return excel_row(self.parts[-1].position) + self.parts[-1].rows - 1 if self.parts else 1

    @property
    def last_data_row(self) -> int:
        return self.last_row - self.has_total


class _Entry(zipfile.ZipInfo):
    """What a zip says of a file, and the file, deflated."""

    def __init__(
        self, name: str, xml_bytes: int, deflated_bytes: int, crc32: int, body: Iterable[bytes]
    ) -> None:
        super().__init__(name)
        self.compress_type = zipfile.ZIP_DEFLATED
        self.file_size, self.compress_size, self.CRC = xml_bytes, deflated_bytes, crc32
        self.body = body


def workbook_chunks(
    name: str, tables: Sequence[Table], formats: Mapping[str, str]
) -> Iterator[bytes]:
    """Stream a workbook of tables, one after another; the first one's sheets are Sheet1, Sheet2, …

    Args:
        name: of the workbook, for error messages.
        formats: Excel's number formats by the names of columns, as the rows were rendered with.

    Returns:
        The file in chunks; the same input gives the same bytes.

    Raises:
        ValueError: parts that do not follow one another from row 0, at once; bodies longer or
            shorter than the parts say, while streaming.
        InvalidCell: a header that a cell cannot hold.
        InvalidSheetName: the name of a further table that Excel does not take.
        TooManyColumns: more columns than a sheet has.
    """
    check_sheet_names(table.name for table in tables[1:])
    sheets = _sheets(name, tables)
    return _zip_chunks(_entries(sheets, formats), sheets)


def sheet_names(tables: Sequence[Table]) -> list[str]:
    """Of all sheets, in order; a name that is taken gets the next free number."""
    counts = [len(_parts_by_sheet(table.parts)) for table in tables]
    names = [f"Sheet{number}" for number in range(1, counts[0] + 1)]
    taken = {table.name.lower() for table in tables[1:]}
    for table, sheets in zip(tables[1:], counts[1:]):
        numbered = (numbered_sheet(table.name, number) for number in count(2))
        more = list(islice((name for name in numbered if name.lower() not in taken), sheets - 1))
        taken.update(map(str.lower, more))
        names += [table.name, *more]
    return names


def _sheets(workbook: str, tables: Sequence[Table]) -> list[_Sheet]:
    names = iter(sheet_names(tables))
    sheets = []
    for table in tables:
        where = workbook if table is tables[0] else f"{workbook} {table.name}"
        check_columns(len(table.columns), where)
        check_header(table.columns, where)
        header = _header_row(table.columns)
        by_sheet = _parts_by_sheet(table.parts)
        source = Chunks(table.bodies)
        for parts in by_sheet:
            has_total = bool(table.total) and parts is by_sheet[-1]
            sheets.append(_Sheet(next(names), table, header, parts, has_total, source))
    return sheets


def _parts_by_sheet(parts: Sequence[SheetPart]) -> list[list[SheetPart]]:
    sheets: list[list[SheetPart]] = [[]]
    position = 0
    for part in parts:
        if part.position != position:
            raise ValueError(f"parts must join: row {position} follows; found {part.position}")
        if not 1 <= part.rows <= DATA_ROWS - position % DATA_ROWS:
            raise ValueError(f"a part lies on one sheet; found {part.rows} rows from {position} on")
        if position == DATA_ROWS * len(sheets):
            sheets.append([])
        sheets[-1].append(part)
        position += part.rows
    return sheets


def _entries(sheets: list[_Sheet], formats: Mapping[str, str]) -> list[_Entry]:
    with zipfile.ZipFile(_template(sheets, formats)) as template:
        files = {name: template.read(name) for name in template.namelist()}
    in_order = iter(sheets)
    return [
        _sheet_entry(name, xml, next(in_order))
        if name.startswith("xl/worksheets/sheet")
        else _plain_entry(name, with_own_labels(xml) if name.startswith("xl/charts/") else xml)
        for name, xml in files.items()
    ]


def _template(sheets: list[_Sheet], formats: Mapping[str, str]) -> BytesIO:
    """Everything but the rows, from XlsxWriter. Blank cells register the styles in order."""
    file = BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as workbook:
        workbook.set_properties({"created": CREATED})
        header, *others = style_formats(formats)[HEADER_STYLE:]
        styles = [workbook.add_format({"num_format": header, **HEADER})]
        styles += [workbook.add_format({"num_format": style}) for style in others]
        total = workbook.add_format(TOTAL)
        for sheet in sheets:
            worksheet = workbook.add_worksheet(sheet.name)
            for row, style in enumerate(styles):
                worksheet.write_blank(row, 0, None, style)
            _lay_out(worksheet, sheet, total)
            if sheet.table.chart and sheet.last_data_row - 1 == len(sheet.table.first_rows) > 0:
                insert_charts(workbook, worksheet, sheet.table, formats)
    return file


def _lay_out(worksheet: Any, sheet: _Sheet, total: Any) -> None:
    columns = sheet.table.columns
    worksheet.freeze_panes(1, 0)
    for index, (name, widest) in enumerate(zip(columns, sheet.table.widest, strict=True)):
        pixels = max(_pixels(name) + FILTER_PIXELS, _pixels(widest))
        worksheet.set_column_pixels(index, index, min(pixels, COLUMN_WIDTH * DIGIT_PIXELS))
    if columns:
        worksheet.autofilter(0, 0, sheet.last_data_row - 1, len(columns) - 1)
    if sheet.has_total:
        row = sheet.last_row - 1
        always = {"type": "formula", "criteria": "=TRUE", "format": total}
        worksheet.conditional_format(row, 0, row, len(columns) - 1, always)


def _pixels(text: str) -> int:
    pixels: int = xlsxwriter.utility.cell_autofit_width(text)
    return pixels + WIDE_PIXELS * wide_characters(text)


def _sheet_entry(name: str, template: bytes, sheet: _Sheet) -> _Entry:
    before, _, after = re.split("<sheetData>(.*)</sheetData>", template.decode())
    before = re.sub('(?<=<dimension ref=")[^"]*', _dimension(sheet), before)
    start_xml = f"{before}<sheetData>{sheet.header}".encode()
    end_xml = f"</sheetData>{after}".encode()
    start, end = _deflated(start_xml, zlib.Z_FULL_FLUSH), _deflated(end_xml, zlib.Z_FINISH)
    crc32 = isal_zlib.crc32(start_xml)
    for part in sheet.parts:
        crc32 = isal_zlib.crc32_combine(crc32, part.crc32, part.xml_bytes)
    deflated_bytes = sum(part.deflated_bytes for part in sheet.parts)
    return _Entry(
        name,
        xml_bytes=len(start_xml) + sum(part.xml_bytes for part in sheet.parts) + len(end_xml),
        deflated_bytes=len(start) + deflated_bytes + len(end),
        crc32=isal_zlib.crc32(end_xml, crc32),
        body=chain([start], sheet.source.take(deflated_bytes), [end]),
    )


def _dimension(sheet: _Sheet) -> str:
    last = f"{column_letters(max(len(sheet.table.columns), 1) - 1)}{sheet.last_row}"
    return "A1" if last == "A1" else f"A1:{last}"


def _header_row(columns: Sequence[str]) -> str:
    cells = (_header_cell(index, name) for index, name in enumerate(columns))
    return f'<row r="1">{"".join(cells)}</row>'


def _header_cell(index: int, name: str) -> str:
    text = text_element(name)
    return f'<c r="{column_letters(index)}1" s="{HEADER_STYLE}" t="inlineStr"><is>{text}</is></c>'


def _plain_entry(name: str, xml: bytes) -> _Entry:
    body = _deflated(xml, zlib.Z_FINISH)
    return _Entry(name, len(xml), len(body), isal_zlib.crc32(xml), [body])


def _deflated(xml: bytes, end: int) -> bytes:
    deflate = isal_zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(xml) + deflate.flush(end)


def _zip_chunks(entries: list[_Entry], sheets: list[_Sheet]) -> Iterator[bytes]:
    offset = 0
    for entry in entries:
        entry.header_offset = offset
        # The zip64 field of a local header has both sizes or neither (4.5.3).
        header = entry.FileHeader(max(entry.compress_size, entry.file_size) >= ZIP32_LIMIT)
        yield header
        yield from entry.body
        offset += len(header) + entry.compress_size
    for sheet in sheets:
        _check_length(sheet)
    directory = b"".join(map(_directory_record, entries))
    yield directory
    yield _end_records(len(entries), len(directory), offset)


def _check_length(sheet: _Sheet) -> None:
    """Once all sheets are written: their table's bodies have no byte more or less."""
    more = sum(map(len, sheet.source.take(sys.maxsize)))
    less = sum(part.deflated_bytes for part in sheet.table.parts) + more - sheet.source.size
    if more or less:
        what = f"{more} bytes more" if more else f"{less} bytes less"
        raise ValueError(f"bodies must be as long as parts say; found {what}")


def _directory_record(entry: _Entry) -> bytes:
    sizes = (entry.file_size, entry.compress_size, entry.header_offset)
    wide = [size for size in sizes if size >= ZIP32_LIMIT]
    zip64 = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    version = _VERSION_ZIP64 if wide else _VERSION
    name = entry.filename.encode()
    record = struct.pack(
        "<4s6H3L5H2L",
        b"PK\1\2",
        _UNIX | version,  # made by
        version,  # needed
        0,  # flags
        *_DEFLATED_1980,
        entry.CRC,
        _narrow(entry.compress_size),
        _narrow(entry.file_size),
        len(name),
        len(zip64),
        0,  # comment
        0,  # disk
        0,  # internal attributes
        _READ_WRITE,
        _narrow(entry.header_offset),
    )
    return record + name + zip64


def _end_records(entries: int, size: int, offset: int) -> bytes:
    counts = [entries, entries, _narrow(size), _narrow(offset)]
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *counts, 0)
    if max(size, offset) < ZIP32_LIMIT:
        return end
    versions = (_UNIX | _VERSION_ZIP64, _VERSION_ZIP64)
    counts = [entries, entries, size, offset]
    zip64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, *versions, 0, 0, *counts)
    return zip64 + struct.pack("<4sLQL", b"PK\6\7", 0, offset + size, 1) + end


def _narrow(number: int) -> int:
    return _IN_ZIP64 if number >= ZIP32_LIMIT else number

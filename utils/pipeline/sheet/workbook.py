"""One .xlsx file around sheet parts that are deflated already; nothing is inflated to join them.

A sheet's zip entry is a deflated beginning, the parts and a deflated end. All but the end stop
with a full flush, so that together they are one deflate stream. XlsxWriter writes the rest.
"""

import datetime as dt
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import chain, count, islice
from typing import Any

import xlsxwriter.utility
from isal import isal_zlib

from pipeline.excel import (
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
from pipeline.sheet.chart import insert_charts, with_own_labels
from pipeline.sheet.chunks import Chunks
from pipeline.sheet.parts import SheetPart
from pipeline.sheet.table import SHEET, Table
from pipeline.sheet.zip_file import MOST_BYTES, Entry, Zip, deflated, plain_entry

HEADER = {"bold": True, "bottom": 1}
TOTAL = {"bold": True, "top": 1}
CREATED = dt.datetime(1980, 1, 1)  # the date of each zip entry, as XlsxWriter has it
DIGIT_PIXELS = 7
WIDE_PIXELS = 7  # a kanji takes 15; XlsxWriter gives any character that it does not know 8
FILTER_PIXELS = 16  # the button in a header


class WorkbookTooLarge(ValueError):
    """The workbook would have more than MOST_BYTES."""


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


class Workbook:
    """A workbook of tables, one after another, whose size is known before their bodies are taken.

    Args:
        name: of the workbook, for error messages.
        formats: Excel's number formats by the names of columns, as the rows were rendered with.

    Attributes:
        size: in bytes.

    Raises:
        ValueError: parts that do not follow one another from row 0.
        InvalidCell: a header that a cell cannot hold.
        InvalidSheetName: the name of a further table that Excel does not take.
        TooManyColumns: more columns than a sheet has.
        WorkbookTooLarge: see there.
    """

    def __init__(self, name: str, tables: Sequence[Table], formats: Mapping[str, str]) -> None:
        check_sheet_names(table.name for table in tables[tables[0].name == SHEET :])
        self._sheets = _sheets(name, tables)
        self._zip = Zip([*_entries(self._sheets, formats)])
        self.size = self._zip.size
        check_size(name, self.size)

    def chunks(self) -> Iterator[bytes]:
        """The file; the same input gives the same bytes.

        Raises:
            ValueError: bodies longer or shorter than the parts say.
        """
        yield from self._zip.chunks()
        for sheet in self._sheets:
            _check_length(sheet)


def check_size(workbook: str, size: int) -> None:
    """Raise WorkbookTooLarge, which names the workbook, if so many bytes are too many."""
    if size > MOST_BYTES:
        rule = f"a workbook that Excel opens has at most {MOST_BYTES:,} bytes"
        raise WorkbookTooLarge(f"{workbook}: {rule}; found {size:,}")


def sheet_names(tables: Sequence[Table]) -> list[str]:
    """Of all sheets, in order; a name that is taken gets the next free number."""
    names: list[str] = []
    taken = {table.name.lower() for table in tables}
    for table in tables:
        sheets = len(_parts_by_sheet(table.parts))
        numbered = (numbered_sheet(table.name, number) for number in count(2))
        more = list(islice((name for name in numbered if name.lower() not in taken), sheets - 1))
        taken.update(map(str.lower, more))
        names += [table.name, *more]
    return names


def _sheets(workbook: str, tables: Sequence[Table]) -> list[_Sheet]:
    names = iter(sheet_names(tables))
    sheets = []
    for table in tables:
        where = workbook if table.name == SHEET else f"{workbook} {table.name}"
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


def _entries(sheets: list[_Sheet], formats: Mapping[str, str]) -> Iterator[Entry]:
    with zipfile.ZipFile(_template(sheets, formats)) as template:
        files = {name: template.read(name) for name in template.namelist()}
    in_order = iter(sheets)
    for name, xml in files.items():
        if name.startswith("xl/worksheets/sheet"):
            yield _sheet_entry(name, xml, next(in_order))
        else:
            yield plain_entry(name, with_own_labels(xml) if name.startswith("xl/charts/") else xml)


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


def _sheet_entry(name: str, template: bytes, sheet: _Sheet) -> Entry:
    before, _, after = re.split("<sheetData>(.*)</sheetData>", template.decode())
    before = re.sub('(?<=<dimension ref=")[^"]*', _dimension(sheet), before)
    start_xml = f"{before}<sheetData>{sheet.header}".encode()
    end_xml = f"</sheetData>{after}".encode()
    start, end = deflated(start_xml, zlib.Z_FULL_FLUSH), deflated(end_xml, zlib.Z_FINISH)
    crc32 = isal_zlib.crc32(start_xml)
    for part in sheet.parts:
        crc32 = isal_zlib.crc32_combine(crc32, part.crc32, part.xml_bytes)
    deflated_bytes = sum(part.deflated_bytes for part in sheet.parts)
    return Entry(
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


def _check_length(sheet: _Sheet) -> None:
    """Once all sheets are written: their table's bodies have no byte more or less."""
    more = sum(map(len, sheet.source.take(sys.maxsize)))
    less = sum(part.deflated_bytes for part in sheet.table.parts) + more - sheet.source.size
    if more or less:
        what = f"{more} bytes more" if more else f"{less} bytes less"
        raise ValueError(f"bodies must be as long as parts say; found {what}")

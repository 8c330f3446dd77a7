"""One .xlsx file around sheet parts that are deflated already; nothing is inflated to join them.

A sheet's zip entry is a deflated beginning, the parts and a deflated end. All but the end stop
with a full flush, so that together they are one deflate stream. XlsxWriter writes the rest.
"""

import datetime as dt
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import chain, count, islice
from typing import Any

import xlsxwriter
from isal import isal_zlib

from pipeline.excel import (
    CENTER_HEADER_STYLE,
    DATA_ROWS,
    HEADER_STYLE,
    RIGHT_HEADER_STYLE,
    check_header,
    column_letters,
    excel_row,
    numbered_sheet,
    style_formats,
    text_element,
)
from pipeline.sheet.chart import insert_charts, with_own_labels
from pipeline.sheet.chunks import Chunks
from pipeline.sheet.layout import Layout
from pipeline.sheet.page import (
    TOTAL,
    datetime_style,
    filter_and_total,
    is_right,
    set_columns,
    set_up_page,
)
from pipeline.sheet.parts import SheetPart
from pipeline.sheet.table import REJECTS, SHEET, Table
from pipeline.sheet.zip_file import MOST_BYTES, Entry, Zip, deflated, plain_entry

HEADER: dict[str, Any] = {"bold": True, "bottom": 1}
RIGHT = {"align": "right", "indent": 2}  # beside the button of the filter
LOOKS = {
    HEADER_STYLE: HEADER,
    RIGHT_HEADER_STYLE: HEADER | RIGHT,
    CENTER_HEADER_STYLE: HEADER | {"align": "center"},
}
STYLES = "xl/styles.xml"
PIECE_BYTES = 1 << 20
CREATED = dt.datetime(1980, 1, 1)  # the date of each zip entry, as XlsxWriter has it


class WorkbookTooLarge(ValueError):
    """The workbook would have more than MOST_BYTES."""


@dataclass(frozen=True)
class _Sheet:
    """
    Attributes:
        has_total: whether its last row is the table's total.
        source: the table's bodies.
    """

    name: str
    table: Table
    parts: list[SheetPart]
    has_total: bool
    source: Chunks

    @property
    def is_first(self) -> bool:
        """Whether the table begins here."""
        return not self.parts or self.parts[0].position == 0

    @property
    def last_row(self) -> int:
        """One-based."""
        headers = len(self.table.header)
        if not self.parts:
            return headers
        return excel_row(self.parts[-1].position, headers) + self.parts[-1].rows - 1


class Workbook:
    """A workbook of tables, one after another, whose size is known before their bodies are taken.

    Args:
        name: of the workbook, for error messages.
        formats: Excel's number formats by the names of columns, as the rows were rendered with.
        layout: of all sheets.

    Attributes:
        sheet_names: of all sheets, in order.
        size: in bytes.

    Raises:
        ValueError: parts that do not follow one another from row 0.
        InvalidCell: a header that a cell cannot hold.
        WorkbookTooLarge: see there.
    """

    def __init__(
        self,
        name: str,
        tables: Sequence[Table],
        formats: Mapping[str, str],
        layout: Layout | None = None,
    ) -> None:
        self.name = name
        self._sheets = list(_sheets(name, tables))
        self.sheet_names = [sheet.name for sheet in self._sheets]
        self._zip = Zip([*_entries(self._sheets, formats, layout or Layout())])
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


def _sheets(workbook: str, tables: Sequence[Table]) -> Iterator[_Sheet]:
    taken = {table.name.lower() for table in tables}
    for table in tables:
        where = workbook if table.name == SHEET else f"{workbook} {table.name}"
        for texts in table.header:
            check_header(texts, where)
        by_sheet, source = _parts_by_sheet(table), Chunks(table.bodies)
        names = _names(table.name, len(by_sheet), taken)
        for number, (name, parts) in enumerate(zip(names, by_sheet, strict=True), 1):
            has_total = bool(table.total) and number == len(by_sheet)
            yield _Sheet(name, table, parts, has_total, source)


def _names(name: str, sheets: int, taken: set[str]) -> list[str]:
    """Of a table's sheets; a name that is taken gets the next free number."""
    numbered = (numbered_sheet(name, number) for number in count(2))
    more = list(islice((each for each in numbered if each.lower() not in taken), sheets - 1))
    taken.update(map(str.lower, more))
    return [name, *more]


def _parts_by_sheet(table: Table) -> list[list[SheetPart]]:
    sheets: list[list[SheetPart]] = [[]]
    position, rows = 0, DATA_ROWS + 1 - len(table.header)
    for part in table.parts:
        if part.position != position:
            raise ValueError(f"parts must join: row {position} follows; found {part.position}")
        if position == rows * len(sheets):
            sheets.append([])
        sheets[-1].append(part)
        position += part.rows
    return sheets


def _entries(sheets: list[_Sheet], formats: Mapping[str, str], layout: Layout) -> Iterator[Entry]:
    with zipfile.ZipFile(_template(sheets, formats, layout)) as template:
        files = {name: template.read(name) for name in template.namelist()}
    files[STYLES] = _with_own_styles(files[STYLES], [sheet.table for sheet in sheets])
    in_order = iter(sheets)
    for name, xml in files.items():
        if name.startswith("xl/worksheets/sheet"):
            yield _sheet_entry(name, xml, next(in_order))
        else:
            yield plain_entry(name, with_own_labels(xml) if name.startswith("xl/charts/") else xml)


def _template(sheets: list[_Sheet], formats: Mapping[str, str], layout: Layout) -> BytesIO:
    """Everything but the rows, from XlsxWriter. Blank cells register the styles in order."""
    file = BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as workbook:
        workbook.set_properties({"created": CREATED})
        styles = [
            workbook.add_format({"num_format": number_format, **LOOKS.get(style, {})})
            for style, number_format in enumerate(style_formats(formats))
        ][HEADER_STYLE:]
        total = workbook.add_format(TOTAL)
        for sheet in sheets:
            worksheet = workbook.add_worksheet(sheet.name)
            for row, style in enumerate(styles):
                worksheet.write_blank(row, 0, None, style)
            table, rows = sheet.table, sheet.last_row - sheet.has_total
            shown = replace(layout, hidden=[]) if table.name == REJECTS else layout
            set_up_page(worksheet, table, shown)
            set_columns(worksheet, table, shown)
            filter_and_total(worksheet, table, rows, total if sheet.has_total else None)
            for _, over in table.over:
                if len(over) > 1:
                    worksheet.merge_range(0, over[0], 0, over[-1], "")  # which writes no cell
            if sheet.is_first:
                rows -= len(table.header)
                insert_charts(workbook, worksheet, table, rows, shown.hidden)
    return file


def _with_own_styles(xml: bytes, tables: Sequence[Table]) -> bytes:
    """The styles, and behind them one for each column that may hold datetimes."""
    before, styles, after = re.split(b"(<cellXfs .*?</cellXfs>)", xml)
    known = re.findall(rb"<xf [^>]*/>|<xf .*?</xf>", styles)
    own = {
        table.own_styles + index: known[datetime_style(table, index)]
        for table in tables
        for index in range(table.next_style - table.own_styles)
    }
    known += [own[number] for number in sorted(own)]
    all_styles = b'<cellXfs count="%d">%b</cellXfs>' % (len(known), b"".join(known))
    return before + all_styles + after


def _sheet_entry(name: str, template: bytes, sheet: _Sheet) -> Entry:
    before, _, after = re.split("<sheetData>(.*)</sheetData>", template.decode())
    before = re.sub('(?<=<dimension ref=")[^"]*', _dimension(sheet), before)
    start_xml = f"{before}<sheetData>{_header_rows(sheet.table)}".encode()
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


def _header_rows(table: Table) -> str:
    """The headers, each aligned as its column; what stands over several of them, in the middle."""
    columns = range(len(table.columns))
    aligned = [RIGHT_HEADER_STYLE if is_right(table, n) else HEADER_STYLE for n in columns]
    rows = [_header_row(len(table.header), table.header[-1], aligned)]
    if table.over:
        over = {at[0]: text for text, at in table.over}
        texts = [over.get(index) or None for index in columns]
        rows.insert(0, _header_row(1, texts, [CENTER_HEADER_STYLE] * len(columns)))
    return "".join(rows)


def _header_row(number: int, texts: Sequence[str | None], styles: Sequence[int]) -> str:
    cells = (
        f'<c r="{column_letters(index)}{number}" s="{style}"'
        + ("/>" if text is None else f' t="inlineStr"><is>{text_element(text)}</is></c>')
        for index, (text, style) in enumerate(zip(texts, styles, strict=True))
    )
    return f'<row r="{number}">{"".join(cells)}</row>'


def _check_length(sheet: _Sheet) -> None:
    """Once all sheets are written: their table's bodies have no byte more or less."""
    while sheet.source.read(PIECE_BYTES):
        pass
    told = sum(part.deflated_bytes for part in sheet.table.parts)
    if sheet.source.size != told:
        raise ValueError(f"bodies must have {told} bytes, as parts say; found {sheet.source.size}")

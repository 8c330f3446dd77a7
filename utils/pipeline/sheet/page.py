"""How a sheet looks, on the screen and on paper."""

from typing import Any

from pipeline.excel import COLUMN_WIDTH, DATE_STYLE, DATETIME_STYLE, STYLE_FORMATS
from pipeline.sheet.layout import Layout
from pipeline.sheet.parts import DATE, OTHER, TIME
from pipeline.sheet.table import Table
from pipeline.sheet.widths import DIGIT_PIXELS, date_text, text_pixels

TOTAL = {"bold": True, "top": 1}
FILTER_PIXELS = 18  # the button in a header
A4 = 9
MARGIN_INCHES = {"left": 0.5, "right": 0.5, "top": 0.75, "bottom": 0.75}
# What fits on the page with its header: the default columns and rows beside a table.
PAGE_COLUMNS, PAGE_ROWS = 15, 30
COLUMN_PIXELS, ROW_PIXELS = 64, 20


def set_up_page(worksheet: Any, table: Table, layout: Layout) -> None:
    worksheet.set_landscape()
    worksheet.set_paper(A4)
    worksheet.set_margins(**MARGIN_INCHES)
    worksheet.fit_to_pages(1, 0)
    worksheet.repeat_rows(0, len(table.header) - 1)
    worksheet.set_footer("&L&A&R&P / &N")
    if layout.title:
        worksheet.set_header("&C" + layout.title.replace("&", "&&"))


def set_columns(worksheet: Any, table: Table, layout: Layout) -> None:
    """Their widths, which of them are hidden, and which stay in view with the header."""
    columns = list(table.columns)
    for index, name in enumerate(columns):
        options = {"hidden": name in layout.hidden}
        if name in layout.widths:
            worksheet.set_column(index, index, layout.widths[name], None, options)
        else:
            worksheet.set_column_pixels(index, index, _pixels(table, index), None, options)
    frozen = columns.index(layout.freeze) + 1 if layout.freeze in columns else 0
    worksheet.freeze_panes(len(table.header), frozen)


def _pixels(table: Table, index: int) -> int:
    name = table.columns[index]
    pixels = [text_pixels(table.header[-1][index], bold=True) + FILTER_PIXELS]
    texts = [table.widest[index]]
    if table.holds[index] & (DATE | TIME):
        own_format = STYLE_FORMATS[datetime_style(table, index)]
        texts.append(date_text(table.formats.get(name, own_format)))
    pixels += [text_pixels(text, bold=bool(table.total)) for text in texts]
    return min(max(pixels), COLUMN_WIDTH * DIGIT_PIXELS)


def datetime_style(table: Table, index: int) -> int:
    """The style of a column's datetimes, which are shown as dates where none of them has a time."""
    return DATETIME_STYLE if table.holds[index] & TIME else DATE_STYLE


def is_right(table: Table, index: int) -> bool:
    """Whether cells stand at the right of a column, as numbers and dates do."""
    return 0 < table.holds[index] < OTHER


def filter_and_total(worksheet: Any, table: Table, rows: int, total: Any) -> None:
    """
    Args:
        rows: of the sheet, without the total.
        total: the format of the row behind them; None without one.
    """
    last = len(table.columns) - 1
    if table.columns:
        worksheet.autofilter(len(table.header) - 1, 0, rows - 1, last)
    if total:
        always = {"type": "formula", "criteria": "=TRUE", "format": total}
        worksheet.conditional_format(rows, 0, rows, last, always)


def print_areas(worksheet: Any, *areas: tuple[int, int, int, int]) -> None:
    """Print each on pages of its own.

    Args:
        areas: row and column, counted from 0, of the first cell and of the last one.
    """
    ranges = []
    for area in areas:
        worksheet.print_area(*area)
        ranges.append(worksheet.print_area_range)
    worksheet.print_area_range = ",".join(ranges)

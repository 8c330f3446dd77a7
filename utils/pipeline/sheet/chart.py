"""Native Excel charts beside a table's rows."""

import datetime as dt
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

from pipeline.excel import (
    DURATION_STYLE,
    LEAP_DAY,
    SHEET_COLUMNS,
    STYLE_FORMATS,
    integer_text,
    is_long,
    shortened,
    utf16_units,
)
from pipeline.sheet.page import (
    COLUMN_PIXELS,
    PAGE_COLUMNS,
    PAGE_ROWS,
    ROW_PIXELS,
    datetime_style,
    print_areas,
)
from pipeline.sheet.table import CHART_ROWS, Table

CACHED_CHARACTERS = 255  # of a text
OWN_LABELS = "=own"  # in place of the cells of labels
_OWN_LABELS = re.compile(
    rb"<c:strRef><c:f>own</c:f><c:strCache>(.*?)</c:strCache></c:strRef>", re.DOTALL
)
# Of each kind, how many rows can be told apart.
MOST = {"column": 60, "line": CHART_ROWS, "bar": 30, "pie": 30}
MOST_SERIES = 60  # values across whose colors one may look up
WIDE = ("column", "line")  # whose rows stand side by side
FEW = 20  # rows of a chart that takes a quarter of a page; others take all of it
READABLE = 60  # labels side by side
GAP = 10  # between charts, pixels
SMALL = {"size": 8}
DAY = dt.timedelta(1)
DAY_0 = dt.datetime(1899, 12, 30)  # of Excel's days from 1900-03-01 on


def insert_charts(
    workbook: Any, worksheet: Any, table: Table, rows: int, hidden: Sequence[str]
) -> None:
    """Draw the first rows' numbers beside them: each column by itself, for counts, sums and means
    have no scale in common. A pie has the first column alone. Each chart is on one page of paper.

    XlsxWriter has no rows here: it is given what a chart shows until Excel has read them.

    Args:
        rows: of the sheet, without the total.
        hidden: columns without a chart.
    """
    column = len(table.columns) + 1
    if not (table.chart and rows and table.columns) or column + PAGE_COLUMNS > SHEET_COLUMNS:
        return
    shown = min(rows, MOST[table.chart])
    values = [list(column) for column in zip(*table.first_rows[:shown], strict=True)]
    drawn = [
        numbers
        for columns in _drawn(table)
        if (numbers := [index for index in columns if _are_numbers(values[index])])
        and table.columns[numbers[0]] not in hidden
    ]
    drawn = drawn[:1] if table.chart == "pie" else drawn
    across = 2 if shown <= FEW else 1  # and as many down a page
    width, height = PAGE_COLUMNS * COLUMN_PIXELS // across, PAGE_ROWS * ROW_PIXELS // across
    for place, columns in enumerate(drawn):
        chart = _chart(workbook, worksheet.name, table, values, columns)
        chart.set_size({"width": width - GAP, "height": height - GAP})
        down, right = divmod(place, across)
        offset = {"x_offset": right * width, "y_offset": down * height + GAP // 2}
        worksheet.insert_chart(1, column, chart, offset)
    pages = [1 + page * PAGE_ROWS for page in range(-(-len(drawn) // across**2))]
    print_areas(
        worksheet,
        (0, 0, len(table.header) - 1 + rows + bool(table.total), column - 2),
        *((top, column, top + PAGE_ROWS - 1, column + PAGE_COLUMNS - 1) for top in pages),
    )


def _drawn(table: Table) -> Iterator[Sequence[int]]:
    """The columns of each chart: one; in a cross table one of each value across, but not the total."""
    across = table.across
    if across is None:
        yield from ([index] for index in range(table.keys, len(table.columns)))
    elif len(across.values) <= MOST_SERIES:
        stop = len(table.columns) - across.columns * bool(table.total)
        for first in range(table.keys, table.keys + across.columns):
            yield range(first, stop, across.columns)


def _chart(
    workbook: Any, sheet: str, table: Table, values: list[list[Any]], columns: Sequence[int]
) -> Any:
    """Of the first values of all columns, of which the chart shows some."""
    kind, shown, is_cross = table.chart, len(values[0]), table.across is not None
    numbers = {index: list(map(_number, values[index])) for index in columns}
    stacked = {"subtype": "stacked"} if is_cross and kind != "line" else {}
    chart = workbook.add_chart({"type": kind, **stacked})
    chart.set_title({**_title(sheet, columns[0], shown, table), "name_font": {"size": 12}})
    has_legend = is_cross or kind == "pie"
    chart.set_legend({"position": "right", "font": SMALL} if has_legend else {"none": True})
    x, y = (_axis(table, n, values[n]) for n in (0, columns[0]))
    x |= {"label_position": "low", "interval_unit": -(-shown // READABLE)}  # below what is negative
    x["num_font"] = SMALL | ({"rotation": -90} if kind in WIDE and shown > FEW else {})
    y["major_gridlines"] = {"visible": True, "line": {"color": "#D9D9D9"}}
    if min(filter(None, chain(*numbers.values())), default=0) >= 0:
        y["min"] = 0  # Excel lets bars begin elsewhere
    if kind == "bar":  # its y axis has the keys, the first of them at the bottom
        x, y = y, x | {"reverse": True}
    chart.set_x_axis(x)
    chart.set_y_axis(y)
    first, last = len(table.header), len(table.header) + shown - 1
    categories = _categories(sheet, values[: table.keys], first)
    for index, data in numbers.items():
        header = index - (index - table.keys) % table.across.columns if table.across else index
        series = {
            "name": [sheet, 0, header],
            "name_data": [_cached(table.header[0][header])],
            "values": [sheet, first, index, last, index],
            "values_data": data,
        }
        chart.add_series(series | categories)
    return chart


def _title(sheet: str, index: int, shown: int, table: Table) -> dict[str, Any]:
    """The column's name; where a chart cannot show all rows, it says so."""
    name, rows = _cached(table.columns[index]), table.rows - bool(table.total)
    if shown < rows:
        return {"name": f"{name} (the first {shown} of {rows:,})"}
    return {"name": name} if table.across else {"name": [sheet, 0, index], "data": [name]}


def with_own_labels(xml: bytes) -> bytes:
    """A chart's XML, in which labels that are too long for it are its own and refer to no cells.

    Readers take labels from the cells that they refer to, and LibreOffice lays all of them out.
    """
    return _OWN_LABELS.sub(rb"<c:strLit>\1</c:strLit>", xml)


def _categories(sheet: str, keys: list[list[Any]], first: int) -> dict[str, Any]:
    """The labels of a chart's rows, from the first one on: the cells of their keys."""
    if not keys:
        return {}
    texts = (value for value in chain(*keys) if isinstance(value, str))
    if any(utf16_units(text) > CACHED_CHARACTERS for text in texts):
        return {"categories": OWN_LABELS, "categories_data": list(map(_label, zip(*keys)))}
    cached = [list(map(_cached, column)) for column in keys]
    return {
        "categories": [sheet, first, 0, first + len(keys[0]) - 1, len(keys) - 1],
        "categories_data": cached if len(cached) > 1 else cached[0],
    }


def _label(keys: Iterable[Any]) -> "_Text":
    joined = " ".join(str(key) for key in keys if key is not None)
    return _Text(shortened(joined, CACHED_CHARACTERS))


def _are_numbers(values: Iterable[Any]) -> bool:
    kinds = {type(value) for value in values if value is not None}
    return bool(kinds - {Decimal}) and kinds <= {int, float, Decimal}


def _axis(table: Table, index: int, values: list[Any]) -> dict[str, Any]:
    """With the number format of the column's cells, of which the first tells the kind."""
    kinds = {dt.timedelta: DURATION_STYLE, dt.date: datetime_style(table, index)}
    styles = (style for kind, style in kinds.items() if isinstance(values[0], kind))
    default = STYLE_FORMATS[next(styles, 0)]
    return {"num_format": table.formats.get(table.columns[index], default)}


def _number(value: Any) -> Any:
    """What a chart draws of a cell: one of more than 15 digits is a text."""
    cached = _cached(value)
    return None if isinstance(cached, str) else cached


def _cached(value: Any) -> Any:
    """A cell's value as a chart caches it: a date is a number of days."""
    match value:
        case bool():
            return _Text(str(value).upper())
        case int() if is_long(value):
            return _Text(integer_text(value))
        case Decimal():
            return _Text(value)
        case str():
            return _Text(shortened(value, CACHED_CHARACTERS))
        case dt.date():
            days = (dt.datetime(*value.timetuple()[:6]) - DAY_0) / DAY
            return days - (days < LEAP_DAY + 1)
        case dt.timedelta():
            return value / DAY
        case float() if not math.isfinite(value):
            return None
    return value


class _Text(str):
    """One that XlsxWriter does not take for a number, "000" for example."""

    def __float__(self) -> float:
        raise ValueError

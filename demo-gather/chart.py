"""Native Excel charts beside a table's rows."""

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from excel import (
    DATE_STYLE,
    DATETIME_STYLE,
    DURATION_STYLE,
    LEAP_DAY,
    STYLE_FORMATS,
    integer_text,
    is_long,
    shortened,
    utf16_units,
)
from table import Table

CACHED_CHARACTERS = 255  # of a text
OWN_LABELS = "=own"  # in place of the cells of labels
_OWN_LABELS = re.compile(
    rb"<c:strRef><c:f>own</c:f><c:strCache>(.*?)</c:strCache></c:strRef>", re.DOTALL
)
SIZE = {"width": 320, "height": 240}
DAY = dt.timedelta(1)
DAY_0 = dt.datetime(1899, 12, 30)  # of Excel's days from 1900-03-01 on


def insert_charts(workbook: Any, worksheet: Any, table: Table, formats: Mapping[str, str]) -> None:
    """Draw the first rows' numbers beside them: each column by itself, for counts, sums and means
    have no scale in common. A pie has the first column alone.

    XlsxWriter has no rows here: it is given what a chart shows until Excel has read them.
    """
    sheet, last = worksheet.name, len(table.first_rows)
    values = [list(column) for column in zip(*table.first_rows, strict=True)]
    cached = [list(map(_cached, column)) for column in values]
    names = list(map(_cached, table.columns))
    numbers = [n for n in range(table.keys, len(values)) if _are_numbers(values[n])]
    for index in numbers:  # one of more than 15 digits is a text in its cell
        cached[index] = [None if isinstance(value, str) else value for value in cached[index]]
    for place, index in enumerate(numbers[:1] if table.chart == "pie" else numbers):
        chart = workbook.add_chart({"type": table.chart})
        chart.set_title({"name": [sheet, 0, index], "data": [names[index]]})
        chart.set_legend({"none": table.chart != "pie"})
        chart.set_size(SIZE)
        x, y = (_axis(table.columns[n], values[n], formats) for n in (0, index))
        x["label_position"] = "low"  # below what is negative
        y["major_gridlines"] = {"visible": True, "line": {"color": "#D9D9D9"}}
        if min(filter(None, cached[index]), default=0) >= 0:
            y["min"] = 0  # Excel lets bars begin elsewhere
        if table.chart == "bar":  # its y axis has the keys, the first of them at the bottom
            x, y = y, x | {"reverse": True}
        chart.set_x_axis(x)
        chart.set_y_axis(y)
        series: dict[str, Any] = {
            "name": [sheet, 0, index],
            "name_data": [names[index]],
            "values": [sheet, 1, index, last, index],
            "values_data": cached[index],
        }
        if has_long_label(values[: table.keys]):
            series["categories"] = OWN_LABELS
            series["categories_data"] = list(map(_label, zip(*values[: table.keys])))
        elif table.keys:
            series["categories"] = [sheet, 1, 0, last, table.keys - 1]
            series["categories_data"] = cached[: table.keys] if table.keys > 1 else cached[0]
        chart.add_series(series)
        beside = {"x_offset": place * (SIZE["width"] + 10)}
        worksheet.insert_chart(1, len(table.columns) + 1, chart, beside)


def with_own_labels(xml: bytes) -> bytes:
    """A chart's XML, in which labels that are too long for it are its own and refer to no cells.

    Readers take labels from the cells that they refer to, and LibreOffice lays all of them out.
    """
    return _OWN_LABELS.sub(rb"<c:strLit>\1</c:strLit>", xml)


def has_long_label(columns: Iterable[Iterable[Any]]) -> bool:
    texts = (value for column in columns for value in column if isinstance(value, str))
    return any(utf16_units(text) > CACHED_CHARACTERS for text in texts)


def _label(keys: Iterable[Any]) -> "_Text":
    joined = " ".join(str(key) for key in keys if key is not None)
    return _Text(shortened(joined, CACHED_CHARACTERS))


def _are_numbers(values: Iterable[Any]) -> bool:
    kinds = {type(value) for value in values if value is not None}
    return bool(kinds - {Decimal}) and kinds <= {int, float, Decimal}


def _axis(name: str, values: list[Any], formats: Mapping[str, str]) -> dict[str, Any]:
    """With the number format of a column's first cell."""
    kinds = {dt.timedelta: DURATION_STYLE, dt.datetime: DATETIME_STYLE, dt.date: DATE_STYLE}
    styles = (style for kind, style in kinds.items() if isinstance(values[0], kind))
    return {"num_format": formats.get(name, STYLE_FORMATS[next(styles, 0)])}


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

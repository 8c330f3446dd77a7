"""Cells as worksheet XML, for the values of one type together.

Of each cell what follows its row number, `"><v>58</v></c>`; b"" where there is none.
"""

import datetime as dt
import json
import math
from collections.abc import Callable
from decimal import Decimal
from functools import cache, partial
from types import NoneType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.excel import (
    CELL_CHARACTERS,
    EXACT_INTEGER,
    FIRST_DAY,
    LAST_DAY,
    LEAP_DAY,
    InvalidCell,
    integer_text,
    is_number,
    text_element,
)

Cells = list[bytes]
# Takes values and what begins a number's cell, see `number_opening`.
Renderer = Callable[[list[Any], bytes], Cells]

_TEXT = b'" t="inlineStr"><is><t>', b"</t></is></c>"
_CONTROLS = bytes(code for code in range(1, 32) if code not in b"\t\n")
LAST_SECOND = LAST_DAY + 86_399 / 86_400  # a later moment is rounded to a day that Excel has not
LONGEST = dt.timedelta(microseconds=2**63 - 1)  # of NumPy


@cache
def base_of(kind: type) -> type:
    """The type in RENDERERS or ARRAYS that a kind is of.

    Raises:
        InvalidCell: there is none.
    """
    for base in kind.__mro__:
        if base in RENDERERS or base in ARRAYS:
            return base
    found = kind.__qualname__
    rule = "a cell holds text (.astype(str) makes it), a number, a bool, a date or JSON"
    raise InvalidCell(f"{rule}; found {found}")


@cache
def number_opening(style: int | None) -> bytes:
    """What begins the cell of a number of a style; None for a cell without one."""
    return b'"><v>' if style is None else b'" s="%d"><v>' % style


def short_integers(values: list[int], opening: bytes) -> Cells:
    """Integers of up to 15 digits."""
    pattern = opening + b"%d</v></c>"
    return [pattern % value for value in values]


def integers(values: list[int], opening: bytes) -> Cells:
    pattern = opening + b"%d</v></c>"
    return [
        pattern % value
        if -EXACT_INTEGER <= value <= EXACT_INTEGER
        else _text(integer_text(int(value)))
        for value in values
    ]


def floats(values: list[float], opening: bytes) -> Cells:
    """None of them NaN."""
    pattern = opening + b"%.16G</v></c>"
    if math.isfinite(math.sumprod(values, values)):  # then each is far from the greatest float
        return [pattern % value for value in values]
    return [_large(value, opening) for value in values]


def _large(value: float, opening: bytes) -> bytes:
    """One that may be infinite, or may be rounded to what readers take for infinity."""
    if math.isinf(value):
        return _text(str(value))
    number = b"%.16G" % value
    return opening + (b"%.17G" % value if math.isinf(float(number)) else number) + b"</v></c>"


def _texts(values: list[str]) -> Cells:
    if not all(values):
        cells = iter(_texts(list(filter(None, values))))
        return [next(cells) if value else b"" for value in values]
    xml = _plain(values)
    if xml is None:
        return [_text(value) for value in values]
    xml = xml.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")
    opening, closing = _TEXT
    return (opening + xml.replace(b"\0", closing + b"\0" + opening) + closing).split(b"\0")


def _plain(values: list[str]) -> bytes | None:
    """The texts with NUL between them, if only & < > need escaping; None may also mean that only a
    closer look can tell.
    """
    joined = "\0".join(values)
    if (
        list(map(str.strip, values)) != values
        or (len(joined) > CELL_CHARACTERS // 2 and max(map(len, values)) > CELL_CHARACTERS // 2)
        or joined.count("\0") != len(values) - 1
        or any(suspect in joined for suspect in ("_x", "\ufffe", "\uffff"))
    ):
        return None
    try:
        encoded = joined.encode()
    except UnicodeEncodeError:
        return None
    return encoded if len(encoded.translate(None, _CONTROLS)) == len(encoded) else None


def _text(value: str) -> bytes:
    return f'" t="inlineStr"><is>{text_element(value)}</is></c>'.encode()


def _json(value: Any) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InvalidCell(f"a dict or a list is written as JSON; found {error}") from None
    return _text(text)


def skip_missing(values: NDArray[Any], render: Callable[[NDArray[Any]], Cells]) -> Cells:
    """The cells of the others, between b"" for each NaN and NaT."""
    missing = np.isnan(values)
    if not missing.any():
        return render(values)
    if missing.all():
        return [b""] * len(values)
    cells = iter(render(values[~missing]))
    return [b"" if is_missing else next(cells) for is_missing in missing.tolist()]


def _decimals(values: list[Decimal]) -> NDArray[Any]:
    """Floats, where those say as much, and texts."""
    plain = [float(value) if is_number(value) else str(value) for value in values]
    return np.array(plain, object)


def _datetimes(values: list[dt.datetime]) -> NDArray[Any]:
    zoned = next((value for value in values if value.tzinfo), None)
    if zoned is not None:
        raise InvalidCell(f"Excel has no time zones; found {zoned}")
    return np.array(values, "M8[us]")


def _durations(values: list[dt.timedelta]) -> NDArray[Any]:
    longest = max(values, key=abs)
    if abs(longest) > LONGEST:
        raise InvalidCell(f"a duration has at most {LONGEST.days} days; found {longest}")
    return np.array(values, "m8[us]")


def date_serials(values: NDArray[Any]) -> NDArray[Any]:
    """Days of Excel's 1900 date system, which takes 1900 for a leap year, as XlsxWriter writes dates."""
    days = values.astype("M8[D]")
    serials = (days - np.datetime64("1899-12-31")).astype(np.int64)
    serials = np.where(serials > LEAP_DAY - 1, serials + 1, serials)
    if serials.min() < FIRST_DAY:
        raise InvalidCell(f"the first date is 1900-01-01; found {values.min()}")
    if serials.max() > LAST_DAY:
        raise InvalidCell(f"the last date is 9999-12-31; found {values.max()}")
    moments: NDArray[Any] = np.minimum(_with_fraction(serials, values - days), LAST_SECOND)
    return moments


def duration_serials(values: NDArray[Any]) -> NDArray[Any]:
    """Days."""
    day = np.timedelta64(1, "D")
    return _with_fraction(values // day, values % day)


def _with_fraction(days: NDArray[Any], rest: NDArray[Any]) -> NDArray[Any]:
    micros = rest.astype("m8[us]").astype(np.int64)
    return days + (micros // 1_000_000 + micros % 1_000_000 / 1e6) / 86_400


INTEGERS = (int, np.integer)
MISSING = (NoneType, type(pd.NA), type(pd.NaT))

# What makes an array of values, which a column renders as one of its own.
ARRAYS: dict[type, Callable[[list[Any]], NDArray[Any]]] = {
    **dict.fromkeys((float, np.floating), partial(np.array, dtype=float)),
    Decimal: _decimals,
    dt.datetime: _datetimes,
    dt.date: partial(np.array, dtype="M8[D]"),
    np.datetime64: partial(np.array, dtype="M8[us]"),
    dt.timedelta: _durations,
    np.timedelta64: partial(np.array, dtype="m8[us]"),
}
RENDERERS: dict[type, Renderer] = {
    **dict.fromkeys(MISSING, lambda values, _: [b""] * len(values)),
    **dict.fromkeys(
        (bool, np.bool),
        lambda values, _: [b'" t="b"><v>%d</v></c>' % bool(value) for value in values],
    ),
    **dict.fromkeys((dict, list), lambda values, _: list(map(_json, values))),
    str: lambda values, _: _texts(values),
    **dict.fromkeys(INTEGERS, integers),
}
REPEATING = {str, int, bool}  # of these, each distinct value is rendered once

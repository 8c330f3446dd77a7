"""What cells show, which tells how wide their columns are."""

import datetime as dt
import re
from collections.abc import Mapping
from numbers import Real
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.excel import COLUMN_WIDTH, EXACT_INTEGER, integer_text, is_long
from pipeline.sheet.widths import widest_of

WIDTH_ROWS = 200
NO_FORMATS: Mapping[str, str] = MappingProxyType({})


def first_rows(df: pd.DataFrame, position: int) -> pd.DataFrame:
    """Those of the first WIDTH_ROWS of a whole table, in which the frame begins at a position."""
    return df.head(max(0, WIDTH_ROWS - position))


def widest_texts(df: pd.DataFrame, formats: Mapping[str, str] = NO_FORMATS) -> list[str]:
    """The widest line of each column."""
    return [
        _widest(df.iloc[:, index].dropna().tolist(), formats.get(str(name), ""))
        for index, name in enumerate(df.columns)
    ]


def _widest(values: list[Any], number_format: str) -> str:
    texts = [_shown(value, number_format) for value in values]
    lines = [line[:COLUMN_WIDTH] for text in texts for line in text.splitlines()]
    return widest_of(lines)


def _shown(value: Any, number_format: str) -> str:
    if (
        number_format
        and isinstance(value, Real)
        and not (isinstance(value, bool) or is_long(value))
    ):
        return _formatted(value, number_format)
    if type(value) is int:
        return integer_text(value)
    if isinstance(value, dt.datetime):
        return str(value).removesuffix(" 00:00:00")
    return f"{value:.16G}" if isinstance(value, float) else str(value)


def _formatted(number: Real, number_format: str) -> str:
    """About as wide as Excel shows the number: its separators, decimals and the texts around it."""
    positive = number_format.partition(";")[0]
    value = float(number) * 100 ** positive.count("%")
    decimals = len(re.split("[^0#?]", positive.partition(".")[2])[0])
    around = re.sub(r'\[[^]]*\]|[0#?,."\\_*]', "", positive)
    return f"{value:{',' if ',' in positive else ''}.{decimals}f}{around}"


def widest_number(values: NDArray[Any], number_format: str) -> str:
    """The widest of all numbers of a column, without what stands behind its point and no format asks
    for: a number that is too wide for its column is shown as ####.
    """
    if values.dtype.kind == "O":
        numbers = [each for each in values.tolist() if type(each) in (int, float)]
        values = np.array([each for each in numbers if not is_long(each)], float)
    values = values[(values >= -EXACT_INTEGER) & (values <= EXACT_INTEGER)]
    ends = [values.min(), values.max()] if len(values) else []
    return widest_of(_formatted(each, number_format or "0") for each in ends)

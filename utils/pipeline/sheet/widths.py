"""How wide cells are in a workbook's font, Calibri 11: the same on every machine."""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from numbers import Real
from types import MappingProxyType
from typing import Any
from unicodedata import combining, east_asian_width, normalize

import numpy as np
import pandas as pd

from pipeline.excel import COLUMN_WIDTH, duration_text, float_text, integer_text, is_long

WIDTH_ROWS = 200  # whose texts tell how wide columns are
NO_FORMATS: Mapping[str, str] = MappingProxyType({})

EM = 2048
PIXELS = 11 * 96 / 72  # of an em
DIGIT_PIXELS = 7  # of what Excel calls the width of a column
MARGIN = 7  # around a text, pixels

# The advances of the characters from the space to ~, in parts of an em.
_REGULAR = """
    463  667  821 1020 1038 1464 1397  452  621  621 1020 1020  511  627  517  791
    1038 1038 1038 1038 1038 1038 1038 1038 1038 1038  548  548 1020 1020 1020  949
    1831 1185 1114 1092 1260 1000  941 1292 1276  516  653 1064  861 1751 1322 1356
    1058 1378 1112  941  998 1314 1162 1822 1063  998  959  628  791  628 1020 1020
    596  981 1076  866 1076 1019  625  964 1076  470  490  931  470 1636 1076 1080
    1076 1076  714  801  686 1076  925 1464  887  927  809  644  943  644 1020
"""
_BOLD = """
    463  667  898 1020 1038 1493 1443  478  638  638 1020 1020  528  627  547  880
    1038 1038 1038 1038 1038 1038 1038 1038 1038 1038  565  565 1020 1020 1020  949
    1840 1241 1148 1084 1291  999  940 1305 1292  546  678 1120  866 1790 1349 1385
    1090 1405 1153  968 1014 1337 1211 1856 1128 1064  979  665  880  665 1020 1020
    615 1011 1099  857 1099 1031  648  971 1099  503  523  983  503 1666 1099 1101
    1099 1099  728  817  710 1099  969 1526  941  970  814  704  973  704 1020
"""
_OTHERS = 1200  # about a Cyrillic letter
# Of a date's number format: texts; names of days and months; years and short names; other numbers.
_DATE_TOKEN = re.compile(
    r""""([^"]*)"|\\(.)|[*_].|\[\$[^]]*\]|[][]|(m{4}|[da]{4})|([ybg]+|m{3}|[da]{3})|(am/pm|[a-z]+)""",
    re.IGNORECASE,
)


class _Advances(dict[str, int]):
    """The advances of characters; a letter with an accent has that of the letter, kanji have an em,
    narrow kana half of one.
    """

    def __init__(self, table: str) -> None:
        super().__init__(zip(map(chr, range(ord(" "), 127)), map(int, table.split())))

    def __missing__(self, character: str) -> int:
        base = normalize("NFD", character)[0]
        by_kind = {"W": EM, "F": EM, "H": EM // 2}.get(east_asian_width(base), _OTHERS)
        advance = 0 if combining(character) else self.get(base, by_kind)
        return self.setdefault(character, advance)


_ADVANCES = [_Advances(_REGULAR), _Advances(_BOLD)]


def text_pixels(text: str, *, bold: bool = False) -> int:
    """The width of a line with the margin around it; 0 for no text."""
    return ceil(PIXELS / EM * sum(map(_ADVANCES[bold].__getitem__, text))) + MARGIN if text else 0


def widest(texts: Iterable[Sequence[str]]) -> list[str]:
    """For each column the widest of the widest texts of blocks of rows."""
    return [widest_of(column) for column in zip(*texts, strict=True)]


def widest_of(texts: Iterable[str]) -> str:
    """The widest of some lines; "" of none."""
    return max(texts, key=text_pixels, default="")


def date_text(number_format: str) -> str:
    """About as wide as what a number format shows of a date, a time or a duration."""
    texts = {3: "Wednesday", 4: "0000", 5: "00"}
    return _DATE_TOKEN.sub(
        lambda token: texts.get(token.lastindex or 0) or token[1] or token[2] or "",
        number_format.partition(";")[0],
    )


def first_rows(df: pd.DataFrame, position: int) -> pd.DataFrame:
    """Those of the first WIDTH_ROWS of a whole table, in which the frame begins at a position."""
    return df.head(max(0, WIDTH_ROWS - position))


def widest_texts(df: pd.DataFrame, formats: Mapping[str, str] = NO_FORMATS) -> list[str]:
    """The widest line of each column."""
    return [
        _widest(column.dropna().tolist(), formats.get(str(name), "")) for name, column in df.items()
    ]


def _widest(values: list[Any], number_format: str) -> str:
    texts = [_shown(value, number_format) for value in values]
    lines = [line[:COLUMN_WIDTH] for text in texts for line in text.splitlines()]
    return widest_of(lines)


def _shown(value: Any, number_format: str) -> str:
    if (
        number_format
        and isinstance(value, Real)
        and not (isinstance(value, bool | np.timedelta64) or is_long(value))
    ):
        return formatted(value, number_format)
    if type(value) is int:
        return integer_text(value)
    if isinstance(value, dt.datetime):
        return str(value).removesuffix(" 00:00:00")
    if isinstance(value, dt.timedelta | np.timedelta64):
        return duration_text(pd.Timedelta(value))
    return float_text(value) if isinstance(value, float) else str(value)


def formatted(number: Any, number_format: str) -> str:
    """About as wide as Excel shows the number: its separators, decimals and the texts around it."""
    positive = number_format.partition(";")[0]
    value = float(number) * 100 ** positive.count("%")
    decimals = len(re.split("[^0#?]", positive.partition(".")[2])[0])
    around = re.sub(r'\[[^]]*\]|[0#?,."\\_*]', "", positive)
    return f"{value:{',' if ',' in positive else ''}.{decimals}f}{around}"

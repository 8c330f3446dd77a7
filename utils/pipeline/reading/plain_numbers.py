"""Plain numbers, the only texts of a CSV file that are read as numbers: -3, 0.5, no 007, 1e5 or +1."""

import re
from types import NoneType

import pandas as pd

type Number = int | float | None  # None: an empty cell

_INTEGER = r"-?(?:0|[1-9][0-9]{0,14})"
# At most 15 significant digits, which a float gives back, and within its range.
_DECIMAL = r"-?(?![0.]*[1-9](?:\.?[0-9]){15})(?:0|[1-9][0-9]*)\.[0-9]{1,300}"
_CELL = re.compile(rf"(?:{_INTEGER}|{_DECIMAL})?")
_LINES = re.compile(rf"(?:(?:{_INTEGER})?\n|{_DECIMAL}\n)*+")


def numbers_of(texts: list[str]) -> list[Number] | None:
    """The numbers of a column's cells; None if one of them is neither plain nor empty."""
    lines = "\n".join([*texts, ""])
    if not _LINES.fullmatch(lines) or lines.count("\n") != len(texts):
        return None
    if "." in lines or not all(texts):
        return list(map(_number, texts))
    return list(map(int, texts))


def read_cells(df: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """A segment of a CSV file, with the plain numbers of these columns as numbers, cell by cell.

    Other texts stay, so that one is one record's fault. Of JSON nothing changes: it says itself
    what is a number.
    """
    if df.attrs.get("format") != "csv":
        return df
    read = df.copy(deep=False)
    for name in names:
        if name in df.columns:
            read[name] = _read_column(df[name])
    return read


def _read_column(cells: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(cells):
        return cells
    # A column of numbers without one in this segment holds None.
    values = [_number(text) if _CELL.fullmatch(text or "") else text for text in cells]
    kinds = set(map(type, values))
    kind = object if str in kinds else float if kinds & {float, NoneType} else int
    return pd.Series(values, cells.index, kind)


def _number(text: str) -> Number:
    return None if not text else float(text) if "." in text else int(text)

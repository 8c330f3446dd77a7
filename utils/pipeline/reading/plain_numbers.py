"""Plain numbers, the only texts of a CSV file that are read as numbers: -3, 0.5, no 007, 1e5 or +1."""

import itertools
import re
from collections.abc import Iterable
from types import NoneType

import pandas as pd

from pipeline.endings import is_csv
from pipeline.errors.places import objects_of, origins_of
from pipeline.excel import has_long

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
    """A segment of CSV files, with the plain numbers of these columns as numbers, cell by cell.

    Other texts stay, so that one is one record's fault. JSON says itself what is a number: there,
    only a column without a value becomes one of floats.
    """
    there = [name for name in names if name in df.columns]
    if "format" not in df.attrs:
        return df.astype({name: float for name in there if _is_of_nulls(df[name])})
    read = df.copy(deep=False)
    for name in there:
        read[name] = _read_column(df[name], _texts_of_csv(df))
    return read


def _is_of_nulls(column: pd.Series) -> bool:
    return column.dtype == object and bool(column.isna().all())


def _texts_of_csv(df: pd.DataFrame) -> Iterable[bool]:
    """Of each row, whether its cells are texts of CSV."""
    if df.attrs["format"] == "csv":
        return itertools.repeat(True)
    start, stop = int(df.index[0]), int(df.index[-1]) + 1
    csv = {key: is_csv(key) for _, key in origins_of(df.attrs)}
    return map(csv.__getitem__, objects_of(df.attrs, start, stop))


def _read_column(cells: pd.Series, texts: Iterable[bool]) -> pd.Series:
    if pd.api.types.is_numeric_dtype(cells):
        return cells
    # A column of numbers without one in this segment holds None, as does one of other objects.
    values = [
        _number(cell) if text and type(cell) is str and _CELL.fullmatch(cell) else cell
        for cell, text in zip(cells.astype(object).where(cells.notna(), None), texts)
    ]
    kinds = set(map(type, values))
    if not kinds <= {int, float, NoneType} or has_long(values):
        return pd.Series(values, cells.index, object)
    return pd.Series(values, cells.index, float if kinds & {float, NoneType} else int)


def _number(text: str) -> Number:
    return None if not text else float(text) if "." in text else int(text)

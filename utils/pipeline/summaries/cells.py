"""Columns of cells as integers that sort as Excel sorts, so that NumPy groups and merges them."""

import datetime as dt
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from operator import lt
from types import NoneType
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.arrays import only_texts, plain_array
from pipeline.errors.wording import found
from pipeline.excel import EXACT_INTEGER

# Kinds of cells, in the order in which they sort. An integer of more than 15 digits, which a
# workbook writes as text, sorts by its digits: NEGATIVE before all numbers, POSITIVE after them.
NEGATIVE, NUMBER, POSITIVE, DAY, MOMENT, DURATION, TEXT, BOOLEAN = range(8)
MISSING = 127
DESCENDING = 100  # minus a kind: the same kind where cells sort the other way round
SPELLED = [kind for each in (NEGATIVE, POSITIVE, TEXT) for kind in (each, DESCENDING - each)]
_IS_SPELLED = np.isin(np.arange(MISSING + 1), SPELLED)  # by kind
DENSE = 4  # times as many integers as values may lie between them and take a place each
LENGTH_DIGITS = 6  # of the length of an integer, which is spelled before it
_NINES_COMPLEMENT = str.maketrans("0123456789", "9876543210")

Codes = NDArray[np.int64]


class NoCell(ValueError):
    """A value that does not sort: says what was found.

    Attributes:
        row: its place in the column, from 0.
    """

    def __init__(self, row: int, value: Any) -> None:
        super().__init__(found(value))
        self.row = row


@dataclass(frozen=True)
class Cells:
    """A column of cells. 1 and 1.0 are one value; True is another, and so is the text "1".

    Attributes:
        kinds: of each cell.
        values: of each cell, in the order of its kind: the bits of a number, days, microseconds,
            0 or 1; of a spelled kind, the place in texts.
        texts: distinct, by code point.
    """

    kinds: NDArray[np.uint8]
    values: Codes
    texts: list[str]

    @classmethod
    def of(cls, column: "pd.Series[Any]") -> Self:
        """
        Raises:
            NoCell: of a list, a time with a zone and the like.
        """
        array = plain_array(column)
        kinds = np.full(len(array), MISSING, np.uint8)
        values = np.zeros(len(array), np.int64)
        places, spelled = [], []
        for rows, kind, part in _parts(array):
            kinds[rows] = kind
            if isinstance(part, list):
                places.append(rows)
                spelled += part
            else:
                values[rows] = part
        texts: list[str] = []
        if spelled:
            values[np.concatenate(places)], texts = sorted_texts(spelled)
        return cls(kinds, values, texts)

    @classmethod
    def numbered(cls, codes: Codes) -> Self:
        """Cells that sort as the codes do."""
        return cls(np.full(len(codes), NUMBER, np.uint8), codes, [])

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def given(self) -> NDArray[np.bool_]:
        given: NDArray[np.bool_] = self.kinds != MISSING
        return given

    @property
    def spelled(self) -> NDArray[np.bool_]:
        return _IS_SPELLED[self.kinds]

    def take(self, rows: Any) -> "Cells":
        return Cells(self.kinds[rows], self.values[rows], self.texts)

    def compact(self) -> "Cells":
        """The same cells, with fewer texts that none of them has."""
        if len(self.texts) <= len(self):
            return self
        spelled = self.spelled
        used, places = np.unique(self.values[spelled], return_inverse=True)
        values = self.values.copy()
        values[spelled] = places
        return Cells(self.kinds, values, [self.texts[place] for place in used.tolist()])

    def with_texts(self, places: Codes) -> Codes:
        """The values, where each text has another place."""
        spelled, values = self.spelled, self.values.copy()
        values[spelled] = places[values[spelled]]
        return values

    def key(self, row: int) -> tuple[int, int | str]:
        """It compares with the keys of other cells as the cells sort."""
        kind, value = int(self.kinds[row]), int(self.values[row])
        return kind, self.texts[value] if kind in SPELLED else value

    def descending(self) -> "Cells":
        """Cells that sort the other way round; missing ones last, as ever."""
        kinds = np.where(self.given, DESCENDING - self.kinds, MISSING).astype(np.uint8)
        values = np.where(self.spelled, len(self.texts) - 1 - self.values, ~self.values)
        return Cells(kinds, values, [_inverted(text) for text in reversed(self.texts)])

    def to_series(self) -> "pd.Series[Any]":
        """As pandas has them: int64 where all are whole numbers of 15 digits."""
        present = set(np.unique(self.kinds).tolist())
        if present <= {NUMBER, MISSING}:
            return pd.Series(whole(np.where(self.given, in_order(self.values).view("f8"), np.nan)))
        cells = np.full(len(self), None, dtype=object)
        for kind in present - {MISSING}:
            rows = self.kinds == kind
            cells[rows] = self._objects(kind, self.values[rows])
        return pd.Series(cells, dtype=object)

    def _objects(self, kind: int, values: Codes) -> Any:
        if kind == TEXT:
            return np.array(self.texts, dtype=object)[values]
        if kind in SPELLED:
            return [_unspelled(kind, self.texts[place]) for place in values.tolist()]
        if kind == NUMBER:
            return whole(in_order(values).view("f8"))
        if kind == DAY:
            return [dt.date.fromordinal(day) for day in values.tolist()]
        return values.astype({MOMENT: "M8[us]", DURATION: "m8[us]", BOOLEAN: "?"}[kind])


def missing(rows: int) -> Cells:
    return Cells(np.full(rows, MISSING, np.uint8), np.zeros(rows, np.int64), [])


class Distinct:
    """The distinct cells of several columns, sorted.

    Attributes:
        places: of each column, the place of each cell among them.
    """

    def __init__(self, columns: Sequence[Cells]) -> None:
        texts = [cells.texts for cells in columns]
        ranks, self.texts = sorted_texts([*chain.from_iterable(texts)])
        kinds = np.concatenate([cells.kinds for cells in columns])
        pairs = zip(columns, split(ranks, texts), strict=True)
        values = np.concatenate([cells.with_texts(rank) for cells, rank in pairs])
        places = np.empty(len(values), np.int64)
        self._sorted: dict[int, Codes] = {}
        start = 0
        for kind in np.flatnonzero(np.bincount(kinds)).tolist():
            rows = slice(None) if (kinds == kind).all() else kinds == kind
            ranks, self._sorted[kind] = ranked(values[rows])
            places[rows] = start + ranks
            start += len(self._sorted[kind])
        self.places = split(places, columns)

    def __len__(self) -> int:
        return sum(map(len, self._sorted.values()))

    def cells(self, places: Codes) -> Cells:
        kinds = np.repeat([*self._sorted], [*map(len, self._sorted.values())]).astype(np.uint8)
        values = np.concatenate([np.zeros(0, np.int64), *self._sorted.values()])
        return Cells(kinds[places], values[places], self.texts)


def sorted_texts(texts: list[str]) -> tuple[Codes, list[str]]:
    """Of each text the place among the distinct ones, and those, by code point."""
    if all(map(lt, texts, texts[1:])):
        return np.arange(len(texts)), texts
    codes, uniques = pd.factorize(np.array(texts, dtype=object))
    distinct = uniques.tolist()
    order = sorted(range(len(distinct)), key=distinct.__getitem__)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks[codes], [distinct[place] for place in order]


def ranked(values: Codes) -> tuple[Codes, Codes]:
    """Of each value the place among the distinct ones, and those, sorted."""
    low, high = int(values.min()), int(values.max())
    if high - low > DENSE * len(values):
        return pd.factorize(values, sort=True)
    present = np.zeros(high - low + 1, bool)
    present[values - low] = True
    return (np.cumsum(present) - 1)[values - low], np.flatnonzero(present) + low


def split(joined: Codes, like: Sequence[Sized]) -> list[Codes]:
    """Into pieces as long as those."""
    return np.split(joined, np.cumsum([len(each) for each in like], dtype=np.int64)[:-1])


def in_order(bits: Any) -> Codes:
    """From the bits of floats to integers in their order, and back."""
    bits = bits.view(np.int64)
    ordered: Codes = bits ^ ((bits >> 63) & np.int64(0x7FFF_FFFF_FFFF_FFFF))
    return ordered


def whole(numbers: NDArray[np.float64]) -> NDArray[Any]:
    """As int64 where all are whole and of at most 15 digits."""
    if (np.abs(numbers) <= EXACT_INTEGER).all() and (numbers == np.floor(numbers)).all():
        return numbers.astype(np.int64)
    return numbers


def _parts(array: NDArray[Any]) -> Any:
    """Yields (rows, kind, values or texts) for each kind of cells that are not missing."""
    everywhere = np.arange(len(array))
    if array.dtype != object:
        yield from _typed(everywhere, array)
    elif only_texts(array):
        yield everywhere, TEXT, array.tolist()
    else:
        by_type: dict[type, list[int]] = {}
        for row, value in enumerate(array.tolist()):
            by_type.setdefault(type(value), []).append(row)
        for kind, found_rows in by_type.items():
            rows = np.array(found_rows)
            yield from _of_type(kind, rows, array[rows])


def _typed(rows: Codes, array: NDArray[Any]) -> Any:
    match array.dtype.kind:
        case "b":
            yield rows, BOOLEAN, array
        case "i" | "u":
            yield from _integers(rows, array)
        case "f":
            given = ~np.isnan(array)
            yield rows[given], NUMBER, in_order(array[given].astype(np.float64) + 0.0)  # no -0.0
        case "M" | "m" as kind:
            given = ~np.isnat(array)
            micros = array[given].astype(f"{kind}8[us]").astype(np.int64)
            yield rows[given], MOMENT if kind == "M" else DURATION, micros
        case _:
            raise NoCell(0, array[:1].tolist()[0])


def _integers(rows: Codes, array: NDArray[Any]) -> Any:
    """Of any integers, of NumPy or of Python."""
    below, above = array < -EXACT_INTEGER, array > EXACT_INTEGER
    short = ~(below | above).astype(bool)
    yield rows[short], NUMBER, in_order(array[short].astype(np.float64))
    for kind, chosen in ((NEGATIVE, below.astype(bool)), (POSITIVE, above.astype(bool))):
        if chosen.any():
            yield rows[chosen], kind, [_spelled(int(value)) for value in array[chosen].tolist()]


def _of_type(kind: type, rows: Codes, array: NDArray[Any]) -> Any:
    if issubclass(kind, NoneType | type(pd.NA) | type(pd.NaT)):
        return
    if issubclass(kind, str):
        yield rows, TEXT, [str(value) for value in array.tolist()]
    elif issubclass(kind, bool | np.bool):
        yield from _typed(rows, array.astype(bool))
    elif issubclass(kind, int | np.integer):
        yield from _integers(rows, array)
    elif issubclass(kind, float | np.floating | Decimal):
        yield from _typed(rows, array.astype(np.float64))
    elif issubclass(kind, dt.datetime | np.datetime64):
        zoned = [row for row, value in zip(rows, array) if getattr(value, "tzinfo", None)]
        if zoned:
            raise NoCell(int(zoned[0]), array[rows.tolist().index(zoned[0])])
        yield from _typed(rows, array.astype("M8[us]"))
    elif issubclass(kind, dt.date):
        yield rows, DAY, np.array([day.toordinal() for day in array.tolist()], np.int64)
    elif issubclass(kind, dt.timedelta | np.timedelta64):
        yield from _typed(rows, array.astype("m8[us]"))
    else:
        raise NoCell(int(rows[0]), array[0])


def _spelled(integer: int) -> str:
    """A text that sorts as the integers do among those of its sign."""
    digits = str(abs(integer))
    text = f"{len(digits):0{LENGTH_DIGITS}}{digits}"
    return text if integer > 0 else text.translate(_NINES_COMPLEMENT)


def _unspelled(kind: int, text: str) -> str | int:
    if kind == NEGATIVE:
        return -int(text.translate(_NINES_COMPLEMENT)[LENGTH_DIGITS:])
    return int(text[LENGTH_DIGITS:]) if kind == POSITIVE else text


def _inverted(text: str) -> str:
    """Texts inverted sort the other way round: each character, and the end, which came first."""
    return "".join(chr(0x10FFFE - ord(character)) for character in text) + chr(0x10FFFF)

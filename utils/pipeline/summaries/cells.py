"""Columns of cells as integers that sort as Excel sorts, so that NumPy groups and merges them."""

import datetime as dt
from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
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
from pipeline.summaries.long_numbers import digit_count, number_of, sortable

# Kinds of cells, in the order in which they sort. The last bit tells an integer or a Decimal from a
# float or a Decimal that its cell spells alike: it does not part groups.
NUMBER, EXACT, DAY, MOMENT, DURATION, TEXT, BOOLEAN = 0, 1, 2, 4, 6, 8, 10
MISSING = 126
TYPED = {DAY: "M8[D]", MOMENT: "M8[us]", DURATION: "m8[us]", BOOLEAN: "?"}
KINDS = 0xFE
DESCENDING = 100  # minus a kind: the same kind where cells sort the other way round
DENSE = 4  # times as many integers as values may lie between them and take a place each
_COMPLEMENT = bytes(range(255, -1, -1))

_DTYPES = [
    (bool | np.bool, "?"),
    (float | np.floating, "f8"),
    (dt.datetime | np.datetime64, "M8[us]"),
    (dt.date, "M8[D]"),
    (dt.timedelta | np.timedelta64, "m8[us]"),
]

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
            0 or 1; of a text 0.
        places: of each cell, the place in texts of a text, or of the digits of a number that lies
            between the float of these bits and the next; of other cells that of "".
        texts: distinct, by code point.
    """

    kinds: NDArray[np.uint8]
    values: Codes
    places: Codes
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
        spelled, given = [], [""]
        for rows, kind, part, texts in _parts(array):
            kinds[rows] = kind
            values[rows] = part
            if texts:
                spelled.append(rows)
                given += texts
        if len(spelled) == 1 and len(given) > len(array):  # no other cells
            return cls(kinds, values, *sorted_texts(given[1:]))
        ranks, texts = sorted_texts(given)
        places = np.full(len(array), ranks[0])
        if spelled:
            places[np.concatenate(spelled)] = ranks[1:]
        return cls(kinds, values, places, texts)

    @classmethod
    def numbered(cls, codes: Codes) -> Self:
        """Cells that sort as the codes do."""
        return cls(
            np.full(len(codes), NUMBER, np.uint8), codes, np.zeros(len(codes), np.int64), [""]
        )

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def given(self) -> NDArray[np.bool_]:
        given: NDArray[np.bool_] = self.kinds != MISSING
        return given

    @property
    def order(self) -> list[NDArray[Any]]:
        """Integers that sort as the cells do, the first ones first."""
        return [self.kinds & KINDS, self.values, self.places]

    @property
    def long(self) -> NDArray[np.bool_]:
        """Whether each is a number that is more than a float."""
        is_float = (self.kinds == NUMBER) & (self.places == 0) & (self.texts[:1] == [""])
        long: NDArray[np.bool_] = (self.kinds <= EXACT) & ~is_float
        return long

    @cached_property
    def digits(self) -> Codes:
        """How many digits each has before its point or after it, of numbers; short ones 0."""
        found, long = np.zeros(len(self), np.int64), self.long
        found[long] = [digit_count(each) for each in self._long_numbers(long)]
        return found

    def take(self, rows: Any) -> "Cells":
        return Cells(self.kinds[rows], self.values[rows], self.places[rows], self.texts)

    def compact(self) -> "Cells":
        """The same cells, with fewer texts that none of them has."""
        if len(self.texts) <= len(self):
            return self
        used, places = np.unique(self.places, return_inverse=True)
        return replace(self, places=places, texts=[self.texts[place] for place in used.tolist()])

    def key(self, row: int) -> tuple[int, int, str]:
        """It compares with the keys of other cells as the cells sort."""
        return int(self.kinds[row]) & KINDS, int(self.values[row]), self.texts[self.places[row]]

    def descending(self) -> "Cells":
        """Cells that sort the other way round; missing ones last, as ever."""
        kinds = np.where(self.given, DESCENDING - (self.kinds & KINDS), MISSING).astype(np.uint8)
        places = len(self.texts) - 1 - self.places
        return Cells(kinds, ~self.values, places, [_inverted(text) for text in self.texts[::-1]])

    def to_series(self) -> "pd.Series[Any]":
        """As pandas has them: int64 where all are whole numbers of 15 digits."""
        long = self.long
        present = {*np.unique(self.kinds).tolist()} - {MISSING}
        if present <= {NUMBER} and not long.any():
            return pd.Series(whole(np.where(self.given, in_order(self.values).view("f8"), np.nan)))
        cells = np.full(len(self), None, dtype=object)
        for kind in present - {EXACT}:
            rows = (self.kinds == kind) & ~long
            cells[rows] = self._objects(kind, rows)
        cells[long] = self._long_numbers(long)
        return pd.Series(cells, dtype=object)

    def _long_numbers(self, rows: NDArray[np.bool_]) -> NDArray[Any]:
        numbers = in_order(self.values[rows]).view("f8").tolist()
        exact = (self.kinds[rows] == EXACT).tolist()
        triples = zip(numbers, self.places[rows].tolist(), exact)
        found = [number_of(number, self.texts[place], each) for number, place, each in triples]
        return np.array(found, dtype=object)

    def _objects(self, kind: int, rows: Any) -> Any:
        if kind == TEXT:
            return np.array(self.texts, dtype=object)[self.places[rows]]
        values = self.values[rows]
        return whole(in_order(values).view("f8")) if kind == NUMBER else values.astype(TYPED[kind])


def missing(rows: int) -> Cells:
    zeros = np.zeros(rows, np.int64)
    return Cells(np.full(rows, MISSING, np.uint8), zeros, zeros, [""])


def joined(columns: Sequence[Cells]) -> Cells:
    """One column after another."""
    given = [cells.texts for cells in columns]
    ranks, texts = sorted_texts([*chain.from_iterable(given)])
    pairs = zip(columns, split(ranks, given), strict=True)
    return Cells(
        np.concatenate([cells.kinds for cells in columns]),
        np.concatenate([cells.values for cells in columns]),
        np.concatenate([own[cells.places] for cells, own in pairs]),
        texts,
    )


def ranked(parts: Iterable[NDArray[Any]], rows: int) -> tuple[Codes, int]:
    """Of each row the place among the distinct ones, sorted, and how many there are.

    Args:
        parts: of each row integers by which it sorts, the first ones first; without any, all rows,
            even none, are one.
    """
    ranks, count, parts = np.zeros(rows, np.int64), 1, [*parts]
    for part in parts if rows else []:
        if (part != part[0]).any():
            own, size = _ranked(part)
            if count > 1:
                # With return_index NumPy merges, which is faster where long runs are sorted.
                pairs = np.unique(ranks * size + own, return_index=True, return_inverse=True)
                own, size = pairs[2], len(pairs[0])
            ranks, count = own, size
    return ranks, count if rows or not parts else 0


def sorted_texts(texts: list[str]) -> tuple[Codes, list[str]]:
    """Of each text the place among the distinct ones, and those, by code point."""
    if not any(texts):
        return np.zeros(len(texts), np.int64), texts[:1]
    if all(map(lt, texts, texts[1:])):
        return np.arange(len(texts)), texts
    codes, uniques = pd.factorize(np.array(texts, dtype=object))
    distinct = uniques.tolist()
    order = sorted(range(len(distinct)), key=distinct.__getitem__)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks[codes], [distinct[place] for place in order]


def _ranked(values: Any) -> tuple[Codes, int]:
    """Of each value the place among the distinct ones, sorted; and how many there are."""
    low, high = int(values.min()), int(values.max())
    if high - low > DENSE * len(values):
        ranks, distinct = pd.factorize(values, sort=True)
        return ranks, len(distinct)
    present = np.zeros(high - low + 1, bool)
    present[values - low] = True
    places = np.cumsum(present)
    return (places - 1)[values - low], int(places[-1])


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
    """Yields (rows, kind, values, texts) for each kind of cells that are not missing; no texts
    where all are "".
    """
    everywhere = np.arange(len(array))
    if array.dtype != object:
        yield from _typed(everywhere, array)
    elif only_texts(array):
        yield everywhere, TEXT, 0, array.tolist()
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
            yield rows, BOOLEAN, array, []
        case "i" | "u":
            yield from _integers(rows, array)
        case "f":
            given = ~np.isnan(array)
            yield rows[given], NUMBER, _codes(array[given]), []
        case "M" | "m" as letter:
            kind = DURATION if letter == "m" else DAY if array.dtype == TYPED[DAY] else MOMENT
            given = ~np.isnat(array)
            yield rows[given], kind, array[given].astype(TYPED[kind]).astype(np.int64), []
        case _:
            raise NoCell(0, array[:1].tolist()[0])


def _codes(numbers: Any) -> Codes:
    return in_order(np.asarray(numbers, np.float64) + 0.0)  # no -0.0


def _integers(rows: Codes, array: NDArray[Any]) -> Any:
    """Of any integers, of NumPy or of Python."""
    long = ((array < -EXACT_INTEGER) | (array > EXACT_INTEGER)).astype(bool)
    yield rows[~long], NUMBER, _codes(array[~long]), []
    if long.any():
        yield from _exacts(rows[long], list(map(int, array[long].tolist())))


def _exacts(rows: Codes, values: list[Any]) -> Any:
    known = {value: sortable(value) for value in values}
    exact, numbers, texts = zip(*(known[value] for value in values))
    yield rows, np.where(exact, EXACT, NUMBER), _codes(numbers), [*texts]


def _of_type(kind: type, rows: Codes, array: NDArray[Any]) -> Any:
    if issubclass(kind, NoneType | type(pd.NA) | type(pd.NaT)):
        return
    if issubclass(kind, str):
        yield rows, TEXT, 0, [str(value) for value in array.tolist()]
    elif issubclass(kind, Decimal):
        given = np.array([not value.is_nan() for value in array.tolist()])
        if given.any():
            yield from _exacts(rows[given], array[given].tolist())
    elif dtype := next((dtype for types, dtype in _DTYPES if issubclass(kind, types)), None):
        for row, value in zip(rows.tolist(), array) if dtype == TYPED[MOMENT] else ():
            if getattr(value, "tzinfo", None):
                raise NoCell(row, value)
        yield from _typed(rows, array.astype(dtype))
    elif issubclass(kind, int | np.integer):
        yield from _integers(rows, array)
    else:
        raise NoCell(int(rows[0]), array[0])


def _inverted(text: str) -> str:
    """Texts inverted sort the other way round: each byte of UTF-8, whose order is that of code
    points, and the end, which came first.
    """
    inverted = text.encode("utf-8", "surrogatepass").translate(_COMPLEMENT)
    return inverted.decode("latin-1") + "\u0100"

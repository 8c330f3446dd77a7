"""Columns of cells as integers that sort as Excel sorts, so that NumPy groups and merges them."""

import datetime as dt
import math
from collections.abc import Sequence, Sized
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from itertools import chain
from operator import lt
from types import NoneType
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.arrays import only_texts, plain_array
from pipeline.errors.wording import found
from pipeline.excel import EXACT_INTEGER, integer_text, is_number

# Kinds of cells, in the order in which they sort.
NUMBER, DAY, MOMENT, DURATION, TEXT, BOOLEAN = range(6)
MISSING = 127
DESCENDING = 100  # minus a kind: the same kind where cells sort the other way round
DENSE = 4  # times as many integers as values may lie between them and take a place each
EXACT = " "  # ends the text of a number that is more than a float; sorts before any digit
WHOLE_FLOATS = 2.0**53  # from here on a float has no decimals
EXPONENTS = 10**19  # more than any Decimal's
SPELLED_DIGITS = 4_300  # that JSON reads, and that are written without an exponent
_NINES_COMPLEMENT = str.maketrans("0123456789", "9876543210")
_COMPLEMENT = bytes(range(255, -1, -1))

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
        places: of each cell, the place in texts of a text, or of what a number is beyond the
            float that its bits are (see `_exact`); of other cells that of "".
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
        if len(spelled) == 1 and len(given) == len(array) + 1:
            places, texts = sorted_texts(given[1:])
            return cls(kinds, values, places, texts)
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
    def long(self) -> NDArray[np.bool_]:
        """Whether each is a number that is more than a float."""
        is_float = (self.places == 0) & (self.texts[:1] == [""])
        long: NDArray[np.bool_] = (self.kinds == NUMBER) & ~is_float
        return long

    @property
    def digits(self) -> Codes:
        """How many digits each has before its point or after it, of numbers; short ones 0."""
        counts = np.array([_digit_count(text) for text in self.texts])
        return np.where(self.long, counts[self.places], 0)

    @property
    def exact(self) -> NDArray[np.bool_]:
        """Whether each is a long number and not only equal to one: an integer, or a Decimal."""
        long = self.long
        if long.any():
            ends = np.array([text.endswith(EXACT) for text in self.texts])
            long &= ends[self.places]
        return long

    def take(self, rows: Any) -> "Cells":
        return Cells(self.kinds[rows], self.values[rows], self.places[rows], self.texts)

    def compact(self) -> "Cells":
        """The same cells, with fewer texts that none of them has."""
        if len(self.texts) <= len(self):
            return self
        used, places = np.unique(self.places, return_inverse=True)
        return replace(self, places=places, texts=[self.texts[place] for place in used.tolist()])

    def by_value(self) -> "Cells":
        """Cells of equal value made the same: 1e15 and 10**15."""
        long = self.long
        if not long.any():
            return self
        bare = [text.removesuffix(EXACT) for text in self.texts]
        ranks, texts = sorted_texts([*self.texts, *bare])
        places = ranks[np.where(long, self.places + len(bare), self.places)]
        return replace(self, places=places, texts=texts).compact()

    def key(self, row: int) -> tuple[int, int, str]:
        """It compares with the keys of other cells as the cells sort."""
        return int(self.kinds[row]), int(self.values[row]), self.texts[self.places[row]]

    def descending(self) -> "Cells":
        """Cells that sort the other way round; missing ones last, as ever."""
        kinds = np.where(self.given, DESCENDING - self.kinds, MISSING).astype(np.uint8)
        places = len(self.texts) - 1 - self.places
        return Cells(kinds, ~self.values, places, [_inverted(text) for text in self.texts[::-1]])

    def to_series(self, exact: NDArray[np.bool_] | None = None) -> "pd.Series[Any]":
        """As pandas has them: int64 where all are whole numbers of 15 digits.

        Args:
            exact: the cells that are exact, of cells `by_value`.
        """
        present = set(np.unique(self.kinds).tolist())
        long = self.long if exact is None else self.long | exact
        if present <= {NUMBER, MISSING} and not long.any():
            return pd.Series(whole(np.where(self.given, in_order(self.values).view("f8"), np.nan)))
        cells = np.full(len(self), None, dtype=object)
        for kind in present - {MISSING}:
            rows = (self.kinds == kind) & ~long
            cells[rows] = self._objects(kind, rows)
        rows = np.flatnonzero(long)
        if len(rows):
            cells[rows] = self._long_numbers(
                rows, np.zeros(len(self), bool) if exact is None else exact
            )
        return pd.Series(cells, dtype=object)

    def _long_numbers(self, rows: Codes, exact: NDArray[np.bool_]) -> list[int | Decimal]:
        numbers = in_order(self.values[rows]).view("f8").tolist()
        triples = zip(numbers, self.places[rows].tolist(), exact[rows].tolist())
        return [_number(number, self.texts[at] + EXACT * whole) for number, at, whole in triples]

    def _objects(self, kind: int, rows: Any) -> Any:
        values = self.values[rows]
        if kind == TEXT:
            return np.array(self.texts, dtype=object)[self.places[rows]]
        if kind == NUMBER:
            return whole(in_order(values).view("f8"))
        if kind == DAY:
            return [dt.date.fromordinal(day) for day in values.tolist()]
        return values.astype({MOMENT: "M8[us]", DURATION: "m8[us]", BOOLEAN: "?"}[kind])


def missing(rows: int) -> Cells:
    zeros = np.zeros(rows, np.int64)
    return Cells(np.full(rows, MISSING, np.uint8), zeros, zeros, [""])


class Distinct:
    """The distinct cells of several columns, sorted.

    Attributes:
        places: of each column, the place of each cell among them.
    """

    def __init__(self, columns: Sequence[Cells]) -> None:
        given = [cells.texts for cells in columns]
        ranks, self.texts = sorted_texts([*chain.from_iterable(given)])
        ranked_texts = zip(columns, split(ranks, given), strict=True)
        texts = np.concatenate([rank[cells.places] for cells, rank in ranked_texts])
        kinds = np.concatenate([cells.kinds for cells in columns])
        values = np.concatenate([cells.values for cells in columns])
        places = np.empty(len(values), np.int64)
        nothing = np.zeros(0, np.int64)
        self._sorted: list[Any] = [(nothing.astype(np.uint8), nothing, nothing)]
        start = 0
        for kind in np.flatnonzero(np.bincount(kinds)).tolist():
            rows = slice(None) if (kinds == kind).all() else kinds == kind
            ranks, *pairs = _ranked_pairs(values[rows], texts[rows], len(self.texts))
            places[rows] = start + ranks
            start += len(pairs[0])
            self._sorted.append((np.full(len(pairs[0]), kind, np.uint8), *pairs))
        self.places = split(places, columns)

    def __len__(self) -> int:
        return sum(len(kinds) for kinds, _, _ in self._sorted)

    def cells(self, places: Codes) -> Cells:
        kinds, values, texts = (np.concatenate(each)[places] for each in zip(*self._sorted))
        return Cells(kinds, values, texts, self.texts)


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


def ranked(values: Codes) -> tuple[Codes, Codes]:
    """Of each value the place among the distinct ones, and those, sorted."""
    low, high = int(values.min()), int(values.max())
    if high - low > DENSE * len(values):
        return pd.factorize(values, sort=True)
    present = np.zeros(high - low + 1, bool)
    present[values - low] = True
    return (np.cumsum(present) - 1)[values - low], np.flatnonzero(present) + low


def _ranked_pairs(values: Codes, texts: Codes, count: int) -> tuple[Codes, Codes, Codes]:
    """Of each pair the place among the distinct ones, and those, sorted by value, then by text.

    Args:
        texts: places among `count` of them.
    """
    if (texts == texts[0]).all():
        ranks, distinct = ranked(values)
        return ranks, distinct, np.full(len(distinct), texts[0])
    outer, distinct = ranked(values)
    ranks, pairs = ranked(outer * count + texts)
    return ranks, distinct[pairs // count], pairs % count


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
        case "M" | "m" as kind:
            given = ~np.isnat(array)
            micros = array[given].astype(f"{kind}8[us]").astype(np.int64)
            yield rows[given], MOMENT if kind == "M" else DURATION, micros, []
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
    known = {value: _exact(value) for value in values}
    numbers, texts = zip(*(known[value] for value in values))
    yield rows, NUMBER, _codes(numbers), [*texts]


def _of_type(kind: type, rows: Codes, array: NDArray[Any]) -> Any:
    if issubclass(kind, NoneType | type(pd.NA) | type(pd.NaT)):
        return
    if issubclass(kind, str):
        yield rows, TEXT, 0, [str(value) for value in array.tolist()]
    elif issubclass(kind, bool | np.bool):
        yield from _typed(rows, array.astype(bool))
    elif issubclass(kind, int | np.integer):
        yield from _integers(rows, array)
    elif issubclass(kind, float | np.floating):
        yield from _typed(rows, array.astype(np.float64))
    elif issubclass(kind, Decimal):
        given = np.array([not value.is_nan() for value in array.tolist()])
        if given.any():
            yield from _exacts(rows[given], array[given].tolist())
    elif issubclass(kind, dt.datetime | np.datetime64):
        zoned = [row for row, value in zip(rows, array) if getattr(value, "tzinfo", None)]
        if zoned:
            raise NoCell(int(zoned[0]), array[rows.tolist().index(zoned[0])])
        yield from _typed(rows, array.astype("M8[us]"))
    elif issubclass(kind, dt.date):
        yield rows, DAY, [day.toordinal() for day in array.tolist()], []
    elif issubclass(kind, dt.timedelta | np.timedelta64):
        yield from _typed(rows, array.astype("m8[us]"))
    else:
        raise NoCell(int(rows[0]), array[0])


def _exact(value: int | Decimal) -> tuple[float, str]:
    """A float, and a text for what the number is beyond it, which sort as the numbers do.

    The text is "" for the float itself, EXACT for an integer or a Decimal that the float spells,
    and digits for one that lies between the float and the next.
    """
    nearest = _nearest(value)
    if value == nearest and abs(nearest) > EXACT_INTEGER and _is_number(value):
        return nearest, ""
    spelled = int(nearest) if _is_long(value, nearest) else _spelled_by(nearest)
    if value == spelled:
        return nearest, EXACT
    if value < spelled:
        nearest = math.nextafter(nearest, -math.inf)
    return nearest, _digits(value) + EXACT * isinstance(value, int)


def _nearest(value: int | Decimal) -> float:
    try:
        return float(value)
    except OverflowError:  # of an integer; a Decimal is infinite
        return math.inf if value > 0 else -math.inf


def _is_long(value: int | Decimal, nearest: float) -> bool:
    """Whether it is an integer; its float has no decimals, then, and is compared much faster."""
    return isinstance(value, int) and math.isfinite(nearest)


def _is_number(value: int | Decimal) -> bool:
    return isinstance(value, Decimal) and is_number(value)


def _spelled_by(number: float) -> Decimal:
    """Of up to 15 digits, the ones that a cell shows; else all that the float has."""
    shown = Decimal(f"{number:.15G}")
    return shown if abs(number) < WHOLE_FLOATS and float(shown) == number else Decimal(number)


def _digits(value: int | Decimal) -> str:
    """A text that sorts as the numbers of one sign do: the exponent, then the digits."""
    if isinstance(value, int):
        sign, digits, exponent = int(value < 0), integer_text(abs(value)), 0
    else:
        sign, places, last = value.as_tuple()
        digits, exponent = "".join(map(str, places)), int(last)
    text = _magnitude(len(digits) - 1 + exponent) + digits.rstrip("0")
    return text.translate(_NINES_COMPLEMENT) + ":" if sign else text  # ":" sorts after digits


@cache
def _magnitude(exponent: int) -> str:
    return f"{exponent + EXPONENTS:020}"


def _number(number: float, text: str) -> int | Decimal:
    """The number of which `_exact` made these."""
    digits = text.rstrip(EXACT)
    value = _of_digits(digits) if digits else _spelled_by(number)
    is_whole = digits != text and value == value.to_integral_value()
    return int(value) if is_whole else value


def _of_digits(text: str) -> Decimal:
    negative, magnitude, digits = _parsed(text)
    exponent = magnitude - len(digits) + 1
    zeros = max(0, exponent) if magnitude < SPELLED_DIGITS else 0
    return Decimal(f"{'-' * negative}{digits}{'0' * zeros}E{exponent - zeros}")


def _digit_count(text: str) -> int:
    if not text.strip(EXACT):
        return 0
    _, magnitude, digits = _parsed(text.strip(EXACT))
    return max(magnitude, len(digits) - magnitude) + 1


def _parsed(text: str) -> tuple[bool, int, str]:
    negative = text.endswith(":")
    text = text.translate(_NINES_COMPLEMENT).removesuffix(":") if negative else text
    return negative, int(text[:20]) - EXPONENTS, text[20:]


def _inverted(text: str) -> str:
    """Texts inverted sort the other way round: each byte of UTF-8, whose order is that of code
    points, and the end, which came first.
    """
    inverted = text.encode("utf-8", "surrogatepass").translate(_COMPLEMENT)
    return inverted.decode("latin-1") + "\u0100"

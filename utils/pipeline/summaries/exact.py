"""Sums without rounding, the same for every order and every cut of their addends.

A number is split into digits of 32 bits, and the digits of one place are added as 64-bit integers:
room for two billion addends. Only a finished sum is rounded, once. For the idea, see Kulisch's long
accumulator: U. Kulisch, "Computer Arithmetic and Validity", 2013, chapter 8.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import MAX_EMAX, MIN_EMIN, Decimal, localcontext
from fractions import Fraction
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.excel import EXACT_INTEGER, is_number

BITS = 32
_MASK = (1 << BITS) - 1
MANTISSA = 53  # bits of a float
MOST_BITS = 1 << 15  # of a running total's divisor

Integers = NDArray[np.int64]
Objects = NDArray[Any]


def digits(numbers: NDArray[np.float64]) -> dict[int, Integers]:
    """The digits of finite numbers: place → of each number, a digit worth 2**(32 * place)."""
    if (np.abs(numbers) < 1 << 30).all():
        scaled = numbers * (1 << BITS)
        if (scaled == np.floor(scaled)).all():  # as whole numbers and halves are
            whole = scaled.astype(np.int64)
            return {-1: whole & _MASK, 0: whole >> BITS}
    mantissas, exponents = np.frexp(numbers)
    return _placed((mantissas * (1 << MANTISSA)).astype(np.int64), exponents - MANTISSA)


def square_digits(numbers: NDArray[np.float64]) -> dict[int, Integers]:
    """The digits of the numbers' squares, which have up to 106 bits."""
    mantissas, exponents = np.frexp(numbers)
    whole = (np.abs(mantissas) * (1 << MANTISSA)).astype(np.int64)
    high, low = whole >> 27, whole & ((1 << 27) - 1)
    found: dict[int, Integers] = {}
    twice = 2 * (exponents - MANTISSA)
    for product, shift in ((high * high, 54), (2 * high * low, 27), (low * low, 0)):
        for place, digit in _placed(product, twice + shift).items():
            found[place] = found.get(place, 0) + digit
    return found


def _placed(whole: Integers, exponents: Any) -> dict[int, Integers]:
    """The digits of whole * 2**exponents; whole below 2**55."""
    places, shifts = np.divmod(exponents.astype(np.int64), BITS)
    low = (whole & _MASK) << shifts  # of up to 63 bits
    high = (whole >> BITS) << shifts
    at_place = low & _MASK, (low >> BITS) + (high & _MASK), high >> BITS
    found: dict[int, Integers] = {}
    for place in np.unique(places[whole != 0]).tolist():
        here = places == place
        for above, digit in enumerate(at_place):
            chosen = digit if here.all() else np.where(here, digit, 0)
            if chosen.any():
                found[place + above] = found.get(place + above, 0) + chosen
    return found


def exact_digits(numbers: list[int | Decimal], power: int) -> dict[tuple[int, int], Integers]:
    """The digits of integers' and Decimals' powers: (place, tens) → of each number, a digit worth
    2**(32 * place) / 10**tens.
    """
    found: dict[tuple[int, int], Integers] = defaultdict(lambda: np.zeros(len(numbers), np.int64))
    for row, number in enumerate(numbers):
        tens = 0
        if isinstance(number, Decimal):
            sign, digits, exponent = number.as_tuple()
            tens = max(0, -int(exponent))
            number = int(Decimal((sign, digits, int(exponent) + tens)))
        whole, place = number**power, 0
        rest, sign = abs(whole), -1 if whole < 0 else 1
        while rest:
            found[place, power * tens][row] = sign * (rest & _MASK)
            rest, place = rest >> BITS, place + 1
    return found


def totals(sums: dict[tuple[int, int], Integers], count: int) -> tuple[NDArray[Any], int]:
    """
    Args:
        sums: (place, tens) → of each group the sum of the digits there.
        count: of groups.

    Returns:
        Python's integers, and the number by which each is too large: the sum is integer / scale.
    """
    lowest = min([0, *(place for place, _ in sums)])
    reached = 0  # tens
    whole: Any = np.zeros(count, dtype=object)
    for tens in sorted({tens for _, tens in sums}):
        places = {place: part for (place, each), part in sums.items() if each == tens}
        part = np.zeros(count, dtype=object)
        for place in range(max(places), lowest - 1, -1):
            part = (part << BITS) + places.get(place, 0)
        whole = part + whole * 10 ** (tens - reached) if whole.any() else part
        reached = tens
    return whole, 10**reached << -lowest * BITS


def small_totals(sums: dict[tuple[int, int], Integers], count: int) -> NDArray[np.float64] | None:
    """The sums as floats, where all are exact as such and come of few digits."""
    none = np.zeros(count, np.int64)
    high, low = sums.get((0, 0), none), sums.get((-1, 0), none)
    bits = 19 if (-1, 0) in sums else MANTISSA
    fits = all((np.abs(part) < 1 << bits).all() for part in (high, low >> BITS))
    return high + low / (1 << BITS) if fits and sums.keys() <= {(0, 0), (-1, 0)} else None


def quotient(dividend: int, divisor: int) -> float:
    """Rounded once; not a number for a divisor of 0, infinite beyond the floats."""
    try:
        return dividend / divisor + 0.0 if divisor > 0 else math.nan  # no -0.0
    except OverflowError:
        return math.inf if dividend > 0 else -math.inf


def root(dividend: int, divisor: int) -> float:
    """The square root of the quotient, rounded once.

    It is computed to more bits than a float has, and the last one says whether any follow: so
    rounding goes the right way. The idea is that of the square roots in Python's `statistics`.
    """
    if divisor <= 0:
        return math.nan
    shift = max(0, 2 * MANTISSA + 6 - dividend.bit_length() + divisor.bit_length()) // 2
    found = math.isqrt((dividend << 2 * shift) // divisor)
    found |= found * found * divisor != dividend << 2 * shift
    return quotient(found, 1 << shift)


def exact_number(number: Fraction) -> int | float | Decimal:
    """A number whose denominator has no primes but 2 and 5, as a cell has it: with at most 15 digits
    a float.
    """
    over, under = number.as_integer_ratio()
    if under == 1:
        return over
    with localcontext(
        prec=over.bit_length() + under.bit_length() + 1, Emin=MIN_EMIN, Emax=MAX_EMAX
    ):
        exact = Decimal(over) / Decimal(under)
    return float(exact) if is_number(exact) else exact


@dataclass(frozen=True)
class Fractions:
    """A fraction of each group, not reduced; a denominator of 0 stands for no number.

    Attributes:
        over, under: Python's integers.
        rounded: of each, whether it is to be a float, and not an integer of any length.
    """

    over: Objects
    under: Objects
    rounded: NDArray[np.bool_]

    @classmethod
    def constant(cls, number: Fraction, rows: int) -> Self:
        over, under = (np.full(rows, part, dtype=object) for part in number.as_integer_ratio())
        return cls(over, under, np.zeros(rows, bool))

    @classmethod
    def of(cls, values: Iterable[Any]) -> Self:
        """Of cells: numbers and booleans; anything else is no number."""
        pairs = [_ratio(value) for value in values]
        over, under = (np.array([pair[at] for pair in pairs], dtype=object) for at in (0, 1))
        rounded = [type(value) is float and abs(value) > EXACT_INTEGER for value in values]
        return cls(over, under, np.array(rounded, bool))

    def __add__(self, other: "Fractions") -> "Fractions":
        over = self.over * other.under + other.over * self.under
        return Fractions(over, self.under * other.under, self.rounded | other.rounded)

    def __sub__(self, other: "Fractions") -> "Fractions":
        return self + -other

    def __mul__(self, other: "Fractions") -> "Fractions":
        rounded = self.rounded | other.rounded
        return Fractions(self.over * other.over, self.under * other.under, rounded)

    def __truediv__(self, other: "Fractions") -> "Fractions":
        """No number where the divisor is 0 or no number, whose denominator is a factor of it."""
        over = self.over * other.under * other.under
        under = self.under * other.over * other.under
        return Fractions(over, under, np.ones(len(over), bool))

    def __neg__(self) -> "Fractions":
        return Fractions(-self.over, self.under, self.rounded)

    @property
    def parts(self) -> tuple[Objects, Objects, NDArray[np.bool_]]:
        return self.over, self.under, self.rounded

    def take(self, rows: Any) -> "Fractions":
        return Fractions(*(part[rows] for part in self.parts))

    def followed_by(self, other: "Fractions") -> "Fractions":
        return Fractions(*map(np.concatenate, zip(self.parts, other.parts)))

    def reduced(self) -> "Fractions":
        common: Any = np.maximum(np.gcd(self.over, self.under), 1)
        return replace(self, over=self.over // common, under=self.under // common)

    def numbers(self) -> Objects:
        """Whole ones exactly, all others rounded once; NaN for none."""
        found: Any = _numbers(self.over, self.under, self.rounded)
        return np.asarray(found)


class TooLong(ValueError):
    """A running total that has no divisor to compute with: says the rule."""


class RunningSums:
    """The exact sums of some columns, row by row."""

    def __init__(self, columns: int) -> None:
        self._sums = [(Fraction(), False)] * columns

    def add(self, addends: Fractions, columns: Integers) -> Fractions:
        """The sum of its column after each addend; what is no number has none, and adds nothing.

        Raises:
            TooLong: the divisors of thousands of addends have next to nothing in common.
        """
        over, under, rounded = addends.over.copy(), addends.under.copy(), addends.rounded.copy()
        for row in np.flatnonzero(under != 0).tolist():
            total, was_rounded = self._sums[columns[row]]
            total += Fraction(over[row], under[row])
            if total.denominator.bit_length() > MOST_BITS:
                raise TooLong(f"must have a divisor of at most {MOST_BITS} bits")
            rounded[row] |= was_rounded
            over[row], under[row] = total.as_integer_ratio()
            self._sums[columns[row]] = total, bool(rounded[row])
        return Fractions(over, under, rounded)


def _ratio(value: Any) -> tuple[int, int]:
    if isinstance(value, int | float | Decimal) and value not in (math.inf, -math.inf):
        return value.as_integer_ratio() if value == value else (0, 0)
    return 0, 0


def _number(over: int, under: int, rounded: bool) -> int | float:
    if not rounded and under and over % under == 0:
        return over // under
    return quotient(over, under) if under > 0 else quotient(-over, -under)


_numbers = np.frompyfunc(_number, 3, 1)

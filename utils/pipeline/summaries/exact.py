"""Sums without rounding, the same for every order and every cut of their addends.

A number is split into digits of 32 bits, and the digits of one place are added as 64-bit integers:
room for two billion addends. Only a finished sum is rounded, once. For the idea, see Kulisch's long
accumulator: U. Kulisch, "Computer Arithmetic and Validity", 2013, chapter 8.
"""

from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS = 32
_MASK = (1 << BITS) - 1
MANTISSA = 53  # bits of a float

Integers = NDArray[np.int64]


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


def long_digits(integers: list[int]) -> dict[int, Integers]:
    """The digits of integers of any length."""
    found: defaultdict[int, Integers] = defaultdict(lambda: np.zeros(len(integers), np.int64))
    for row, integer in enumerate(integers):
        rest, sign, place = abs(integer), 1 if integer > 0 else -1, 0
        while rest:
            found[place][row] = sign * (rest & _MASK)
            rest, place = rest >> BITS, place + 1
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


def totals(sums: dict[int, Integers], count: int) -> tuple[NDArray[Any], int]:
    """
    Args:
        sums: place → of each group the sum of the digits there.
        count: of groups.

    Returns:
        Python's integers, and the bits by which each is too large: the sum is integer / 2**bits.
    """
    lowest = min([0, *sums])
    whole = np.zeros(count, dtype=object)
    for place in range(max(sums, default=0), lowest - 1, -1):
        whole = (whole << BITS) + sums.get(place, 0)
    return whole, -lowest * BITS


def small_totals(sums: dict[int, Integers], count: int) -> NDArray[np.float64] | None:
    """The sums as floats, where all are exact as such and come of few digits."""
    none = np.zeros(count, np.int64)
    high, low = sums.get(0, none), sums.get(-1, none)
    bits = 19 if -1 in sums else MANTISSA
    fits = all((np.abs(part) < 1 << bits).all() for part in (high, low >> BITS))
    return high + low / (1 << BITS) if fits and sums.keys() <= {0, -1} else None

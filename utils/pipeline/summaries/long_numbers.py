"""Integers and Decimals that are more than a float, as floats and texts that sort as they do."""

import math
from decimal import Decimal

from pipeline.excel import EXACT_INTEGER, integer_text, is_number

WHOLE_FLOATS = 2.0**53  # from here on a float has no decimals
EXPONENTS = 10**19  # more than any Decimal's
SPELLED_DIGITS = 4_300  # that JSON reads, and that are written without an exponent
_NINES_COMPLEMENT = str.maketrans("0123456789", "9876543210")


def sortable(value: int | Decimal) -> tuple[bool, float, str]:
    """Whether it is exact: an integer, or a Decimal that the float only spells alike; and a float and
    a text that sort as the numbers do: it has digits for one that lies between the float and the next.
    """
    is_integer = isinstance(value, int)
    try:
        nearest = float(value)
    except OverflowError:  # of an integer; a Decimal is infinite
        nearest = math.inf if value > 0 else -math.inf
    is_float = value == nearest and abs(nearest) > EXACT_INTEGER
    if is_float and isinstance(value, Decimal) and is_number(value):
        return False, nearest, ""
    # Integers are compared much faster.
    spelled = int(nearest) if is_integer and math.isfinite(nearest) else _spelled_by(nearest)
    if value == spelled:
        return True, nearest, ""
    if value < spelled:
        nearest = math.nextafter(nearest, -math.inf)
    return is_integer, nearest, _digits(value)


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
    text = f"{len(digits) - 1 + exponent + EXPONENTS:020}{digits.rstrip('0')}"
    return text.translate(_NINES_COMPLEMENT) + ":" if sign else text  # ":" sorts after digits


def number_of(number: float, digits: str, exact: bool) -> int | Decimal:
    """The number of which `sortable` made these."""
    value = _of_digits(digits) if digits else _spelled_by(number)
    return int(value) if exact and value == value.to_integral_value() else value


def _of_digits(text: str) -> Decimal:
    negative = text.endswith(":")
    text = text.translate(_NINES_COMPLEMENT).removesuffix(":") if negative else text
    magnitude, digits = int(text[:20]) - EXPONENTS, text[20:]
    exponent = magnitude - len(digits) + 1
    zeros = max(0, exponent) if magnitude < SPELLED_DIGITS else 0
    return Decimal(f"{'-' * negative}{digits}{'0' * zeros}E{exponent - zeros}")


def digit_count(value: int | Decimal) -> int:
    """How many digits it has before its point or after it."""
    number = Decimal(value)
    return max(number.adjusted() + 1, -int(number.as_tuple().exponent))

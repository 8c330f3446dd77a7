import datetime as dt
from typing import Any

import numpy as np
import pytest

from found import found, quoted

VALUES: dict[str, tuple[Any, str]] = {
    "text": ("3", 'the text "3"'),
    "no text": ("", 'the text ""'),
    "kanji": ("長野原 ひろし", 'the text "長野原 ひろし"'),
    "lines": ('a\n"b"', r'the text "a\n\"b\""'),
    "lone surrogate": ("\ud83d", r'the text "\ud83d"'),
    "60 characters": ("x" * 60, f'the text "{"x" * 60}"'),
    "61 characters": ("x" * 61, f'the text "{"x" * 60}…"'),
    "integer": (3, "the number 3"),
    "whole number of a float column": (3.0, "the number 3"),
    "fraction": (0.1, "the number 0.1"),
    "negative zero": (-0.0, "the number -0"),
    "infinity": (float("inf"), "the number inf"),
    "100 digits": (10**99, "the number 1" + "0" * 59 + "…"),
    "true": (True, "true"),
    "false": (False, "false"),
    "null": (None, "null"),
    "missing number": (float("nan"), "null"),
    "array": ([1], "an array"),
    "tuple": ((1,), "an array"),
    "object": ({"a": 1}, "an object"),
    "NumPy's integer": (np.int64(3), "the number 3"),
    "NumPy's float": (np.float64(2.5), "the number 2.5"),
    "NumPy's missing number": (np.float64("nan"), "null"),
    "NumPy's true": (np.True_, "true"),
    "5,000 digits": (10**4999, "the number 1" + "0" * 59 + "…"),
    "NumPy's array": (np.zeros(3), "the ndarray of shape (3,)"),
    "NumPy's empty array": (np.zeros(0), "the ndarray of shape (0,)"),
    "date": (dt.date(2021, 5, 16), "the date 2021-05-16"),
}


@pytest.mark.parametrize(("value", "words"), VALUES.values(), ids=VALUES)
def test_a_value_is_named_by_its_kind(value: Any, words: str) -> None:
    assert found(value) == words


@pytest.mark.parametrize("text", ["", "3", "\ud83d", "x" * 100, "\0\n"])
def test_a_quoted_text_is_one_line_of_unicode(text: str) -> None:
    assert quoted(text).encode().decode() == quoted(text)
    assert quoted(text).splitlines() == [quoted(text)]

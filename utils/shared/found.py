"""What an error message says it found: the kind of a value, and the value."""

import json
from decimal import Decimal
from typing import Any

CHARACTERS = 60  # of a value, at most; a message is read in one line


def found(value: Any) -> str:
    """Name a value as JSON knows it: `the text "3"`, `the number 3`, `true`, `null`, `an array`.

    Args:
        value: of JSON, of an event or of a DataFrame, where NaN stands for a missing value.

    Returns:
        At most CHARACTERS of the value, followed by … where it is longer; always valid Unicode.
    """
    shape = getattr(value, "shape", None)
    if shape:
        return f"the {type(value).__name__} of shape {shape}"
    if shape == () and hasattr(value, "item"):  # NumPy's scalars
        value = value.item()
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {quoted(value)}"
        case int():
            return f"the number {_cut(f'{Decimal(value):f}')}"  # str() has a limit of digits
        case float() if value == value:
            return f"the number {_cut(repr(value).removesuffix('.0'))}"
        case float():
            return "null"
        case list() | tuple():
            return "an array"
        case dict():
            return "an object"
    return f"the {type(value).__name__} {_cut(str(value))}"


def require(holds: Any, rule: str, value: Any, error: type[ValueError] = ValueError) -> None:
    """Raise the error, which says the rule and what was found, unless the rule holds."""
    if not holds:
        raise error(f"{rule}; found {found(value)}")


def quoted(text: str) -> str:
    """The text as JSON writes it, cut; escapes stand for what UTF-8 has no bytes for."""
    return printable(json.dumps(_cut(text), ensure_ascii=False))


def printable(text: str) -> str:
    """The text, with escapes such as `\\ud801` for lone surrogates, which UTF-8 has no bytes for."""
    return text.encode("utf-8", "backslashreplace").decode()


def _cut(text: str) -> str:
    return text if len(text) <= CHARACTERS else text[:CHARACTERS] + "…"

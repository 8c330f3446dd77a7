"""Excel's limits, and how a workbook writes the names of columns and texts."""

import re
from unicodedata import east_asian_width

# Excel specifications and limits, Microsoft Support.
SHEET_ROWS = 1_048_576
SHEET_COLUMNS = 16_384
CELL_CHARACTERS = 32_767  # UTF-16 units, so an emoji counts as two
COLUMN_WIDTH = 255  # digits
EXACT_INTEGER = 999_999_999_999_999  # 15 significant digits
LAST_DAY = 2_958_465  # serial number of 9999-12-31

DATA_ROWS = SHEET_ROWS - 1  # each sheet repeats the header

HEADER_STYLE, DATE_STYLE, DATETIME_STYLE, DURATION_STYLE = 1, 2, 3, 4

_ESCAPE_LITERALS = re.compile("(_x[0-9a-fA-F]{4}_)")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")


class InvalidCell(ValueError):
    """A value that an Excel cell cannot hold."""


class TooManyColumns(ValueError):
    """A table wider than an Excel sheet."""


def check_columns(columns: int, source: str) -> None:
    """Raise TooManyColumns, which names the source, unless a sheet is wide enough."""
    if columns > SHEET_COLUMNS:
        raise TooManyColumns(
            f"{source}: a sheet holds at most {SHEET_COLUMNS} columns; found {columns}"
        )


def excel_row(position: int) -> int:
    """One-based Excel row of a data row on its sheet; row 1 is the header."""
    return position % DATA_ROWS + 2


def column_letters(index: int) -> str:
    """Excel's name of a zero-based column: A, …, Z, AA, …, XFD."""
    letters = ""
    while index >= 0:
        letters = chr(ord("A") + index % 26) + letters
        index = index // 26 - 1
    return letters


def display_width(text: str) -> int:
    """The width of a line in digits; a kanji is as wide as two."""
    return len(text) + wide_characters(text)


def wide_characters(text: str) -> int:
    """How many characters take the width of two, as kanji do."""
    return sum(east_asian_width(character) in "WF" for character in text)


def text_element(text: str) -> str:
    """The <t> element of a text, escaped as Excel escapes it (ECMA-376, ST_Xstring).

    Raises:
        InvalidCell: more than CELL_CHARACTERS, or a lone surrogate.
    """
    _check_text(text)
    text = _NOT_IN_XML.sub(_hex_escape, _ESCAPE_LITERALS.sub(r"_x005F\1", text))
    preserve = ' xml:space="preserve"' if text != text.strip() else ""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<t{preserve}>{text}</t>"


def _check_text(text: str) -> None:
    try:
        characters = len(text.encode("utf-16-le")) // 2
    except UnicodeEncodeError as error:
        surrogate = f"a lone surrogate U+{ord(text[error.start]):04X}"
        raise InvalidCell(f"text must be valid Unicode; found {surrogate}") from None
    if characters > CELL_CHARACTERS:
        raise InvalidCell(f"a cell holds at most {CELL_CHARACTERS} characters; found {characters}")


def _hex_escape(match: re.Match[str]) -> str:
    return f"_x{ord(match[0]):04X}_"

"""What the segments that render rows and the gather that joins them agree on."""

import re
from dataclasses import dataclass
from unicodedata import east_asian_width

# Excel specifications and limits, Microsoft Support: worksheet size, characters in a cell.
EXCEL_ROWS = 1_048_576
EXCEL_COLUMNS = 16_384
CELL_CHARACTERS = 32_767  # UTF-16 units, so an emoji counts as two

DATA_ROWS = EXCEL_ROWS - 1  # each sheet repeats the header

HEADER_STYLE, DATE_STYLE, DATETIME_STYLE, DURATION_STYLE = 1, 2, 3, 4

_ESCAPE_LITERALS = re.compile("(_x[0-9a-fA-F]{4}_)")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")


class InvalidCell(ValueError):
    """A value that an Excel cell cannot hold."""


class TooManyColumns(ValueError):
    """A table wider than an Excel sheet."""


@dataclass(frozen=True)
class SheetPart:
    """Some rows of one sheet as raw deflated XML, ended by a flush so that more can follow.

    All fields are ints: `asdict(part)` is plain JSON and `SheetPart(**fields)` reads it back.

    Attributes:
        position: zero-based number of the first row among the data rows of the whole table.
        rows: data rows, at least 1, all on the sheet position // DATA_ROWS.
        xml_bytes: length before deflating.
        deflated_bytes: length of the part itself.
        crc32: of the XML before deflating.
    """

    position: int
    rows: int
    xml_bytes: int
    deflated_bytes: int
    crc32: int


def excel_row(position: int) -> int:
    """One-based Excel row of a data row on its sheet; row 1 is the header."""
    return position % DATA_ROWS + 2


def check_columns(columns: int, source: str) -> None:
    """Raise TooManyColumns, which names the source, unless a sheet is wide enough."""
    if columns > EXCEL_COLUMNS:
        raise TooManyColumns(
            f"{source}: a sheet holds at most {EXCEL_COLUMNS} columns; found {columns}"
        )


def column_letters(index: int) -> str:
    """Excel's name of a zero-based column: A, …, Z, AA, …, XFD."""
    letters = ""
    while index >= 0:
        letters = chr(ord("A") + index % 26) + letters
        index = index // 26 - 1
    return letters


def display_width(text: str) -> int:
    """The width of a line in digits: kanji take that of two."""
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
        found = f"a lone surrogate U+{ord(text[error.start]):04X}"
        raise InvalidCell(f"text must be valid Unicode; found {found}") from None
    if characters > CELL_CHARACTERS:
        raise InvalidCell(f"a cell holds at most {CELL_CHARACTERS} characters; found {characters}")


def _hex_escape(match: re.Match[str]) -> str:
    return f"_x{ord(match[0]):04X}_"

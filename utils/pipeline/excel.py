"""Excel's limits, and how a workbook writes the names of columns and texts."""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from string import digits
from typing import Any

from pipeline.errors.wording import require

# Excel specifications and limits, Microsoft Support.
SHEET_ROWS = 1_048_576
SHEET_COLUMNS = 16_384
CELL_CHARACTERS = 32_767  # UTF-16 units, so an emoji counts as two
COLUMN_WIDTH = 255  # digits
EXACT_INTEGER = 999_999_999_999_999  # 15 significant digits
STR_BITS = 14_000  # of an integer whose digits Python's str writes, 4,300 of them
# Serial numbers of 1900-01-01, of Excel's own 1900-02-29, and of 9999-12-31.
FIRST_DAY, LEAP_DAY, LAST_DAY = 1, 60, 2_958_465
SHEET_NAME_CHARACTERS = 31  # UTF-16 units
FORMAT_CHARACTERS = 255
FORMAT_SECTIONS = 4  # of positive numbers, negative ones, zero and texts
FORMAT_PERCENTS = 100  # each multiplies by 100; of 155, a float passes its range
FORMATS = 200  # number formats in a workbook; some languages' Excel takes 50 more

DATA_ROWS = SHEET_ROWS - 1  # each sheet repeats the header

HEADER_STYLE, DATE_STYLE, DATETIME_STYLE, DURATION_STYLE, RIGHT_HEADER_STYLE = range(1, 6)
CENTER_HEADER_STYLE = 6
COUNT_FORMAT = "#,##0"
# Of the styles from 0 on; those of FORMATS follow, then those of columns that hold datetimes.
STYLE_FORMATS = [
    *("General", "General", "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss", "[h]:mm:ss"),
    *("General", "General", COUNT_FORMAT),
]

# What a text has in escapes: what XML cannot hold, and _ where an escape would be read.
_NOT_IN_XML = r"[\x00-\x08\x0b-\x1f\ufffe\uffff]"
_ESCAPED = re.compile(f"{_NOT_IN_XML}|_(?=x[0-9a-fA-F]{{4}}(?:_|{_NOT_IN_XML}))")
_NOT_IN_AN_ATTRIBUTE = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]")
_NOT_IN_A_SHEET_NAME = re.compile(r"[\[\]:*?/\\]")
# What a number format is made of (ECMA-376, part 1, 18.8.31). Letters beyond ASCII need no quotes.
_FORMAT_TOKEN = re.compile(
    r"""
    "[^"]*" | [\\*_].                     # a text; a character: shown, repeated, as a space
    | \[ (?: black | blue | cyan | green | magenta | red | white | yellow
           | color\ ?(?:[1-9]|[1-4][0-9]|5[0-6])
           | (?: [<>]=? | <> | = ) -?[0-9]+(?:\.[0-9]+)?
           | h+ | m+ | s+                  # a duration's
           | \$[^]]* | dbnum[1-4] ) \]     # a currency, a language, its numerals
    | general | [ymdhs] | am/pm | a/p
    | [gebr] | aaaa?                       # Japanese and Thai eras, and days of the week
    | [0-9?\#.,%@/;] | [ $+():!^&'~{}<>=-] | [^\x00-\x7f]
    """,
    re.IGNORECASE | re.VERBOSE,
)
_FORMAT_RULES = {
    '"': "must end its quotes",
    "[": "must have a color, a condition, a currency or a duration in brackets",
    "]": "must have no bracket alone",
    **dict.fromkeys("\\*_", "must have a character behind \\, * and _"),
}
_NAME_OF_THE_TABLE = re.compile("sheet[0-9]+", re.IGNORECASE)


class InvalidCell(ValueError):
    """A value that an Excel cell cannot hold."""


class TooManyColumns(ValueError):
    """A table wider than an Excel sheet."""


class InvalidSheetName(ValueError):
    """A name that Excel takes for no sheet, or that another sheet has."""


class InvalidFormat(ValueError):
    """A number format that a workbook cannot hold."""


def check_columns(columns: int, source: str) -> None:
    """Raise TooManyColumns, which names the source, unless a sheet is wide enough."""
    if columns > SHEET_COLUMNS:
        rule = f"a sheet holds at most {SHEET_COLUMNS} columns"
        raise TooManyColumns(f"{source}: {rule}; found {columns}")


def check_header(names: Iterable[str], source: str) -> None:
    """Raise InvalidCell, which names the source and the column, unless cells can hold the names."""
    for index, name in enumerate(names):
        try:
            _check_text(name)
        except InvalidCell as error:
            where = f"{source}: header of column {column_letters(index)}"
            raise InvalidCell(f"{where}: {error}") from None


def excel_row(position: int, headers: int = 1) -> int:
    """One-based Excel row of a data row on its sheet, which begins with so many rows of headers."""
    return position % (DATA_ROWS + 1 - headers) + 1 + headers


def column_letters(index: int) -> str:
    """Excel's name of a zero-based column: A, …, Z, AA, …, XFD."""
    letters = ""
    while index >= 0:
        letters = chr(ord("A") + index % 26) + letters
        index = index // 26 - 1
    return letters


def has_long(values: Iterable[Any]) -> bool:
    """Whether an integer has more digits than Excel, and a float, keeps."""
    return any(map(is_long, values))


def is_long(value: Any) -> bool:
    return type(value) is int and abs(value) > EXACT_INTEGER


def integer_text(value: int) -> str:
    """All its digits, of which `str` has a limit."""
    return str(value) if value.bit_length() < STR_BITS else f"{Decimal(value):f}"


def float_text(value: float) -> str:
    """As Excel shows it, with 15 digits: 0.07, where a cell's XML has 0.07000000000000001."""
    return f"{value:.15G}" if math.isfinite(value) else str(value)


def duration_text(value: timedelta) -> str:
    """As [h]:mm:ss shows it, 36:00:00; a negative one, which Excel does not show, with its sign."""
    minutes, seconds = divmod(round(abs(value).total_seconds()), 60)
    sign = "-" if value < timedelta() else ""
    return f"{sign}{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def is_number(value: Decimal) -> bool:
    """Whether a cell holds it as a number, which has 15 digits, and not as a text."""
    return value.is_nan() or Decimal(f"{float(value):.15G}") == value


def check_sheet_names(names: Iterable[str]) -> None:
    """Check the names of sheets beside the table's own, which are Sheet1, Sheet2, …

    Raises:
        InvalidSheetName: Excel does not take one, or takes two for the same.
    """
    taken: set[str] = set()
    for name in names:
        check_sheet_name(name)
        rule = "no two sheets have one name, case apart"
        require(name.lower() not in taken, rule, name, InvalidSheetName)
        taken.add(name.lower())


def check_sheet_name(name: str) -> None:
    """Raise InvalidSheetName unless Excel takes the name for a sheet beside the table's own."""
    short = utf16_units(name) <= SHEET_NAME_CHARACTERS
    for rule, holds in {
        "is not empty": name != "",
        f"has at most {SHEET_NAME_CHARACTERS} characters": short,
        "has none of []:*?/\\": not _NOT_IN_A_SHEET_NAME.search(name),
        "has no characters that XML cannot hold": is_printable(name),
        "neither begins nor ends with an apostrophe": "'" not in (name[:1], name[-1:]),
        "is not History, which Excel keeps for itself": name.lower() != "history",
        "is not one of the table's own sheets": not _NAME_OF_THE_TABLE.fullmatch(name),
    }.items():
        require(holds, f"a sheet's name {rule}", name, InvalidSheetName)


def numbered_sheet(name: str, number: int) -> str:
    """`name (2)`, the name cut so that it is one for a sheet; of the table's own, Sheet2."""
    if _NAME_OF_THE_TABLE.fullmatch(name):
        return f"{name.rstrip(digits)}{number}"
    end = f" ({number})"
    while utf16_units(name + end) > SHEET_NAME_CHARACTERS:
        name = name[:-1]
    return name + end


def utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def shortened(text: str, units: int) -> str:
    """At most so many UTF-16 units of a text; … stands for the others."""
    if utf16_units(text) <= units:
        return text
    return text.encode("utf-16-le")[: 2 * units - 2].decode("utf-16-le", "ignore") + "…"


def is_printable(text: str) -> bool:
    """Whether XML can hold it in one line."""
    return not _NOT_IN_AN_ATTRIBUTE.search(text)


def check_formats(formats: Mapping[str, str]) -> None:
    """Check number formats by the names of columns.

    Raises:
        InvalidFormat: names the column, the rule and what was found.
    """
    rule = f"must have a text of 1 to {FORMAT_CHARACTERS} printable characters"
    for name, number_format in formats.items():
        is_text = isinstance(number_format, str) and is_printable(number_format)
        short = is_text and 1 <= len(number_format) <= FORMAT_CHARACTERS
        require(short, f"FORMATS: {name} {rule}", number_format, InvalidFormat)
        _check_format(name, number_format)
    if (count := len(set(formats.values()))) > FORMATS:
        raise InvalidFormat(f"FORMATS: a workbook holds at most {FORMATS} of them; found {count}")


def _check_format(name: str, number_format: str) -> None:
    sections, at = 1, 0
    while token := _FORMAT_TOKEN.match(number_format, at):
        sections, at = sections + (token[0] == ";"), token.end()
    if sections > FORMAT_SECTIONS:
        rule = f"must have at most {FORMAT_SECTIONS} sections"
        what = f"{sections} in {number_format}"
    elif (percents := number_format.count("%")) > FORMAT_PERCENTS:
        rule = f"must have at most {FORMAT_PERCENTS} percent signs"
        what = f"{percents} in {number_format}"
    elif at < len(number_format):
        rule = _FORMAT_RULES.get(number_format[at], "must have its texts in quotes")
        what = f"{number_format[at:]} in {number_format}"
    else:
        return
    raise InvalidFormat(f"FORMATS: the format of {name} {rule}; found {what}")


def style_formats(formats: Mapping[str, str]) -> list[str]:
    """The number formats of all styles, from 0 on: the same list for the same formats."""
    return [*STYLE_FORMATS, *sorted(set(formats.values()).difference(STYLE_FORMATS))]


def text_element(text: str) -> str:
    """The <t> element of a text, escaped as Excel escapes it (ECMA-376, ST_Xstring).

    Raises:
        InvalidCell: more than CELL_CHARACTERS, or a lone surrogate.
    """
    _check_text(text)
    text = _ESCAPED.sub(_hex_escape, text)
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

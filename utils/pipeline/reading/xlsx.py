"""Workbooks of Excel: a sheet's rows, streamed off its XML; the first row names the columns."""

import datetime as dt
import math
import posixpath
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from typing import Any, NoReturn, Self
from xml.parsers import expat

from pipeline.errors.wording import quoted
from pipeline.excel import column_letters
from pipeline.reading.columns import Block
from pipeline.reading.gunzip import MOST_RATIO
from pipeline.reading.reader import RECORD_BYTES, Reader

PIECE_BYTES = 240_000  # of XML, at least, parsed at a time
DATES = {*range(14, 23), *range(27, 37), 45, 47, *range(50, 59)}  # built-in number formats
ELAPSED = 46
# What of a number format is no letter of a date: texts, colours, locales, General, and exponents.
_OTHERS = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?![hms]+\])[^]]*\]|General|E[+-]', re.IGNORECASE)
_DATE = re.compile("[dmyhsge]", re.IGNORECASE)
_INTEGER = re.compile(r"-?[0-9]{1,15}")
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
LEAP = 60  # Excel's 29 February 1900, which never was
LAST = 2_958_466  # the day after 9999
DAY_MS = 86_400_000

STRINGS, STYLES = "xl/sharedStrings.xml", "xl/styles.xml"

type Pieces = Callable[..., Iterator[bytes]]
type Refuse = Callable[[str, str], NoReturn]
type Given = dict[str, str]
type Row = dict[int, Any]


class InvalidWorkbook(ValueError):
    """The object is no workbook, has no such sheet, or one whose rows are no table.

    The message names the object, and the cell.
    """


class XlsxReader(Reader):
    """
    Args:
        sheet: its name; "" for the first one.

    Attributes:
        offset: of the object, in proportion to what was read of the sheet.
        header: the names of the columns.
    """

    error = InvalidWorkbook

    def __init__(self, chunks: Iterable[bytes], source: str, sheet: str = "") -> None:
        super().__init__(chunks, source)
        self.sheet = sheet

    def blocks(self, block_bytes: int) -> Iterator[Block]:
        with tempfile.TemporaryFile() as file:
            size = sum(map(file.write, self.chunks))
            try:
                with zipfile.ZipFile(file) as package:
                    yield from self._blocks(package, size, block_bytes)
            except (zipfile.BadZipFile, KeyError, expat.ExpatError, NotImplementedError) as error:
                self._refuse("", f"must be a workbook of Excel; found {error}")

    def _blocks(self, package: zipfile.ZipFile, size: int, block_bytes: int) -> Iterator[Block]:
        pieces = partial(self._pieces, package)
        part, is_1904 = self._find_sheet(pieces)
        total = package.getinfo(part).file_size
        wanted = max(PIECE_BYTES, block_bytes * total // size)
        there = package.namelist()
        texts = Strings().read(pieces(STRINGS)).found if STRINGS in there else []
        styles = Styles().read(pieces(STYLES)).found if STYLES in there else []
        rows = SheetRows(texts, styles, is_1904, self._refuse)
        read = 0
        for piece in pieces(part, wanted):
            rows.parser.Parse(piece)
            read += len(piece)
            self.offset = size * read // total
            if block := self._block(rows.take()):
                yield block

    def _block(self, rows: list[Row]) -> Block | None:
        if rows and not self.header:
            self._take_header(rows.pop(0))
        self.index += len(rows)
        columns = {name: [row.get(at) for row in rows] for at, name in enumerate(self.header)}
        return Block(columns, len(rows)) if rows else None

    def _take_header(self, row: Row) -> None:
        for at in range(max(row) + 1):
            if row.get(at, "") == "":
                rule = "each column has a name; found none for column"
                self._refuse("", f"{rule} {column_letters(at)}")
        self.header = [str(row[at]) for at in sorted(row)]
        [(name, count)] = Counter(self.header).most_common(1)
        if count > 1:
            self._refuse("", f"a column's name may occur once; found {quoted(name)} again")

    def _find_sheet(self, pieces: Pieces) -> tuple[str, bool]:
        """The part of the package, and whether its days count from 1904."""
        parts = Parts().read(pieces("xl/_rels/workbook.xml.rels")).found
        book = Book().read(pieces("xl/workbook.xml"))
        # A sheet of a chart alone is none.
        sheets = {name: parts[number] for name, number in book.sheets.items() if number in parts}
        wanted = self.sheet or next(iter(sheets), "")
        if wanted not in sheets:
            found = ", ".join(sheets) or "none"
            self._refuse("", f"must have the sheet {quoted(wanted)}; found {found}")
        return sheets[wanted], book.is_1904

    def _pieces(
        self, package: zipfile.ZipFile, part: str, wanted: int = PIECE_BYTES
    ) -> Iterator[bytes]:
        info = package.getinfo(part)
        most = max(RECORD_BYTES, MOST_RATIO * info.compress_size)
        if info.file_size > most:
            rule = f"{part} must unpack to at most {most} bytes"
            self._refuse("", f"{rule}; found {info.file_size}")
        with package.open(part) as file:  # which reads no more than that
            while piece := file.read(wanted):
                yield piece

    def _refuse(self, cell: str, fault: str) -> NoReturn:
        raise InvalidWorkbook(f"{self.source}{f' cell {cell}' if cell else ''}: {fault}")


class Elements:
    """A parser of one part: `begin_c` and `end_c`, say, are called for an element of that name.

    Attributes:
        text: of the element that ends.
        runs: the texts of its runs, without how they are read aloud.
    """

    def __init__(self) -> None:
        self.text = ""
        self.runs: list[str] = []
        self.aloud = False
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._begin
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._say
        self._begins = self._named("begin_")
        self._ends = self._named("end_")

    def read(self, pieces: Iterable[bytes]) -> Self:
        for piece in pieces:
            self.parser.Parse(piece)
        self.parser.Parse(b"", True)
        return self

    def begin_rPh(self, given: Given) -> None:  # as the element is called
        self.aloud = True

    def end_rPh(self) -> None:
        self.aloud = False

    def end_t(self) -> None:
        if not self.aloud:
            self.runs.append(_ESCAPE.sub(lambda code: chr(int(code[1], 16)), self.text))

    def taken_runs(self) -> str:
        runs, self.runs = self.runs, []
        return "".join(runs)

    def _named(self, start: str) -> dict[str, Any]:
        names = (name for name in dir(self) if name.startswith(start))
        return {name.removeprefix(start): getattr(self, name) for name in names}

    def _begin(self, name: str, given: Given) -> None:
        self.text = ""
        if call := self._begins.get(local(name)):
            call(given)

    def _end(self, name: str) -> None:
        if call := self._ends.get(local(name)):
            call()

    def _say(self, text: str) -> None:
        self.text += text


@cache
def local(name: str) -> str:
    return name.rpartition(" ")[2]


class Parts(Elements):
    """The parts of worksheets, by the ids of their relationships."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def begin_Relationship(self, given: Given) -> None:
        if given["Type"].endswith("/worksheet"):
            part = posixpath.normpath(posixpath.join("/xl", given["Target"]))
            self.found[given["Id"]] = part[1:]


class Book(Elements):
    """The sheets' ids, by their names, and whether days count from 1904."""

    def __init__(self) -> None:
        super().__init__()
        self.sheets: dict[str, str] = {}
        self.is_1904 = False

    def begin_workbookPr(self, given: Given) -> None:
        self.is_1904 = given.get("date1904") in ("1", "true")

    def begin_sheet(self, given: Given) -> None:
        number = next(value for key, value in given.items() if key.endswith(" id"))
        self.sheets[given["name"]] = number


class Strings(Elements):
    """The texts that cells share."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def end_si(self) -> None:
        self.found.append(self.taken_runs())


class Styles(Elements):
    """What numbers of each style are: "", days or elapsed time."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._codes: dict[int, str] = {}
        self._of_cells = False

    def begin_numFmt(self, given: Given) -> None:
        self._codes[int(given["numFmtId"])] = kind_of(given["formatCode"])

    def begin_cellXfs(self, given: Given) -> None:
        self._of_cells = True

    def end_cellXfs(self) -> None:
        self._of_cells = False

    def begin_xf(self, given: Given) -> None:
        if self._of_cells:
            number = int(given.get("numFmtId", 0))
            built_in = "elapsed" if number == ELAPSED else "days" if number in DATES else ""
            self.found.append(self._codes.get(number, built_in))


def kind_of(code: str) -> str:
    letters = _OTHERS.sub("", code.partition(";")[0])
    return "elapsed" if "[" in letters else "days" if _DATE.search(letters) else ""


class SheetRows(Elements):
    """The rows of a sheet that hold something, the values of their cells by column."""

    def __init__(self, texts: list[str], styles: list[str], is_1904: bool, refuse: Refuse) -> None:
        super().__init__()
        self._texts, self._styles, self._refuse = texts, styles, refuse
        self._epoch = dt.datetime(1904, 1, 1) if is_1904 else dt.datetime(1899, 12, 30)
        self._leap = 0 if is_1904 else LEAP
        self._rows: list[Row] = []
        self._width = 0  # of the first one
        self._row: Row = {}
        self._number = 0
        self._column = -1
        self._given: Given = {}
        self._value: str | None = None
        self._computed = False

    def take(self) -> list[Row]:
        rows, self._rows = self._rows, []
        return rows

    def begin_row(self, given: Given) -> None:
        self._number = int(given.get("r", self._number + 1))
        self._column = -1

    def begin_c(self, given: Given) -> None:
        self._given, self._value, self._computed, self.runs = given, None, False, []
        self._column = column_of(given["r"]) if "r" in given else self._column + 1

    def begin_f(self, given: Given) -> None:
        self._computed = True

    def end_v(self) -> None:
        self._value = self.text

    def end_c(self) -> None:
        try:
            value = self._read(self._given.get("t", "n"))
        except (ValueError, IndexError, OverflowError) as error:
            if isinstance(error, InvalidWorkbook):
                raise
            self._fail(f"a cell holds what its type says; found {quoted(self._value or '')}")
        if value is None:
            return
        if self._width and self._column >= self._width:
            self._fail(f"a row has as many cells as the header, {self._width}; found more")
        self._row[self._column] = value

    def end_row(self) -> None:
        if self._row:
            self._width = self._width or max(self._row) + 1
            self._rows.append(self._row)
            self._row = {}

    def _read(self, kind: str) -> Any:
        value = self._value
        if kind == "inlineStr":
            return self.taken_runs()
        if value is None:
            if self._computed:
                self._fail("a formula has a value, as Excel saves it; found none")
            return None
        match kind:
            case "s":
                return self._texts[int(value)]
            case "str":
                return _ESCAPE.sub(lambda code: chr(int(code[1], 16)), value)
            case "b":
                return value == "1"
            case "d":
                return dt.datetime.fromisoformat(value)
            case "e":
                self._fail(f"a cell must hold a value; found the error {value}")
        style = int(self._given.get("s", 0))
        return self._number_of(value, self._styles[style] if style < len(self._styles) else "")

    def _number_of(self, value: str, kind: str) -> Any:
        if not kind:
            number = int(value) if _INTEGER.fullmatch(value) else float(value)
            if not math.isfinite(number):
                raise ValueError(value)
            return number
        serial = float(value)
        if kind == "elapsed" or 0 <= serial < 1:
            return dt.timedelta(milliseconds=round(serial * DAY_MS))
        if not 0 < serial < LAST:
            self._fail(f"a date lies within the years 1900 to 9999; found {value}")
        days, part = divmod(serial, 1)
        days += days < self._leap
        return self._epoch + dt.timedelta(days, milliseconds=round(part * DAY_MS))

    def _fail(self, fault: str) -> NoReturn:
        self._refuse(f"{column_letters(self._column)}{self._number}", fault)


@cache
def column_of(reference: str) -> int:
    """`AB12` → 27."""
    number = 0
    for letter in reference.rstrip("0123456789"):
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1

"""Workbooks of Excel: a sheet's rows, streamed off its XML; the first row names the columns."""

import datetime as dt
import itertools
import math
import posixpath
import re
import tempfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from string import digits
from typing import IO, Any, NoReturn
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from pipeline.errors.wording import quoted
from pipeline.excel import SHEET_COLUMNS, column_letters
from pipeline.reading.columns import Block
from pipeline.reading.gunzip import MOST_RATIO
from pipeline.reading.reader import RECORD_BYTES, Reader

BLOCK_BYTES = 240_000  # of XML, at least, for each block
ELEMENTS = 1_000_000  # of a row or of a shared text, far more than Excel writes
DATES = {*range(14, 23), *range(27, 37), 45, 47, *range(50, 59)}  # built-in number formats
ELAPSED = 46
# What of a number format is no letter of a date: texts, colours, locales, General, and exponents.
_OTHERS = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?![hms]+\])[^]]*\]|General|E[+-]', re.IGNORECASE)
_DATE = re.compile("[dmyhsge]|aaa", re.IGNORECASE)  # aaa: 曜日
_INTEGER = re.compile(r"-?[0-9]{1,15}")
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
LEAP = 60  # Excel's 29 February 1900, which never was
LAST = 2_958_466  # the day after 9999
DAY_MS = 86_400_000

type Row = dict[int, Any]  # the values of cells that hold something, by column


class InvalidWorkbook(ValueError):
    """The object is no workbook, has no such sheet, or one whose rows are no table.

    The message names the object, and the cell.
    """


FAULTS = (
    *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError),  # of a package
    *(ElementTree.ParseError, LookupError, ValueError),  # of its parts
)


class XlsxReader(Reader):
    """The rows of a sheet, of the first one without a name.

    `offset` is of the object, in proportion to what was read of the sheet.
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
            except InvalidWorkbook as error:
                raise InvalidWorkbook(f"{self.source}{error}") from None
            except FAULTS as error:
                fault = f"must be a workbook of Excel; found {error}"
                raise InvalidWorkbook(f"{self.source}: {fault}") from None

    def _blocks(self, package: zipfile.ZipFile, size: int, block_bytes: int) -> Iterator[Block]:
        check_sizes(package)
        book = first(related(package, "")["officeDocument"])
        parts = related(package, book)
        part, is_1904 = find_sheet(tree(package, book), parts["worksheet"], self.sheet)
        total = package.getinfo(part).file_size
        wanted = max(BLOCK_BYTES, block_bytes * total // size)
        texts = texts_of(package, first(parts["sharedStrings"]))
        sheet = Sheet(texts, kinds_of(package, first(parts["styles"])), is_1904)
        with package.open(part) as file:
            rows = filter(None, map(sheet.row, elements(file, "row")))
            if header := next(rows, None):
                names = [str(header.get(at, "")) for at in range(max(header) + 1)]
                self._take_header(names, column_letters)
            for _, some in itertools.groupby(rows, lambda _: file.tell() // wanted):
                yield self._block(list(some), size * file.tell() // total)

    def _block(self, rows: list[Row], end: int) -> Block:
        self.index += len(rows)
        self.offset = end
        columns = {name: [row.get(at) for row in rows] for at, name in enumerate(self.header)}
        return Block(columns, len(rows))

    def _fail(self, at: int, fault: str) -> NoReturn:
        raise InvalidWorkbook(f": {fault}")  # behind the object's name, see `blocks`


def check_sizes(package: zipfile.ZipFile) -> None:
    """Of a part no more is unpacked than its size, as the package tells it."""
    for info in package.infolist():
        check_size(info, max(RECORD_BYTES, MOST_RATIO * info.compress_size))


def check_size(info: zipfile.ZipInfo, most: int) -> None:
    if info.file_size > most:
        rule = f"{info.filename} must unpack to at most {most} bytes"
        raise InvalidWorkbook(f": {rule}; found {info.file_size}")


def tree(package: zipfile.ZipFile, part: str) -> Element:
    """All of a part that tells of others, or of formats."""
    check_size(package.getinfo(part), RECORD_BYTES)
    return ElementTree.fromstring(package.read(part))


def related(package: zipfile.ZipFile, part: str) -> defaultdict[str, dict[str, str]]:
    """The parts that a part names, of each type by their ids; "" names the workbook."""
    folder, name = posixpath.split(part)
    parts = defaultdict[str, dict[str, str]](dict)
    for each in tree(package, posixpath.join(folder, "_rels", f"{name}.rels")):
        target = posixpath.normpath(posixpath.join("/", folder, each.attrib["Target"]))
        parts[posixpath.basename(each.attrib["Type"])][each.attrib["Id"]] = target[1:]
    return parts


def first(parts: dict[str, str]) -> str:
    """Of the parts of a type; "" where there is none."""
    return next(iter(parts.values()), "")


def find_sheet(book: Element, parts: dict[str, str], name: str) -> tuple[str, bool]:
    """The part of a sheet, of the first one without a name; and whether its days count from 1904."""
    sheets = {}
    for each in book.iterfind("{*}sheets/{*}sheet"):
        number = {local(key): value for key, value in each.items()}["id"]
        if number in parts:  # a sheet of a chart alone is none
            sheets[each.attrib["name"]] = parts[number]
    wanted = name or next(iter(sheets), "")
    if wanted not in sheets:
        found = ", ".join(sheets) or "none"
        raise InvalidWorkbook(f": must have the sheet {quoted(wanted)}; found {found}")
    properties = book.find("{*}workbookPr")
    is_1904 = properties is not None and properties.get("date1904") in ("1", "true")
    return sheets[wanted], is_1904


def texts_of(package: zipfile.ZipFile, part: str) -> list[str]:
    """The texts that cells share, where there are some."""
    if not part:
        return []
    with package.open(part) as file:
        return list(map(text_of, elements(file, "si")))


def kinds_of(package: zipfile.ZipFile, part: str) -> list[str]:
    """What numbers of each style are: "", days or elapsed time."""
    if not part:
        return []
    styles = tree(package, part)
    kinds = {ELAPSED: "elapsed", **dict.fromkeys(DATES, "days")}
    for each in styles.iterfind("{*}numFmts/{*}numFmt"):
        kinds[int(each.attrib["numFmtId"])] = kind_of(each.attrib["formatCode"])
    cells = styles.iterfind("{*}cellXfs/{*}xf")
    return [kinds.get(int(each.get("numFmtId", 0)), "") for each in cells]


def kind_of(code: str) -> str:
    letters = _OTHERS.sub("", code.partition(";")[0])
    return "elapsed" if "[" in letters else "days" if _DATE.search(letters) else ""


def elements(file: IO[bytes], name: str) -> Iterator[Element]:
    """Those of a name in a part, one by one: the tree keeps nothing behind the one that is read."""
    path: list[Element] = []
    held = depth = 0  # how many the tree has, and where the one is that is read
    for event, element in ElementTree.iterparse(file, ("start", "end")):
        if event == "start":
            path.append(element)
            held += 1
            if held > ELEMENTS:
                raise InvalidWorkbook(f": a <{name}> has at most {ELEMENTS} elements; found more")
            if not depth and local(element.tag) == name:
                depth = len(path)
            continue
        if depth == len(path):
            yield element
            depth = 0
        path.pop()
        if path and not depth:
            path[-1].remove(element)
            held = len(path)


@cache
def local(tag: str) -> str:
    return tag.rpartition("}")[2]


def text_of(element: Element) -> str:
    """The texts of its runs, without how they are read aloud."""
    text = ""
    for each in element:
        match local(each.tag):
            case "t":
                text += unescaped(each.text or "")
            case "r" | "is":
                text += text_of(each)
    return text


def unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda code: chr(int(code[1], 16)), text)


class Sheet:
    """What the cells of a sheet hold, row by row.

    Args:
        texts: that cells share.
        kinds: of numbers, by style, see `kinds_of`.
        is_1904: whether days count from then.
    """

    def __init__(self, texts: list[str], kinds: list[str], is_1904: bool) -> None:
        self._texts, self._kinds = texts, kinds
        self._epoch = dt.datetime(1904, 1, 1) if is_1904 else dt.datetime(1899, 12, 30)
        self._leap = 0 if is_1904 else LEAP
        self._columns = {column_letters(at): at for at in range(SHEET_COLUMNS)}
        self._width = 0  # of the first row that holds something
        self._number = 0
        self._column = -1

    def row(self, element: Element) -> Row:
        self._number = int(element.get("r", self._number + 1))
        self._column = -1
        values: Row = {}
        for cell in element:
            name = cell.get("r", "").rstrip(digits)
            self._column = self._columns[name] if name else self._column + 1
            if (value := self._read(cell)) is None:
                continue
            if self._width and self._column >= self._width:
                rule = f"a row has as many cells as the header, {self._width}"
                self._fail(f"{rule}; found more")
            values[self._column] = value
        self._width = self._width or max(values, default=-1) + 1
        return values

    def _read(self, cell: Element) -> Any:
        kind, space = cell.get("t", "n"), cell.tag.removesuffix("c")
        if kind == "inlineStr":
            return text_of(cell)
        value = cell.findtext(f"{space}v")
        if value or (value is not None and kind == "str"):
            try:
                return self._value(kind, value, int(cell.get("s", 0)))
            except InvalidWorkbook:
                raise
            except (ValueError, IndexError, OverflowError):
                self._fail(f"a cell holds what its type says; found {quoted(value)}")
        if cell.find(f"{space}f") is not None:
            self._fail("a formula has a value, as Excel saves it; found none")
        return None

    def _value(self, kind: str, value: str, style: int) -> Any:
        match kind:
            case "str":
                return unescaped(value)
            case "s":
                return self._texts[int(value)]
            case "b":
                return value == "1"
            case "d":
                return dt.datetime.fromisoformat(value)
            case "e":
                self._fail(f"a cell must hold a value; found the error {value}")
        return self._number_of(value, self._kinds[style] if style < len(self._kinds) else "")

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
        raise InvalidWorkbook(f" cell {column_letters(self._column)}{self._number}: {fault}")

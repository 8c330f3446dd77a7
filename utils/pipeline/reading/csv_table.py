"""CSV as Python's csv module reads it, strictly: a header, then rows of as many cells."""

import csv
import io
import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

from pipeline.reading.columns import Block
from pipeline.reading.plain_numbers import numbers_of
from pipeline.reading.reader import Reader

ENCODINGS = ("utf-8", "cp932")  # neither has a byte of a line's end or a quote inside a character
CELL_CHARACTERS = 1 << 20  # far more than Excel's cells hold, as an ETL may shorten them
csv.field_size_limit(CELL_CHARACTERS)
OPEN = "unexpected end of data"
FAULTS = {  # in csv's words, and in ours
    OPEN: "a quoted cell must end; found the end of the file",
    f"field larger than field limit ({CELL_CHARACTERS})": f"a cell holds at most {CELL_CHARACTERS} "
    "characters; found more",
}


class InvalidCSV(ValueError):
    """The object is no CSV file with a header.

    The message names the object, the record, counted from 0, and the line, counted from 1.
    """


class Rows(NamedTuple):
    """The rows of a text, of which blank lines are without cells.

    Attributes:
        end: characters that they take.
        lines: that they take.
        fault: of the text behind them; None where there is none.
    """

    rows: list[list[str]]
    end: int
    lines: int
    fault: str | None = None


class CSVColumns:
    """Which columns of CSV are numbers: those of which all cells of the whole table are plain ones.

    Until the first other text a column is taken for numbers. If that text comes after a block of
    numbers, then `mixed` is set, and no more blocks are made: read the table again with `texts`.

    Attributes:
        texts: columns known to hold other texts than plain numbers.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.texts = set(texts)
        self.mixed = False
        self._numbers: set[str] = set()

    def add_texts(self, names: set[str]) -> None:
        self.texts |= names
        self.mixed |= not self._numbers.isdisjoint(names)

    def read(self, columns: dict[str, list[Any]]) -> None:
        """Make numbers of the cells of each column that may be one of numbers."""
        for name in columns.keys() - self.texts:
            numbers = numbers_of(columns[name])
            if numbers is None:
                self.add_texts({name})
            else:
                columns[name] = numbers
                self._numbers.add(name)


class CSVReader(Reader):
    """
    Args:
        columns: shared by all objects of a table. Where they are mixed, the rest of the file is only
            searched for more columns of texts.

    Attributes:
        line: of buffer[0].
    """

    error = InvalidCSV

    def __init__(
        self,
        chunks: Iterable[bytes],
        source: str,
        columns: CSVColumns,
        encoding: str,
        delimiter: str,
    ) -> None:
        super().__init__(chunks, source)
        self.delimiter = delimiter
        self.faults = {
            **FAULTS,
            f"'{delimiter}' expected after '\"'": "a quote must end its cell; found more of it behind",
        }
        self.encoding = encoding
        self.columns = columns
        self.line = 1

    def _parse(self) -> Block | None:
        text, size, invalid = self._text()
        found = read_rows(text, None if self.header else 1, self.delimiter)
        widths, width = set(map(len, found.rows)), len(self.header)
        if self.header and not widths <= {width, 0}:
            ragged = next(at for at, row in enumerate(found.rows) if len(row) not in (width, 0))
            cells = len(found.rows[ragged])
            fault = f"a row has as many cells as the header, {width}; found {cells}"
            found = read_rows(text, ragged, self.delimiter)._replace(fault=fault)
        if not found.rows:
            self._refuse(found.fault, invalid)
            return None
        rows = list(filter(None, found.rows)) if 0 in widths else found.rows
        block = None
        if not self.header:
            names = rows[0] if rows else []  # of a blank line
            self._take_header(names, lambda at: at + 1)
        elif rows:
            block = self._block(rows)
        if found.end < len(text):
            size = len(text[: found.end].encode(self.encoding))
        self._consume(size)
        self.line += found.lines
        return block

    def _text(self) -> tuple[str, int, int | None]:
        """The whole lines before any byte that is no text, their bytes, and where that one is."""
        end = len(self.buffer) if self.ended else line_end(self.buffer)
        nul = self.buffer.find(b"\0", 0, end)
        text, invalid = self._decode(self.buffer[: end if nul < 0 else nul])
        if invalid is None and nul >= 0:
            invalid = nul
        if invalid is not None:
            end = line_end(self.buffer[: invalid + 1])
            text = self.buffer[:end].decode(self.encoding)
        return text, end, invalid

    def _refuse(self, fault: str | None, invalid: int | None) -> None:
        """Raise the fault of the next record, unless that is complete when more is read."""
        cut_off = fault == OPEN and (invalid is not None or not self.ended)
        if fault and not cut_off:
            self._fail(0, self.faults.get(fault, fault))
        if invalid is not None:
            # The byte may stand on a later line of a record.
            self.line += len((self.buffer[:invalid] + b"x").splitlines()) - 1
            self._fail_at_byte(invalid)

    def _block(self, rows: list[list[str]]) -> Block | None:
        cells: list[Any] = list(itertools.chain.from_iterable(rows))
        width = len(self.header)
        columns = {name: cells[at::width] for at, name in enumerate(self.header)}
        self.columns.read(columns)
        self.index += len(rows)
        return None if self.columns.mixed else Block(columns, len(rows))

    def _place(self, at: int) -> str:
        record = f" record {self.index}," if self.header else ""
        return f"{record} line {self.line}"


def read_rows(text: str, most: int | None, delimiter: str) -> Rows:
    """The complete rows of a text that begins with a row; at most so many of them."""
    file = io.StringIO(text, newline="")  # ends lines where csv does, and nowhere else
    reader = csv.reader(file, strict=True, delimiter=delimiter)
    rows: list[list[str]] = []
    try:
        rows.extend(itertools.islice(reader, most))
    except csv.Error as error:
        return read_rows(text, len(rows), delimiter)._replace(fault=str(error))
    return Rows(rows, file.tell(), reader.line_num)


def line_end(data: bytes) -> int:
    """Where the last whole line ends; a return at the end may be half of a line's end."""
    return max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1

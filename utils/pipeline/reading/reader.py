"""Read the records of a stream of bytes block by block, in bounded memory: what all formats share."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn

from pipeline.errors.wording import quoted
from pipeline.reading.columns import Block

# A record of the widest sheet Excel takes is far smaller; a longer one is a broken file.
RECORD_BYTES = 64 * 1024 * 1024

MARK = b"\xef\xbb\xbf"
_UTF16_OR_32 = re.compile(rb"\xff\xfe|\xfe\xff|.?\x00", re.DOTALL)  # how a file of these begins
_WIDE = re.compile(rb"[,\n]\x00|\x00[,\n]")  # what stands between its cells


class Reader:
    """The bytes that have arrived and are not parsed yet, and their place in the file.

    A format says how it begins (`_open`) and how whole records are taken off the buffer (`_parse`).

    Args:
        chunks: the file's bytes, in pieces of any size.
        source: the object's name, for errors.

    Attributes:
        starts: the byte of the file where each block begins, and the number of its first record.
        header: the names of the columns, where the format has one.
        delimiter: of CSV.
    """

    delimiter = ","
    error: type[ValueError]
    encoding = "utf-8"

    def __init__(self, chunks: Iterable[bytes], source: str) -> None:
        self.chunks: Iterator[bytes] = filter(None, chunks)
        self.source = source
        self.buffer = b""
        self.offset = 0  # of buffer[0] in the file
        self.index = 0  # of the next record
        self.ended = False
        self.starts: list[tuple[int, int]] = []
        self.header: list[str] = []

    def blocks(self, block_bytes: int) -> Iterator[Block]:
        """Parse the file as it arrives; what was parsed already stays so.

        Args:
            block_bytes: how many new bytes each block takes at least, so that a file of n bytes
                gives at most ceil(n / block_bytes) blocks. Only whole chunks are taken.

        Yields:
            Blocks of records, none empty.

        Raises:
            ValueError: the format's error, at the first fault.
        """
        (self._read if self.index else self._open)(block_bytes)
        wanted = block_bytes
        while True:
            start = self.offset, self.index
            if block := self._parse():
                self.starts.append(start)
                yield block
                del block  # before the next one is made
                wanted = block_bytes
            elif self.offset > start[0]:
                wanted = block_bytes
                continue
            elif self.ended:
                return
            elif len(self.buffer) > RECORD_BYTES:
                self._fail(0, f"a record holds at most {RECORD_BYTES} bytes; found no end of it")
            else:
                # A record longer than a block is parsed again: doubling keeps that linear.
                wanted = min(2 * wanted, RECORD_BYTES + 1 - len(self.buffer))
            self._read(wanted)

    def _parse(self) -> Block | None:
        """Take whole records off the buffer; None if there are none."""
        raise NotImplementedError

    def _open(self, wanted: int) -> None:
        """Read the file's beginning, and pass over a byte order mark."""
        self._read(max(wanted, 4))
        if _UTF16_OR_32.match(self.buffer):
            self._fail(0, f"must be {self.encoding.upper()}; found UTF-16 or UTF-32")
        if self.buffer.startswith(MARK):
            if self.encoding != "utf-8":
                self._fail(
                    0, f"must be {self.encoding.upper()}; found the byte order mark of UTF-8"
                )
            self._consume(len(MARK))

    def _read(self, wanted: int) -> None:
        """Add at least so many bytes to the buffer; fewer only where the file ends."""
        pieces = [self.buffer]
        while wanted > 0 and not self.ended:
            chunk = next(self.chunks, b"")
            self.ended = not chunk
            wanted -= len(chunk)
            pieces.append(chunk)
        self.buffer = b"".join(pieces)

    def _consume(self, size: int) -> None:
        self.buffer = self.buffer[size:]
        self.offset += size

    def _decode(self, data: bytes) -> tuple[str, int | None]:
        """The text, and where it ends early at a byte that is not of the encoding."""
        try:
            return data.decode(self.encoding), None
        except UnicodeDecodeError as error:
            return data[: error.start].decode(self.encoding), error.start

    def _fail_at_byte(self, at: int) -> NoReturn:
        wide = _WIDE.search(self.buffer)
        found = "UTF-16 or UTF-32" if wide else f"byte 0x{self.buffer[at]:02x}"
        self._fail(at, f"must be {self.encoding.upper()}; found {found}")

    def _fail(self, at: int, fault: str) -> NoReturn:
        """Raise the format's error at a byte of the buffer."""
        raise self.error(f"{self.source}{self._place(at)}: {fault}")

    def _place(self, at: int) -> str:
        """Where a byte of the buffer is, in an error behind the object's name."""
        return f" record {self.index}, byte {self.offset + at}"

    def _take_header(self, names: list[str], column: Callable[[int], object]) -> None:
        """Keep the columns' names; `column` tells what the format calls one without a name."""
        if "" in names:
            found = column(names.index(""))
            self._fail(0, f"each column has a name; found none for column {found}")
        for name, count in Counter(names).most_common(1):
            if count > 1:
                self._fail(0, f"a column's name may occur once; found {quoted(name)} again")
        self.header = names

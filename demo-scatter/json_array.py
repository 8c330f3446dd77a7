"""Read a JSON array of objects from a stream of bytes, block by block, in bounded memory."""

from collections.abc import Iterable, Iterator
from typing import NoReturn

import exact_parser
import fast_parser
from columns import Block
from exact_parser import shown

# A record of the widest sheet Excel takes is far smaller; a longer one is a broken file.
RECORD_BYTES = 64 * 1024 * 1024

_SPACE = b" \t\r\n"
_MARK = b"\xef\xbb\xbf"
_UTF16_OR_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00")


class InvalidJSON(ValueError):
    """The object is not a UTF-8 JSON array of objects.

    The message names the object, the record and the byte of the fault, both counted from 0.
    """


def read_blocks(chunks: Iterable[bytes], source: str, block_bytes: int) -> Iterator[Block]:
    """Parse a JSON array as it arrives.

    Args:
        chunks: the file's bytes, in pieces of any size.
        source: the object's name, for errors.
        block_bytes: how many new bytes each block takes at least, so that a file of n bytes gives
            at most ceil(n / block_bytes) blocks. Only whole chunks are taken.

    Yields:
        Blocks of records, none empty.

    Raises:
        InvalidJSON: at the first fault.
    """
    return _Reader(chunks, source).blocks(block_bytes)


class _Reader:
    """The bytes that have arrived and are not parsed yet, and their place in the file."""

    def __init__(self, chunks: Iterable[bytes], source: str) -> None:
        self.chunks = filter(None, chunks)
        self.source = source
        self.buffer = b""
        self.offset = 0  # of buffer[0] in the file
        self.index = 0  # of the next record
        self.ended = False

    def blocks(self, block_bytes: int) -> Iterator[Block]:
        self._open(block_bytes)
        wanted = block_bytes
        while True:
            start = self.offset, self.index
            if block := self._fast() or self._exact():
                block.start = start
                yield block
                del block  # before the next one is made
                wanted = block_bytes
            elif self.ended:
                return
            elif len(self.buffer) > RECORD_BYTES:
                self._fail(0, f"a record holds at most {RECORD_BYTES} bytes; found no end of it")
            else:
                # A record longer than a block is parsed again: doubling keeps that linear.
                wanted = min(2 * wanted, RECORD_BYTES + 1 - len(self.buffer))
            self._read(wanted)

    def _read(self, wanted: int) -> None:
        """Add at least so many bytes to the buffer; fewer only where the file ends."""
        pieces = [self.buffer]
        while wanted > 0 and not self.ended:
            chunk = next(self.chunks, b"")
            self.ended = not chunk
            wanted -= len(chunk)
            pieces.append(chunk)
        self.buffer = b"".join(pieces)

    def _open(self, wanted: int) -> None:
        """Read up to the array's bracket, behind a byte order mark and any space, and on."""
        self._read(max(wanted, 4))
        while not self.ended and not self.buffer.lstrip(_MARK + _SPACE):
            if len(self.buffer) > RECORD_BYTES:
                self._fail(0, f"an array begins within {RECORD_BYTES} bytes; found only space")
            self._read(len(self.buffer))
        if not self.buffer:
            self._fail(0, "must be a JSON array of objects; found an empty file")
        if self.buffer.startswith(_UTF16_OR_32) or self.buffer[1:2] == b"\x00":
            self._fail(0, "must be UTF-8; found UTF-16 or UTF-32")
        self._consume(len(_MARK) if self.buffer.startswith(_MARK) else 0)
        start = len(self.buffer) - len(self.buffer.lstrip(_SPACE))
        if self.buffer[start : start + 1] != b"[":
            rest = self.buffer[start : start + 80].decode("utf-8", "replace")
            self._fail(start, f"the top level must be an array; {shown(rest)}")
        self._consume(start + 1)

    def _consume(self, size: int) -> None:
        self.buffer = self.buffer[size:]
        self.offset += size

    def _fast(self) -> Block | None:
        """The records up to the last brace, unless the fast parser declines them."""
        end = self.buffer.rfind(b"}") + 1
        block = fast_parser.parse(self.buffer[:end], first=not self.index)
        if block:
            self._consume(end)
            self.index += len(block.records)
        return block

    def _exact(self) -> Block | None:
        """The complete records; None if more bytes are needed, or the array has ended."""
        text, invalid = self._decode()
        last = self.ended and invalid is None
        records, end, fault = exact_parser.parse(text, first=not self.index, last=last)
        self.index += len(records)
        if fault:
            self._fail(len(text[: fault.at].encode()), fault.rule)
        if invalid is not None:
            self._fail(invalid, f"must be UTF-8; found byte 0x{self.buffer[invalid]:02x}")
        self._consume(len(text[:end].encode()))
        return Block(records) if records else None

    def _decode(self) -> tuple[str, int | None]:
        """The buffer as text, and where it ends early at a byte that is not UTF-8."""
        try:
            return self.buffer.decode("utf-8"), None
        except UnicodeDecodeError as error:
            cut_in_two = len(self.buffer) - error.start < 4 and not self.ended
            text = self.buffer[: error.start].decode("utf-8")
            return text, None if cut_in_two else error.start

    def _fail(self, at: int, fault: str) -> NoReturn:
        """Raise InvalidJSON at a byte of the buffer."""
        raise InvalidJSON(f"{self.source} record {self.index}, byte {self.offset + at}: {fault}")

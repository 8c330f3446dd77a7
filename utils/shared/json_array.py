"""A JSON array of objects."""

import exact_parser
import fast_parser
import reader
from columns import Block
from exact_parser import shown
from fast_parser import SPACE
from reader import Reader


class InvalidJSON(ValueError):
    """The object is not UTF-8 JSON: an array of objects, or an object a line.

    The message names the object, the record and the byte of the fault, both counted from 0.
    """


class ArrayReader(Reader):
    error = InvalidJSON

    def _open(self, wanted: int) -> None:
        """Read up to the array's bracket, behind a byte order mark and any space, and on."""
        super()._open(wanted)
        while not self.ended and not self.buffer.lstrip(SPACE):
            if len(self.buffer) > reader.RECORD_BYTES:
                rule = f"an array begins within {reader.RECORD_BYTES} bytes; found only space"
                self._fail(0, rule)
            self._read(len(self.buffer))
        if not self.buffer and not self.offset:
            self._fail(0, "must be a JSON array of objects; found an empty file")
        start = len(self.buffer) - len(self.buffer.lstrip(SPACE))
        if self.buffer[start : start + 1] != b"[":
            rest = self.buffer[start : start + 80].decode("utf-8", "replace")
            self._fail(start, f"the top level must be an array; {shown(rest)}")
        self._consume(start + 1)

    def _parse(self) -> Block | None:
        return self._fast() or self._exact()

    def _fast(self) -> Block | None:
        """The records up to the last brace, unless the fast parser declines them."""
        end = self.buffer.rfind(b"}") + 1
        block = fast_parser.parse(self.buffer[:end], first=not self.index)
        if block:
            self._consume(end)
            self.index += block.rows
        return block

    def _exact(self) -> Block | None:
        """The complete records; None if more bytes are needed, or the array has ended."""
        text, invalid = self._decode(self.buffer)
        if invalid is not None and len(self.buffer) - invalid < 4 and not self.ended:
            invalid = None  # a character cut in two
        last = self.ended and invalid is None
        records, end, fault = exact_parser.parse(text, first=not self.index, last=last)
        self.index += len(records)
        if fault:
            self._fail(len(text[: fault.at].encode()), fault.rule)
        if invalid is not None:
            self._fail_at_byte(invalid)
        self._consume(len(text[:end].encode()))
        return Block.of(records) if records else None

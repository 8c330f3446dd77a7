"""JSON: an array of objects, or an object a line."""

from collections.abc import Callable
from functools import partial

from pipeline.reading import fast_parser
from pipeline.reading.columns import Block
from pipeline.reading.exact_parser import Broken, Record, parse, parse_lines, shown
from pipeline.reading.fast_parser import SPACE
from pipeline.reading.reader import Reader


class InvalidJSON(ValueError):
    """The object is not UTF-8 JSON: an array of objects, or an object a line.

    The message names the object, the record and the byte of the fault, both counted from 0.
    """


class JSONReader(Reader):
    """Where each format takes what the fast parser, or else the exact one, made of its buffer."""

    error = InvalidJSON

    def _fast(self, block: Block | None, size: int) -> Block | None:
        """What the fast parser took, so many bytes; None where it declined them."""
        if block:
            self._consume(size)
            self.index += block.rows
        return block

    def _take(
        self, text: str, parse: Callable[[str], tuple[list[Record], int]], invalid: int | None
    ) -> Block | None:
        """What the exact parser reads of a text, behind which an `invalid` byte may stand."""
        try:
            records, end = parse(text)
        except Broken as broken:
            self.index += broken.records
            self._fail(len(text[: broken.at].encode()), str(broken))
        self.index += len(records)
        if invalid is not None:
            self._fail_at_byte(invalid)
        self._consume(len(text[:end].encode()))
        return Block.of(records) if records else None


class ArrayReader(JSONReader):
    """An array of objects."""

    def _open(self, wanted: int) -> None:
        """Read up to the array's bracket, behind a byte order mark and any space, and on."""
        super()._open(wanted)
        while not self.ended and not self.buffer.lstrip(SPACE):
            self._consume(len(self.buffer))
            self._read(wanted)
        if not self.buffer and not self.offset:
            self._fail(0, "must be a JSON array of objects; found an empty file")
        start = len(self.buffer) - len(self.buffer.lstrip(SPACE))
        if self.buffer[start : start + 1] != b"[":
            rest = self.buffer[start : start + 80].decode("utf-8", "replace")
            self._fail(start, f"the top level must be an array; {shown(rest)}")
        self._consume(start + 1)

    def _parse(self) -> Block | None:
        """The records up to the last brace, or what is complete of them."""
        end = self.buffer.rfind(b"}") + 1
        block = fast_parser.parse(self.buffer[:end], first=not self.index)
        return self._fast(block, end) or self._exact()

    def _exact(self) -> Block | None:
        text, invalid = self._decode(self.buffer)
        if invalid is not None and len(self.buffer) - invalid < 4 and not self.ended:
            invalid = None  # a character cut in two
        last = self.ended and invalid is None
        return self._take(text, partial(parse, first=not self.index, last=last), invalid)


class LinesReader(JSONReader):
    """An object a line; blank lines are passed over."""

    def _parse(self) -> Block | None:
        lines = self.buffer if self.ended else self.buffer[: self.buffer.rfind(b"\n") + 1]
        return self._fast(fast_parser.parse_lines(lines), len(lines)) or self._exact(lines)

    def _exact(self, lines: bytes) -> Block | None:
        text, invalid = self._decode(lines)
        if invalid is not None:
            text = text[: text.rfind("\n") + 1]
        return self._take(text, parse_lines, None if text else invalid)

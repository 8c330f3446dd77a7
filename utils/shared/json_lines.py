"""JSON Lines: an object a line; blank lines are passed over."""

import exact_parser
import fast_parser
from columns import Block
from json_array import InvalidJSON
from reader import Reader


class LinesReader(Reader):
    error = InvalidJSON

    def _parse(self) -> Block | None:
        lines = self.buffer if self.ended else self.buffer[: self.buffer.rfind(b"\n") + 1]
        return self._fast(lines) or self._exact(lines)

    def _fast(self, lines: bytes) -> Block | None:
        block = fast_parser.parse_lines(lines)
        if block:
            self._consume(len(lines))
            self.index += block.rows
        return block

    def _exact(self, lines: bytes) -> Block | None:
        text, invalid = self._decode(lines)
        if invalid is not None:
            text = text[: text.rfind("\n") + 1]
            if not text:
                self._fail_at_byte(invalid)
        records, _, fault = exact_parser.parse_lines(text)
        self.index += len(records)
        if fault:
            self._fail(len(text[: fault.at].encode()), fault.rule)
        self._consume(len(text.encode()))
        return Block.of(records) if records else None

"""Read a JSON array of objects from a byte stream, block by block, in bounded memory."""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, cast

import numpy as np
import orjson

Record = dict[str, Any]

# A record of the widest sheet Excel takes is far smaller; a longer one is a broken file.
RECORD_BYTES = 64 * 1024 * 1024

_SPACE = re.compile(r"[ \t\r\n]*")
_SPACES = re.compile(rb"[ \t\r\n]*")
_COMMA = re.compile(rb"[ \t\r\n]*,")
_UTF16_OR_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00")


class InvalidJSON(ValueError):
    """The object is not a UTF-8 JSON array of objects."""


class Doubtful(Exception):
    """The text takes a closer look than the fast parser has."""


class _Incomplete(Exception):
    """The text may only be cut off, not wrong."""


def whole_records(texts: Iterable[bytes | bytearray], first: bool) -> Iterator[list[Record]]:
    """Parse each of the texts that a `Cut` gives.

    Args:
        first: the first one begins the array, and not with a comma.

    Raises:
        Doubtful: at anything but flat, valid records.
    """
    for text in texts:
        records = _whole_records(text, first)
        if not records:
            raise Doubtful
        first = False
        yield records
        del records, text  # before the next ones are made


class Reader:
    """A JSON array of objects as it arrives: the bytes not parsed yet, and where they stand.

    Args:
        chunks: the file's bytes, in pieces of any size.
        source: the object's name, for errors.
    """

    def __init__(self, chunks: Iterable[bytes], source: str) -> None:
        self.chunks = iter(chunks)
        self.source = source
        self.buffer = b""
        self.waiting = memoryview(b"")  # what of the last chunk is still to be read
        self.offset = 0  # of buffer[0] in the file
        self.index = 0  # of the next record
        self.opened = False
        self.ended = False

    def blocks(self, block_bytes: int) -> Iterator[list[Record]]:
        """Parse from here to the end.

        Args:
            block_bytes: how much JSON to parse at a time; each block takes at least as many new
                bytes, so a file of n bytes gives at most ceil(n / block_bytes) blocks.

        Yields:
            Lists of records, none empty.

        Raises:
            InvalidJSON: with the record's index and the byte offset of the fault.
        """
        if self.opened:
            self._read(block_bytes - len(self.buffer))
        else:
            self.open(block_bytes)
        wanted = block_bytes
        while True:
            if records := self._whole_records() or self._single_records():
                yield records
                wanted = block_bytes
            elif self.ended:
                return self._close_array()
            elif len(self.buffer) > RECORD_BYTES:
                self._fail(0, f"a record holds at most {RECORD_BYTES} bytes; found no end of it")
            else:
                # A record longer than a block is scanned again: doubling keeps that linear.
                wanted = min(2 * wanted, RECORD_BYTES + 1 - len(self.buffer))
            self._read(wanted)

    def cut(self, size: int) -> bytes:
        """Take at least `size` bytes, less at the end, that may be whole records; b"" for none.

        The reader must be open. To be followed by `accept`, if they were, or `put_back`.
        """
        before: list[bytes] = []
        held = 0
        while not (end := self.buffer.find(b"}", max(0, size - 1 - held)) + 1):
            before.append(self.buffer)
            held += len(self.buffer)
            self.buffer = self._next_chunk()
            if not self.buffer or held > size + RECORD_BYTES:
                self.buffer, before = b"".join([*before, self.buffer]), []
                end = self.buffer.rfind(b"}") + 1 if self.ended else 0
                break
        text = b"".join([*before, self.buffer[:end]])
        self.buffer = self.buffer[end:]
        return text

    def accept(self, cut: "Cut", records: int) -> None:
        self.offset += sum(map(len, cut.texts))
        self.index += records

    def put_back(self, cuts: list["Cut"]) -> None:
        texts = itertools.chain.from_iterable(cut.texts for cut in cuts)
        self.waiting = memoryview(b"".join([*texts, self.buffer, self.waiting]))
        self.buffer, self.ended = b"", False

    def _read(self, wanted: int) -> None:
        pieces: list[bytes | memoryview] = [self.buffer]
        while wanted > 0 and (piece := self._next(wanted)):
            pieces.append(piece)
            wanted -= len(piece)
        self.buffer = b"".join(pieces)

    def _next(self, most: int) -> memoryview:
        """Up to `most` bytes more; none where the file ends."""
        if not self.waiting:
            self.waiting = memoryview(self._next_chunk())
        piece, self.waiting = self.waiting[:most], self.waiting[most:]
        return piece

    def _next_chunk(self) -> bytes:
        """What waits, else the next chunk; b"" where the file ends."""
        if self.waiting:
            chunk, self.waiting = bytes(self.waiting), memoryview(b"")
            return chunk
        chunk = next(filter(None, self.chunks), b"")
        self.ended = not chunk
        return chunk

    def _read_start(self, wanted: int) -> None:
        """Read as far as the bracket, which may stand behind a byte order mark and any space."""
        self._read(max(wanted, 4))
        while not self.ended and not self.buffer.lstrip(b"\xef\xbb\xbf \t\r\n"):
            if len(self.buffer) > RECORD_BYTES:
                self._fail(0, f"an array begins within {RECORD_BYTES} bytes; found only space")
            self._read(len(self.buffer))

    def _consume(self, size: int) -> None:
        self.buffer = self.buffer[size:]
        self.offset += size

    def open(self, wanted: int) -> None:
        """Read up to the array's bracket, and some bytes more.

        Raises:
            InvalidJSON: there is none.
        """
        self._read_start(wanted)
        if not self.buffer:
            self._fail(0, "must be a JSON array of objects; found an empty file")
        if self.buffer.startswith(_UTF16_OR_32) or self.buffer[1:2] == b"\x00":
            self._fail(0, "must be UTF-8; found UTF-16 or UTF-32")
        self._consume(len(b"\xef\xbb\xbf") if self.buffer.startswith(b"\xef\xbb\xbf") else 0)
        start = len(self.buffer) - len(self.buffer.lstrip(b" \t\r\n"))
        if self.buffer[start : start + 1] != b"[":
            self._fail(start, f"the top level must be an array; found {self._shown(start)}")
        self._consume(start + 1)
        self.opened = True

    def _close_array(self) -> None:
        rest = self.buffer.strip(b" \t\r\n")
        if rest == b"]":
            return
        at = len(self.buffer) - len(self.buffer.lstrip(b" \t\r\n"))
        if not rest:
            self._fail(at, "the array must end with ]; found the end of the file")
        if rest.startswith(b"]"):
            at = self.buffer.index(b"]") + 1
            at += len(self.buffer[at:]) - len(self.buffer[at:].lstrip(b" \t\r\n"))
            self._fail(at, f"nothing may follow the array; found {self._shown(at)}")
        self._fail(at, f"expected , or ]; found {self._shown(at)}")

    def _whole_records(self) -> list[Record]:
        """Parse up to the last brace in one call: the fast way for flat records."""
        end = self.buffer.rfind(b"}") + 1
        records = _whole_records(self.buffer[:end], first=not self.index)
        if records:
            self._consume(end)
            self.index += len(records)
        return records

    def _single_records(self) -> list[Record]:
        """Parse record by record: the exact way, which finds the faulty one."""
        text, bad = self._decode()
        cut_off = bad is not None or not self.ended
        records: list[Record] = []
        done = 0
        try:
            while (start := self._next_start(text, done)) is not None:
                record, done = self._scan(text, start, cut_off)
                records.append(record)
                self.index += 1
            if bad is not None and not text[done:].strip(" \t\r\n"):
                raise _Incomplete
        except _Incomplete:
            if bad is not None:
                self._fail(bad, f"must be UTF-8; found byte 0x{self.buffer[bad]:02x}")
            if self.ended:
                self._fail(
                    len(text[:done].encode()), "a record must be complete; found the end of the file"
                )
        self._consume(len(text[:done].encode()))
        return records

    def _decode(self) -> tuple[str, int | None]:
        """The buffer's text, and where it ends early at a byte that is no UTF-8."""
        try:
            return self.buffer.decode("utf-8"), None
        except UnicodeDecodeError as error:
            cut_off = len(self.buffer) - error.start < 4 and not self.ended
            return self.buffer[: error.start].decode("utf-8"), None if cut_off else error.start

    def _next_start(self, text: str, done: int) -> int | None:
        """Where the next record starts; None where the array ends or the text does."""
        at = _skip_space(text, done)
        if self.index:
            if text[at : at + 1] != ",":
                return None if at == len(text) or text[at] == "]" else self._bad(text, at, ", or ]")
            at = _skip_space(text, at + 1)
        elif text[at : at + 1] == "]":
            return None
        if at == len(text):
            raise _Incomplete
        return at

    def _scan(self, text: str, start: int, cut_off: bool) -> tuple[Record, int]:
        try:
            record, end = _STRICT.raw_decode(text, start)
        except json.JSONDecodeError as error:
            # Only strings, reported as unterminated, can be cut off further from the text's end.
            margin = 16 if cut_off else 0
            if error.pos + margin >= len(text) or error.msg.startswith("Unterminated string"):
                raise _Incomplete from None
            return self._bad(text, error.pos, f"valid JSON ({error.msg})")
        except RecursionError:
            return self._fail(len(text[:start].encode()), "values are nested too deeply")
        except ValueError as error:
            return self._fail(len(text[:start].encode()), str(error))
        if type(record) is not dict:
            if end == len(text) and cut_off:
                raise _Incomplete
            return self._bad(text, start, "an object")
        return record, end

    def _bad(self, text: str, at: int, expected: str) -> NoReturn:
        self._fail(len(text[:at].encode()), f"expected {expected}; found {_quote(text[at : at + 20])}")

    def _fail(self, at: int, fault: str) -> NoReturn:
        raise InvalidJSON(f"{self.source} record {self.index}, byte {self.offset + at}: {fault}")

    def _shown(self, at: int) -> str:
        return _quote(self.buffer[at : at + 20].decode("utf-8", "replace"))


class Cut:
    """What is taken of a reader for one part of the table, text by text; each may be whole records.

    Args:
        size: bytes that all texts have together at least; less at the end.
        text_bytes: the least of one text but the last.
    """

    def __init__(self, reader: Reader, size: int, text_bytes: int) -> None:
        self.reader = reader
        self.missing = size
        self.text_bytes = text_bytes
        self.texts: list[bytes] = []

    def __iter__(self) -> Iterator[bytes]:
        while self.missing > 0 and (text := self.reader.cut(min(self.missing, self.text_bytes))):
            self.texts.append(text)
            self.missing -= len(text)
            yield text


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if text else "the end of the file"


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _whole_records(text: bytes | bytearray, first: bool) -> list[Record]:
    """The records of a text that ends with a brace; [] at any doubt, which is to be looked into.

    Only a brace that ends a record makes ``[…]`` valid: inside a string or a nested value the
    added bracket leaves something open.
    """
    start = _SPACES.match(text) if first else _COMMA.match(text)
    if not start or start.end() == len(text):
        return []
    array = b"".join((b"[", memoryview(text)[start.end() :], b"]"))
    try:
        records = _parse(array)
    except (ValueError, RecursionError):
        return []
    return records if _keys_are_unique(array, records) else []


def _parse(text: bytes) -> list[Record]:
    """Parse an array as fast as its digits allow.

    orjson rounds integers beyond 64 bits to floats. They have 19 digits or more, and so eight of
    them in a row at a multiple of eight; json parses any text that has those.
    """
    words = np.frombuffer(text, "<u8", len(text) // 8) ^ np.uint64(0x3030303030303030)
    others = (words + np.uint64(0x7676767676767676) | words) & np.uint64(0x8080808080808080)
    if others.all():
        return cast(list[Record], orjson.loads(text))
    return cast(list[Record], _PLAIN.decode(text.decode("utf-8")))


def _keys_are_unique(text: bytes, records: list[Record]) -> bool:
    """Whether no record repeats a key, proven by counting colons.

    Every key in the text is followed by a colon, so when all colons are accounted for by the
    parsed keys and the colons inside strings, no key was dropped. False may also mean doubt.
    """
    if set(map(type, records)) != {dict}:
        return False
    colons = int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(":")))
    keys = sum(map(len, records))
    if colons == keys:
        return True
    if b"\\u003" in text or any(":" in key for record in records for key in record):
        return False
    values = [value for record in records for value in record.values()]
    if any(type(value) in (dict, list) for value in values):
        return False
    return colons == keys + "".join(v for v in values if type(v) is str).count(":")


def _reject_constant(token: str) -> NoReturn:
    raise ValueError(f"numbers must be finite; found {token}")


def _unique_pairs(pairs: list[tuple[str, Any]]) -> Record:
    record = dict(pairs)
    if len(record) < len(pairs):
        [(again, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"a key may stand once in an object; found {_quote(again)} again")
    return record


_PLAIN = json.JSONDecoder(parse_constant=_reject_constant)
_STRICT = json.JSONDecoder(parse_constant=_reject_constant, object_pairs_hook=_unique_pairs)

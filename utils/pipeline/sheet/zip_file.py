"""A zip file of entries that are deflated already, streamed."""

import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence

from isal import isal_zlib

# Past it a zip needs a zip64 directory, with which Excel has been seen to refuse workbooks.
MOST_BYTES = 1 << 32
# APPNOTE.TXT 4.4: a field with all bits set refers to a wider one in a zip64 record. In a file that
# is no longer than that, only what an entry unpacks to can be.
_IN_ZIP64 = ZIP32_LIMIT = 0xFFFF_FFFF
_VERSION, _VERSION_ZIP64 = 20, 45
_UNIX, _READ_WRITE = 3 << 8, 0o600 << 16
_DEFLATED_1980 = (zlib.DEFLATED, 0, 1 << 5 | 1)  # method, time, date


class Entry(zipfile.ZipInfo):
    """What a zip says of a file, and the file, deflated."""

    def __init__(
        self, name: str, xml_bytes: int, deflated_bytes: int, crc32: int, body: Iterable[bytes]
    ) -> None:
        super().__init__(name)
        self.compress_type = zipfile.ZIP_DEFLATED
        self.file_size, self.compress_size, self.CRC = xml_bytes, deflated_bytes, crc32
        self.body = body


def plain_entry(name: str, xml: bytes) -> Entry:
    body = deflated(xml, zlib.Z_FINISH)
    return Entry(name, len(xml), len(body), isal_zlib.crc32(xml), [body])


def deflated(xml: bytes, end: int) -> bytes:
    deflate = isal_zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(xml) + deflate.flush(end)


class Zip:
    """
    Attributes:
        size: of the file in bytes; one of more than MOST_BYTES is faulty.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        offset = 0
        for entry in entries:
            entry.header_offset = offset
            offset += len(_header(entry)) + entry.compress_size
        self._end = _directory(entries, offset)
        self.size = offset + len(self._end)

    def chunks(self) -> Iterator[bytes]:
        """The file; the body of an entry is taken when those before it have been written."""
        for entry in self._entries:
            yield _header(entry)
            yield from entry.body
        yield self._end


def _header(entry: Entry) -> bytes:
    # The zip64 field of a local header has both sizes or neither (4.5.3).
    return entry.FileHeader(max(entry.compress_size, entry.file_size) >= ZIP32_LIMIT)


def _directory(entries: Sequence[Entry], offset: int) -> bytes:
    records = b"".join(map(_directory_record, entries))
    counts = (len(entries), len(entries), len(records), _narrow(offset))
    return records + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *counts, 0)


def _directory_record(entry: Entry) -> bytes:
    wide = entry.file_size >= ZIP32_LIMIT
    zip64 = struct.pack("<2HQ", 1, 8, entry.file_size) if wide else b""
    version = _VERSION_ZIP64 if wide else _VERSION
    name = entry.filename.encode()
    record = struct.pack(
        "<4s6H3L5H2L",
        b"PK\1\2",
        _UNIX | version,  # made by
        version,  # needed
        0,  # flags
        *_DEFLATED_1980,
        entry.CRC,
        _narrow(entry.compress_size),
        _IN_ZIP64 if wide else entry.file_size,
        len(name),
        len(zip64),
        0,  # comment
        0,  # disk
        0,  # internal attributes
        _READ_WRITE,
        _narrow(entry.header_offset),
    )
    return record + name + zip64


def _narrow(number: int) -> int:
    """What 32 bits hold of it."""
    return min(number, _IN_ZIP64)

"""A zip file of entries that are deflated already, streamed."""

import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence

from isal import isal_zlib

# Past it a zip needs a zip64 directory, with which Excel has been seen to refuse workbooks.
MOST_BYTES = 1 << 32
# APPNOTE.TXT 4.4: a size with all bits set refers to a wider one in a zip64 field. In a file of no
# more than that, only what an entry unpacks to can be.
ZIP32_LIMIT = 0xFFFF_FFFF
_UNIX, _READ_WRITE = 3 << 8, 0o600 << 16


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
    counts = (len(entries), len(entries), len(records), offset % MOST_BYTES)
    return records + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *counts, 0)


def _directory_record(entry: Entry) -> bytes:
    """It has all that the local header says."""
    header = _header(entry)
    made_by = struct.pack("<4sH", b"PK\1\2", _UNIX | entry.create_version)
    # No comment, disk 0, no internal attributes.
    place = struct.pack("<3H2L", 0, 0, 0, _READ_WRITE, entry.header_offset % MOST_BYTES)
    return made_by + header[4:30] + place + header[30:]

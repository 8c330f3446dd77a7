"""A zip file of entries that are deflated already, streamed; beyond 4 GiB in the form of zip64."""

import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator

from isal import isal_zlib

# APPNOTE.TXT 4.4: a field with all bits set refers to a wider one in a zip64 record.
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


def zip_chunks(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The file; an entry is taken when those before it have been written."""
    written: list[Entry] = []
    offset = 0
    for entry in entries:
        entry.header_offset = offset
        # The zip64 field of a local header has both sizes or neither (4.5.3).
        header = entry.FileHeader(max(entry.compress_size, entry.file_size) >= ZIP32_LIMIT)
        yield header
        yield from entry.body
        offset += len(header) + entry.compress_size
        written.append(entry)
    directory = b"".join(map(_directory_record, written))
    yield directory
    yield _end_records(len(written), len(directory), offset)


def _directory_record(entry: Entry) -> bytes:
    sizes = (entry.file_size, entry.compress_size, entry.header_offset)
    wide = [size for size in sizes if size >= ZIP32_LIMIT]
    zip64 = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
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
        _narrow(entry.file_size),
        len(name),
        len(zip64),
        0,  # comment
        0,  # disk
        0,  # internal attributes
        _READ_WRITE,
        _narrow(entry.header_offset),
    )
    return record + name + zip64


def _end_records(entries: int, size: int, offset: int) -> bytes:
    counts = [entries, entries, _narrow(size), _narrow(offset)]
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *counts, 0)
    if max(size, offset) < ZIP32_LIMIT:
        return end
    versions = (_UNIX | _VERSION_ZIP64, _VERSION_ZIP64)
    counts = [entries, entries, size, offset]
    zip64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, *versions, 0, 0, *counts)
    return zip64 + struct.pack("<4sLQL", b"PK\6\7", 0, offset + size, 1) + end


def _narrow(number: int) -> int:
    return _IN_ZIP64 if number >= ZIP32_LIMIT else number

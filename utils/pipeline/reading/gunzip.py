"""Unpack gzip as it arrives, piece by piece."""

import zlib
from collections.abc import Iterable, Iterator

from pipeline.reading.reader import RECORD_BYTES

MAGIC = b"\x1f\x8b"
_GZIP = 16 + zlib.MAX_WBITS
# Deflate packs at most 1,032:1, and only runs of one byte so well. Tables pack 3 to 20:1, and a
# million equal members 340:1 (measured); what unpacks to more, beyond the size of a record, is
# made to keep its reader busy. Memory needs no such limit: pieces and records have their own.
MOST_RATIO = 500


class InvalidGzip(ValueError):
    """The object is no whole gzip stream, or unpacks to more than a table would.

    The message names the object and the byte, of what is packed, from which on it is faulty.
    """


def unpack(chunks: Iterable[bytes], source: str, piece_bytes: int) -> Iterator[bytes]:
    """Unpack one gzip stream, or several one behind the other.

    Yields:
        Pieces of at most `piece_bytes`, none empty.

    Raises:
        InvalidGzip: at the first fault; at the end, if the stream is cut off.
    """
    stream = None
    read = made = 0
    for rest in filter(None, chunks):
        read += len(rest)
        piece = b""
        while rest or len(piece) == piece_bytes:
            if stream is None:
                if not rest:
                    break
                stream = zlib.decompressobj(_GZIP)
            at = read - len(rest)
            try:
                piece = stream.decompress(rest, piece_bytes)
            except zlib.error as error:
                reason = str(error).partition(": ")[2]
                raise InvalidGzip(f"{source} byte {at}: must be gzip; found {reason}") from None
            rest = stream.unused_data or stream.unconsumed_tail
            made += len(piece)
            if made > max(RECORD_BYTES, MOST_RATIO * (read - len(rest))):
                rule = f"must unpack to at most {MOST_RATIO} times its size"
                raise InvalidGzip(f"{source} byte {at}: {rule}; found {made} bytes, and more")
            if stream.eof:
                stream = None
            if piece:
                yield piece
    if stream or not read:
        found = "the end of the file" if read else "an empty file"
        raise InvalidGzip(f"{source} byte {read}: must be gzip to its end; found {found}")


def beginning(head: bytes, most: int) -> tuple[bytes, int]:
    """The first bytes of what an object's head unpacks to, and of how many they were packed in."""
    stream = zlib.decompressobj(_GZIP)
    try:
        text = stream.decompress(head, most)
    except zlib.error:
        return b"", len(head)
    return text, len(head) - len(stream.unconsumed_tail) - len(stream.unused_data)

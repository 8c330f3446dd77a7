"""Bytes that come in chunks, read as a file is."""

import sys
from collections.abc import Iterable, Iterator


class Chunks:
    """Chunks of any size, read by sizes that need not match them.

    Attributes:
        size: bytes read so far.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.size = 0
        self._chunks = filter(None, chunks)
        self._rest = b""

    def take(self, size: int) -> Iterator[bytes]:
        """So many bytes, or as many as are left, in pieces."""
        while size and (chunk := self._rest or next(self._chunks, b"")):
            piece, self._rest = chunk[:size], chunk[size:]
            self.size += len(piece)
            size -= len(piece)
            yield piece

    def read(self, size: int = sys.maxsize) -> bytes:
        return b"".join(self.take(size))

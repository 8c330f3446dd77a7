"""The format of an object: told by the end of its key, else by its first bytes."""

from collections.abc import Iterable
from dataclasses import dataclass

from csv_table import CSVReader
from endings import NAMES, ends
from fast_parser import SPACE
from gunzip import MAGIC, beginning
from json_records import ArrayReader, LinesReader
from reader import MARK, Reader

CSV_WEIGHT = 4  # bytes of JSON, which names each key, that hold what a byte of CSV does
HEAD_BYTES = 240_000  # of what is packed: a table that the scatter calls small is unpacked whole


@dataclass(frozen=True)
class Format:
    """
    Attributes:
        name: json, jsonl or csv.
        packed: by gzip.
        size: of the text in bytes; of what is packed, judged by its beginning.
    """

    name: str
    packed: bool
    size: int

    def reader(
        self, chunks: Iterable[bytes], source: str, encoding: str, texts: Iterable[str]
    ) -> Reader:
        """
        Args:
            chunks: of the text.
            encoding, texts: of CSV.
        """
        if self.name == "csv":
            return CSVReader(chunks, source, encoding, texts)
        return (LinesReader if self.name == "jsonl" else ArrayReader)(chunks, source)


def tell(key: str, head: bytes, size: int) -> Format:
    """
    Args:
        head: the object's first bytes, of `size`.
    """
    end, packed = ends(key)
    if packed or (not end and head.startswith(MAGIC)):
        packed = True
        head, taken = beginning(head, HEAD_BYTES)
        size = size * len(head) // max(1, taken)
    lines = not end and head.removeprefix(MARK).lstrip(SPACE).startswith(b"{")
    return Format("jsonl" if lines else NAMES[end], packed, size)


def weight(key: str) -> int:
    """How many bytes of a JSON array hold, about, what one byte of the text does."""
    return CSV_WEIGHT if ends(key)[0] == ".csv" else 1

"""The format of an object: told by the end of its key, else by its first bytes."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.endings import NAMES, ends
from pipeline.reading.csv_table import CSVColumns, CSVReader
from pipeline.reading.fast_parser import SPACE
from pipeline.reading.gunzip import MAGIC, beginning
from pipeline.reading.json_records import ArrayReader, LinesReader
from pipeline.reading.reader import MARK, Reader
from pipeline.reading.xlsx import XlsxReader

# Bytes of JSON, which names each key, that hold what a byte of CSV or of a workbook, packed, does.
WEIGHTS = {"csv": 4, "xlsx": 4}
HEAD_BYTES = 240_000  # of what is packed: a table that the scatter calls small is unpacked whole


@dataclass(frozen=True)
class Format:
    """
    Attributes:
        name: json, jsonl, csv or xlsx.
        packed: by gzip.
        size: of the text in bytes; of what is packed, judged by its beginning.
    """

    name: str
    packed: bool
    size: int

    def reader(
        self,
        chunks: Iterable[bytes],
        source: str,
        columns: CSVColumns,
        encoding: str = "utf-8",
        delimiter: str = "",
        sheet: str = "",
    ) -> Reader:
        """
        Args:
            chunks: of the text.
            columns, encoding, delimiter: of CSV; "" for that of the key's ending.
            sheet: of a workbook; "" for the first one.
        """
        if self.name == "xlsx":
            return XlsxReader(chunks, source, sheet)
        if self.name == "csv":
            delimiter = delimiter or ("\t" if ends(source)[0] == ".tsv" else ",")
            return CSVReader(chunks, source, columns, encoding, delimiter)
        return (LinesReader if self.name == "jsonl" else ArrayReader)(chunks, source)


def tell(key: str, head: bytes, size: int) -> Format:
    """Judge by the key, and by the object's first bytes, of `size` in all."""
    end, packed = ends(key)
    if packed or (not end and head.startswith(MAGIC)):
        packed = True
        head, taken = beginning(head, HEAD_BYTES)
        size = size * len(head) // max(1, taken)
    lines = not end and head.removeprefix(MARK).lstrip(SPACE).startswith(b"{")
    return Format("jsonl" if lines else NAMES[end], packed, size)


def weight(key: str) -> int:
    """How many bytes of a JSON array hold, about, what one byte of the text does."""
    return WEIGHTS.get(NAMES[ends(key)[0]], 1)

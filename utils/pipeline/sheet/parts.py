"""Rendered rows, in deflated parts that a workbook takes as they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import or_

# What the cells of a column hold, as bits: numbers and durations; dates, and datetimes at midnight;
# other datetimes; what does not stand at the right of its cell. A cell adds to it by its value
# alone, so that all cuts of a table tell the same.
NUMBER, DATE, TIME, OTHER = 1, 2, 4, 8


def merged(one: Sequence[int], two: Sequence[int]) -> list[int]:
    """What columns hold of which two blocks hold this."""
    return list(map(or_, one, two))


@dataclass(frozen=True)
class SheetPart:
    """Some rows of one sheet as raw deflated XML, ended by a flush so that more can follow.

    Attributes:
        position: zero-based number of the first row among the data rows of the whole table.
        rows: data rows, at least 1, all on the sheet position // DATA_ROWS.
        xml_bytes: length before deflating.
        deflated_bytes: length of the part itself.
        crc32: of the XML before deflating.
    """

    position: int
    rows: int
    xml_bytes: int
    deflated_bytes: int
    crc32: int


@dataclass(frozen=True)
class RenderedRows:
    """All rows of a segment.

    Attributes:
        columns: the header texts.
        widest: for each column the widest line of its cells.
        parts: the rows in order, split where a sheet ends.
        xml: the parts' bytes, one after another.
        formats: the number formats that they were rendered with, by the names of columns.
        holds: for each column what its cells hold, NUMBER and others.
    """

    columns: list[str]
    widest: list[str]
    parts: list[SheetPart]
    xml: bytes
    formats: dict[str, str]
    holds: list[int]

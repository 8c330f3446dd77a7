"""Rendered rows, in deflated parts that a workbook takes as they are."""

from dataclasses import dataclass


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
    """

    columns: list[str]
    widest: list[str]
    parts: list[SheetPart]
    xml: bytes
    formats: dict[str, str]

"""Rendered rows, which anybody may have written, checked before they are spliced.

Formulas, foreign elements, and bytes that end or bend the deflate stream are refused. Inflating and
matching release the GIL, so that the gather's threads check several segments at once.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import re2  # type: ignore[import-untyped]  # google-re2 has no annotations
from isal import igzip_lib, isal_zlib

from pipeline.errors.wording import quoted
from pipeline.excel import DATE_STYLE, STYLE_FORMATS, excel_row
from pipeline.sheet.parts import SheetPart

SLICE_BYTES = 1 << 18  # of XML in memory at a time; longer than any cell

# All that sheet_xml writes, and only in UTF-8.
_TEXT = r"(?:[^<>&\x00-\x08\x0b-\x1f\x{d800}-\x{dfff}\x{fffe}\x{ffff}]|&(?:amp|lt|gt);)+"
_NUMBER = r"-?[0-9.]+(?:E[-+][0-9]+)?"
_OTHER_VALUE = (
    r' t="b"><v>[01]</v>|'
    rf' t="inlineStr"><is><t(?: xml:space="preserve")?>{_TEXT}</t></is>'
)
_LAST_BLOCK = b"\x01\0\0\xff\xff"  # empty; it ends a stream at once only between two blocks


class InvalidRows(ValueError):
    """The rows beside a segment's pickle are not those that a segment renders."""


def check_rows(
    body: bytes, parts: Sequence[SheetPart], key: str, styles: int = len(STYLE_FORMATS)
) -> None:
    """Check that the parts hold nothing but rows of cells as sheet_xml writes them.

    Of the row numbers only the first and the last of each part are compared.

    Args:
        styles: how many the workbook has; the header's is for no cell of a row.

    Raises:
        InvalidRows: names the key, the rule and what was found.
    """
    start = 0
    try:
        for part in parts:
            end = start + part.deflated_bytes
            _check_part(memoryview(body)[start:end], part, _patterns(styles))
            start = end
        _require(start == len(body), f"must be {start} bytes long", str(len(body)))
    except _Broken as error:
        raise InvalidRows(f"{key}: {error}") from None


@cache
def _patterns(styles: int) -> dict[tuple[bool, bool], Any]:
    """Of a part's slices, which may begin, or end, between two cells of a row."""
    style = "|".join(map(str, [0, *range(DATE_STYLE, styles)]))
    value = rf'(?: s="(?:{style})")?><v>{_NUMBER}</v>|{_OTHER_VALUE}'
    cells = rf'(?:<c r="[A-Z]{{1,3}}[0-9]+"(?:{value})</c>)*'
    row = rf'<row r="[0-9]+">{cells}'
    return {
        (inside, ends_inside): re2.compile(
            f"{cells if inside else row}(?:</row>{row})*{'' if ends_inside else '</row>'}".encode()
        )
        for inside in (False, True)
        for ends_inside in (False, True)
    }


class _Broken(Exception):
    """A rule, and what was found."""


def _require(holds: bool, rule: str, what: str) -> None:
    if not holds:
        raise _Broken(f"{rule}; found {what}")


def _check_part(
    deflated: memoryview, part: SheetPart, patterns: dict[tuple[bool, bool], Any]
) -> None:
    crc32 = xml_bytes = 0
    row_starts = []
    for xml, inside, ends_inside in _slices(_inflated(deflated)):
        if not patterns[inside, ends_inside].fullmatch(xml):
            begun = patterns[inside, True].match(xml)
            rest = _shown(xml[begun.end() if begun else 0 :])
            raise _Broken(f"must be rows of cells as segments write them; found {rest}")
        if not inside:
            row_starts.append(bytes(xml[:20]))
        crc32 = isal_zlib.crc32(xml, crc32)
        xml_bytes += len(xml)
    declared = (part.xml_bytes, part.crc32)
    _require((xml_bytes, crc32) == declared, f"must have the CRC-32 {part.crc32}", f"{crc32}")
    number = excel_row(part.position)
    for row, xml_start in ((number, row_starts[0]), (number + part.rows - 1, row_starts[-1])):
        begins = xml_start.startswith(b'<row r="%d">' % row)
        _require(begins, f"must hold row {row} of the sheet", _shown(xml_start))


def _shown(xml: bytes | memoryview) -> str:
    return quoted(bytes(xml[:60]).decode(errors="replace"))


def _slices(chunks: Iterator[bytes]) -> Iterator[tuple[memoryview, bool, bool]]:
    """Cut between rows, or between cells of a long row.

    Yields:
        a slice, and whether it begins, and ends, inside a row. The last row begins a slice.
    """
    rest, inside = b"", False
    for chunk in chunks:
        xml = rest + chunk
        cut = xml.rfind(b"<row r=")
        if cut <= 0:
            cut = xml.rfind(b"<c r=")
        rest = xml[max(cut, 0) :]
        _require(len(rest) <= 2 * SLICE_BYTES, "a cell must end", _shown(rest))
        if cut > 0:
            ends_inside = rest.startswith(b"<c")
            yield memoryview(xml)[:cut], inside, ends_inside
            inside = ends_inside
    yield memoryview(rest), inside, False


def _inflated(deflated: memoryview) -> Iterator[bytes]:
    """The XML of a part, whose deflate stream must stay open between two blocks."""
    inflate = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
    data: bytes | memoryview = deflated
    try:
        while chunk := inflate.decompress(data, SLICE_BYTES):
            yield chunk
            data = b""
        more = inflate.decompress(_LAST_BLOCK, 1)
    except (igzip_lib.IsalError, EOFError) as error:  # type: ignore[misc]  # an instance, says the stub
        raise _Broken(f"must be deflated, and end open; found {error}") from None
    closed = inflate.eof and not more and not inflate.unused_data
    _require(closed, "must end between two blocks", "a block that goes on")

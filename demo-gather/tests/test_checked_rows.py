"""The gather splices nothing but the cells that segments write, whoever wrote the objects."""

import zlib
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import checked_rows
from checked_rows import InvalidRows, check_rows
from pipeline.excel import HEADER_STYLE
from pipeline.sheet.parts import SheetPart
from pipeline.sheet.sheet_xml import render_rows
from pipeline.tests.sheet.test_sheet_xml import AWKWARD_TEXTS, LONGEST_TEXTS, frame, typed_columns

KEY = "gather/job_000.xml.deflate"
CELL = b'<c r="A7"><v>1</v></c>'


def deflated(xml: bytes) -> bytes:
    deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(xml) + deflate.flush(zlib.Z_FULL_FLUSH)


def part_of(xml: bytes, body: bytes, rows: int = 1) -> SheetPart:
    return SheetPart(5, rows, len(xml), len(body), zlib.crc32(xml))


def refusal(xml: bytes, rows: int = 1) -> str:
    """The error's text for rows that claim to be Excel's seventh on."""
    body = deflated(xml)
    with pytest.raises(InvalidRows) as raised:
        check_rows(body, [part_of(xml, body, rows)], KEY)
    message = str(raised.value)
    assert message.startswith(f"{KEY}: ")
    assert len(message) < 300
    return message.removeprefix(f"{KEY}: ")


def row(cells: bytes) -> bytes:
    return b'<row r="7">' + cells + b"</row>"


def text(content: bytes) -> bytes:
    return b'<c r="A7" t="inlineStr"><is><t>' + content + b"</t></is></c>"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(typed_columns(), st.integers(0, 30), st.integers(64, 400))
def test_all_that_is_rendered_is_taken(columns: list, position: int, slice_bytes: int) -> None:  # type: ignore[type-arg]
    rows = render_rows(frame(columns), position, KEY)
    with pytest.MonkeyPatch.context() as patch:
        # Texts here are short: a cell is shorter than a slice.
        patch.setattr(checked_rows, "SLICE_BYTES", 1_000 * slice_bytes)
        check_rows(rows.xml, rows.parts, KEY)


@pytest.mark.parametrize("cells", [1, 2, 3, 1_000])
def test_rows_are_taken_wherever_slices_end(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = render_rows(pd.DataFrame([["長野原", 1, None, 0.5, True] * 40] * cells), 5, KEY)
    for slice_bytes in range(60, 90):
        monkeypatch.setattr(checked_rows, "SLICE_BYTES", slice_bytes)
        if cells < 1_000 or slice_bytes == 60:
            check_rows(rows.xml, rows.parts, KEY)


def test_awkward_and_long_texts_are_taken() -> None:
    df = pd.DataFrame({"a": [*AWKWARD_TEXTS, *LONGEST_TEXTS] * 20, "b": None, "c": 1})
    rows = render_rows(df, 0, KEY)
    check_rows(rows.xml, rows.parts, KEY)


def test_rows_of_several_sheets_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pipeline.excel", "pipeline.sheet.parts", "pipeline.sheet.sheet_xml"):
        monkeypatch.setattr(f"{module}.DATA_ROWS", 4)
    rows = render_rows(pd.DataFrame({"n": range(10)}), 3, KEY)
    assert len(rows.parts) == 4
    check_rows(rows.xml, rows.parts, KEY)


FORGED: dict[str, bytes] = {
    "a formula": row(b'<c r="A7"><f>HYPERLINK("http://example.org","x")</f><v>1</v></c>'),
    "a formula beside a text": row(b'<c r="A7" t="str"><f>1+1</f><v>x</v></c>'),
    "a shared text": row(b'<c r="A7" t="s"><v>0</v></c>'),
    "an error": row(b'<c r="A7" t="e"><v>#REF!</v></c>'),
    "rich text": row(b'<c r="A7" t="inlineStr"><is><r><t>x</t></r></is></c>'),
    "a header's style": row(b'<c r="A7" s="1"><v>1</v></c>'),
    "a style that there is not": row(b'<c r="A7" s="5"><v>1</v></c>'),
    "an attribute more": row(b'<c r="A7" vm="1"><v>1</v></c>'),
    "an attribute of the row": b'<row r="7" hidden="1">' + CELL + b"</row>",
    "a hyperlink": row(CELL) + b'</sheetData><hyperlinks><hyperlink ref="A1"/></hyperlinks>',
    "the sheet's end": row(CELL) + b"</sheetData><sheetData>",
    "a comment": row(b"<!-- -->" + CELL),
    "an instruction": row(b"<?x y?>" + CELL),
    "a CDATA section": row(text(b"<![CDATA[x]]>")),
    "an entity": row(text(b"&x;")),
    "a character reference": row(text(b"&#60;f&#62;")),
    "a lone &": row(text(b"a & b")),
    "a lone >": row(text(b"a > b")),
    "an element in a text": row(text(b"a<f>1</f>")),
    "a formula as a number": row(b'<c r="A7"><v>=1+1</v></c>'),
    "a control character": row(text(b"\x01")),
    "U+FFFF": row(text("\uffff".encode())),
    "a surrogate": row(text(b"\xed\xa0\x80")),
    "no UTF-8": row(text(b"\xff")),
    "an empty text": row(text(b"")),
    "no row around a cell": CELL,
    "a cell after the row": row(CELL) + CELL,
    "a row in a row": row(row(CELL)),
    "no end of the row": b'<row r="7">' + CELL,
    "no end of the cell": b'<row r="7"><c r="A7"><v>1</v></row>',
    "text between rows": row(CELL) + b"x",
    "white space": row(CELL) + b"\n",
    "nothing": b"",
}


def test_exactly_the_styles_that_there_are_are_taken() -> None:
    for styles in (5, 6, 12):
        for style in range(15):
            xml = row(b'<c r="A7" s="%d"><v>1</v></c>' % style)
            body = deflated(xml)
            parts = [part_of(xml, body)]
            if style < styles and style != HEADER_STYLE:
                check_rows(body, parts, KEY, styles)
            else:
                with pytest.raises(InvalidRows):
                    check_rows(body, parts, KEY, styles)


FORGERY = pytest.mark.fault(
    tried=(
        "forged rendered rows beside a result: formulas, foreign XML, bent streams",
        "結果の隣の、偽造された描画済みの行(数式、ほかの XML、壊したストリーム)",
    ),
    happened=("refused by name; no workbook", "名前を示して拒否。ワークブックなし"),
)


@FORGERY
@pytest.mark.parametrize("xml", FORGED.values(), ids=FORGED)
def test_anything_but_our_cells_is_refused(xml: bytes) -> None:
    fault = "must be rows of cells as segments write them; found "
    assert refusal(xml).startswith(fault)


@FORGERY
@pytest.mark.parametrize("xml", FORGED.values(), ids=FORGED)
def test_anything_but_our_cells_is_refused_wherever_it_stands(xml: bytes) -> None:
    rows = b"".join(b'<row r="%d">%b</row>' % (n, CELL * 40) for n in range(8, 3_000))
    refusal(row(CELL) + rows + xml + rows, 5_985)


def test_what_was_found_is_quoted() -> None:
    assert refusal(row(CELL + b'<c r="B7"><f>1+1</f><v>2</v></c>')) == (
        "must be rows of cells as segments write them; "
        'found "<c r=\\"B7\\"><f>1+1</f><v>2</v></c></row>"'
    )


def test_rows_of_other_numbers_are_refused() -> None:
    other = row(CELL).replace(b"7", b"1")
    assert "must hold row 7 of the sheet; found" in refusal(other)
    assert "must hold row 8 of the sheet; found" in refusal(row(CELL), rows=2)
    assert "must hold row 8 of the sheet; found" in refusal(row(CELL) + other, rows=2)


def test_a_cell_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    assert refusal(row(text(b"x" * 100_000_000))).startswith("a cell must end; found ")


@pytest.mark.parametrize("field", ["xml_bytes", "crc32"])
def test_another_checksum_is_refused(field: str) -> None:
    xml = row(CELL)
    body = deflated(xml)
    part = part_of(xml, body)
    with pytest.raises(InvalidRows, match=f"^{KEY}: must have the CRC-32 "):
        check_rows(body, [replace(part, **{field: getattr(part, field) ^ 1})], KEY)


def closing(xml: bytes) -> bytes:
    deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(xml) + deflate.flush()


def stored(content: bytes, length: int) -> bytes:
    return b"\0" + length.to_bytes(2, "little") + (0xFFFF ^ length).to_bytes(2, "little") + content


XML = row(CELL)
STREAMS: dict[str, tuple[bytes, str]] = {
    "a last block": (closing(XML), ""),
    "a last block, and bytes behind it": (closing(XML) + b"x", ""),
    "a stored block that takes what follows": (deflated(XML) + stored(b"", 60_000), "between two"),
    "half a stored block": (stored(XML, len(XML) + 7), "between two"),
    "a block that goes on": (deflated(XML)[:-5] + b"\x02", ""),
    "no flush": (deflated(XML)[:-1], ""),
    "noise": (b"\xff" * 40, ""),
    "a reference to bytes before": (b"\x4b\x04\x02" + deflated(XML), ""),
}


@FORGERY
@pytest.mark.parametrize(("body", "fault"), STREAMS.values(), ids=STREAMS)
def test_a_stream_that_would_bend_what_follows_is_refused(body: bytes, fault: str) -> None:
    with pytest.raises(InvalidRows, match=f"^{KEY}: must .*{fault}"):
        check_rows(body, [part_of(XML, body)], KEY)


def test_a_body_of_another_length_is_refused() -> None:
    body = deflated(XML)
    with pytest.raises(InvalidRows, match=f"^{KEY}: must be {len(body)} bytes long; found "):
        check_rows(body + b"x", [part_of(XML, body)], KEY)


@given(st.data())
@settings(deadline=None)
def test_rows_with_bytes_changed_are_refused(data: st.DataObject) -> None:
    """Whatever the figures say: they are forged to fit."""
    xml = bytearray(row(CELL + text("長野原".encode())))
    at = data.draw(st.integers(0, len(xml) - 1))
    xml[at] = data.draw(st.sampled_from(b"<>&/\"'= \x00\xff"))
    body = deflated(bytes(xml))
    try:
        check_rows(body, [part_of(bytes(xml), body)], KEY)
    except InvalidRows:
        return
    assert b"<t>" in xml and xml.count(b"<") == 12

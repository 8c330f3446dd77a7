"""Figures are read as they were written, and refused by field otherwise."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from pipeline.segments.figures import Figures, InvalidFigures, Rejects
from pipeline.sheet.parts import SheetPart

KEY = "gather/job_000.json"
FIGURES = Figures(
    '"etag"',
    '"other"',
    ["会員番号", "ポイント"],
    ["000", "58"],
    [SheetPart(1_048_570, 5, 900, 300, 2**32 - 1), SheetPart(1_048_575, 2, 300, 90, 0)],
    formats={"ポイント": "#,##0"},
    rejects=Rejects(3, ["record", "会員番号"], 7, '"third"', "x record 1: y"),
)


def test_figures_are_read_as_they_were_written() -> None:
    assert Figures.from_json(FIGURES.to_json(), KEY) == FIGURES


def changed(**fields: Any) -> bytes:
    return json.dumps({**asdict(FIGURES), **fields}).encode()


def without(name: str) -> bytes:
    return json.dumps({n: value for n, value in asdict(FIGURES).items() if n != name}).encode()


def with_part(**fields: Any) -> bytes:
    return changed(parts=[{**asdict(FIGURES.parts[0]), **fields}])


MALFORMED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "must be JSON; found "),
    "no JSON": (b"{", "must be JSON; found "),
    "no UTF-8": (b'"\xff"', "must be JSON; found "),
    "200,000 deep": (b"[" * 200_000, "must be JSON; found "),
    "null": (b"null", "must be of type dict; found null"),
    "no fields": (b"{}", "pickle_etag must be of type str; found null"),
    "an ETag of no text": (changed(xml_etag=3), "xml_etag must be of type str; found 3"),
    "no columns": (without("columns"), "columns must be of type list; found null"),
    "columns as an object": (changed(columns={}), "columns must be of type list; found {}"),
    "a column of no text": (changed(columns=["a", 3]), "columns must be of type str; found 3"),
    "a widest of no text": (changed(widest=["a", None]), "widest must be of type str; found null"),
    "a widest too few": (changed(widest=["a"]), "columns must all have a widest; found the number 1"),
    "a long widest": (changed(widest=["a", "x" * 256]), "widest is at most 255 long; found the number 256"),
    "formats as a list": (changed(formats=[]), "formats must be of type dict; found []"),
    "a format of no text": (changed(formats={"a": 3}), "formats must be of type str; found 3"),
    "a format too long": (changed(formats={"a": "0" * 256}), "FORMATS: a must have a text of 1 to 255 printable"),
    "rejects as a number": (changed(rejects=3), "rejects must be of type dict; found 3"),
    "rejects without a count": (changed(rejects={}), "count must be of type int; found null"),
    "a limit of no number": (
        changed(rejects={"count": 3, "columns": [], "most": "7"}),
        'most must be of type int; found "7"',
    ),
    "a contribution of no list": (changed(summaries={"summaries": 3}), "summaries must be of type list; found 3"),
    "no parts": (without("parts"), "parts must be of type list; found null"),
    "a part of no object": (changed(parts=[1]), "parts must be of type dict; found 1"),
    "a part without rows": (with_part(rows=None), "rows must be of type int; found null"),
    "true rows": (with_part(rows=True), "rows must be of type int; found true"),
    "half a row": (with_part(rows=0.5), "rows must be of type int; found 0.5"),
    "negative bytes": (with_part(xml_bytes=-1), "xml_bytes of a part must be a whole number of 48 bits; found the number -1"),
    "huge bytes": (with_part(deflated_bytes=10**30), "deflated_bytes of a part must be a whole number of 48 bits; found the number 1000"),
    "a wide CRC-32": (with_part(crc32=2**32), "crc32 of a part must be a whole number of 32 bits; found the number 4294967296"),
    "no rows": (with_part(rows=0), "a part must lie on one sheet; found the number 0"),
    "rows beyond the sheet": (with_part(rows=6), "a part must lie on one sheet; found the number 6"),
    "parts that do not join": (
        changed(parts=[asdict(FIGURES.parts[0]), asdict(SheetPart(1_048_576, 1, 1, 1, 1))]),
        "row 1048575 must follow; found the number 1048576",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "fault"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_figures_are_refused_by_field(data: bytes, fault: str) -> None:
    with pytest.raises(InvalidFigures) as raised:
        Figures.from_json(data, KEY)
    assert str(raised.value).startswith(f"{KEY}: ")
    assert fault in str(raised.value)

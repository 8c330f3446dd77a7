"""Any text, however it arrives: read as json.loads reads it, or refused by name and place."""

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from pipeline.reading.json_records import ArrayReader, InvalidJSON

NAME = "members.json"
PLACE = re.compile(r"\S+ record (\d+), byte (\d+): .+", re.DOTALL)

# JSON may hold any text; UTF-8 no lone surrogates, but an escape may stand for one.
characters = st.characters(exclude_categories=["Cs"]) | st.sampled_from(
    '{}[],:"\\\n\t é漢😀\ufeff\0'
)
texts = st.text(characters, max_size=12)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(texts, each, max_size=3),
    max_leaves=8,
)
tables = st.lists(st.dictionaries(texts, values, max_size=4), max_size=8)
layouts: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "indent": st.sampled_from([None, 0, 1, "\t"]),
        "separators": st.sampled_from([None, (",", ":"), (" ,\r\n", " : "), ("\n,", "\t:")]),
    }
)
sizes = st.integers(1, 300)
GENERATED = pytest.mark.fault(
    tried=(
        "generated JSON, valid and broken, in chunks of any size",
        "生成した JSON(正・不正、任意の分割)",
    ),
    happened=(
        "read as `json.loads` does, or refused by place",
        "`json.loads` と同じに読むか、位置を示して拒否",
    ),
)


def chunked(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def parse(data: bytes, block_bytes: int, chunk: int) -> list[Any]:
    blocks = list(ArrayReader(chunked(data, chunk), NAME).blocks(block_bytes))
    assert all(block.rows for block in blocks), "no block is empty"
    assert len(blocks) <= max(1, -(-len(data) // block_bytes))
    return [record for block in blocks for record in block.records]


def reference(data: bytes) -> list[Any]:
    """The array by the standard library, under the rules that the exact parser adds.

    Raises:
        ValueError: not UTF-8, not JSON, or against a rule.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key twice")
        return dict(pairs)

    def finite(token: str) -> NoReturn:
        raise ValueError(token)

    def kept(token: str) -> float:
        value, digits = float(token), token.lower().partition("e")[0].strip("-0.")
        if math.isinf(value) or (value == 0 and digits):
            raise ValueError(token)
        return value

    table = json.loads(
        data.decode("utf-8-sig"),
        object_pairs_hook=unique,
        parse_constant=finite,
        parse_float=kept,
    )
    if type(table) is not list or any(type(record) is not dict for record in table):
        raise ValueError("not an array of objects")
    return table


@GENERATED
@given(tables, layouts, st.sampled_from([b"", b"\xef\xbb\xbf"]), sizes, sizes)
@example([{"a": "\ud83d"}], {"ensure_ascii": True}, b"", 1, 1)
@example([{}, {}], {"ensure_ascii": True}, b"", 1, 1)
@example([{"a": "x" * 5000}, {"b:c": "d:\u003a"}] * 9, {"ensure_ascii": False}, b"", 20, 7)
@example([{"a": sign * 10**n} for n in range(40) for sign in (1, -1)], {}, b"", 300, 300)
def test_valid_arrays_are_read_as_json_reads_them(
    table: list[dict[str, Any]],
    layout: dict[str, Any],
    mark: bytes,
    block_bytes: int,
    chunk: int,
) -> None:
    data = mark + json.dumps(table, **layout).encode()
    assert repr(parse(data, block_bytes, chunk)) == repr(table)


PIECES = [
    b"",
    *rb', { } [ ] " : \ \u003a \ud83d ":" ": NaN -Infinity true nul 7 e -0 -0.0 1E5'.split(),
    *b"1e400 1e-400 12345678901234567890 -9223372036854775809 1.7976931348623159e308".split(),
    b"00000000",
]


@st.composite
def nearly_json(draw: st.DrawFn) -> bytes:
    """An array with some bytes lost, added or replaced."""
    table, layout = draw(tables), draw(layouts)
    data = bytearray(json.dumps(table, **layout).encode())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        change = draw(st.sampled_from(PIECES) | st.binary(max_size=3))
        data[at : at + draw(st.integers(0, 3))] = change
    return bytes(data)


def agrees(
    data: bytes,
    block_bytes: int,
    chunk: int,
    parse: Callable[[bytes, int, int], list[Any]] = parse,
    reference: Callable[[bytes], list[Any]] = reference,
) -> None:
    """Read as the reference reads it, or refused where that refuses, by record and byte."""
    try:
        wanted = reference(data)
    except (ValueError, RecursionError) as error:
        event(type(error).__name__)
        try:
            found = parse(data, block_bytes, chunk)
        except InvalidJSON as refused:
            place = PLACE.fullmatch(str(refused))
            assert place, str(refused)
            assert int(place[2]) <= len(data)
        else:
            raise AssertionError(f"took {found!r} for what json refuses: {error}") from None
    else:
        event("valid")
        assert repr(parse(data, block_bytes, chunk)) == repr(wanted)  # 1, 1.0 and True are equal


@GENERATED
@given(nearly_json() | st.binary(max_size=60) | st.text().map(str.encode), sizes, sizes)
@example(b" [ \n] ", 1, 1)
@example(b'[{"a": 1.7976931348623157e308, "b": 5e-324, "c": 0.000e-999, "d": -0.0}]', 300, 300)
def test_nearly_valid_arrays_are_read_or_refused_as_json_does(
    data: bytes, block_bytes: int, chunk: int
) -> None:
    agrees(data, block_bytes, chunk)


@GENERATED
@given(nearly_json(), sizes, sizes, sizes, sizes)
def test_where_a_file_is_cut_into_chunks_changes_no_answer(
    data: bytes, block_bytes: int, chunk: int, other_block_bytes: int, other_chunk: int
) -> None:
    assert answer(data, block_bytes, chunk) == answer(data, other_block_bytes, other_chunk)


def answer(data: bytes, block_bytes: int, chunk: int) -> str:
    try:
        return repr(parse(data, block_bytes, chunk))
    except InvalidJSON as error:
        place = PLACE.fullmatch(str(error))
        assert place
        return f"record {place[1]}, byte {place[2]}"

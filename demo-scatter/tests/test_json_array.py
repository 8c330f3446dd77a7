import json
from collections.abc import Iterator

import pytest

import reader
from exact_parser import Record
from json_records import ArrayReader, InvalidJSON

MEMBERS = [{"会員番号": f"{n:03d}", "名前": "十河 アンナ", "ポイント": n} for n in range(50)]


def parse(text: str | bytes, block_bytes: int = 100, chunk: int = 7) -> list[Record]:
    data = text.encode() if isinstance(text, str) else text
    chunks = (data[at : at + chunk] for at in range(0, len(data), chunk))
    blocks = list(ArrayReader(chunks, "members.json").blocks(block_bytes))
    assert all(block.rows for block in blocks), "no block is empty"
    return [record for block in blocks for record in block.records]


AWKWARD = {
    "nested objects": [{"a": {"b": [{"c": 1}, {"d": "}"}]}}] * 9,
    "braces and commas in text": [{"a": '},{"b": "x"}', "b": "]}"}] * 9,
    "escapes": [{"a": 'q"\\uD83D', "b": "\\"}] * 9,
    "colons in values": [{"time": "12:30:00", "url": "s3://b/k"}] * 9,
    "colons in keys": [{"a:b": "c:d"}] * 9,
    "escaped colon": [{"a": "\u003a:", "b": 1}] * 9,
    "emoji": [{"a": "😀é漢"}] * 9,
    "empty objects": [{}, {}, {"a": 1}],
    "a record longer than a block": [{"a": "x" * 5000}, {"b": 1}],
    "integers of any length": [{"a": sign * 10**n, "b": n} for n in range(40) for sign in (1, -1)],
    "digits in text": [{"a": "4111111111111111" * 3, "b": 2**63}] * 9,
    "numbers": [{"a": 10**30, "b": -1.5e-7, "c": 0, "d": True, "e": None}],
}


@pytest.mark.parametrize("table", AWKWARD.values(), ids=AWKWARD)
@pytest.mark.parametrize("indent", [None, 2], ids=["compact", "indented"])
@pytest.mark.parametrize("block_bytes", [1, 20, 10_000])
def test_the_records_are_those_of_the_whole_text(
    table: list[Record], indent: int | None, block_bytes: int
) -> None:
    for ascii_only in (True, False):
        text = json.dumps(table, indent=indent, ensure_ascii=ascii_only)
        assert parse(text, block_bytes) == table


def test_a_file_gives_at_most_a_block_for_each_block_bytes() -> None:
    data = json.dumps(MEMBERS).encode()
    blocks = list(ArrayReader([data[:999], data[999:]], "members.json").blocks(-(-len(data) // 3)))
    assert len(blocks) <= 3


@pytest.mark.parametrize("text", ["[]", " [ \n] ", "\ufeff[]"], ids=["bare", "spaced", "bom"])
def test_an_empty_array_has_no_records(text: str) -> None:
    assert parse(text) == []


def test_a_byte_order_mark_is_accepted() -> None:
    assert parse("\ufeff" + json.dumps(MEMBERS)) == MEMBERS


FAULTS = {
    "empty file": (b"", 0, 0, "must be a JSON array of objects; found an empty file"),
    "only space": (b" \n", 0, 2, "the top level must be an array; found the end of the file"),
    "an object": (
        b'{"a": 1}',
        0,
        0,
        'the top level must be an array; found the characters "{\\"a\\": 1}"',
    ),
    "garbage": (b"<html>", 0, 0, 'the top level must be an array; found the characters "<html>"'),
    "utf-16": ('[{"a": 1}]'.encode("utf-16"), 0, 0, "must be UTF-8; found UTF-16 or UTF-32"),
    "utf-16 without mark": (
        "[]".encode("utf-16-le"),
        0,
        0,
        "must be UTF-8; found UTF-16 or UTF-32",
    ),
    "latin-1": ('[{"a": "é"}]'.encode("latin-1"), 0, 8, "must be UTF-8; found byte 0xe9"),
    "not an object": (b'[{"a": 1}, 7]', 1, 11, "expected an object; found the number 7"),
    "cut off in a record": (b'[{"a": 1}, {"a": "xy', 1, 11, "found the end of the file"),
    "cut off after a record": (b'[{"a": 1}', 1, 9, "the array must end with ]"),
    "cut off after a comma": (b'[{"a": 1},', 1, 9, "found the end of the file"),
    "trailing comma": (b'[{"a": 1},]', 1, 10, "expected valid JSON"),
    "no comma": (
        b'[{"a": 1} {"a": 2}]',
        1,
        10,
        'expected , or ]; found the characters "{\\"a\\": 2}]"',
    ),
    "text after the array": (
        b'[{"a": 1}] x',
        1,
        11,
        'nothing may follow the array; found the characters "x"',
    ),
    "bad record": (b'[{"a": 1}, {"a" 2}, {"a": 3, "b": 4}]', 1, 16, "Expecting ':' delimiter"),
    "bad record after kanji": ('[{"漢": 1}, {"a" 2}, {"b": 3, "c": 4}]'.encode(), 1, 18, "':'"),
    "NaN": (b'[{"a": 1}, {"a": NaN}]', 1, 11, "numbers must be finite; found NaN"),
    "Infinity": (b'[{"a": -Infinity}]', 0, 1, "numbers must be finite; found -Infinity"),
    "key twice": (b'[{"a": 1, "b": 2, "a": 3}]', 0, 1, 'found "a" again'),
    "key twice, spaced": (b'[{"a" : 1, "a" : 3}]', 0, 1, 'found "a" again'),
    "key twice beside an escaped colon": (b'[{"a": "\\u003a", "a": 3}]', 0, 1, 'found "a" again'),
    "key twice in a nested object": (b'[{"a": {"b": 1, "b": 2}}]', 0, 1, 'found "b" again'),
    "too deep": (b'[{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}]", 0, 1, "nested too deeply"),
    "5,000 digits": (
        b'[{"a": ' + b"7" * 5000 + b"}]",
        0,
        1,
        "an integer has at most 4300 digits; found 5000",
    ),
    "control character": (
        b'[{"a": "x\ny", "b": "long enough"}]',
        0,
        9,
        "Invalid control character",
    ),
}


@pytest.mark.parametrize(("data", "record", "byte", "fault"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("block_bytes", [8, 1_000_000], ids=["small blocks", "one block"])
def test_a_fault_is_named_with_its_record_and_byte(
    data: bytes, record: int, byte: int, fault: str, block_bytes: int
) -> None:
    with pytest.raises(InvalidJSON) as raised:
        parse(data, block_bytes)
    assert str(raised.value).startswith(f"members.json record {record}, byte {byte}: ")
    assert fault in str(raised.value)


def test_an_endless_record_is_refused_without_reading_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "RECORD_BYTES", 10_000)
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        yield b'[{"a": "'
        while True:
            read += 1000
            yield b"x" * 1000

    with pytest.raises(InvalidJSON, match="record 0, byte 1: a record holds at most 10000 bytes"):
        list(ArrayReader(endless(), "members.json").blocks(100))
    assert read < 100_000

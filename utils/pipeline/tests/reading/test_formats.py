"""JSON, CSV and gzip: read as the standard library reads them, or refused by name and place."""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline import endings
from pipeline.reading import formats, gunzip, reader
from pipeline.reading.csv_table import CSVColumns, InvalidCSV
from pipeline.reading.gunzip import InvalidGzip
from pipeline.reading.json_records import ArrayReader, InvalidJSON
from pipeline.tests.reading.test_json_array_fuzz import (
    GENERATED,
    agrees,
    chunked,
    layouts,
    nearly_json,
    reference,
    sizes,
    tables,
)

PLACE = re.compile(r"t\.\S+ (record \d+, )?(byte|line) \d+: .+; found ")
CSV_FAULT = pytest.mark.fault(
    tried=(
        "generated CSV, valid and bent, UTF-8 and CP932, in chunks of any size",
        "生成した CSV(正・不正、UTF-8・CP932、任意の分割)",
    ),
    happened=(
        "read as `csv` does, or refused by place",
        "`csv` と同じに読むか、位置を示して拒否",
    ),
)
GZIP_FAULT = pytest.mark.fault(
    tried=(
        "gzip cut off at each byte, with any bit changed, with something behind it; a bomb",
        "gzip の途中切れ(全バイト)、ビット誤り(全ビット)、余分な続き、爆弾",
    ),
    happened=(
        "refused with the byte, or read as it was",
        "バイト位置を示して拒否するか、元のとおりに読む",
    ),
)
REFUSALS = (InvalidCSV, InvalidGzip, InvalidJSON)


def read(
    data: bytes, key: str, block_bytes: int = 100, chunk: int = 7, encoding: str = "utf-8"
) -> list[Any]:
    """The records of an object, once more where a column of CSV turned out to be text."""
    texts: set[str] = set()
    while True:
        form = formats.tell(key, data[:chunk], len(data))
        chunks = chunked(data, chunk)
        if form.packed:
            chunks = gunzip.unpack(chunks, key, chunk)
        columns = CSVColumns(texts)
        found = form.reader(chunks, key, columns, encoding)
        blocks = list(found.blocks(block_bytes))
        assert all(block.rows for block in blocks), "no block is empty"
        assert len(found.starts) == len(blocks)
        if not columns.mixed:
            return [record for block in blocks for record in block.records]
        assert texts < columns.texts, "it is read again for what it did not know"
        texts = columns.texts


def refused(data: bytes, key: str, **given: Any) -> str:
    with pytest.raises(REFUSALS) as raised:
        read(data, key, **given)
    assert PLACE.match(str(raised.value)), str(raised.value)
    return str(raised.value)


KEYS = {
    "t.json": ("json", False),
    "t.JSONL": ("jsonl", False),
    "t.ndjson.gz": ("jsonl", True),
    "t.json.csv": ("csv", False),
    "2026.07/t.Csv.GZ": ("csv", True),
    "a/T.XLSX": ("xlsx", False),
    "t.gz": ("json", True),
    "2026.11.27": ("json", False),
}


@pytest.mark.parametrize(("key", "found"), KEYS.items(), ids=KEYS)
def test_the_end_of_the_key_tells_the_format(key: str, found: tuple[str, bool]) -> None:
    form = formats.tell(key, b'[{"a": 1}]', 10)
    assert (form.name, form.packed) == found


READ = [*KEYS, "t", "t.gz", "a.tsv/t", "3.5 of t", "名簿.令和"]
NOT_READ = ["a/t.PARQUET", "t.xls", "t.csv.zip", "t.xlsm.gz", "t.7z"]


@pytest.mark.parametrize("key", [*READ, *NOT_READ])
def test_a_key_with_a_known_ending_or_none_is_read_and_no_other(key: str) -> None:
    assert endings.is_read(key) == (key in READ)


HEADS = {
    "an array": (b' [{"a": 1}]', "json"),
    "lines": (b'\n {"a": 1}', "jsonl"),
    "lines behind a mark": (b'\xef\xbb\xbf{"a": 1}', "jsonl"),
    "neither": (b"a,b\n1,2\n", "json"),
    "nothing": (b"", "json"),
}


@pytest.mark.parametrize(("head", "name"), HEADS.values(), ids=HEADS)
def test_without_an_end_the_first_bytes_tell_it(head: bytes, name: str) -> None:
    assert formats.tell("t", head, len(head)) == formats.Format(name, False, len(head))
    packed = gzip.compress(head)
    assert formats.tell("t", packed, len(packed)) == formats.Format(name, True, len(head))


DEEP = "record 0, byte 1: values are nested at most 2000 deep; found more"
ARRAYS = {
    "empty file": (b"", "record 0, byte 0: must be a JSON array of objects; found an empty file"),
    "only space": (b" \n", "record 0, byte 2: the top level must be an array; found the end of"),
    "garbage": (b"<html>", 'byte 0: the top level must be an array; found the characters "<html>"'),
    "utf-16": ('[{"a": 1}]'.encode("utf-16"), "record 0, byte 0: must be UTF-8; found UTF-16 or"),
    "latin-1": ('[{"a": "é"}]'.encode("latin-1"), "byte 8: must be UTF-8; found byte 0xe9"),
    "not an object": (b'[{"a": 1}, 7]', "1, byte 11: expected an object; found the number 7"),
    "in a record": (
        b'[{"a": 1}, {"a": "xy',
        "1, byte 11: a record must be complete; found the end",
    ),
    "after a record": (b'[{"a": 1}', "record 1, byte 9: the array must end with ]; found the end"),
    "after a comma": (b'[{"a": 1},', "record 1, byte 9: a record must be complete; found the end"),
    "trailing comma": (b'[{"a": 1},]', "record 1, byte 10: expected valid JSON"),
    "no comma": (
        b'[{"a": 1} {"a": 2}]',
        '1, byte 10: expected , or ]; found the characters "{\\"a',
    ),
    "text behind": (b'[{"a": 1}] x', "1, byte 11: nothing may follow the array; found the charac"),
    "colon": (b'[{"a": 1}, {"a" 2}, {"a": 3}]', "1, byte 16: expected valid JSON (Expecting ':'"),
    "behind kanji": ('[{"漢": 1}, {"a" 2}]'.encode(), "record 1, byte 18: expected valid JSON"),
    "NaN": (b'[{"a": 1}, {"a": NaN}]', "byte 11: numbers must be finite; found NaN"),
    "1e999": (b'[{"a": 1e999}]', "byte 1: numbers must be within a float's range; found 1e999"),
    "lost": (b'[{"a": 0.' + b"0" * 330 + b"1}]", "a float's range; found 0." + "0" * 18 + "…"),
    "twice": (b'[{"a": 1, "a": 3}]', 'byte 1: a key may occur once in an object; found "a" again'),
    "twice beside an escaped colon": (b'[{"a": "\\u003a", "a": 3}]', 'found "a" again'),
    "twice in a nested object": (b'[{"a": {"b": 1, "b": 2}}]', 'found "b" again'),
    "too deep": (b'[{"a": ' + b"[" * 200_000, DEEP),
    "too deep for a pickle": (b'[{"a": ' + b"[" * 6_000 + b"]" * 6_000 + b"}]", DEEP),
    "5,000 digits": (b'[{"a": ' + b"7" * 5000 + b"}]", "has at most 4300 digits; found 5000"),
    "control character": (b'[{"a": "x\ny"}]', "byte 9: expected valid JSON (Invalid control char"),
}
LINES = {
    "two objects": (b'{"a": 1}\n{"a": 2} {"a": 3}\n', "record 1, byte 18: a line holds one object"),
    "a list": (b'{"a": 1}\n[1]\n', "record 1, byte 9: expected an object; found an array"),
    "cut off": (
        b'{"a": 1}\n{"a": "x',
        "record 1, byte 9: a record must be complete; found the end",
    ),
    "on two lines": (b'{"a":\n1}\n', "record 0, byte 0: a record must be complete; found the end"),
    "latin-1": (b'{"a": 1}\n{"a": "\xe9"}\n', "record 1, byte 16: must be UTF-8; found byte 0xe9"),
    "utf-16": ('{"a": 1}'.encode("utf-16"), "record 0, byte 0: must be UTF-8; found UTF-16"),
}
CSV = {
    "ragged": (
        b'a,b\n"x\ny",2\n\n3\n',
        "1, line 5: a row has as many cells as the header, 2; found",
    ),
    "a name twice": (b"\na,b,a\n", 'line 2: a column\'s name may occur once; found "a" again'),
    "no name": (b"a,,b\n", "line 1: each column has a name; found none for column 2"),
    "a NUL": (b'a,b\n1,2\n"x\ny\0",3\n', "record 1, line 4: must be UTF-8; found byte 0x00"),
    "shift jis": ("a\n1\n漢\n".encode("cp932"), "record 1, line 3: must be UTF-8; found byte 0x8a"),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), "line 1: must be UTF-8; found UTF-16 or UTF-32"),
    "an open quote": (
        b'a,b\n1,2\n3,"x\n',
        "record 1, line 3: a quoted cell must end; found the end",
    ),
    "text behind a quote": (b'a,b\n"1"2,3\n', "record 0, line 2: a quote must end its cell; found"),
    "a long cell": (b"a\n" + b"x" * (1 << 20) + b"y\n", "record 0, line 2: a cell holds at most"),
}
FAULTS = [
    pytest.param(key, *fault, id=f"{key} {name}")
    for key, faults in {"t.json": ARRAYS, "t.jsonl": LINES, "t.csv": CSV}.items()
    for name, fault in faults.items()
]


@pytest.mark.parametrize(("key", "data", "fault"), FAULTS)
@pytest.mark.parametrize("block", [8, 1_000_000], ids=["small blocks", "one block"])
def test_a_fault_is_named_with_its_place(key: str, data: bytes, fault: str, block: int) -> None:
    assert fault in refused(data, key, block_bytes=block)


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


# --- JSON Lines


def lines_reference(data: bytes) -> list[Any]:
    found = []
    for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if line.strip(b" \t\r"):
            [record] = reference(b"[" + line + b"]")
            found.append(record)
    return found


def lines_of(table: list[dict[str, Any]], layout: dict[str, Any], between: str) -> bytes:
    flat = {**layout, "indent": None, "separators": None}
    return between.join(json.dumps(record, **flat) for record in table).encode()


breaks = st.sampled_from(["\n", "\r\n", "\n\n", "\n \t\n", " \n "])


@GENERATED
@given(tables, layouts, breaks, st.sampled_from(["", "\n"]), sizes, sizes)
def test_what_json_writes_a_line_is_read_back(
    table: list[dict[str, Any]],
    layout: dict[str, Any],
    between: str,
    end: str,
    block: int,
    chunk: int,
) -> None:
    data = lines_of(table, layout, between) + end.encode()
    assert repr(read(data, "t.jsonl", block, chunk)) == repr(table)


@GENERATED
@given(nearly_json().map(lambda data: data.strip(b"[]").replace(b", {", b"\n{")), sizes, sizes)
@example(b'{"p":1},{"q":2}\n{"a": [{"x": 1}\n{"y": 2}]}', 300, 300)
@example(b'{"a": 1\n"b": 2}\n{"c": 3}, {"d": 4}', 300, 300)
@example(b'{"a": 1, "a": 2}\n', 300, 300)
def test_nearly_valid_lines_are_read_or_refused_as_json_does(
    data: bytes, block: int, chunk: int
) -> None:
    agrees(
        data, block, chunk, lambda *given: read(given[0], "t.jsonl", *given[1:]), lines_reference
    )


# --- CSV


def is_plain(text: str) -> bool:
    """Whether Excel shows a number's text as it is; by the decimal module, for the parser has a regex."""
    if re.search(r"[^0-9.-]|^-?0[0-9]|^-?\.|\.$", text):
        return False
    try:
        number = Decimal(text)
    except InvalidOperation:
        return False
    return len(number.as_tuple().digits) <= 15


def csv_reference(header: list[str], rows: list[list[str]]) -> list[dict[str, Any]]:
    columns = []
    for column in zip(*rows):
        plain = all(not text or is_plain(text) for text in column)
        columns.append([(json.loads(text) if text else None) if plain else text for text in column])
    return [dict(zip(header, row)) for row in zip(*columns)]


@st.composite
def csv_files(draw: st.DrawFn, encoding: str) -> tuple[list[str], list[list[str]], bytes]:
    # CP932 reads the last six back as others.
    characters = st.characters(codec=encoding, exclude_characters="\0¢£¬‖−〜") | st.sampled_from(
        '",\r\n ;='
    )
    cells = (
        st.text(characters, max_size=6)
        | st.integers(-99, 10**15 + 9).map(str)
        | st.decimals(-9999, 9999, places=2).map(str)
        | st.sampled_from(
            ["000", "", "-0", "1E5", "+1", "1.", ".5", "0.1234567890123456", "１", "1_0"]
        )
    )
    numbers = st.integers(0, 999).map(str)
    width = draw(st.integers(1, 4))
    header = draw(st.lists(cells.filter(bool), min_size=width, max_size=width, unique=True))
    kinds = draw(st.lists(st.sampled_from([cells, numbers]), min_size=width, max_size=width))
    rows = draw(st.lists(st.tuples(*kinds).map(list), max_size=12))
    file = io.StringIO(newline="")
    writer = csv.writer(
        file,
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
        lineterminator=draw(st.sampled_from(["\r\n", "\n", "\r"])),
    )
    writer.writerows([header, *rows])
    text = file.getvalue()
    if draw(st.booleans()):
        text = text.rstrip("\r\n") if rows and rows[-1][-1] else text
    return header, rows, text.encode(encoding)


@CSV_FAULT
@pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
@given(st.data(), sizes, sizes)
def test_what_csv_writes_is_read_back(
    encoding: str, draw: st.DataObject, block: int, chunk: int
) -> None:
    header, rows, data = draw.draw(csv_files(encoding))
    if encoding == "utf-8":
        data = draw.draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + data
    found = read(data, "t.csv", block, chunk, encoding)
    assert repr(found) == repr(csv_reference(header, rows))


@CSV_FAULT
@given(csv_files("utf-8"), st.data(), sizes, sizes)
def test_a_csv_file_that_is_cut_or_bent_is_refused_by_place_or_read_as_csv_does(
    file: tuple[list[str], list[list[str]], bytes], draw: st.DataObject, block: int, chunk: int
) -> None:
    _, _, data = file
    at = draw.draw(st.integers(0, len(data)))
    change = draw.draw(st.sampled_from([b"", b'"', b",", b"\r", b"\0", b"\xff", b'"x"', b"\n"]))
    bent = data[:at] + change + data[at + draw.draw(st.integers(0, len(data))) :]
    try:
        text = bent.decode("utf-8-sig")
        assert "\0" not in text
        header, *rows = filter(None, csv.reader(io.StringIO(text, newline=""), strict=True))
        assert all(header) and len(set(header)) == len(header)
        assert {len(header)}.issuperset(map(len, rows))
    except ValueError:  # also where there is no header
        if bent.removeprefix(b"\xef\xbb\xbf").strip(b"\r\n"):
            refused(bent, "t.csv", block_bytes=block, chunk=chunk)
        else:
            assert read(bent, "t.csv", block, chunk) == []
    except (AssertionError, csv.Error):
        refused(bent, "t.csv", block_bytes=block, chunk=chunk)
    else:
        assert repr(read(bent, "t.csv", block, chunk)) == repr(csv_reference(header, rows))


NUMBERS = {
    "leading zeros": (["0", "000"], ["0", "000"]),
    "only gaps": (["", ""], [None, None]),
    "what Excel would guess": (["1E5", "=1+1", "2026-07-01"], ["1E5", "=1+1", "2026-07-01"]),
    "two lines in a cell": (["1", "2\n3"], ["1", "2\n3"]),
    "a text after many blocks": ([*["1"] * 500, "-"], [*["1"] * 500, "-"]),
}


@pytest.mark.parametrize(("cells", "found"), NUMBERS.values(), ids=NUMBERS)
def test_a_column_is_numbers_only_if_all_its_cells_are_plain(
    cells: list[str], found: list[Any]
) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("a", "b"), *((cell, "x") for cell in cells)])
    records = read(file.getvalue().encode(), "t.csv", 40)
    assert [record["a"] for record in records] == found
    assert [type(record["a"]) for record in records] == list(map(type, found))


CELLS = "品名,数\n林檎,1\n"


@pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
@pytest.mark.parametrize("form", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
@pytest.mark.parametrize("text", [CELLS, CELLS[:-1], "品名," + "林檎\n" * 99, "a,b\n1,2\n"])
def test_utf_16_is_named_with_a_mark_or_without(text: str, form: str, encoding: str) -> None:
    """Excel calls it Unicode Text; the bytes of kanji alone could be of any encoding."""
    data = text.encode(form)
    said = refused(data, "t.csv", encoding=encoding, chunk=1000, block_bytes=1000)
    assert said.endswith(f"must be {encoding.upper()}; found UTF-16 or UTF-32")


def test_a_utf_8_mark_is_no_shift_jis() -> None:
    assert "line 1: must be CP932; found the byte order mark of UTF-8" in refused(
        b"\xef\xbb\xbfa\n1\n", "t.csv", encoding="cp932"
    )


# --- gzip

ORDERS = [{"a": f"{n:03d}", "b": n} for n in range(40)]
TEXT = "\n".join(map(json.dumps, ORDERS)).encode()


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=3), sizes, sizes)
def test_what_gzip_packs_is_unpacked(data: bytes, cuts: list[int], chunk: int, piece: int) -> None:
    """In one stream, or in several one behind the other."""
    ends = [0, *sorted(cuts), len(data)]
    packed = b"".join(gzip.compress(data[a:b]) for a, b in zip(ends, ends[1:]))
    pieces = list(gunzip.unpack(chunked(packed, chunk), "t.gz", piece))
    assert b"".join(pieces) == data
    assert all(0 < len(each) <= piece for each in pieces)


@GZIP_FAULT
@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_a_stream_cut_off_anywhere_is_refused(chunk: int) -> None:
    packed = gzip.compress(TEXT)
    for end in range(len(packed)):
        assert f"byte {end}: must be gzip to its end; found " in refused(
            packed[:end], "t.jsonl.gz", chunk=chunk
        )


@GZIP_FAULT
def test_a_stream_with_a_bit_changed_is_refused_or_read_as_it_was() -> None:
    packed = gzip.compress(TEXT)
    for at in range(len(packed)):
        for bit in range(8):
            bent = bytearray(packed)
            bent[at] ^= 1 << bit
            try:
                assert read(bytes(bent), "t.jsonl.gz", chunk=50) == ORDERS
            except REFUSALS as error:
                assert PLACE.match(str(error))


@GZIP_FAULT
@pytest.mark.parametrize("behind", [b"xy", b"\0" * 512, TEXT], ids=["xy", "zeros", "text"])
def test_nothing_but_gzip_may_follow(behind: bytes) -> None:
    packed = gzip.compress(TEXT)
    fault = f"byte {len(packed)}: must be gzip"
    assert fault in refused(packed + behind, "t.jsonl.gz", chunk=1000)


@GZIP_FAULT
def test_a_bomb_is_refused_by_what_came_out_of_what_was_read() -> None:
    def bomb() -> Iterator[bytes]:
        deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
        for _ in range(10_000):
            yield deflate.compress(b"\n" * 1_000_000)

    made = 0
    with pytest.raises(
        InvalidGzip, match=r"^t byte \d+: must unpack to at most 500 times its size;"
    ):
        for piece in gunzip.unpack(bomb(), "t", 100_000):
            made += len(piece)
    assert made < 100_000_000

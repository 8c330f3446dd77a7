"""The two parsers: together they read what json does, and the fast one takes what is ordinary."""

import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.reading import exact_parser, fast_parser
from pipeline.segments import frames
from pipeline.tests.reading.test_json_array_fuzz import agrees, sizes

DIGITS = st.text("0123456789", min_size=1, max_size=330)
EXPONENTS = st.sampled_from(
    ["", "e0", "E5", "e+308", "e-308", "e-323", "E-324", "e-400", "e309", "E+999"]
)


@st.composite
def number_tokens(draw: st.DrawFn) -> str:
    """Numbers as JSON may write them, many of which no float holds."""
    whole = draw(
        st.sampled_from(["0", "1", "9", "17976931348623157", "18446744073709551615"]) | DIGITS
    )
    fraction = draw(st.just("") | DIGITS.map(".{}".format))
    return (
        draw(st.sampled_from(["", "-"])) + (whole.lstrip("0") or "0") + fraction + draw(EXPONENTS)
    )


texts = st.text(':"\\\n {}[],e-0é漢\ud83d', max_size=8).map(json.dumps)
values = (
    number_tokens()
    | texts
    | st.sampled_from(
        [
            "null",
            "true",
            "[]",
            '{"a": 1}',
            '[{"a:": [0.5], "b": ":"}]',
            "[0.0, 1e-400]",
            "[1e20]",
            "[{}, 18446744073709551616]",
            '[{"a": 1, "a": 2}]',
        ]
    )
)
records = st.lists(
    st.tuples(st.sampled_from(['"a"', '"b:"', '"\\u003a"', '"c"']), values), max_size=4
)
arrays = st.lists(records, min_size=1, max_size=4).map(
    lambda table: ", ".join("{" + ", ".join(map(": ".join, record)) + "}" for record in table)
)


@given(arrays, sizes, sizes)
@example('{"a": 1e-400}', 300, 300)
@example('{"a": 1E-400}', 300, 300)
@example('{"a": 18446744073709551616}', 300, 300)
@example('{"a": -9223372036854775809}', 300, 300)
@example('{"a": 0.%s1}' % ("0" * 330), 300, 300)
@example('{"a": [1e-400]}', 300, 300)
@example('{"a": [{"b": {}, "c": -2e-324}]}', 300, 300)
@example('{"a": "\\u003a", "a": 1}', 300, 300)
@example('{"a": ":", "a": ":"}', 300, 300)
def test_whichever_parser_takes_a_text_reads_it_as_json_does(
    text: str, block_bytes: int, chunk: int
) -> None:
    agrees(f"[{text}]".encode(), block_bytes, chunk)


SPLIT = {"an array": '{"a": [1\n2]}, {"b": 1}', "an object": '{"a": {"b": 1}\n"c": 2}'}


@pytest.mark.parametrize("text", SPLIT.values(), ids=SPLIT)
def test_lines_that_would_be_records_if_a_comma_stood_between_are_refused(text: str) -> None:
    assert fast_parser.parse_lines(text.encode()) is None
    with pytest.raises(exact_parser.Broken):
        exact_parser.parse_lines(text)


def parse_fast(text: str, first: bool = True) -> list[exact_parser.Record] | None:
    block = fast_parser.parse(text.encode(), first)
    return list(block.records) if block else None


ORDINARY: dict[str, Any] = {
    "members": {
        "会員番号": "000",
        "名前": "十河 アンナ",
        "ポイント": 57,
        "タイムスタンプ": "2021-05-16",
    },
    "times and addresses": {"time": "12:30:00", "url": "s3://b/k", "key:1": 1},
    "long numbers in text": {
        "card": "4111111111111111",
        "uuid": "3e8f12e4-0000-4000-8000-123456789e01",
    },
    "milliseconds": {"at": 1_700_000_000_000, "largest": 2**63 - 1},
    "nested values": {"tags": ["a:b", 0.5], "town": {"name": "京都", "at": [{"t": "12:30"}, {}]}},
    "prices": {"price": 0.0, "rate": -1.5, "tax": 0.1, "gap": None, "paid": True},
}


@pytest.mark.parametrize("record", ORDINARY.values(), ids=ORDINARY)
@pytest.mark.parametrize("rows", [1, 500])
def test_the_fast_parser_takes_ordinary_records(record: dict[str, Any], rows: int) -> None:
    table = [record] * rows
    text = json.dumps(table, ensure_ascii=False)
    assert parse_fast(text[1:-1]) == table
    assert parse_fast(" ," + text[1:-1], first=False) == table


@pytest.mark.parametrize(
    "token", ["0." + "0" * 330 + "12e40", "7" * 5000 + ".5e-5000", "-" + "1" * 400 + "e-390"]
)
def test_a_number_is_judged_when_it_is_complete(token: str) -> None:
    """Where a text's end cuts it in two, its beginning alone would be refused."""
    text = '{"a": ' + token + "}"
    for cut in range(1, len(text)):
        assert exact_parser.parse(text[:cut], first=True, last=False) == ([], 0)
    records, _ = exact_parser.parse(text, first=True, last=False)
    assert records == [{"a": float(token)}]


@pytest.mark.parametrize("begin, end", [("[", "]"), ('{"b":', "}")], ids=["arrays", "objects"])
def test_what_is_as_deep_as_may_be_is_pickled(begin: str, end: str) -> None:
    levels = exact_parser.DEPTH - 1
    text = '{"a":' + begin * levels + "1" + end * levels + "}"
    assert parse_fast(text) is None
    records, _ = exact_parser.parse(text, first=True, last=False)
    assert frames.load(frames.dump(pd.DataFrame(records)), "x")["a"].tolist() == [records[0]["a"]]

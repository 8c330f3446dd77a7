"""The two parsers by themselves: the fast one agrees with the exact one, or declines."""

import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.reading import exact_parser, fast_parser
from pipeline.reading.exact_parser import Broken
from pipeline.segments import frames

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


def parse_fast(text: str, first: bool = True) -> list[exact_parser.Record] | None:
    block = fast_parser.parse(text.encode(), first)
    return list(block.records) if block else None


@given(arrays)
@example('{"a": 1e-400}')
@example('{"a": 18446744073709551616}')
@example('{"a": -9223372036854775809}')
@example('{"a": 0.%s1}' % ("0" * 330))
@example('{"a": [1e-400]}')
@example('{"a": "\\u003a", "a": 1}')
@example('{"a": ":", "a": ":"}')
def test_what_the_fast_parser_takes_is_what_the_exact_one_reads(text: str) -> None:
    fast = parse_fast(text)
    if fast is not None:
        exact, _ = exact_parser.parse(text + "]", first=True, last=True)
        assert repr(fast) == repr(exact)


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


LOST = ["1e999", "-1e999", "1.7976931348623159e308", "1e-400", "-2e-324", "0." + "0" * 330 + "1"]


@pytest.mark.parametrize("token", LOST, ids=lambda token: token[:22])
@pytest.mark.parametrize(
    "value", ["{}", "[{}]", '{{"b": {}}}'], ids=["plain", "in an array", "in an object"]
)
def test_a_number_that_a_float_loses_is_refused(token: str, value: str) -> None:
    text = '{"a": 1}, {"a": ' + value.format(token) + "}"
    with pytest.raises(Broken) as broken:
        exact_parser.parse(text, first=True, last=False)
    shown = token if len(token) <= 20 else token[:20] + "…"
    assert (broken.value.records, broken.value.at) == (1, 10)
    assert str(broken.value) == f"numbers must be within a float's range; found {shown}"
    assert parse_fast(text) is None


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

"""Large tables, made by two processes: the same segments and errors as by one."""

import itertools
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import frames
import scatter
from helper import HelperEnded, Part, can_help, stop_idle
from records import InvalidJSON
from scatter import Job, ScatterHandler

KEY = "members.json"
BLOCK_BYTES = 40
SEGMENT_BYTES = 100

handler = ScatterHandler({}, None, None)  # type: ignore[arg-type]

# Braces in texts and in values lie where the text is cut; columns change their kinds on the way.
texts = st.text('{}[],:"\\ é漢', max_size=6)
values = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from([2**53 + 1, 10**20, 0.5, 1e300])
    | texts
    | st.lists(texts, max_size=2)
    | st.dictionaries(texts, texts, max_size=2)
)
members = st.fixed_dictionaries({"a": st.integers(0, 9), "b": texts})
records = members | st.dictionaries(st.sampled_from("abcde"), values, max_size=4)
tables = st.lists(members, max_size=40) | st.lists(records, max_size=40)


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    stop_idle()  # a fork has what was set when it was made
    monkeypatch.setattr(scatter, "SEGMENT_BYTES", SEGMENT_BYTES)
    monkeypatch.setattr(scatter, "BLOCK_BYTES", BLOCK_BYTES)
    monkeypatch.setattr(scatter, "SMALL_TABLE_BYTES", 0)
    yield
    stop_idle()


def make_segments(data: bytes, helped: bool) -> Iterator[pd.DataFrame]:
    chunks = (data[at : at + 70] for at in range(0, len(data), 70))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scatter, "can_help", lambda: helped)
        for segment in handler.make_segments(chunks, len(data), Job(KEY, None, None)):
            yield frames.load(segment.pickled, KEY)


def whole(segments: Iterator[pd.DataFrame]) -> list[dict[Any, Any]]:
    """The records, with what they do not have left out."""
    found = [df.astype(object) for df in segments]
    assert [*itertools.chain.from_iterable(df.index for df in found)] == [*range(sum(map(len, found)))]
    rows = [row for df in found for row in df.to_dict("records")]
    return [{name: value for name, value in row.items() if not is_missing(value)} for row in rows]


def is_missing(value: Any) -> bool:
    return value is None or value != value


@settings(deadline=None)
@given(tables, st.sampled_from([None, 1]))
def test_two_processes_make_the_records_of_the_table(
    table: list[dict[str, Any]], indent: int | None
) -> None:
    data = json.dumps(table, ensure_ascii=False, indent=indent).encode()
    expected = [{k: v for k, v in record.items() if v is not None} for record in table]
    assert whole(make_segments(data, helped=True)) == expected


@settings(deadline=None)
@given(tables)
def test_two_processes_make_the_segments_of_one(table: list[dict[str, Any]]) -> None:
    data = json.dumps(table).encode()
    helped, alone = (list(make_segments(data, by_two)) for by_two in (True, False))
    assert len(helped) == len(alone)
    for one, other in zip(helped, alone):
        pd.testing.assert_frame_equal(one, other)


@settings(deadline=None)
@given(st.lists(members, max_size=20), st.data())
def test_a_fault_is_named_as_one_process_names_it(
    table: list[dict[str, Any]], data: st.DataObject
) -> None:
    valid = json.dumps(table).encode()
    place = data.draw(st.integers(0, len(valid) - 1))
    broken = valid[:place] + data.draw(st.sampled_from([b"", b"}", b'"', b",", b"\xff"])) + valid[place + 1 :]
    assert outcome(broken, helped=True) == outcome(broken, helped=False)


def outcome(data: bytes, helped: bool) -> list[dict[Any, Any]] | str:
    try:
        return whole(make_segments(data, helped))
    except InvalidJSON as error:
        return str(error)


FAULTS = {
    "twice": ('{"a": 1, "a": 2}', "record 200, byte 2001: a key may stand once in an object"),
    "no object": ("7", "record 200, byte 2001: expected an object"),
    "infinite": ('{"a": 1e999}', "record 200: a is beyond the range of numbers"),
}


@pytest.mark.parametrize(("record", "fault"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("helped", [True, False])
def test_a_faulty_record_far_on_is_named(record: str, fault: str, helped: bool) -> None:
    text = ["{" + '"a": 1' + "}"] * 250
    text[200] = record
    data = ("[" + ", ".join(text) + "]").encode()
    assert json.loads(data[: 2000 - 1].rstrip(b", ") + b"]") == [{"a": 1}] * 200
    with pytest.raises(InvalidJSON, match=f"^{KEY} {fault}"):
        list(make_segments(data, helped))


@pytest.mark.parametrize("cpus", [1, 2])
def test_a_process_is_forked_only_where_a_cpu_waits_for_it(
    cpus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "process_cpu_count", lambda: cpus)
    data = json.dumps([{"a": n} for n in range(100)]).encode()
    chunks = [data]
    segments = handler.make_segments(chunks, len(data), Job(KEY, None, None))
    next(segments)
    assert len(multiprocessing.active_children()) == (cpus - 1 if sys.platform == "linux" else 0)
    segments.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


def test_a_killed_helper_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    parent, make_part = os.getpid(), ScatterHandler.make_part

    def make_or_die(
        self: ScatterHandler, source: str, texts: Iterable[bytes], first: bool
    ) -> Part | None:
        if os.getpid() != parent and not first:
            os.kill(os.getpid(), signal.SIGKILL)
        return make_part(self, source, texts, first)

    monkeypatch.setattr(ScatterHandler, "make_part", make_or_die)
    data = json.dumps([{"a": n} for n in range(100)]).encode()
    with pytest.raises(HelperEnded):
        list(make_segments(data, helped=True))
    assert not multiprocessing.active_children()


def helpers() -> list[int | None]:
    return [process.pid for process in multiprocessing.active_children()]


def test_a_helper_is_kept_for_the_next_table_but_not_when_left_at_work() -> None:
    data = json.dumps([{"a": n} for n in range(100)]).encode()
    list(make_segments(data, helped=True))
    first = helpers()
    segments = make_segments(data, helped=True)
    next(segments)
    assert helpers() == first
    assert len(first) == 1
    segments.close()  # type: ignore[attr-defined]
    assert not helpers()


def test_a_helper_killed_since_is_replaced() -> None:
    data = json.dumps([{"a": n} for n in range(100)]).encode()
    list(make_segments(data, helped=True))
    [killed] = multiprocessing.active_children()
    killed.kill()
    killed.join()
    assert len(whole(make_segments(data, helped=True))) == 100


def test_macos_does_not_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not can_help()

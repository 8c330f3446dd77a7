"""Workers make the same segments as one process does, or the same error, of any text."""

import json
import multiprocessing
import os
import random
import signal
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.events.scatter import Job
from pipeline.reading import cuts, segment_files, side_by_side
from pipeline.segments import frames
from pipeline.workers import WorkerDied
from scatter import ScatterHandler, Segment
from tests.scattering import as_json, as_lines, source_of

HANDLER = ScatterHandler({}, None, None)  # type: ignore[arg-type]  # one that makes no call
Outcome = tuple[list[Segment], list[tuple[int, int]], str]


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "SEGMENT_BYTES", 900)
    monkeypatch.setattr(cuts, "BLOCK_BYTES", 230)
    monkeypatch.setattr(cuts, "SMALL_TABLE_BYTES", 0)


@pytest.fixture(autouse=True)
def nobody_is_left_behind() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


class Broken(ValueError):
    """The connection ends."""


def scattered(
    data: bytes, key: str, workers: int, chunk: int | None = None, broken_at: int | None = None
) -> Outcome:
    """The segments, where their blocks begin, and the error at last."""
    size = chunk or cuts.block_bytes(len(data))

    def chunks() -> Iterator[bytes]:
        for at in range(0, len(data), size):
            if broken_at is not None and at >= broken_at:
                raise Broken(f"at byte {at}")
            yield data[at : at + size]

    source = source_of(key, chunks(), len(data))
    [opened] = source.objects
    starts = opened.reader.starts
    made: list[Segment] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment_files, "vcpus", lambda: workers)
        try:
            made.extend(HANDLER.make_segments(source, Job(key, None, None, source_column="鍵")))
        except ValueError as error:
            return made, starts, f"{type(error).__name__}: {error}"
    return made, starts, ""


def same(data: bytes, key: str, chunk: int | None = None, broken_at: int | None = None) -> Outcome:
    one, two = (scattered(data, key, workers, chunk, broken_at) for workers in (1, 2))
    assert two[1:] == one[1:]
    assert one[2] or two == one
    return one


def by_workers(monkeypatch: pytest.MonkeyPatch, data: bytes, key: str) -> int:
    """How many segments workers made."""
    made: list[Any] = []
    real = side_by_side.make_side_by_side

    def counting(*args: Any) -> Any:
        for each in real(*args):
            made.append(each)
            yield each

    monkeypatch.setattr(segment_files, "make_side_by_side", counting)
    same(data, key)
    return len(made)


WRITERS = {"table.json": as_json, "table.jsonl": as_lines}
PLAIN = [{"会員番号": f"{n:03d}", "名前": "十河 アンナ", "ポイント": n} for n in range(200)]


@pytest.mark.parametrize("key", WRITERS)
def test_workers_make_all_segments_of_a_plain_table(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    data = WRITERS[key](PLAIN)
    segments, _, error = same(data, key)
    assert not error and len(segments) > 10
    table = pd.concat(frames.load(segment.pickled, key) for segment in segments)
    assert table.to_dict("records") == [{"鍵": key, **record} for record in PLAIN]
    assert by_workers(monkeypatch, data, key) == len(segments)


def test_workers_end_where_a_cut_cannot_be_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = as_json(PLAIN)[1:-1]
    data = b"[" + plain + b"," + as_json([{"a": {"b": n}, "c": "x" * 40} for n in range(99)])[1:]
    made = by_workers(monkeypatch, data, "table.json")
    assert 0 < made < len(scattered(data, "table.json", 1)[0])


TRAPS: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda data: data[:-40],
    "cut off in a character": lambda data: data[: data.rindex("ン".encode()) + 1],
    "more behind it": lambda data: data + b" x",
    "only space behind it": lambda data: data + b" \n" * 900,
    "space between": lambda data: data.replace(b"}", b"}" + b" " * 300, 20),
    "no comma": lambda data: data.replace(b"}, {", b"} {").replace(b"}\n{", b"}{"),
    "two commas": lambda data: data.replace(b'"150"}, {', b'"150"},, {'),
    "a key twice": lambda data: data.replace(b'"151"', b'"151", "a": 1, "a": 2'),
    "no UTF-8": lambda data: data.replace(b'"160"', b'"\xff"'),
    "a number out of range": lambda data: data.replace(b'"170"', b"1e999"),
    "an array in it": lambda data: data.replace(b'"120"', b'[{"x": "}, {"}, {"x": 1}]'),
    "a text like an end": lambda data: data.replace(b'"130"', b'"}, {}, {"'),
    "the array ends early": lambda data: data.replace(b'"180"', b'"180"}] [{"a": 1'),
    "a mark": lambda data: b"\xef\xbb\xbf" + data,
    "another column late": lambda data: data.replace(b'"190"', b'"190", "late": true'),
    "a long record": lambda data: data.replace(b'"140"', b'"' + b"x" * 3_000 + b'"'),
    "a long record at the end": lambda data: data.replace(b'"199"', b'"' + b"x" * 3_000 + b'"'),
    "blank lines": lambda data: data.replace(b"\n", b"\n" * 200),
    "returns": lambda data: data.replace(b"\n", b"\r\n"),
    "no end of the last line": lambda data: data.rstrip(b"\n"),
    "integers beyond 64 bits": lambda data: data.replace(b'"100"', b"9" * 30),
}


@pytest.mark.parametrize("key", WRITERS)
@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("chunk", [None, 61])
def test_a_trap_gives_the_same(key: str, trap: str, chunk: int | None) -> None:
    data = TRAPS[trap](WRITERS[key](PLAIN))
    segments, starts, error = same(data, key, chunk)
    assert (segments and starts) or error


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["}, {", "},{", '"}', "[{", "]", "\n{", "}\n", "}]", "\\", "十河", "\u2028"])
    | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)
RECORDS = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "}, {", "名前"]), VALUES, max_size=4),
    min_size=5,
    max_size=60,
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(RECORDS, st.sampled_from([*WRITERS]), st.booleans(), st.integers(1, 300), st.randoms())
@example([{"a": "}, {"}] * 60, "table.json", True, 1, random.Random(1))
def test_any_text_gives_the_same(
    records: list[Any], key: str, ascii_only: bool, chunk: int, chance: random.Random
) -> None:
    plain = [{"n": n} for n in range(60)]
    records = [*plain[: chance.randrange(60)], *records, *plain]
    separators = chance.choice([(",", ":"), (", ", ": "), (" , ", " : ")])
    texts = [json.dumps(each, ensure_ascii=ascii_only, separators=separators) for each in records]
    text = "[" + separators[0].join(texts) + "]" if key == "table.json" else "\n".join(texts)
    data = text.encode("utf-8", "surrogatepass")
    if chance.random() < 0.3:
        at = chance.randrange(len(data))
        data = data[:at] + chance.choice([b"", b"}", b",", b'"', b"\xff", b" "]) + data[at + 1 :]
    same(data, key, chunk)


@pytest.mark.parametrize("key", WRITERS)
@pytest.mark.parametrize("fault", [b'"120"', b"absent"])
@pytest.mark.parametrize("at", [0, 5_000, 11_000])
def test_of_two_faults_the_first_is_told(key: str, fault: bytes, at: int) -> None:
    data = WRITERS[key](PLAIN).replace(fault, b"x")
    _, _, error = same(data, key, broken_at=at)
    assert error.startswith("Broken: at byte" if at < 7_000 or fault == b"absent" else "Invalid")


@pytest.mark.parametrize("key", WRITERS)
def test_more_names_than_a_pipe_takes_go_through_one_process(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr(cuts, "SEGMENT_BYTES", 100_000)
    monkeypatch.setattr(cuts, "BLOCK_BYTES", 100_000)
    wide = {f"{n:0100d}": n for n in range(700)}
    data = b"x".join(WRITERS[key]([*PLAIN * 12, *[wide] * 4, *PLAIN]).rsplit(b'"199"', 1))
    made = by_workers(monkeypatch, data, key)
    assert 0 < made < len(scattered(data, key, 1)[0])


@pytest.mark.parametrize("step", ["Table", "json"])
def test_a_killed_worker_is_named(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """As it parses, or between the message before it and its own."""

    def die(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(side_by_side, step, die if step == "Table" else SimpleNamespace(loads=die))
    with pytest.raises(WorkerDied, match="found exit code -9"):
        scattered(as_json(PLAIN), "table.json", 2)

"""Segment files: plain frames go through as they are; what else a pickle names is not found."""

import contextlib
import datetime as dt
import os
import pickle
from collections import Counter
from enum import IntEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.excel import InvalidCell
from pipeline.segments.frames import InvalidSegment, dump, load

KEY = "scatter/run-1/job_000.pkl"
MEMBERS = pd.DataFrame(
    {"名前": ["長野原 ひろし", None], "会員ランク": [4, 2], "ポイント": [58.5, 75.0]},
    index=pd.RangeIndex(10, 12),
)


def refusal(data: bytes) -> str:
    """The error's text, without the key."""
    with pytest.raises(InvalidSegment, match=f"^{KEY}: ") as raised:
        load(data, KEY)
    assert len(str(raised.value)) < 600
    return str(raised.value).removeprefix(f"{KEY}: ")


class Calls:
    """Pickles as a call, which whoever unpickles makes."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


TOUCH = "open('owned', 'w').close()"
PAYLOADS: dict[str, tuple[bytes, str]] = {
    "os.system": (pickle.dumps(Calls(os.system, "touch owned")), f"{os.name}.system"),
    "eval, protocol 0": (pickle.dumps(Calls(eval, TOUCH), 0), "__builtin__.eval"),
    "dotted name": (
        b"\x80\x04cpandas\nio.common.os.system\n(Vtouch owned\ntR.",
        "pandas.io.common.os.system",
    ),
    "dotted name below an allowed one": (
        b"\x80\x04cpandas\nDataFrame.eval\n(V1\ntR.",
        "pandas.DataFrame.eval",
    ),
    "cell": (
        pickle.dumps(pd.DataFrame({"a": [Calls(eval, TOUCH)]}, dtype=object)),
        "builtins.eval",
    ),
    "INST": (b"(Vtouch owned\nios\nsystem\n.", "os.system"),
}


@pytest.mark.fault(
    tried=("pickles that would write a file", "ファイルを書こうとする pickle"),
    happened=(
        "refused by the name that they call; nothing ran",
        "呼び出そうとした名前を示して拒否。何も実行されない",
    ),
)
@pytest.mark.parametrize(("data", "name"), PAYLOADS.values(), ids=PAYLOADS)
def test_a_name_that_no_frame_needs_is_told_and_not_called(
    data: bytes, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rule = "a segment file names only what a DataFrame of plain columns needs"
    assert refusal(data) == f"{rule}; found {name}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("payload", PAYLOADS.keys() - {"dotted name below an allowed one"})
def test_the_payloads_would_run_in_an_ordinary_unpickler(
    payload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with contextlib.suppress(TypeError, ValueError):  # of what is done with the answer
        pickle.loads(PAYLOADS[payload][0])
    assert (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("value", "kind"),
    [(None, "NoneType"), ([MEMBERS], "list"), (MEMBERS["名前"], "Series"), ({"a": [1]}, "dict")],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_frame_is_named(value: Any, kind: str) -> None:
    assert kind in refusal(pickle.dumps(value, 5))


class Subclass(pd.DataFrame):
    pass


def test_a_subclass_is_no_frame() -> None:
    assert refusal(pickle.dumps(Subclass({"a": [1]}))).endswith(f"found {__name__}.Subclass")


class Rank(IntEnum):
    GOLD = 1


class Text(str):
    pass


STRANGERS: dict[str, tuple[Any, str]] = {
    "an enumeration": (["a", Rank.GOLD], f"{__name__}.Rank"),
    "a kind of text": ([Text("a")], f"{__name__}.Text"),
    "a kind of dictionary": ([Counter("a")], "collections.Counter"),
    "in a list": ([["a", [Rank.GOLD]]], f"{__name__}.Rank"),
    "periods": (pd.period_range("2021-01", periods=1), "pandas.arrays.PeriodArray"),
    "a call": ([Calls(eval, TOUCH)], "builtins.eval"),
}


@pytest.mark.parametrize(("cells", "name"), STRANGERS.values(), ids=STRANGERS)
def test_what_could_not_be_loaded_is_refused_before_it_is_written(cells: Any, name: str) -> None:
    df = pd.DataFrame({"a": cells})
    df.attrs["source"] = "members.json"
    rule = "cells and columns must be of plain types, as .astype makes them"
    with pytest.raises(InvalidCell, match=f"^members.json: {rule}; found {name}$"):
        dump(df)


def test_a_file_cut_off_anywhere_is_refused() -> None:
    data = dump(MEMBERS)
    for size in range(len(data)):
        with pytest.raises(InvalidSegment, match=f"^{KEY}: must be a pickled DataFrame; found "):
            load(data[:size], KEY)


# What is no attack goes through as it is.

texts = st.text(st.characters(exclude_categories=["Cs"]))
int64s = st.integers(-(2**63), 2**63 - 1)
times = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2260, 1, 1))
zones = st.sampled_from(
    [dt.UTC, dt.timezone(dt.timedelta(hours=9)), ZoneInfo("Asia/Tokyo"), ZoneInfo("UTC")]
)
durations = st.timedeltas(dt.timedelta(days=-10_000), dt.timedelta(days=10_000))
json_values = st.recursive(
    st.none() | st.booleans() | texts | st.integers() | st.floats(allow_nan=False),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(texts, each, max_size=3),
)
cells = st.one_of(
    json_values,
    st.just(pd.NA),
    st.just(pd.NaT),
    st.decimals(allow_nan=False),
    st.dates(),
    st.times(),
    times,
    st.builds(lambda value, zone: value.replace(tzinfo=zone), times, zones),
    durations,
    times.map(pd.Timestamp),
    st.builds(
        lambda value, zone: pd.Timestamp(value).tz_localize("UTC").tz_convert(zone), times, zones
    ),
    durations.map(pd.Timedelta),
    int64s.map(np.int64),
    st.floats(width=32, allow_nan=False).map(np.float32),
    st.booleans().map(np.bool),
    texts.filter(lambda value: "\0" not in value).map(np.str_),
)
MOMENTS = pd.Timedelta(0), pd.Timestamp("2021-05-16"), pd.Timestamp("2021-05-16", tz="Asia/Tokyo")
COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "str": st.none() | texts,
    "string": st.none() | texts,
    "object": cells,
    "category": st.none() | texts,
    "bool": st.booleans(),
    "boolean": st.none() | st.booleans(),
    **{f"{u}int{n}": st.integers(0, 127) for u in ("", "u") for n in (8, 16, 32)},
    **{f"{u}Int{n}": st.none() | st.integers(0, 127) for u in ("", "U") for n in (8, 16, 32)},
    "int64": int64s,
    "uint64": st.integers(0, 2**64 - 1),
    "Int64": st.none() | int64s,
    "UInt64": st.none() | st.integers(0, 2**64 - 1),
    "float16": st.floats(width=16),
    "float32": st.floats(width=32),
    "float64": st.floats(),
    "Sparse[float64]": st.floats(),
    "Float32": st.none() | st.floats(width=32, allow_nan=False),
    "Float64": st.none() | st.floats(allow_nan=False),
    **{f"datetime64[{unit}]": st.none() | times for unit in ("s", "ms", "us", "ns")},
    **{
        f"datetime64[{unit}, {zone}]": st.none() | times
        for unit in ("s", "ms", "us", "ns")
        for zone in ("UTC", "Asia/Tokyo", "America/New_York", "+09:00")
    },
    **{f"timedelta64[{unit}]": st.none() | durations for unit in ("s", "ms", "us", "ns")},
}


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Frames of all supported columns, also sliced and out of order."""
    rows = draw(st.integers(0, 8))
    names = draw(st.lists(texts | st.integers(0, 9), max_size=6))
    dtypes = [draw(st.sampled_from(sorted(COLUMNS))) for _ in names]
    columns = [
        pd.Series(draw(st.lists(COLUMNS[dtype], min_size=rows, max_size=rows)), dtype=dtype)
        for dtype in dtypes
    ]
    df = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=pd.RangeIndex(rows))
    df.columns = pd.Index(names, dtype=object if names else None)
    start = draw(st.integers(0, 10**9))
    df.index = pd.RangeIndex(start, start + rows)
    df.attrs = draw(st.dictionaries(texts, json_values, max_size=2))
    return df[:: draw(st.sampled_from([1, -1, 2]))]


def same_cells(left: pd.DataFrame, right: pd.DataFrame) -> bool:
    """Whether the objects are of the same types and read the same, NaN and all."""
    return [*map(described, left.to_numpy(object).ravel())] == [
        *map(described, right.to_numpy(object).ravel())
    ]


def described(value: Any) -> tuple[type, str]:
    return type(value), repr(value)


@pytest.mark.fault(
    tried=("generated frames of all supported columns", "対応する全ての列型の生成フレーム"),
    happened=("unchanged", "変わらない"),
)
@given(tables())
@example(pd.DataFrame({"a": [pd.NA, pd.NaT, None, float("nan")]}, dtype=object))
@example(pd.DataFrame(np.arange(6).reshape(2, 3)).T)
@example(MEMBERS.iloc[[1, 0, 1]])
@example(pd.DataFrame([[*MOMENTS], [*MOMENTS]]).astype("category"))
@example(pd.DataFrame({"a": pd.Categorical(pd.date_range("2021-05-16", periods=3))}))
@example(pd.DataFrame({"a": pd.Categorical(pd.timedelta_range("1h", periods=3))}))
@example(pd.DataFrame())
def test_plain_frames_go_through_as_they_are(df: pd.DataFrame) -> None:
    read = load(dump(df), KEY)
    pd.testing.assert_frame_equal(
        read, df, check_index_type="equiv", check_column_type="equiv", check_freq=False
    )
    assert same_cells(read, df)
    assert read.attrs == df.attrs
    assert read.flags.allows_duplicate_labels


def test_an_ordinary_unpickler_reads_what_is_written() -> None:
    df = MEMBERS.assign(a=pd.to_datetime("2021-05-16").tz_localize("Asia/Tokyo"))
    pd.testing.assert_frame_equal(pickle.loads(dump(df)), df)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_python_3s_protocols_go_through(protocol: int) -> None:
    pd.testing.assert_frame_equal(load(pickle.dumps(MEMBERS, protocol), KEY), MEMBERS)

"""Segment files are safe: what a hostile pickle could do with the loader, tried on it."""

import datetime as dt
import io
import os
import pickle
import pickletools
import resource
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.segments import frames
from pipeline.segments.frames import ALLOWED, InvalidSegment, dump, load

# The first text that hypothesis makes on a machine takes it a second, for its table of Unicode.
settings.register_profile("frames", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("frames")

KEY = "scatter/run-1/job_000.pkl"
MEMBERS = pd.DataFrame(
    {"名前": ["長野原 ひろし", None], "会員ランク": [4, 2], "ポイント": [58.5, 75.0]},
    index=pd.RangeIndex(10, 12),
)
FORBIDDEN = "a segment file names only what a DataFrame of plain columns needs; found "
MALICIOUS = pytest.mark.fault(
    tried=("malicious segment files", "悪意あるセグメントファイル"),
    happened=(
        "refused by name; nothing ran, nothing changed",
        "名前を示して拒否。何も実行・変更されない",
    ),
)
DAMAGED = pytest.mark.fault(
    tried=("segment files cut off or damaged at random", "途中切れ・破損したセグメントファイル"),
    happened=("refused, or a frame", "拒否されるか、データフレームになる"),
)


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def named(module: str, name: str) -> bytes:
    """GLOBAL by STACK_GLOBAL, which also takes dotted names."""
    return text(module) + text(name) + b"\x93"


def called(function: bytes, *args: bytes) -> bytes:
    return function + b"(" + b"".join(args) + b"tR"


def program(body: bytes) -> bytes:
    return b"\x80\x05" + body + b"."


def calling(module: str, name: str, *args: bytes) -> bytes:
    return program(called(named(module, name), *args))


def dtype(code: str) -> bytes:
    return called(named("numpy", "dtype"), text(code), b"\x89", b"\x88")


def unframed(df: pd.DataFrame) -> bytes:
    """A frame's pickle that may be patched: frames would declare its length."""
    file = io.BytesIO()
    frames._pickler(file).dump(df)
    data = file.getvalue()
    starts = [at for op, _, at in pickletools.genops(data) if op.name == "FRAME" and at]
    for at in reversed(starts):
        data = data[:at] + data[at + 9 :]
    return data


def patched(df: pd.DataFrame, old: bytes, new: bytes) -> bytes:
    data = unframed(df)
    assert old in data, data
    return data.replace(old, new)


def refusal(data: bytes) -> str:
    """The error's text, with the key; a later load must work as ever."""
    with pytest.raises(InvalidSegment) as raised:
        load(data, KEY)
    pd.testing.assert_frame_equal(load(dump(MEMBERS), KEY), MEMBERS)
    message = str(raised.value)
    assert message.startswith(f"{KEY}: ")
    assert len(message) < 600
    return message.removeprefix(f"{KEY}: ")


class Calls:
    """Pickles as a call, which whoever unpickles makes."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


TOUCH = "open('owned', 'w').close()"
PAYLOADS: dict[str, tuple[bytes, str]] = {
    "os.system": (pickle.dumps(Calls(os.system, "touch owned")), f"{os.name}.system"),
    "eval": (pickle.dumps(Calls(eval, TOUCH)), "builtins.eval"),
    "exec": (pickle.dumps(Calls(exec, TOUCH)), "builtins.exec"),
    "protocol 0": (pickle.dumps(Calls(eval, TOUCH), 0), "__builtin__.eval"),
    "getattr": (
        program(
            called(
                called(
                    named("builtins", "getattr"),
                    called(named("importlib", "import_module"), text("os")),
                    text("system"),
                ),
                text("touch owned"),
            )
        ),
        "builtins.getattr",
    ),
    "subprocess": (
        calling("subprocess", "call", b"]" + text("touch") + b"a" + text("owned") + b"a"),
        "subprocess.call",
    ),
    "dotted name": (
        calling("pandas", "io.common.os.system", text("touch owned")),
        "pandas.io.common.os.system",
    ),
    "dotted name of an allowed module": (
        calling("pandas", "DataFrame.eval.__globals__", text("x")),
        "pandas.DataFrame.eval.__globals__",
    ),
    "numpy gadget": (
        calling("numpy.testing", "runstring", text(TOUCH), b"}"),
        "numpy.testing.runstring",
    ),
    "pandas gadget": (
        calling("pandas.io.pickle", "read_pickle", text("/dev/null")),
        "pandas.io.pickle.read_pickle",
    ),
    "nested pickle": (
        pickle.dumps(Calls(pickle.loads, pickle.dumps(Calls(eval, TOUCH)))),
        "_pickle.loads",
    ),
    "nested in an argument": (pickle.dumps(Calls(Decimal, Calls(eval, TOUCH))), "builtins.eval"),
    "in a cell": (dump(pd.DataFrame({"a": [Calls(eval, TOUCH)]}, dtype=object)), "builtins.eval"),
    "in a name": (
        dump(pd.DataFrame([[1]], columns=pd.Index([Calls(eval, TOUCH)]))),
        "builtins.eval",
    ),
    "time zone": (
        pickle.dumps(pd.DataFrame({"a": pd.to_datetime(["2021-05-16"]).tz_localize("Asia/Tokyo")})),
        "builtins.getattr",
    ),
    "GLOBAL": (b"cos\nsystem\n(Vtouch owned\ntR.", "os.system"),
    "INST": (b"(Vtouch owned\nios\nsystem\n.", "os.system"),
    "OBJ": (b"(cos\nsystem\nVtouch owned\no.", "os.system"),
    "NEWOBJ_EX": (
        program(named("subprocess", "Popen") + b"(" + text("true") + b"t}\x92"),
        "subprocess.Popen",
    ),
    "zoneinfo": (
        pickle.dumps(pd.Timestamp("2021-05-16").tz_localize("Asia/Tokyo")),
        "builtins.getattr",
    ),
}


@MALICIOUS
@pytest.mark.parametrize(("data", "name"), PAYLOADS.values(), ids=PAYLOADS)
def test_a_forbidden_global_is_named_and_not_called(
    data: bytes, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal(data) == FORBIDDEN + name
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "payload",
    [
        "os.system",
        "eval",
        "protocol 0",
        "getattr",
        "dotted name",
        "numpy gadget",
        "in a cell",
        "INST",
    ],
)
def test_the_payloads_would_run_in_an_ordinary_unpickler(
    payload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(PAYLOADS[payload][0])
    assert (tmp_path / "owned").exists()


# What the allowed names alone could do, were they the real ones.


@MALICIOUS
@pytest.mark.parametrize(("module", "name"), ALLOWED, ids=map(".".join, ALLOWED))
@pytest.mark.parametrize(
    "state",
    [
        b"}" + text("__doc__") + text("owned") + b"s",
        b"N}" + text("__doc__") + text("owned") + b"s\x86",
        b"N}" + text("__class__") + text("owned") + b"s\x86",
    ],
    ids=["BUILD", "BUILD by setattr", "BUILD of the class"],
)
def test_no_allowed_class_can_be_changed(module: str, name: str, state: bytes) -> None:
    kind = ALLOWED[module, name]
    before = [dict(vars(each)) for each in (kind, pd.NA, pd.NaT)]
    refusal(program(named(module, name) + state + b"b"))
    assert [dict(vars(each)) for each in (kind, pd.NA, pd.NaT)] == before


@MALICIOUS
@pytest.mark.parametrize(("module", "name"), ALLOWED, ids=map(".".join, ALLOWED))
@pytest.mark.parametrize(
    "call",
    [
        b")R",
        b")\x81",
        b")}\x92",
        b")}" + text("x") + b"K\x01s\x92",
        b"K\x05\x85R",
        b"(K\x05K\x05K\x05tR",
    ],
    ids=["REDUCE", "NEWOBJ", "NEWOBJ_EX", "keyword", "one argument", "three arguments"],
)
def test_what_an_allowed_class_makes_is_no_frame(module: str, name: str, call: bytes) -> None:
    refusal(program(named(module, name) + call))


def doubled(start: bytes, times: int) -> bytes:
    """x[0:0] = x, again and again."""
    whole = called(named("builtins", "slice"), b"K\x00", b"K\x00")
    return program(start + b"\x94" + whole + b"\x940" + b"h\x01h\x00s0h\x00" * times)


NUMBERS = pd.DataFrame({"a": [1, 2]})
FLAGS = pd.DataFrame({"a": [True, False]})
ZONED = pd.DataFrame({"a": pd.to_datetime(["2021-05-16"]).tz_localize("Asia/Tokyo")})
MASKED = pd.DataFrame({"a": pd.array([1, None])})
LETTERS = pd.DataFrame({"a": ["x", "y"]})
THINGS = pd.DataFrame({"a": ["x", 7]}, dtype=object)
RANKS = pd.DataFrame({"a": pd.Categorical(["x", "y"])})
LEVELS = pd.DataFrame(
    {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("k", 300), ("l", 301)], names=["x", "y"])
)
OBJECT_STATE = b"(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?t"
FORGED_STATE = (
    b"(K\x03"
    + text("|")
    + b"N"
    + text("f")
    + b"\x85}"
    + text("f")
    + (dtype("O8") + b"K\x00\x86sK\x08K\x01K\x00tb")
)
V8 = dtype("V8") + FORGED_STATE
HUGE = b"\x8a\x06\0\0\0\0\0\1"  # 2**40 as LONG1
POINTERS = b"C\x08AAAAAAAA"

GADGETS: dict[str, tuple[bytes, str]] = {
    "objects from a buffer": (patched(NUMBERS, b"\x8c\x02i8", b"\x8c\x02O8"), "for list"),
    "dtype that lies about its objects": (
        calling("numpy._core.multiarray", "scalar", V8, POINTERS),
        "found another dtype",
    ),
    "objects from a scalar": (
        calling("numpy._core.multiarray", "scalar", dtype("O8") + OBJECT_STATE + b"b", POINTERS),
        "a scalar is a number or a time",
    ),
    "big-endian numbers": (patched(NUMBERS, b"\x8c\x01<", b"\x8c\x01>"), "found another dtype"),
    "shape beyond the buffer": (
        patched(NUMBERS, b"K\x01K\x02\x86", b"K\x01K\x7f\x86"),
        "differs in size",
    ),
    "huge shape": (
        patched(NUMBERS, b"K\x01K\x02\x86", b"K\x01\x8a\x07\0\0\0\0\0\0\x10\x86"),
        "differs in size",
    ),
    "negative shape": (
        patched(NUMBERS, b"K\x01K\x02\x86", b"J\xff\xff\xff\xffJ\xfe\xff\xff\xff\x86"),
        "a shape holds whole numbers",
    ),
    "list shorter than its shape": (
        patched(THINGS, b"K\x01K\x02\x86", b"K\x01K\x7f\x86"),
        "differs in size",
    ),
    "bytes for a list of objects": (
        patched(THINGS, b"]\x94(" + text("x") + b"\x94K\x07e", b"C\x10AAAAAAAAAAAAAAAA\x94\x94"),
        "found bytes for list",
    ),
    "class in a cell": (
        patched(THINGS, b"K\x07", named("pandas", "DataFrame")),
        "a cell holds a plain value; found DataFrame",
    ),
    "part in a cell": (
        patched(THINGS, b"K\x07", called(named("pandas", "Index"))),
        "a cell holds a plain value; found Index",
    ),
    "numbers as text": (patched(LETTERS, text("x"), b"K\x07"), "requires a sequence of strings"),
    "bools of 7": (patched(FLAGS, b"\x01\x00", b"\x07\x00"), "a bool is 0 or 1"),
    "codes beyond the categories": (patched(RANKS, b"\x00\x01", b"\x00\x7f"), "codes need to be"),
    "codes beyond the levels": (patched(LEVELS, b"C\x02\x00\x01", b"C\x02\x00\x7f"), "code max"),
    "block in two places": (
        patched(
            pd.DataFrame({"a": [1], "b": [1.5]}), b"K\x01K\x02K\x01\x87", b"K\x00K\x01K\x01\x87"
        ),
        "each column must stand in one block",
    ),
    "block of more columns": (
        patched(
            pd.DataFrame({"a": [1], "b": [1.5]}), b"K\x01K\x02K\x01\x87", b"K\x00K\x02K\x01\x87"
        ),
        "a block must have the shape (2, 1); found (1, 1)",
    ),
    "rows without columns": (
        dump(pd.DataFrame(index=pd.RangeIndex(2**40))),
        "rows without columns are 1048576 at most; found 1099511627776",
    ),
    "columns without rows": (
        patched(pd.DataFrame(np.empty((0, 3))), b"K\x03" + text("step"), HUGE + text("step")),
        "columns are 1048576 at most; found ",
    ),
    "attrs of no plain kind": (
        patched(
            pd.DataFrame({"a": [1]}),
            text("attrs") + b"\x94}",
            text("attrs") + b"\x94}" + text("source") + called(named("pandas", "Index")) + b"s",
        ),
        "found TypeError: Object of type Index is not JSON serializable",
    ),
    "no time zone": (patched(ZONED, text("Asia/Tokyo"), text("Asia/Edo")), "ZoneInfoNotFoundError"),
    "a path for a time zone": (
        patched(ZONED, text("Asia/Tokyo"), text("../../etc/passwd")),
        "ValueError",
    ),
    "an absolute path for one": (
        patched(ZONED, text("Asia/Tokyo"), text("/etc/passwd")),
        "ValueError",
    ),
    "a number for one": (patched(ZONED, text("Asia/Tokyo"), b"K\x07"), "found int for str"),
    "times without a unit": (patched(ZONED, text("unit"), text("none")), "KeyError"),
    "times of another unit": (patched(ZONED, text("us"), text("ms")), "times are datetime64"),
    "a time zone that is changed": (
        program(
            called(named("zoneinfo", "ZoneInfo"), text("UTC"))
            + b"}"
            + text("key")
            + text("x")
            + b"sb"
        ),
        "AttributeError",
    ),
    "persistent id": (program(b"K\x01Q"), "persistent id"),
    "persistent id, protocol 0": (b"Pid\n.", "persistent id"),
    "extension code 1": (program(b"\x82\x01"), "unregistered extension code 1"),
    "extension code 4": (program(b"\x84\xff\xff\xff\x7f"), "unregistered extension code"),
    "out-of-band buffer": (program(b"\x97"), "out-of-band"),
    "list that doubles itself": (doubled(b"]K\x01a", 60), ""),
    "bytes that double themselves": (doubled(b"\x96\x01\0\0\0\0\0\0\0A", 60), ""),
    "part with itself inside": (
        program(named("pandas", "CategoricalDtype") + b")\x81\x94h\x00b"),
        "found CategoricalDtype",
    ),
    "a million tuples deep": (program(b")" + b"\x85" * 1_000_000), "found tuple"),
    "parts in parts, 200,000 deep": (
        program(
            named("pandas", "CategoricalDtype")
            + b"\x940"
            + b"h\x00)\x81" * 200_000
            + b"N"
            + b"b" * 200_000
        ),
        "found CategoricalDtype",
    ),
}


@MALICIOUS
@pytest.mark.parametrize(("data", "fault"), GADGETS.values(), ids=GADGETS)
def test_a_gadget_of_allowed_names_is_refused(data: bytes, fault: str) -> None:
    assert fault in refusal(data)


def test_state_that_would_replace_a_method_is_left_out() -> None:
    state = text("assign") + text("owned") + text("attrs")
    df = load(patched(NUMBERS, text("attrs"), state), KEY)
    assert "assign" not in vars(df)
    assert df.assign(b=1).columns.tolist() == ["a", "b"]


def declared(opcode: bytes, size: int, width: int = 8) -> bytes:
    return program(opcode + size.to_bytes(width, "little") + b"short")


BOMBS: dict[str, bytes] = {
    **{
        f"{name} of {size:_} bytes": declared(opcode, size)
        for name, opcode in {
            "BINBYTES8": b"\x8e",
            "BINUNICODE8": b"\x8d",
            "BYTEARRAY8": b"\x96",
            "FRAME": b"\x95",
        }.items()
        for size in (10**9, 2**40, 2**62, 2**63, 2**64 - 1)
    },
    "BINBYTES of 4 GB": declared(b"B", 2**32 - 1, 4),
    "BINUNICODE of 4 GB": declared(b"X", 2**32 - 1, 4),
    "LONG4 of 2 GB": declared(b"\x8b", 2**31 - 1, 4),
    "LONG4 of less than nothing": declared(b"\x8b", 2**32 - 1, 4),
    **{
        f"memo index {index:_}": program(b"Nr" + index.to_bytes(4, "little"))
        for index in (10**8, 2**31, 2**32 - 1)
    },
    "memo index in digits": program(b"Np900000000\n"),
    "memo index of 20 digits": program(b"Np99999999999999999999\n"),
}


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@pytest.mark.fault(
    tried=("memory bombs by declared size", "宣言サイズによるメモリ爆弾"),
    happened=("refused; under 150 MB taken", "拒否。使用は 150 MB 未満"),
)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's memory")
@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_a_declared_size_takes_no_memory(data: bytes) -> None:
    before, limit = peak_mb(), resource.getrlimit(resource.RLIMIT_AS)
    refusal(data)
    assert peak_mb() - before < 150
    assert resource.getrlimit(resource.RLIMIT_AS) == limit


@pytest.mark.fault(
    tried=(
        "segment files that repeat one block many times",
        "一つのブロックを何度も繰り返すセグメントファイル",
    ),
    happened=("refused; neither memory nor time taken", "拒否。メモリも時間も使わない"),
)
@pytest.mark.parametrize(
    "df",
    [
        pd.DataFrame({"a": pd.Series(["x"] * 50_000, dtype=object)}),
        pd.DataFrame(np.empty((0, 50_000), dtype=object)),
    ],
    ids=["many rows", "many columns"],
)
def test_a_block_repeated_costs_neither_memory_nor_time(df: pd.DataFrame) -> None:
    """A byte of the file names it once more, and its array takes 400 KB."""
    data = patched(df, text("pandas._libs.internals"), b"(" + text("pandas._libs.internals"))
    end = b"K\x02\x87\x94R\x94"
    assert end + b"\x85" in data
    data = data.replace(end + b"\x85", end + b"2" * 20_000 + b"t")
    before = peak_mb()
    assert refusal(data) == "each column must stand in one block; found one in two"
    assert peak_mb() - before < 100


@pytest.mark.parametrize(
    ("value", "kind"),
    [(None, "NoneType"), ([MEMBERS], "list"), (MEMBERS["名前"], "Series"), ({"a": [1]}, "dict")],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_frame_is_named(value: Any, kind: str) -> None:
    fault = refusal(pickle.dumps(value, 5))
    assert fault == f"must be a pickled DataFrame; found {kind}" or kind in fault


class Subclass(pd.DataFrame):
    pass


def test_a_subclass_is_no_frame() -> None:
    assert refusal(dump(Subclass({"a": [1]}))) == f"{FORBIDDEN}{__name__}.Subclass"


@DAMAGED
def test_a_file_cut_off_anywhere_is_refused() -> None:
    data = dump(MEMBERS)
    for size in range(len(data)):
        with pytest.raises(InvalidSegment, match=f"^{KEY}: must be a pickled DataFrame; found "):
            load(data[:size], KEY)


def test_bytes_after_the_frame_are_refused() -> None:
    assert refusal(dump(MEMBERS) + b"x") == "nothing follows the frame; found 1 bytes"


@DAMAGED
@given(st.data())
def test_a_file_with_bytes_changed_is_a_frame_or_refused(data: st.DataObject) -> None:
    """No other exception, no crash."""
    body = bytearray(data.draw(st.sampled_from(SAMPLES)))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert type(load(bytes(body), KEY)) is pd.DataFrame
    except InvalidSegment as error:
        assert str(error).startswith(KEY)


@DAMAGED
@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidSegment):
        load(b"\x80\x05" + body, KEY)


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
LABELS: dict[str, st.SearchStrategy[Any]] = {
    "str": texts,
    "int64": int64s,
    "float64": st.floats(allow_nan=False),
    "datetime64[us]": times,
    "datetime64[us, Asia/Tokyo]": times,
}


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Frames of all supported columns and indexes, also sliced, transposed and out of order."""
    rows = draw(st.integers(0, 8))
    names = draw(st.lists(texts | st.integers(0, 9) | st.tuples(texts, texts), max_size=6))
    dtypes = [draw(st.sampled_from(sorted(COLUMNS))) for _ in names]
    columns = [
        pd.Series(draw(st.lists(COLUMNS[dtype], min_size=rows, max_size=rows)), dtype=dtype)
        for dtype in dtypes
    ]
    df = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=pd.RangeIndex(rows))
    df.columns = pd.Index(names, tupleize_cols=False, dtype=object if names else None)
    df.index = draw(indexes(rows))
    df.attrs = draw(st.dictionaries(texts, json_values, max_size=2))
    return df[:: draw(st.sampled_from([1, -1, 2]))]


@st.composite
def indexes(draw: st.DrawFn, rows: int) -> pd.Index:
    start = draw(st.integers(0, 10**9))
    kind = draw(st.sampled_from(["range", "levels", *LABELS]))
    if kind == "range":
        return pd.RangeIndex(start, start + rows, name=draw(st.none() | texts))
    if kind == "levels":
        pairs = draw(st.lists(st.tuples(texts, int64s), min_size=rows, max_size=rows))
        return pd.MultiIndex.from_arrays(
            [[a for a, _ in pairs], [b for _, b in pairs]], names=["x", None]
        )
    labels = draw(st.lists(LABELS[kind], min_size=rows, max_size=rows))
    index: pd.Index = pd.Index(labels, dtype=kind, name=draw(st.none() | texts))
    return index


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
@example(pd.DataFrame(np.arange(6, dtype=object).reshape(2, 3)).T)
@example(pd.DataFrame({"a": [1], "b": ["x"], "c": [2], "d": [3]}))
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
    for df in (MEMBERS, ZONED, RANKS, LEVELS):
        pd.testing.assert_frame_equal(pickle.loads(dump(df)), df)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_python_3s_protocols_go_through(protocol: int) -> None:
    pd.testing.assert_frame_equal(load(pickle.dumps(MEMBERS, protocol), KEY), MEMBERS)


def test_a_frame_can_be_written_to() -> None:
    """As far as what pandas itself would have read."""
    df = pd.DataFrame({"a": ["x", "y"], "b": [1, 2], "c": pd.to_datetime(["2021", "2022"])})
    for read in (load(dump(df), KEY), pickle.loads(dump(df))):
        read.loc[0, "a"], read.loc[0, "b"], read.loc[0, "c"] = "z", 9, pd.Timestamp("2023")
        assert read.iloc[0].tolist() == ["z", 9, pd.Timestamp("2023")]


SAMPLES = [dump(df) for df in (MEMBERS, NUMBERS, FLAGS, THINGS, RANKS, LEVELS, MASKED)]

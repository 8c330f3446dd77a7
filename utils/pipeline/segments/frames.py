"""Segment files: DataFrames pickled to bytes, and loaded without trusting the bytes.

A pickle is a program: it calls what it names, and sets attributes of what it gets. Here each name
stands for a class that only notes the arguments and the state it was given, and the frame is built
from these notes by rule, every size checked. It knows the layout of pandas 3.1's pickles.
"""

import contextlib
import copyreg
import datetime
import decimal
import io
import json
import math
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

# What pandas itself unpickles with; its stubs leave it out.
from pandas._libs.internals import _unpickle_block  # type: ignore[import-not-found]
from pandas.core.internals.managers import BlockManager  # type: ignore[import-not-found]

NUMPY_CODES = frozenset(
    ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "M8", "m8", "O8"]
)
TIME_UNITS = frozenset([b"D", b"s", b"ms", b"us", b"ns"])
RESOLUTIONS: dict[int, Any] = {7: "s", 8: "ms", 9: "us", 10: "ns"}  # as pandas numbers them

ZONES = (datetime.timezone, ZoneInfo)

# What loading may allocate: one byte of a pickle (an empty dict) can take 64 bytes of memory.
MEMORY_BASE = 128 * 1024 * 1024
MEMORY_PER_BYTE = 64
# A frame without columns (or rows) stores nothing, so its declared length needs a limit.
MAX_UNBACKED_LENGTH = 1 << 20


class InvalidSegment(ValueError):
    """The object is not a segment file, or not a safe one."""


def dump(df: pd.DataFrame) -> bytes:
    """Pickle a segment; its index, row numbers of the whole table, is kept.

    `fast` leaves out the memo, by which a pickler writes an object once: three times the speed for
    a tenth more bytes. A pickle needs one only for an object that contains itself; no cell does.
    Text in Arrow's memory becomes Python's: whoever loads it needs no pyarrow.
    """
    file = io.BytesIO()
    pickler = _pickler(file)
    pickler.fast = True
    pickler.dump(df)
    return file.getvalue()


def _pickler(file: io.BytesIO) -> pickle.Pickler:
    pickler = pickle.Pickler(file, protocol=5)
    pickler.dispatch_table = copyreg.dispatch_table | {
        pd.arrays.ArrowStringArray: _reduce_arrow_text,
        ZoneInfo: lambda zone: (ZoneInfo, (zone.key,)),
    }
    return pickler


def _reduce_arrow_text(array: Any) -> Any:
    kind = pd.StringDtype("python", na_value=array.dtype.na_value)
    return array.astype(kind).__reduce_ex__(5)


def load(data: bytes, key: str) -> pd.DataFrame:
    """Unpickle a segment file that anybody may have written.

    Raises:
        InvalidSegment: data is cut off, is not a DataFrame of plain columns, or names a global
            that such a frame does not need.
    """
    try:
        with _bounded_memory(MEMORY_BASE + MEMORY_PER_BYTE * len(data)):
            df: pd.DataFrame = _make(_read(data), pd.DataFrame)
            return df
    except _Refused as error:
        fault = str(error)
    except Exception as error:
        fault = f"must be a pickled DataFrame; found {type(error).__name__}: {error}"
    raise InvalidSegment(f"{key}: {fault[:500]}")


class _Refused(Exception):
    """A rule that the pickle breaks, and what was found."""


class _Note:
    """What a pickle says of one object: the arguments and the state that it gave.

    Attributes:
        build: makes the object from its note.
        built: the object, made once; a pickle may refer to a note any number of times.
    """

    __slots__ = ("args", "built", "state")
    args: tuple[Any, ...]
    state: Any
    built: Any
    build: Callable[..., Any]

    def __new__(cls, *args: Any) -> Any:
        note = object.__new__(cls)
        note.args, note.state, note.built = args, None, None
        return note

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Value(_Note):
    """A plain value, which cells hold; it is made at once."""

    def __new__(cls, *args: Any) -> Any:
        return cls.build(*args)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise _Refused(
                "a segment file names only what a DataFrame of plain columns needs; "
                f"found {module}.{name}"
            ) from None


def _read(data: bytes) -> Any:
    file = io.BytesIO(data)
    note = _Unpickler(file).load()
    if file.tell() != len(data):
        raise _Refused(f"nothing follows the frame; found {len(data) - file.tell()} bytes")
    return note


@contextlib.contextmanager
def _bounded_memory(size: int) -> Iterator[None]:
    """Let the process grow by `size` bytes at most; beyond that, allocating raises MemoryError.

    The unpickler's memo is as long as the highest index that a pickle declares, and nothing else
    bounds that. The limit is the process's: what other threads allocate meanwhile, such as the
    gather's downloads, counts, and MEMORY_BASE leaves room for it. Only Linux keeps such a limit,
    and has /proc.
    """
    if sys.platform != "linux":
        yield
        return
    import resource

    with _one_limit:
        with open("/proc/self/statm", "rb") as statm:
            pages = int(statm.read().split()[0])
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = pages * resource.getpagesize() + size
        if soft != resource.RLIM_INFINITY:
            limit = min(soft, limit)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


_one_limit = threading.Lock()  # two at once would restore each other's


def _make(note: Any, *kinds: type) -> Any:
    """What a note stands for, an object of one of these kinds."""
    if isinstance(note, _Note):
        if note.built is None:
            note.built = note.build(note)
        if isinstance(note.built, kinds):
            return note.built
    raise _Refused(f"must be a pickled {kinds[0].__name__}; found {_kind(note)}")


def _only(value: Any, *kinds: type) -> Any:
    """The value, of exactly these types: a subclass could do anything."""
    if type(value) not in kinds:
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise _Refused(f"must be a pickled DataFrame; found {_kind(value)} for {wanted}")
    return value


def _kind(value: Any) -> str:
    return (value if isinstance(value, type) else type(value)).__name__


def _frame(note: _Note) -> pd.DataFrame:
    state = _only(note.state, dict)
    manager = _make(state["_mgr"], BlockManager)
    attrs = json.loads(json.dumps(_only(state.get("attrs", {}), dict)))
    df = pd.DataFrame.__new__(pd.DataFrame)
    unpickle: Any = df  # pandas' stubs leave its unpickling out
    unpickle.__setstate__({"_mgr": manager, "_typ": "dataframe", "_metadata": [], "attrs": attrs})
    return df


def _manager(note: _Note) -> Any:
    blocks, axes = note.args
    columns, rows = (_make(axis, pd.Index) for axis in _only(axes, list))
    if len(columns) > MAX_UNBACKED_LENGTH:
        raise _Refused(f"columns are {MAX_UNBACKED_LENGTH} at most; found {len(columns)}")
    if not len(columns) and len(rows) > MAX_UNBACKED_LENGTH:
        raise _Refused(f"rows without columns are {MAX_UNBACKED_LENGTH} at most; found {len(rows)}")
    made, covered = [], set[int]()
    for block in _only(blocks, tuple):
        values, where = _make(block, tuple)
        places = range(len(columns))[where] if type(where) is slice else where.tolist()
        shape = (len(places), len(rows))
        # pandas' own arrays hold one column, and may do so in one dimension.
        single = len(places) == 1 and not isinstance(values, np.ndarray)
        if values.shape != shape and not (single and values.shape == shape[1:]):
            raise _Refused(f"a block must have the shape {shape}; found {values.shape}")
        if not covered.isdisjoint(places):
            raise _Refused("each column must stand in one block; found one in two")
        covered.update(places)
        made.append(_unpickle_block(values, where, 2))
    if len(covered) != len(columns) or any(not 0 <= at < len(columns) for at in covered):
        raise _Refused("each column must stand in one block; found one in none")
    return BlockManager(tuple(made), [columns, rows])


def _block(note: _Note) -> tuple[Any, Any]:
    """The array of a block, and the places of its columns."""
    values, places, dimensions = note.args
    if dimensions != 2:
        raise _Refused(f"a block has two dimensions; found {_kind(dimensions)}")
    return _array(values), _make(places, slice, np.ndarray)


def _of_class(note: _Note) -> Any:
    """An index, or an array, whose class the pickle gives for an argument."""
    kind, *fields = note.args
    return kind.build(_only(note.state or fields[0], dict, tuple))


def _plain_index(fields: Any) -> pd.Index:
    _only(fields.get("freq"), type(None))
    values, name = _array(fields["data"]), _name(fields.get("name"))
    if values.ndim != 1:
        raise _Refused(f"an index has one dimension; found {values.ndim}")
    index: pd.Index = pd.Index(values, dtype=values.dtype, name=name, copy=False)
    return index


def _range_index(fields: Any) -> pd.Index:
    start, stop, step = (_int64(fields[name]) for name in ("start", "stop", "step"))
    return pd.RangeIndex(start, stop, step, name=_name(fields.get("name")))


def _multi_index(fields: Any) -> pd.Index:
    levels = [_make(level, pd.Index) for level in _only(fields["levels"], list)]
    codes = [_make(each, np.ndarray) for each in _only(fields["codes"], list)]
    names = [_name(name) for name in _only(fields["names"], list)]
    if any(isinstance(level, pd.MultiIndex) for level in levels):
        raise _Refused("a level of a MultiIndex has one level; found more")
    return pd.MultiIndex(levels, codes, names=names)


def _name(value: Any) -> Any:
    """A label: text, a number, nothing, or a tuple of these."""
    for each in value if type(value) is tuple else (value,):
        _only(each, str, int, float, bool, type(None))
    return value


def _int64(value: Any) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise _Refused(f"must be an int64; found {_kind(value)}")
    return value


def _array(note: Any) -> Any:
    """A column's array, pandas' own or numpy's."""
    return _make(note, np.ndarray, pd.api.extensions.ExtensionArray)


def _masked(note: _Note) -> Any:
    kind = getattr(pd.arrays, type(note).__name__)
    return kind(_make(note.state["_data"], np.ndarray), _make(note.state["_mask"], np.ndarray))


def _texts(state: Any) -> Any:
    # pandas looks at each value: anything but text and missing ones is refused.
    make: Any = pd.arrays.StringArray
    return make(_make(state[1], np.ndarray), dtype=_make(state[0], pd.StringDtype))


def _string_dtype(note: _Note) -> Any:
    storage, missing = note.args
    if storage != "python":
        raise _Refused(f"text is stored as Python's, see dump; found {_kind(storage)} storage")
    na_value: Any = _MISSING.get(missing, np.nan)
    return pd.StringDtype("python", na_value=na_value)


def _categorical(state: Any) -> Any:
    kind = _make(state[0], pd.CategoricalDtype)
    return pd.Categorical.from_codes(_make(state[1], np.ndarray), dtype=kind)


def _categorical_dtype(note: _Note) -> Any:
    state = _only(note.state, dict)
    return pd.CategoricalDtype(_make(state["categories"], pd.Index), _only(state["ordered"], bool))


def _times(state: Any) -> Any:
    kind, values = _make(state[0], np.dtype, pd.DatetimeTZDtype), _make(state[1], np.ndarray)
    if values.dtype != kind.base or values.dtype.kind not in "mM":
        raise _Refused(f"times are datetime64 or timedelta64; found {values.dtype}")
    make: Any = pd.arrays.DatetimeArray if values.dtype.kind == "M" else pd.arrays.TimedeltaArray
    return make._simple_new(values, dtype=kind)


def _zoned_dtype(note: _Note) -> Any:
    state = _only(note.state, dict)
    return pd.DatetimeTZDtype(_only(state["unit"], str), _only(state["tz"], *ZONES))


def _ndarray(note: _Note) -> Any:
    if note.state is None:
        data, dtype, shape, order = note.args
    else:
        _, shape, dtype, fortran, data = note.state
        order = "F" if fortran else "C"
    kind = _make(dtype, np.dtype)
    if kind.hasobject:
        _check_size(shape, kind, len(_only(data, list)) * kind.itemsize)
        array = np.empty(0, kind)
        array.__setstate__((1, shape, kind, order == "F", _cells(data)))
        return array
    _check_size(shape, kind, len(_only(data, bytes, bytearray)))
    # Bytes are copied, as a frame can be written to.
    array = np.frombuffer(bytearray(data) if type(data) is bytes else data, kind)
    if kind == bool and (array.view("u1") > 1).any():
        raise _Refused("a bool is 0 or 1; found another byte")
    return array.reshape(shape, order=order)


def _check_size(shape: Any, dtype: "np.dtype[Any]", size: int) -> None:
    if not all(type(n) is int and n >= 0 for n in _only(shape, tuple)):
        raise _Refused("a shape holds whole numbers; found others")
    if math.prod(shape) * dtype.itemsize != size:
        raise _Refused(f"an array of shape {shape} and {dtype} differs in size; found {size} bytes")


def _cells(values: list[Any]) -> list[Any]:
    """The objects of a column, with pandas' own missing values."""
    if not any(issubclass(kind, (_Note, type)) for kind in set(map(type, values))):
        return values
    values = [_MISSING.get(value, value) if type(value) is type else value for value in values]
    for value in values:
        if isinstance(value, (_Note, type)):
            raise _Refused(f"a cell holds a plain value; found {_kind(value)}")
    return values


def _numpy_dtype(note: _Note) -> Any:
    """One of NUMPY_CODES; its state, which could make numpy read anywhere, is only read."""
    code, _, _ = note.args
    _, order, _, _, _, _, _, _, *metadata = _only(note.state, tuple)
    if type(code) is not str or code not in NUMPY_CODES or order not in ("<", "|"):
        raise _Refused("a column holds numbers, times or objects; found another dtype")
    if code[0] not in "mM":
        return np.dtype(code)
    [(_, (unit, number, _, _))] = metadata
    if unit not in TIME_UNITS or number != 1:
        raise _Refused("times count in D, s, ms, us or ns; found another unit")
    return np.dtype(f"{code}[{unit.decode()}]")


def _scalar(dtype: Any, data: Any) -> Any:
    code = dtype.args[0]
    if type(code) is str and code[:1] == "U":
        return np.str_(_only(data, bytes).decode("utf-32-le"))
    kind = _make(dtype, np.dtype)
    _check_size((), kind, len(_only(data, bytes)))
    if kind.hasobject or (kind == bool and data not in (b"\0", b"\1")):
        raise _Refused(f"a scalar is a number or a time; found {kind}")
    return np.frombuffer(data, kind)[0]


def _timestamp(value: int, freq: None, zone: Any, unit: int) -> Any:
    time = pd.Timestamp(np.datetime64(_int64(value), RESOLUTIONS[_only(unit, int)]))
    if _only(zone, type(None), *ZONES):
        return time.tz_localize("UTC").tz_convert(zone)
    return time


def _timedelta(value: int, unit: int) -> Any:
    return pd.Timedelta(np.timedelta64(_int64(value), RESOLUTIONS[_only(unit, int)]))


# What a pickle may name, and what builds it from a note; None for what is only told apart.
_NOTES: dict[str, dict[str, Any]] = {
    "builtins": {"slice": lambda note: slice(*(_only(end, int) for end in note.args))},
    "numpy": {"dtype": _numpy_dtype, "ndarray": None},
    "numpy._core.multiarray": {"_reconstruct": _ndarray},
    "numpy._core.numeric": {"_frombuffer": _ndarray},
    "pandas": {
        "Categorical": _categorical,
        "CategoricalDtype": _categorical_dtype,
        "DataFrame": _frame,
        "DatetimeIndex": _plain_index,
        "DatetimeTZDtype": _zoned_dtype,
        "Index": _plain_index,
        "MultiIndex": _multi_index,
        "NA": None,
        "RangeIndex": _range_index,
        "StringDtype": _string_dtype,
        **dict.fromkeys(("BooleanDtype", "Float32Dtype", "Float64Dtype")),
        **{f"{sign}Int{bits}Dtype": None for sign in ("", "U") for bits in (8, 16, 32, 64)},
    },
    "pandas._libs.arrays": {"__pyx_unpickle_NDArrayBacked": _of_class},
    "pandas._libs.internals": {"_unpickle_block": _block},
    "pandas.arrays": {
        "BooleanArray": _masked,
        "DatetimeArray": _times,
        "FloatingArray": _masked,
        "IntegerArray": _masked,
        "StringArray": _texts,
        "TimedeltaArray": _times,
    },
    "pandas.core.indexes.base": {"_new_Index": _of_class},
    "pandas.core.indexes.datetimes": {"_new_DatetimeIndex": _of_class},
    "pandas.core.internals.managers": {"BlockManager": _manager},
}
_NAT = ("pandas._libs.tslibs.nattype", "_nat_unpickle")
# Plain values of cells, which are built at once. NaT would be open to changes: its class stands in.
_VALUES: dict[str, dict[str, Any]] = {
    "numpy._core.multiarray": {"scalar": _scalar},
    _NAT[0]: {_NAT[1]: lambda *_: ALLOWED[_NAT]},
    "pandas._libs.tslibs.timedeltas": {"_timedelta_unpickle": _timedelta},
    "pandas._libs.tslibs.timestamps": {"_unpickle_timestamp": _timestamp},
    "zoneinfo": {"ZoneInfo": lambda key: ZoneInfo(_only(key, str))},
}
# Neither these classes nor what they make can be changed: a pickle may call them.
_REAL = (
    *(datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone),
    decimal.Decimal,
)
ALLOWED: MappingProxyType[tuple[str, str], type] = MappingProxyType(
    {(kind.__module__, kind.__name__): kind for kind in _REAL}
    | {
        (module, name): type(name, (base,), {"__slots__": (), "build": staticmethod(build)})
        for base, table in ((_Note, _NOTES), (_Value, _VALUES))
        for module, names in table.items()
        for name, build in names.items()
    }
)
_MISSING = {ALLOWED["pandas", "NA"]: pd.NA, ALLOWED[_NAT]: pd.NaT}

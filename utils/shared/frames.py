"""Segment files: DataFrames pickled to bytes, and loaded without trusting the bytes.

A pickle is a program: it calls what it names, and sets attributes of what it gets. So that it can
do nothing, each global it may name stands for a sealed class that only notes how it was called.
From these notes the frame is built by rule, with every size checked.
"""

import contextlib
import datetime
import decimal
import io
import math
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any, Never

import numpy as np
import pandas as pd

# What pandas itself unpickles with; its stubs leave it out.
from pandas._libs.internals import _unpickle_block  # type: ignore[import-not-found]
from pandas.core.internals.managers import BlockManager  # type: ignore[import-not-found]

NUMPY_CODES = frozenset("b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 M8 m8 O8".split())
TIME_UNITS = frozenset([b"D", b"s", b"ms", b"us", b"ns"])
RESOLUTIONS: dict[int, Any] = {7: "s", 8: "ms", 9: "us", 10: "ns"}  # as pandas numbers them

# What loading may allocate: an empty dict, the costliest byte of a pickle, becomes 64 of memory.
MEMORY_BASE = 128 * 1024 * 1024
MEMORY_PER_BYTE = 64
# The rows of a frame without columns take no bytes, nor do the columns of one without rows: more
# than a sheet has rows are a bomb.
EMPTY = 1_048_576


class InvalidSegment(ValueError):
    """The object is not a segment file, or not a safe one."""


def dump(df: pd.DataFrame) -> bytes:
    """Pickle a segment; its index, row numbers of the whole table, is kept.

    `fast` leaves out the memo, by which a pickler writes an object once: three times the speed for
    a tenth more bytes. A pickle needs one only for an object that contains itself; no cell does.
    """
    data = io.BytesIO()
    pickler = pickle.Pickler(data, protocol=5)
    pickler.fast = True
    pickler.dump(df)
    return data.getvalue()


def load(data: bytes, key: str) -> pd.DataFrame:
    """Unpickle a segment file that anybody may have written.

    Raises:
        InvalidSegment: data is cut off, is not a DataFrame of plain columns, or names a global
            that such a frame does not need.
    """
    try:
        with _bounded_memory(MEMORY_BASE + MEMORY_PER_BYTE * len(data)):
            return _frame(_read(data))
    except _Refused as error:
        fault = str(error)
    except Exception as error:
        fault = f"must be a pickled DataFrame; found {type(error).__name__}: {error}"
    raise InvalidSegment(f"{key}: {fault[:500]}")


class _Refused(Exception):
    """A rule that the pickle breaks, and what was found."""


class _Sealed(type):
    """Classes that a pickle may call but not change."""

    def __setattr__(cls, name: str, value: object) -> Never:
        raise _Refused(f"a segment file changes no class; found {name} set")


class _Part(metaclass=_Sealed):
    """What the pickle says of one object: how its class was called, and its state.

    Attributes:
        built: the real object, once made; a pickle may refer to a part any number of times.
    """

    __slots__ = ("args", "built", "state")
    args: tuple[Any, ...]
    state: Any
    built: Any

    def __new__(cls, *args: Any) -> Any:
        part = object.__new__(cls)
        part.args, part.state, part.built = args, None, None
        return part

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _DataFrame(_Part): ...
class _BlockManager(_Part): ...
class _Block(_Part): ...
class _Slice(_Part): ...
class _NewIndex(_Part): ...
class _Index(_Part): ...
class _RangeIndex(_Part): ...
class _MultiIndex(_Part): ...
class _DatetimeIndex(_Part): ...
class _Backed(_Part): ...
class _StringArray(_Part): ...
class _Categorical(_Part): ...
class _DatetimeArray(_Part): ...
class _TimedeltaArray(_Part): ...
class _IntegerArray(_Part): ...
class _FloatingArray(_Part): ...
class _BooleanArray(_Part): ...
class _StringDtype(_Part): ...
class _CategoricalDtype(_Part): ...
class _MaskedDtype(_Part): ...
class _NumpyDtype(_Part): ...
class _NumpyArray(_Part): ...
class _Reconstructed(_Part): ...
class _FromBuffer(_Part): ...
class _NA(_Part): ...


class _NaT(_Part):
    def __new__(cls, *args: Any) -> Any:
        return cls


class _Scalar(_Part):
    def __new__(cls, dtype: Any, data: bytes) -> Any:
        return _scalar(dtype, data)


class _Timestamp(_Part):
    def __new__(cls, value: int, freq: None, tz: Any, unit: int) -> Any:
        time = pd.Timestamp(np.datetime64(_int64(value), RESOLUTIONS[_only(unit, int)]))
        if _only(tz, type(None), datetime.timezone):
            return time.tz_localize("UTC").tz_convert(tz)
        return time


class _Timedelta(_Part):
    def __new__(cls, value: int, unit: int) -> Any:
        return pd.Timedelta(np.timedelta64(_int64(value), RESOLUTIONS[_only(unit, int)]))


# Real classes only where neither they nor what they make can be changed.
ALLOWED: MappingProxyType[tuple[str, str], type] = MappingProxyType(
    {
        ("builtins", "slice"): _Slice,
        ("datetime", "date"): datetime.date,
        ("datetime", "datetime"): datetime.datetime,
        ("datetime", "time"): datetime.time,
        ("datetime", "timedelta"): datetime.timedelta,
        ("datetime", "timezone"): datetime.timezone,
        ("decimal", "Decimal"): decimal.Decimal,
        ("numpy", "dtype"): _NumpyDtype,
        ("numpy", "ndarray"): _NumpyArray,
        ("numpy._core.multiarray", "_reconstruct"): _Reconstructed,
        ("numpy._core.multiarray", "scalar"): _Scalar,
        ("numpy._core.numeric", "_frombuffer"): _FromBuffer,
        ("pandas", "Categorical"): _Categorical,
        ("pandas", "CategoricalDtype"): _CategoricalDtype,
        ("pandas", "DataFrame"): _DataFrame,
        ("pandas", "DatetimeIndex"): _DatetimeIndex,
        ("pandas", "Index"): _Index,
        ("pandas", "MultiIndex"): _MultiIndex,
        ("pandas", "NA"): _NA,
        ("pandas", "RangeIndex"): _RangeIndex,
        ("pandas", "StringDtype"): _StringDtype,
        **{
            ("pandas", f"{kind}Dtype"): _MaskedDtype
            for kind in (
                *("Boolean", "Float32", "Float64"),
                *("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"),
            )
        },
        ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"): _Backed,
        ("pandas._libs.internals", "_unpickle_block"): _Block,
        ("pandas._libs.tslibs.nattype", "_nat_unpickle"): _NaT,
        ("pandas._libs.tslibs.timedeltas", "_timedelta_unpickle"): _Timedelta,
        ("pandas._libs.tslibs.timestamps", "_unpickle_timestamp"): _Timestamp,
        ("pandas.arrays", "BooleanArray"): _BooleanArray,
        ("pandas.arrays", "DatetimeArray"): _DatetimeArray,
        ("pandas.arrays", "FloatingArray"): _FloatingArray,
        ("pandas.arrays", "IntegerArray"): _IntegerArray,
        ("pandas.arrays", "StringArray"): _StringArray,
        ("pandas.arrays", "TimedeltaArray"): _TimedeltaArray,
        ("pandas.core.indexes.base", "_new_Index"): _NewIndex,
        ("pandas.core.indexes.datetimes", "_new_DatetimeIndex"): _NewIndex,
        ("pandas.core.internals.managers", "BlockManager"): _BlockManager,
    }
)


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
    part = _Unpickler(file).load()
    if file.tell() != len(data):
        raise _Refused(f"nothing follows the frame; found {len(data) - file.tell()} bytes")
    return part


@contextlib.contextmanager
def _bounded_memory(size: int) -> Iterator[None]:
    """Let the process grow by `size` bytes at most; a MemoryError tells of more.

    The unpickler's memo is as long as the highest index that a pickle declares, and nothing else
    bounds that. Only Linux keeps such a limit, and has /proc.
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


def _int64(value: Any) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise _Refused(f"must be an int64; found {_kind(value)}")
    return value


def _only(value: Any, *kinds: type) -> Any:
    """The value, of exactly these types: a subclass could do anything."""
    if type(value) not in kinds:
        wanted = " or ".join(kind.__name__.strip("_") for kind in kinds)
        raise _Refused(f"must be a pickled DataFrame; found {_kind(value)} for {wanted}")
    return value


def _kind(value: Any) -> str:
    found = value if type(value) is _Sealed else type(value)
    return str(found.__name__).strip("_")


def _frame(part: Any) -> pd.DataFrame:
    if type(part) is not _DataFrame:
        raise _Refused(f"must be a pickled DataFrame; found {_kind(part)}")
    state = _only(part.state, dict)
    attrs = _only(state.get("attrs", {}), dict)
    _check_plain(attrs)
    df = pd.DataFrame.__new__(pd.DataFrame)
    unpickle: Any = df  # pandas' stubs leave its unpickling out
    unpickle.__setstate__(
        {"_mgr": _manager(state["_mgr"]), "_typ": "dataframe", "_metadata": [], "attrs": attrs}
    )
    return df


def _manager(part: Any) -> Any:
    blocks, axes = _only(part, _BlockManager).args
    columns, rows = (_index(axis) for axis in _only(axes, list))
    if not len(columns) and len(rows) > EMPTY:
        raise _Refused(f"rows without columns are {EMPTY} at most; found {len(rows)}")
    if len(columns) > EMPTY:
        raise _Refused(f"columns are {EMPTY} at most; found {len(columns)}")
    made, covered = [], set[int]()
    for each in _only(blocks, tuple):
        block, places = _block(each, len(columns), len(rows))
        if not covered.isdisjoint(places):
            raise _Refused("each column must stand in one block; found one in two")
        covered.update(places)
        made.append(block)
    if len(covered) != len(columns) or any(not 0 <= at < len(columns) for at in covered):
        raise _Refused("each column must stand in one block; found one in none")
    return BlockManager(tuple(made), [columns, rows])


def _block(part: Any, columns: int, rows: int) -> tuple[Any, "range | list[int]"]:
    """A block of columns, and the columns' numbers."""
    array, placement, ndim = _only(part, _Block).args
    values = _array(array)
    where: Any
    places: range | list[int]
    if type(placement) is _Slice:
        where = slice(*(_only(end, int) for end in placement.args))
        places = range(columns)[where]
    else:
        where = _numpy_array(placement)
        places = [int(at) for at in where]
    plain = isinstance(values, np.ndarray)
    shapes = [(len(places), rows)] + [(rows,)] * (not plain and len(places) == 1)
    if ndim != 2 or values.shape not in shapes:
        raise _Refused(f"a block must have the shape {shapes[0]}; found {values.shape}")
    return _unpickle_block(values, where, 2), places


def _index(part: Any) -> Any:
    if type(part) is _NewIndex and part.built is None:
        kind, fields = part.args
        make = _INDEXES.get(kind) if type(kind) is _Sealed else None
        if make is None:
            raise _Refused(f"an index of plain values is needed; found {_kind(kind)}")
        part.built = make(_only(fields, dict))
    return _only(part, _NewIndex).built


def _plain_index(fields: dict[str, Any]) -> pd.Index:
    values = _array(fields["data"])
    if values.ndim != 1:
        raise _Refused(f"an index has one dimension; found {values.ndim}")
    index: pd.Index = pd.Index(
        values, dtype=values.dtype, name=_name(fields.get("name")), copy=False
    )
    return index


def _datetime_index(fields: dict[str, Any]) -> pd.Index:
    _only(fields.get("freq"), type(None))
    return _plain_index(fields)


def _range_index(fields: dict[str, Any]) -> pd.Index:
    start, stop, step = (_int64(fields[name]) for name in ("start", "stop", "step"))
    return pd.RangeIndex(start, stop, step, name=_name(fields.get("name")))


def _multi_index(fields: dict[str, Any]) -> pd.Index:
    levels = [_index(level) for level in _only(fields["levels"], list)]
    codes = [_numpy_array(each) for each in _only(fields["codes"], list)]
    names = [_name(name) for name in _only(fields["names"], list)]
    if any(isinstance(level, pd.MultiIndex) for level in levels):
        raise _Refused("a level of a MultiIndex has one level; found more")
    return pd.MultiIndex(levels, codes, names=names)


_INDEXES: dict[Any, Callable[[dict[str, Any]], pd.Index]] = {
    _Index: _plain_index,
    _DatetimeIndex: _datetime_index,
    _RangeIndex: _range_index,
    _MultiIndex: _multi_index,
}


def _name(value: Any) -> Any:
    """A label: text, a number, nothing, or a tuple of these."""
    for each in value if type(value) is tuple else (value,):
        _only(each, str, int, float, bool, type(None))
    return value


def _check_plain(attrs: Any) -> None:
    """Refuse attributes of a frame that are not JSON's kinds; each is looked at once."""
    left, seen = [attrs], set()
    while left:
        value = left.pop()
        if id(value) not in seen:
            seen.add(id(value))
            _only(value, dict, list, tuple, str, int, float, bool, type(None))
            if type(value) is dict:
                left += [*value, *value.values()]
            elif type(value) in (list, tuple):
                left += value


def _array(part: Any) -> Any:
    """A column's array, pandas' own or numpy's."""
    build = _ARRAYS.get(type(part))
    if build is None:
        raise _Refused(f"an array of plain values is needed; found {_kind(part)}")
    if part.built is None:
        part.built = build(part)
    return part.built


def _backed_array(part: Any) -> Any:
    kind, _, _ = part.args
    dtype, array, *_ = _only(part.state, tuple)
    make = _BACKED.get(kind) if type(kind) is _Sealed else None
    if make is None:
        raise _Refused(f"an array of plain values is needed; found {_kind(kind)}")
    return make(dtype, array)


def _string_array(dtype: Any, array: Any) -> Any:
    storage, missing = _only(dtype, _StringDtype).args
    if storage != "python":
        raise _Refused(f"text is stored as Python's; found {_kind(storage)} storage")
    kind = pd.StringDtype("python", na_value=pd.NA if missing is _NA else np.nan)
    # pandas looks at each value: anything but text and missing ones is refused.
    make: Any = pd.arrays.StringArray
    return make(_numpy_array(array, replace=missing is _NA), dtype=kind)


def _categorical(dtype: Any, array: Any) -> Any:
    state = _only(dtype, _CategoricalDtype).state
    kind = pd.CategoricalDtype(_index(state["categories"]), _only(state["ordered"], bool))
    return pd.Categorical.from_codes(_numpy_array(array), dtype=kind)


def _time_array(dtype: Any, array: Any) -> Any:
    values = _numpy_array(array)
    if values.dtype != _numpy_dtype(dtype) or values.dtype.kind not in "mM":
        raise _Refused(f"times are datetime64 or timedelta64; found {values.dtype}")
    make: Any = pd.arrays.DatetimeArray if values.dtype.kind == "M" else pd.arrays.TimedeltaArray
    return make._simple_new(values, dtype=values.dtype)


def _masked_array(kind: Any) -> Callable[[Any], Any]:
    def build(part: Any) -> Any:
        state = _only(part.state, dict)
        return kind(_numpy_array(state["_data"]), _numpy_array(state["_mask"]))

    return build


_BACKED: dict[Any, Callable[[Any, Any], Any]] = {
    _StringArray: _string_array,
    _Categorical: _categorical,
    _DatetimeArray: _time_array,
    _TimedeltaArray: _time_array,
}


def _numpy_array(part: Any, replace: bool = True) -> Any:
    """
    Args:
        replace: whether missing values among the objects have their stand-ins.
    """
    if type(part) not in (_FromBuffer, _Reconstructed):
        raise _Refused(f"an array of plain values is needed; found {_kind(part)}")
    if part.built is None:
        make = _from_buffer if type(part) is _FromBuffer else _reconstructed
        part.built = make(part, replace)
        if part.built.dtype == bool and (part.built.view("u1") > 1).any():
            raise _Refused("a bool is 0 or 1; found another byte")
    return part.built


def _from_buffer(part: Any, _: bool) -> Any:
    data, dtype, shape, order = part.args
    kind = _numpy_dtype(dtype)
    _check_size(shape, kind, len(_only(data, bytes, bytearray)))
    if kind.hasobject or order not in ("C", "F"):
        raise _Refused(f"a buffer holds plain numbers in order C or F; found {kind}")
    return np.frombuffer(data, kind).reshape(shape, order=order)


def _reconstructed(part: Any, replace: bool) -> Any:
    _, shape, dtype, fortran, data = _only(part.state, tuple)
    kind = _numpy_dtype(dtype)
    values = _only(data, list) if kind.hasobject else _only(data, bytes)
    _check_size(shape, kind, len(values) * (kind.itemsize if kind.hasobject else 1))
    if kind.hasobject and replace:
        values = _cells(values)
    array = np.empty(0, kind)
    array.__setstate__((1, shape, kind, _only(fortran, bool), values))
    return array


def _check_size(shape: Any, dtype: "np.dtype[Any]", size: int) -> None:
    if not all(type(n) is int and n >= 0 for n in _only(shape, tuple)):
        raise _Refused("a shape holds whole numbers; found others")
    if math.prod(shape) * dtype.itemsize != size:
        raise _Refused(f"an array of shape {shape} and {dtype} differs in size; found {size} bytes")


def _cells(values: list[Any]) -> list[Any]:
    """The objects of a column, with pandas' own missing values."""
    if not any(issubclass(kind, (_Part, _Sealed)) for kind in set(map(type, values))):
        return values
    return [_MISSING[value] if type(value) is _Sealed else _cell(value) for value in values]


def _cell(value: Any) -> Any:
    if isinstance(value, _Part):
        raise _Refused(f"a cell holds a plain value; found {_kind(value)}")
    return value


_MISSING: dict[Any, Any] = {_NA: pd.NA, _NaT: pd.NaT}


def _scalar(dtype: Any, data: Any) -> Any:
    code = _only(dtype, _NumpyDtype).args[0]
    if type(code) is str and code[:1] == "U":
        return np.str_(_only(data, bytes).decode("utf-32-le"))
    kind = _numpy_dtype(dtype)
    _check_size((), kind, len(_only(data, bytes)))
    if kind.hasobject or (kind == bool and data not in (b"\0", b"\1")):
        raise _Refused(f"a scalar is a number or a time; found {kind}")
    return np.frombuffer(data, kind)[0]


def _numpy_dtype(part: Any) -> Any:
    """One of NUMPY_CODES; its state, which could make numpy read anywhere, is only read."""
    if _only(part, _NumpyDtype).built is None:
        code, _, _ = part.args
        _, order, _, _, _, _, _, _, *metadata = _only(part.state, tuple)
        if type(code) is not str or code not in NUMPY_CODES or order not in ("<", "|"):
            raise _Refused("a column holds numbers, times or objects; found another dtype")
        part.built = np.dtype(code if code[0] not in "mM" else f"{code}[{_unit(metadata)}]")
    return part.built


def _unit(metadata: list[Any]) -> str:
    [(_, (unit, number, _, _))] = metadata
    if unit not in TIME_UNITS or number != 1:
        raise _Refused("times count in D, s, ms, us or ns; found another unit")
    return str(unit.decode())


_ARRAYS: dict[type, Callable[[Any], Any]] = {
    _Backed: _backed_array,
    _IntegerArray: _masked_array(pd.arrays.IntegerArray),
    _FloatingArray: _masked_array(pd.arrays.FloatingArray),
    _BooleanArray: _masked_array(pd.arrays.BooleanArray),
    _FromBuffer: _numpy_array,
    _Reconstructed: _numpy_array,
}

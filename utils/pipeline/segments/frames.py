"""Segment files: DataFrames pickled to bytes, and loaded by an unpickler that knows few names.

A pickle is a program: it calls what it names. Here it names what a frame of plain columns needs,
and finds nothing else. A forged pickle of these names may still take memory, corrupt that of the
process, or be a frame that lies. A deployment's signatures (`signed.py`) refuse that before anything is
unpickled; without them, whoever may write the bucket is trusted not to do it.
"""

import copyreg
import io
import pickle
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from pipeline.excel import InvalidCell

NAMES = {
    "builtins": "slice",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "numpy": "dtype ndarray",
    "numpy._core.multiarray": "_reconstruct scalar",
    "numpy._core.numeric": "_frombuffer",
    # Of moments, indexes are what a column's categories stand in.
    "pandas": "Categorical CategoricalDtype DataFrame DatetimeIndex DatetimeTZDtype Index NA"
    " RangeIndex StringDtype TimedeltaIndex BooleanDtype Float32Dtype Float64Dtype Int8Dtype"
    " Int16Dtype Int32Dtype Int64Dtype SparseDtype UInt8Dtype UInt16Dtype UInt32Dtype UInt64Dtype",
    "pandas.arrays": "BooleanArray DatetimeArray FloatingArray IntegerArray SparseArray StringArray"
    " TimedeltaArray",
    "pandas._libs.arrays": "__pyx_unpickle_NDArrayBacked",
    "pandas._libs.internals": "_unpickle_block",
    "pandas._libs.sparse": "BlockIndex IntIndex",
    "pandas._libs.tslibs.nattype": "_nat_unpickle",
    "pandas._libs.tslibs.timedeltas": "_timedelta_unpickle",
    "pandas._libs.tslibs.timestamps": "_unpickle_timestamp",
    "pandas.core.indexes.base": "_new_Index",
    "pandas.core.indexes.datetimes": "_new_DatetimeIndex",
    "pandas.core.indexes.timedeltas": "_new_TimedeltaIndex",
    "pandas.core.internals.managers": "BlockManager",
    "zoneinfo": "ZoneInfo",
}
ALLOWED = {
    (module, name): getattr(import_module(module), name)
    for module, names in NAMES.items()
    for name in names.split()
}
KNOWN = set(ALLOWED.values())


class InvalidSegment(ValueError):
    """The object is not a segment file, or not a safe one."""


def dump(df: pd.DataFrame) -> bytes:
    """Pickle a segment; its index, row numbers of the whole table, is kept.

    `fast` leaves out the memo, by which a pickler writes an object once: three times the speed for
    a tenth more bytes. A pickle needs one only for an object that contains itself; no cell does.
    Text in Arrow's memory becomes Python's: whoever loads it needs no pyarrow. Moments of a
    frequency, as categories may be, lose it.

    Raises:
        InvalidCell: names the type or the function that `load` would refuse.
    """
    file = io.BytesIO()
    pickler = _Pickler(file, protocol=5)
    pickler.fast = True
    try:
        pickler.dump(df)
    except _UnknownName as error:
        source = df.attrs.get("source", "members")
        rule = "cells and columns must be of plain types, as .astype makes them"
        raise InvalidCell(f"{source}: {rule}; found {error}") from None
    return file.getvalue()


def _reduce_arrow_text(array: Any) -> Any:
    kind = pd.StringDtype("python", na_value=array.dtype.na_value)
    return array.astype(kind).__reduce_ex__(5)


def _reduce_moments(index: Any) -> Any:
    return type(index)(index.array, name=index.name).__reduce__()


def load(data: bytes, key: str) -> pd.DataFrame:
    """Unpickle a segment file.

    Raises:
        InvalidSegment: data is cut off, is not a DataFrame of plain columns, or names a global
            that such a frame does not need.
    """
    try:
        df = _Unpickler(io.BytesIO(data)).load()
    except _UnknownName as error:
        rule = "a segment file names only what a DataFrame of plain columns needs"
        fault = f"{rule}; found {error}"
    except Exception as error:
        fault = f"must be a pickled DataFrame; found {type(error).__name__}: {error}"
    else:
        if type(df) is pd.DataFrame:
            return df
        fault = f"must be a pickled DataFrame; found {type(df).__name__}"
    raise InvalidSegment(f"{key}: {fault[:500]}")


class _UnknownName(Exception):
    """A pickle names what no frame of plain columns needs."""


class _Pickler(pickle.Pickler):
    """Writes no name that an _Unpickler refuses: whether it reads depends on the table's cut."""

    dispatch_table = copyreg.dispatch_table | {
        pd.arrays.ArrowStringArray: _reduce_arrow_text,
        ZoneInfo: lambda zone: (ZoneInfo, (zone.key,)),
        **dict.fromkeys((pd.DatetimeIndex, pd.TimedeltaIndex), _reduce_moments),
    }

    def reducer_override(self, given: Any) -> Any:
        if hasattr(given, "__qualname__") and given not in KNOWN:
            raise _UnknownName(f"{given.__module__}.{given.__qualname__}")
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise _UnknownName(f"{module}.{name}")
        return ALLOWED[module, name]

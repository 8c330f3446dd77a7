"""Segment files: DataFrames pickled to bytes, and loaded by an unpickler that knows few names.

A pickle is a program: it calls what it names. What is named here runs nothing that a pickle brings
along, and no other name is found. What NumPy and pandas believe of a pickle is checked where we
know it to reach beyond an array: dtypes, places of columns, codes of categories. Still, a forged
one may take memory, end the process, or be a frame that lies. A deployment's signatures
(`signed.py`) refuse that; without them, whoever may write the bucket is trusted not to do it.
"""

import copyreg
import io
import pickle
import re
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

# Numbers, times, objects and texts; no structures, whose fields a pickle may lay out anywhere.
_DTYPE = re.compile("[biufMm][1248]|O8|U[0-9]+")


class InvalidSegment(ValueError):
    """The object is not a segment file, or not a safe one."""


def dump(df: pd.DataFrame) -> bytes:
    """Pickle a segment; its index, row numbers of the whole table, is kept.

    `fast` leaves out the memo, by which a pickler writes an object once: three times the speed for
    a tenth more bytes. A pickle needs one only for an object that contains itself; no cell does.
    Text in Arrow's memory becomes Python's: whoever loads it needs no pyarrow.
    """
    file = io.BytesIO()
    pickler = pickle.Pickler(file, protocol=5)
    pickler.dispatch_table = copyreg.dispatch_table | {
        pd.arrays.ArrowStringArray: _reduce_arrow_text,
        ZoneInfo: lambda zone: (ZoneInfo, (zone.key,)),
    }
    pickler.fast = True
    pickler.dump(df)
    return file.getvalue()


def _reduce_arrow_text(array: Any) -> Any:
    kind = pd.StringDtype("python", na_value=array.dtype.na_value)
    return array.astype(kind).__reduce_ex__(5)


def load(data: bytes, key: str) -> pd.DataFrame:
    """Unpickle a segment file.

    Raises:
        InvalidSegment: data is cut off, is not a DataFrame of plain columns, or names a global
            that such a frame does not need.
    """
    try:
        return _read(data)
    except _Refused as error:
        fault = str(error)
    except Exception as error:
        fault = f"must be a pickled DataFrame; found {type(error).__name__}: {error}"
    raise InvalidSegment(f"{key}: {fault[:500]}")


class _Refused(Exception):
    """A rule that the pickle breaks, and what was found."""


def _read(data: bytes) -> pd.DataFrame:
    file = io.BytesIO(data)
    unpickler = _Unpickler(file)
    df = unpickler.load()
    for dtype in unpickler.dtypes:
        _check(dtype)
    if type(df) is not pd.DataFrame:
        raise _Refused(f"must be a pickled DataFrame; found {type(df).__name__}")
    if file.tell() != len(data):
        raise _Refused(f"nothing follows the frame; found {len(data) - file.tell()} bytes")
    _check_blocks(df)
    return df


def _check_blocks(df: pd.DataFrame) -> None:
    """Refuse sizes, places of columns and codes of categories that reach beyond the frame."""
    manager: Any = df._mgr
    manager._verify_integrity()  # pandas' own look at sizes
    if sorted(at for block in manager.blocks for at in block.mgr_locs) != [*range(df.shape[1])]:
        raise _Refused("each column must stand in one block; found others")
    for values in (df.index, df.columns, *(block.values for block in manager.blocks)):
        if isinstance(values.dtype, pd.CategoricalDtype):
            pd.Categorical.from_codes(values.codes, dtype=values.dtype)  # raises


class _Unpickler(pickle.Unpickler):
    """Finds the names of a frame of plain columns.

    Attributes:
        dtypes: that it made, to be checked: their states may follow.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.dtypes: list[np.dtype[Any]] = []

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "dtype"):
            return self._dtype
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise _Refused(
                "a segment file names only what a DataFrame of plain columns needs; "
                f"found {module}.{name}"
            ) from None

    def _dtype(self, code: str, *_: Any) -> "np.dtype[Any]":
        """One of its own, but NumPy's own for objects: a state could make those of any bytes."""
        if not _DTYPE.fullmatch(code):
            raise _Refused(f"a column holds numbers, times, texts or objects; found {code[:9]}")
        dtype = np.dtype(code, copy=code != "O8")
        self.dtypes.append(dtype)
        return dtype


def _check(dtype: "np.dtype[Any]") -> None:
    """Refuse a dtype whose state makes its array another than its code says."""
    plain = dtype.subdtype is None and dtype.names is None and dtype.isnative
    if not plain or dtype.hasobject != (dtype.kind == "O"):
        raise _Refused(f"a column holds numbers, times, texts or objects; found {dtype!r:.60}")


def _frombuffer(data: Any, dtype: "np.dtype[Any]", *layout: Any) -> Any:
    _check(dtype)
    return _named("numpy._core.numeric", "_frombuffer")(data, dtype, *layout)


def _new_datetime_index(_: Any, fields: dict[str, Any]) -> pd.Index:
    made: pd.Index = _named("pandas.core.indexes.datetimes", "_new_DatetimeIndex")(
        pd.DatetimeIndex, fields
    )
    return made


def _named(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


def _sealed(kind: Any) -> Any:
    """What a pickle may name for a class: it makes the class's instances, and sets none of its
    attributes, as a pickle could of a class that has no `__setstate__`."""
    if not isinstance(kind, type) or hasattr(kind, "__setstate__"):
        return kind

    def new(_: Any, *args: Any, **fields: Any) -> Any:
        return kind.__new__(kind, *args, **fields)

    return type(kind.__name__, (), {"__new__": new, "__setstate__": None})


_PLAIN = {
    "builtins": "slice",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "numpy._core.multiarray": "scalar",
    "pandas._libs.arrays": "__pyx_unpickle_NDArrayBacked",
    "pandas._libs.internals": "_unpickle_block",
    "pandas._libs.tslibs.nattype": "_nat_unpickle",
    "pandas._libs.tslibs.timedeltas": "_timedelta_unpickle",
    "pandas._libs.tslibs.timestamps": "_unpickle_timestamp",
    "pandas.core.indexes.base": "_new_Index",
    "pandas.core.internals.managers": "BlockManager",
    "zoneinfo": "ZoneInfo",
}
_PANDAS = {
    "pandas": "Categorical CategoricalDtype DataFrame DatetimeIndex DatetimeTZDtype Index MultiIndex"
    " NA RangeIndex StringDtype BooleanDtype Float32Dtype Float64Dtype Int8Dtype Int16Dtype"
    " Int32Dtype Int64Dtype UInt8Dtype UInt16Dtype UInt32Dtype UInt64Dtype",
    "pandas.arrays": "BooleanArray DatetimeArray FloatingArray IntegerArray StringArray"
    " TimedeltaArray",
}
ALLOWED: dict[tuple[str, str], Any] = {
    **{(at, name): _named(at, name) for at, names in _PLAIN.items() for name in names.split()},
    **{(at, name): _sealed(_named(at, name)) for at in _PANDAS for name in _PANDAS[at].split()},
    ("numpy", "ndarray"): None,  # which the next one would be told to make
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: np.empty(0, np.int8),
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    ("pandas.core.indexes.datetimes", "_new_DatetimeIndex"): _new_datetime_index,
}

"""Segment files: DataFrames pickled to bytes, and loaded without trusting the bytes."""

import io
import pickle
from typing import Any

import pandas as pd

# What pickles of DataFrames with columns of text, numbers, booleans, dates and plain Python
# values name. A pickle is a program; one that names anything else is not run.
ALLOWED = {
    "builtins": {"slice"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "numpy": {"dtype", "ndarray"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
    "pandas": {
        "BooleanDtype",
        "Categorical",
        "CategoricalDtype",
        "DataFrame",
        "DatetimeIndex",
        "Float32Dtype",
        "Float64Dtype",
        "Index",
        "Int8Dtype",
        "Int16Dtype",
        "Int32Dtype",
        "Int64Dtype",
        "MultiIndex",
        "NA",
        "RangeIndex",
        "StringDtype",
        "UInt8Dtype",
        "UInt16Dtype",
        "UInt32Dtype",
        "UInt64Dtype",
    },
    "pandas._libs.arrays": {"__pyx_unpickle_NDArrayBacked"},
    "pandas._libs.internals": {"_unpickle_block"},
    "pandas._libs.tslibs.nattype": {"_nat_unpickle"},
    "pandas._libs.tslibs.timedeltas": {"_timedelta_unpickle"},
    "pandas._libs.tslibs.timestamps": {"_unpickle_timestamp"},
    "pandas.arrays": {
        "BooleanArray",
        "DatetimeArray",
        "FloatingArray",
        "IntegerArray",
        "StringArray",
        "TimedeltaArray",
    },
    "pandas.core.indexes.base": {"_new_Index"},
    "pandas.core.indexes.datetimes": {"_new_DatetimeIndex"},
    "pandas.core.internals.managers": {"BlockManager"},
}


class InvalidSegment(ValueError):
    """The object is not a segment file, or not a safe one."""


def dump(df: pd.DataFrame) -> bytes:
    """Pickle a segment; its index, row numbers of the whole table, is kept."""
    return pickle.dumps(df, protocol=5)


def load(data: bytes, key: str) -> pd.DataFrame:
    """Unpickle a segment file that anybody may have written.

    Raises:
        InvalidSegment: data is cut off, is not a DataFrame, or names a global beyond ALLOWED.
    """
    try:
        df = _FrameUnpickler(data, key).load()
    except InvalidSegment:
        raise
    except Exception as error:
        raise InvalidSegment(f"{key}: must be a pickled DataFrame; found {error!r}") from error
    if not isinstance(df, pd.DataFrame):
        raise InvalidSegment(f"{key}: must be a pickled DataFrame; found {type(df).__name__}")
    return df


class _FrameUnpickler(pickle.Unpickler):
    def __init__(self, data: bytes, key: str) -> None:
        super().__init__(io.BytesIO(data))
        self.key = key

    def find_class(self, module: str, name: str) -> Any:
        if name not in ALLOWED.get(module, ()):
            raise InvalidSegment(
                f"{self.key}: a segment file names only what a DataFrame of plain columns needs; "
                f"found {module}.{name}"
            )
        return super().find_class(module, name)

"""Records that an ETL refuses: taken out one rule after another, so that every one is found."""

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.errors.lines import message
from pipeline.errors.places import record_of
from pipeline.errors.wording import found
from pipeline.excel import EXACT_INTEGER, has_long

OBJECT = "object"
COLUMNS = ["record", "column", "rule", "found"]  # of rejects, before the record's own
NUMBERS = (int, float, np.integer, np.floating)
NO_NUMBERS = (bool, np.timedelta64)  # which are of those, too
# A frame's methods that ask for columns, and the arguments that name them.
LOOK_UPS = {
    **{"__getitem__": "key", "set_index": "keys", "groupby": "by", "sort_values": "by"},
    "_get_label_or_level_values": "key",  # of either frame that is merged
}
LISTED = 30  # names of columns in a message


class Fault(NamedTuple):
    """The column and the rule that a record breaks, and what was found."""

    column: str
    rule: str
    found: str

    def __str__(self) -> str:
        return f"{self.column} {self.rule}; found {self.found}"


class InvalidMember(ValueError):
    """Records break a rule of their table's ETL.

    Attributes:
        faults: by record numbers; none where no record is to blame.
    """

    def __init__(self, text: str, faults: Mapping[int, Fault] | None = None) -> None:
        super().__init__(text)
        self.faults = faults or {}


class InvalidMask(ValueError):
    """A rule does not say of every row whether it is faulty."""


class MissingColumn(ValueError):
    """A table has not all the columns that an ETL looks up."""


class RepeatedColumn(ValueError):
    """A rule is of one column, and several have its name."""


class InvalidResult(ValueError):
    """What `process` returns is no table."""


def refuse(df: pd.DataFrame, column: str, faulty: pd.Series, rule: str) -> None:
    """Refuse the faulty rows, if there are any; `process` runs again on the others.

    Args:
        df: rows that `process` was given, under their own index.
        column: whose cells are at fault, as the message shows them.
        faulty: for each row, found by its index as well, whether it breaks the rule.
        rule: as the message says it after the column's name, such as "must be 1 to 5".

    Raises:
        InvalidMember: names the faulty rows by their index.
        InvalidMask: faulty is neither true nor false somewhere: a missing value, as comparing with
            one may give, or a text.
        MissingColumn, RepeatedColumn: df has no such column, or several.
    """
    check_columns(df, [column])
    check_is_one(df[column])
    faulty = pd.Series(faulty, df.index)
    neither = ~is_boolean(faulty)
    if neither.any():
        told = f"what refuse is told of {column} must be true or false; found neither"
        raise InvalidMask(message(df.attrs, dict.fromkeys(df.index[neither], told)))
    rows = faulty.to_numpy(bool)
    if rows.any():
        cells = df[column][rows]
        faults = {
            label: Fault(column, rule, "nothing" if gap else found(cell))
            for label, cell, gap in zip(cells.index, cells.tolist(), cells.isna())
        }
        raise refused(df, faults)


def is_boolean(column: pd.Series) -> pd.Series:
    if pd.api.types.is_bool_dtype(column):
        return column.notna()
    return column.astype(object).map(type).isin([bool, np.bool])


def is_number(column: pd.Series) -> pd.Series:
    """Whether each cell is a number, whatever stands beside it: a missing one is none, nor is True.

    Raises:
        RepeatedColumn: what `df[name]` gives where several columns have the name.
    """
    check_is_one(column)
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return column.notna()
    kinds = column.astype(object).map(type)
    numeric = [
        kind
        for kind in kinds.unique()
        if issubclass(kind, NUMBERS) and not issubclass(kind, NO_NUMBERS)
    ]
    return kinds.isin(numeric) & column.notna()


def check_columns(df: pd.DataFrame, names: Iterable[str]) -> None:
    """
    Raises:
        MissingColumn: names those that the table has, and those that it has not.
    """
    missing = [name for name in names if name not in df.columns]
    if missing:
        has = f"the columns {listed(df.columns)}" if len(df.columns) else "no columns"
        source = df.attrs.get("source", "members")
        raise MissingColumn(f"{source} has {has}; found no {listed(missing)}")


def check_is_one(column: pd.Series | pd.DataFrame) -> None:
    if isinstance(column, pd.DataFrame):
        source = column.attrs.get("source", "members")
        what = listed(column.columns)
        raise RepeatedColumn(f"{source}: a rule is of one column; found {what}")


def refused(df: pd.DataFrame, faults: Mapping[int, Fault]) -> InvalidMember:
    return InvalidMember(message(df.attrs, faults), faults)


def listed(names: Iterable[Any]) -> str:
    """Some of the names, so that a message stays one that is read."""
    texts = list(map(str, names))
    more = [f"… ({len(texts)})"] if len(texts) > LISTED else []
    return ", ".join(texts[:LISTED] + more)


def sift(
    process: Callable[[pd.DataFrame], pd.DataFrame], df: pd.DataFrame, numbers: Sequence[str] = ()
) -> tuple[pd.DataFrame, dict[int, Fault]]:
    """Process the rows that are not refused.

    Args:
        numbers: the columns that process computes with.

    Returns:
        the result, and for each other row the first rule that it breaks.

    Raises:
        InvalidMember: no row of df is to blame.
        MissingColumn: the rule looks up a column that is not there.
        InvalidResult: the rule returns no frame.
    """
    faults: dict[int, Fault] = {}
    while True:
        rest = without(df, faults, numbers) if faults else df
        try:
            # Copied on write: what an ETL sets before it refuses does not stay.
            result: Any = process(rest.copy(deep=False))
        except InvalidMember as error:
            if not error.faults or not error.faults.keys() <= set(rest.index):
                raise
            faults |= error.faults
        except KeyError as error:
            look_up_again(error, df)
            raise
        else:
            if not isinstance(result, pd.DataFrame):
                what = "nothing" if result is None else type(result).__name__
                raise InvalidResult(f"process: must return a DataFrame; found {what}")
            return result, faults


def look_up_again(error: KeyError, df: pd.DataFrame) -> None:
    """Raise MissingColumn in place of a KeyError, if a frame was asked for a column that it has not."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        table, method = frame.f_locals.get("self"), frame.f_code.co_name
        if isinstance(table, pd.DataFrame) and method in LOOK_UPS:
            asked = frame.f_locals[LOOK_UPS[method]]
            names = asked if isinstance(asked, list) else [asked]
            missing = [each for each in names if type(each) is str and each not in table.columns]
            check_columns(table if "source" in table.attrs else df, missing)


def without(df: pd.DataFrame, faults: Mapping[int, Fault], numbers: Sequence[str]) -> pd.DataFrame:
    """The other rows, with the types of columns that the table would have without the faulty ones."""
    faulty = df.index.isin(list(faults))
    rest = df[~faulty].copy(deep=False)
    if rest.empty:  # NumPy multiplies no empty texts
        return rest.astype({name: float for name in numbers if name in rest.columns})
    for name, dtype in df.dtypes.items():
        if rest[name].isna().all():
            rest[name] = np.full(len(rest), np.nan if name in numbers else None)
        elif dtype in (object, float):
            rest[name] = inferred(rest[name], df[name][faulty])
    return rest


def inferred(column: pd.Series, taken: pd.Series) -> pd.Series:
    typed = column.infer_objects()
    if typed.dtype == float and column.dtype == object:
        return column if has_long(column.tolist()) else typed
    if typed.dtype == float and taken.isna().any() and is_whole(typed).all():
        return typed.astype("int64")  # which a gap had made floats
    return typed


def is_whole(column: pd.Series) -> Any:
    numbers = column.to_numpy()
    return (np.abs(numbers) <= EXACT_INTEGER) & (numbers == np.floor(numbers))


def rejects(df: pd.DataFrame, faults: Mapping[int, Fault]) -> pd.DataFrame:
    """The faulty rows with what is wrong with them in their first columns: COLUMNS and, where the
    table is made of several objects, OBJECT before them."""
    rows = df[df.index.isin(list(faults))]
    numbers = rows.index.tolist()
    columns = [OBJECT, *COLUMNS] if "origins" in df.attrs else COLUMNS
    told = [(*record_of(df.attrs, each), *faults[each])[-len(columns) :] for each in numbers]
    for place, name in enumerate(columns):
        rows.insert(place, name, [each[place] for each in told], allow_duplicates=True)
    return rows

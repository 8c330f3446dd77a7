"""Records that an ETL refuses: taken out one rule after another, so that every one is found."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pandas as pd

from pipeline.errors.lines import LINES, message
from pipeline.errors.wording import found, printable
from pipeline.excel import has_long

COLUMNS = ["record", "column", "rule", "found"]  # of rejects, before the record's own


class Fault(NamedTuple):
    """The column and the rule that a record breaks, and what was found."""

    column: str
    rule: str
    found: str

    def __str__(self) -> str:
        return f"{self.column} {self.rule}; found {self.found}"


class InvalidMember(ValueError):
    """Records break a rule of the members table.

    Attributes:
        faults: by record numbers; none where no record is to blame.
    """

    def __init__(self, text: str, faults: Mapping[int, Fault] | None = None) -> None:
        super().__init__(text)
        self.faults = faults or {}


class InvalidMask(ValueError):
    """A rule does not say of every row whether it is faulty."""


def refuse(df: pd.DataFrame, name: str, faulty: pd.Series, rule: str) -> None:
    """Raise InvalidMember, which names the faulty rows of a column by their index, if there are any.

    Args:
        faulty: for each row, found by its index as well, whether it breaks the rule.

    Raises:
        InvalidMask: faulty has a missing value, as comparing with one may give.
    """
    faulty = pd.Series(faulty, df.index)
    if unsure := [*map(str, df.index[faulty.isna()])]:
        some = ", ".join(unsure[:LINES]) + ", …" * (len(unsure) > LINES)
        told = (
            f"what refuse is told of {name} must be true or false; found neither of record {some}"
        )
        raise InvalidMask(printable(f"{source_of(df)}: {told}"))
    if not faulty.any():
        return
    rows = faulty.to_numpy(bool).nonzero()[0]
    cells = df[name].iloc[rows]
    whats = ["nothing" if gap else found(cell) for cell, gap in zip(cells.tolist(), cells.isna())]
    raise refused(
        df, {label: Fault(name, rule, what) for label, what in zip(cells.index.tolist(), whats)}
    )


def is_number(column: pd.Series) -> pd.Series:
    if column.dtype != object:
        numeric = pd.api.types.is_numeric_dtype(column) and column.dtype != bool
        return pd.Series(numeric, index=column.index)
    return column.map(type).isin([int, float])


def refused(df: pd.DataFrame, faults: Mapping[int, Fault]) -> InvalidMember:
    texts = {number: printable(str(fault)) for number, fault in faults.items()}
    return InvalidMember(message(source_of(df), texts), faults)


def source_of(df: pd.DataFrame) -> str:
    return str(df.attrs.get("source", "members"))


def sift(
    process: Callable[[pd.DataFrame], pd.DataFrame], df: pd.DataFrame
) -> tuple[pd.DataFrame, dict[int, Fault]]:
    """Process the rows that are not refused.

    Returns:
        the result, and for each other row the first rule that it breaks.

    Raises:
        InvalidMember: no row of df is to blame.
    """
    faults: dict[int, Fault] = {}
    while True:
        rest = inferred(df[~df.index.isin(list(faults))]) if faults else df
        try:
            # Copied on write: what an ETL sets before it refuses does not stay.
            return process(rest.copy(deep=False)), faults
        except InvalidMember as error:
            if not error.faults or not rest.index.isin(list(error.faults)).sum() == len(
                error.faults
            ):
                raise
            faults |= error.faults


def inferred(df: pd.DataFrame) -> pd.DataFrame:
    """With the types of columns that the table would have without the rows that were taken out."""
    typed = df.infer_objects()
    for place, (before, after) in enumerate(zip(df.dtypes, typed.dtypes)):
        if before == object and after.kind == "f" and has_long(df.iloc[:, place].tolist()):
            return df
    return typed


def rejects(df: pd.DataFrame, faults: Mapping[int, Fault]) -> pd.DataFrame:
    """The faulty rows with what is wrong with them in their first columns, COLUMNS."""
    rows = df[df.index.isin(list(faults))]
    told = [(number, *faults[number]) for number in rows.index.tolist()]
    for place, name in enumerate(COLUMNS):
        rows.insert(place, name, [each[place] for each in told], allow_duplicates=True)
    return rows

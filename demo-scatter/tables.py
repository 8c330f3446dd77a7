"""Records as columns, the way pandas takes them fastest and keeps them exactly."""

import contextlib
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from records import InvalidJSON, Record

SAMPLE = 1_000  # values that tell whether a column repeats itself


@dataclass(frozen=True)
class Table:
    """Records as columns, in first-seen order; a record without a key has None there."""

    columns: dict[str, list[Any]]
    rows: int

    @classmethod
    def of(cls, records: Sequence[Record]) -> Self:
        names = list(records[0])
        if sum(map(len, records)) == len(names) * len(records):
            with contextlib.suppress(KeyError):
                columns = {name: [record[name] for record in records] for name in names}
                return cls(columns, len(records))
        names = list(dict.fromkeys(itertools.chain.from_iterable(records)))
        return cls({name: [record.get(name) for record in records] for name in names}, len(records))

    @classmethod
    def joined(cls, tables: Sequence[Self]) -> Self:
        if len(tables) == 1:
            return tables[0]
        names = dict.fromkeys(name for table in tables for name in table.columns)
        columns = {
            name: list(itertools.chain.from_iterable(table.values(name) for table in tables))
            for name in names
        }
        return cls(columns, sum(table.rows for table in tables))

    def values(self, name: str) -> Iterable[Any]:
        return self.columns.get(name) or itertools.repeat(None, self.rows)


def compact(values: list[Any]) -> Any:
    """Values as pandas takes them fastest: whole numbers as an array, equal texts as one object.

    A pickle holds one object once, so that texts that recur make smaller segment files.
    """
    kinds = set(map(type, values))
    if kinds == {int}:
        with contextlib.suppress(OverflowError):
            return np.array(values, dtype=np.int64)
    if kinds == {str} and len(set(values[:SAMPLE])) < SAMPLE / 2:
        known: dict[str, str] = {}
        return list(map(known.setdefault, values, values))
    return values


def exact_numbers(
    column: "pd.Series[float]", values: list[Any], record: str
) -> "pd.Series[Any]":
    """Keep integers that a float64 column would round; refuse numbers beyond its range."""
    largest = np.nanmax(column.abs().to_numpy(), initial=0)
    if largest < 2**53:
        return column
    if math.isinf(largest):
        row = column.index[np.isinf(column.to_numpy())][0]
        raise InvalidJSON(f"{record} {row}: {column.name} is beyond the range of numbers")
    if any(type(value) is int and abs(value) > 2**53 for value in values):
        return pd.Series(values, index=column.index, name=column.name, dtype=object)
    return column

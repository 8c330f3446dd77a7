"""Records as columns, the way pandas takes them fastest and keeps them exactly."""

import contextlib
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from records import InvalidJSON, Record

SAMPLE = 1_000  # values that tell whether a column repeats itself

Values = list[Any] | NDArray[np.int64]


class Table:
    """Records as columns, in first-seen order; a record without a key has None there.

    Args:
        blocks: the records, of which each block is freed before the next is taken.
    """

    def __init__(self, blocks: Iterable[Sequence[Record]]) -> None:
        self.rows = 0
        self.columns: dict[str, Column] = {}
        for _ in map(self._add, blocks):
            pass

    def _add(self, records: Sequence[Record]) -> None:
        block = columns_of(records)
        for name in block:
            if name not in self.columns:
                self.columns[name] = Column(self.rows)
        for name, column in self.columns.items():
            column.add(block.get(name) or [None] * len(records))
        self.rows += len(records)


class Column:
    """One column, block by block.

    Args:
        missing: how many rows had no such key before.
    """

    def __init__(self, missing: int) -> None:
        self.blocks: list[Values] = [[None] * missing] if missing else []
        self.known: dict[str, str] = {}

    def add(self, values: list[Any]) -> None:
        self.blocks.append(self._compact(values))

    def _compact(self, values: list[Any]) -> Values:
        """Whole numbers as an array, equal texts as one object.

        A pickle holds one object once, so that texts that recur make smaller segment files.
        """
        kinds = set(map(type, values))
        if kinds == {int}:
            with contextlib.suppress(OverflowError):
                return np.array(values, dtype=np.int64)
        if kinds == {str} and len(set(values[:SAMPLE])) < SAMPLE / 2:
            return list(map(self.known.setdefault, values, values))
        return values

    def joined(self) -> Values:
        arrays = [block for block in self.blocks if isinstance(block, np.ndarray)]
        if len(arrays) == len(self.blocks):
            return np.concatenate(arrays)
        blocks = (block if isinstance(block, list) else block.tolist() for block in self.blocks)
        return list(itertools.chain.from_iterable(blocks))


def columns_of(records: Sequence[Record]) -> dict[str, list[Any]]:
    names = list(records[0])
    if sum(map(len, records)) == len(names) * len(records):
        with contextlib.suppress(KeyError):
            return {name: [record[name] for record in records] for name in names}
    names = list(dict.fromkeys(itertools.chain.from_iterable(records)))
    return {name: [record.get(name) for record in records] for name in names}


def exact_numbers(column: "pd.Series[float]", values: Values, record: str) -> "pd.Series[Any]":
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

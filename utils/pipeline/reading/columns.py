"""Records as columns, and columns as the arrays that a DataFrame keeps exactly."""

import datetime as dt
import itertools
from collections.abc import Iterable, Sequence
from types import NoneType
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.excel import has_long
from pipeline.reading.exact_parser import Record

Array = NDArray[Any] | pd.api.extensions.ExtensionArray


class Block:
    """Some records, and the same as columns; a record without a key has None there.

    Attributes:
        columns: in first-seen order.
        kinds: the types of each column's values.
        size: bytes of JSON, about, that were read for it.
    """

    def __init__(
        self, columns: dict[str, list[Any]], rows: int, records: Iterable[Record] | None = None
    ) -> None:
        self.columns = columns
        self.rows = rows
        self.size = 0
        self.kinds = {name: set(map(type, values)) for name, values in columns.items()}
        self._records = records

    @classmethod
    def of(cls, records: Sequence[Record]) -> Self:
        return cls(columns_of(records), len(records), records)

    @property
    def records(self) -> Iterable[Record]:
        """Made only when they are asked for, where the file has none."""
        if self._records is None:
            return (dict(zip(self.columns, row)) for row in zip(*self.columns.values()))
        return self._records


class Table:
    """Blocks joined, with columns in first-seen order; each is freed before the next is taken."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self.rows = 0
        self.columns: dict[str, Column] = {}
        for _ in map(self._add, blocks):
            pass

    def _add(self, block: Block) -> None:
        for name in block.columns:
            if name not in self.columns:
                self.columns[name] = Column(self.rows)
        for name, column in self.columns.items():
            if name in block.columns:
                column.add(block.columns[name], block.kinds[name])
            else:
                column.add([None] * block.rows, {NoneType})
        self.rows += block.rows

    def arrays(self) -> dict[str, Array]:
        return {name: column.array() for name, column in self.columns.items()}


class Column:
    """One column, block by block, behind so many rows that had no such key."""

    def __init__(self, missing: int) -> None:
        self.blocks: list[list[Any] | NDArray[np.int64]] = []
        self.kinds: set[type] = set()
        if missing:
            self.add([None] * missing, {NoneType})

    def add(self, values: list[Any], kinds: set[type]) -> None:
        self.kinds |= kinds
        self.blocks.append(int64s(values) if kinds == {int} else values)

    def array(self) -> Array:
        """The values by one rule for every segment, whatever stands beside them.

        Texts are pandas' str, with or without gaps; truth values without gaps bool; integers of 64
        bits int64; numbers with gaps or fractions float64, unless one is an integer beyond 15
        digits: no float may hold that. Moments, with or without gaps, are datetime64. All others are kept as the objects that they are.
        """
        if self.kinds == {int} and all(isinstance(block, np.ndarray) for block in self.blocks):
            return np.concatenate(self.blocks)
        values = self._objects()
        if str in self.kinds and self.kinds <= {str, NoneType}:
            return pd.array(values, dtype="str", copy=False)
        if self.kinds == {bool}:
            return values.astype(bool)
        if self.kinds == {dt.datetime} or self.kinds == {dt.datetime, NoneType}:
            return values.astype("datetime64[us]")
        if self.kinds & {int, float} and self.kinds <= {int, float, NoneType}:
            return values if int in self.kinds and has_long(values) else values.astype(float)
        return values

    def _objects(self) -> NDArray[np.object_]:
        blocks = (block if isinstance(block, list) else block.tolist() for block in self.blocks)
        rows = sum(map(len, self.blocks))
        return np.fromiter(itertools.chain.from_iterable(blocks), dtype=object, count=rows)


def columns_of(records: Sequence[Record]) -> dict[str, list[Any]]:
    names = list(records[0])
    if sum(map(len, records)) == len(names) * len(records):
        try:
            return {name: [record[name] for record in records] for name in names}
        except KeyError:
            pass
    names = list(dict.fromkeys(itertools.chain.from_iterable(records)))
    return {name: [record.get(name) for record in records] for name in names}


def int64s(values: list[Any]) -> list[Any] | NDArray[np.int64]:
    """An array, or the list as it is where a value needs more bits."""
    try:
        return np.array(values, dtype=np.int64)
    except OverflowError:
        return values

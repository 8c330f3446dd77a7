"""Summaries of the whole table, merged from all segments' partial results a range of keys at a time."""

import math
import tempfile
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cells import NUMBER, Cells, Codes, missing, whole
from exact import small_totals, totals
from partials import (
    Block,
    Groups,
    Index,
    InvalidPartials,
    Key,
    Partials,
    Run,
    ends,
    grouped,
    naming,
    renumbered,
    written,
)
from summary import SORTED, Columns, Declared, Summary

RANGE_BYTES = 2 << 20  # of blocks merged at a time: some 200,000 groups
SPOOLED_BYTES = 8 << 20  # in memory; more goes to a file


class Spool:
    """Tables put aside, in memory or in a file without a name."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(SPOOLED_BYTES)  # noqa: SIM115  # closed with it
        self._size = 0

    def add(self, data: bytes) -> int:
        """Where the bytes start."""
        self._file.seek(self._size)
        self._file.write(data)
        self._size += len(data)
        return self._size - len(data)

    def run(self, table: Groups, groups: Groups | None = None) -> Run:
        return Run(
            [
                Block(self.add(data), len(data), first, number)
                for data, first, number in written(table, groups)
            ],
            self.read,
        )

    def source(self, parts: Partials) -> "Source":
        distinct = {name: self.run(table, parts.groups) for name, table in parts.distinct.items()}
        return Source(self.run(parts.groups), distinct)

    def read(self, start: int, size: int) -> bytes:
        self._file.seek(start)
        return self._file.read(size)


@dataclass
class Source:
    """Partial results of some rows, to read block by block.

    Attributes:
        distinct: by column.
        rows: of the result that they were made of; None of several results.
    """

    groups: Run
    distinct: dict[str, Run]
    rows: int | None = None

    def check(self) -> None:
        """Once all is read: raise InvalidPartials unless each row was counted once."""
        if self.rows not in (None, self.groups.rows):
            key, counted = self.groups.key, self.groups.rows
            raise InvalidPartials(f"{key}: must count {self.rows} rows; found {counted}")


def group_frames(declared: Declared, sources: Sequence[Source]) -> Iterator[pd.DataFrame]:
    """The groups of all sources in the order that is declared, in frames of some of them.

    Args:
        sources: in the order of their rows.
    """
    frames = _frames(declared, declared.by, sources)
    if declared.sort is not None:
        frames = _sorted(declared, declared.sort, frames)
    left = declared.top or math.inf
    for df in frames:
        if left > 0:
            yield df if len(df) <= left else df.head(int(left))
        left -= len(df)


def total_frame(declared: Declared, sources: Sequence[Source]) -> pd.DataFrame:
    """The one row over everything, with the same columns."""
    (df,) = _frames(declared, [], sources)
    for place, name in enumerate(declared.by):
        df.insert(place, name, pd.Series([None if place else declared.total], dtype=object))
    return df


def summarize(df: pd.DataFrame, summary: Summary) -> pd.DataFrame:
    """The summary of one frame, its total row last: for an ETL's own tests."""
    spool = Spool()
    groups, *total = (spool.source(each) for each in summary.partials(Columns(df, "table")))
    frames = [*group_frames(summary.declared, [groups])]
    frames += [total_frame(summary.declared, [each]) for each in total]
    return pd.concat(frames, ignore_index=True)


def _frames(declared: Declared, by: list[str], sources: Sequence[Source]) -> Iterator[pd.DataFrame]:
    columns = declared.columns(*SORTED)
    medians = declared.columns("median")
    distinct = {
        column: _Distinct([each.distinct[column] for each in sources], column in medians)
        for column in columns
    }
    for end in ends([each.groups for each in sources], RANGE_BYTES):
        pieces = _Pieces(sources, end)
        if pieces.tables or end is None:
            tables = pieces.tables or [Groups(0, [missing(0)] * len(by), {}, {})]
            index = Index(tables)
            groups = grouped(tables, index)
            pieces.number(index)
            middles = {}
            for column, each in distinct.items():
                given = groups.sums.get(f"count {column}", np.zeros(index.rows, np.int64))
                middles[column] = each.before(end, pieces, given)
            yield finished(declared, by, groups, middles)
    for source in sources:
        source.check()


class _Pieces:
    """What the sources have of one range of keys."""

    def __init__(self, sources: Sequence[Source], end: Key | None) -> None:
        self.starts = [each.groups.taken for each in sources]
        self._of_source = [[*each.groups.before(end)] for each in sources]
        self.tables = [table for tables in self._of_source for table in tables]

    def number(self, index: Index) -> None:
        numbers = iter(index.numbers)
        none = np.zeros(0, np.int64)
        self.numbers = [
            np.concatenate([none, *(next(numbers) for _ in tables)]) for tables in self._of_source
        ]

    def end_in(self, source: int, end: Key) -> Key:
        """Where the distinct values of a source end that sort before a group's value."""
        *_, kind, value = end
        number = self.starts[source]
        for table in self._of_source[source]:
            row = bisect_left(range(table.rows), end[:-2], key=table.key)
            number += row
            if row < table.rows:
                same = table.key(row) == end[:-2]
                return (NUMBER, number, kind, value) if same else (NUMBER, number)
        return (NUMBER, number)


class _Distinct:
    """The distinct values of the sources' groups, that come range by range."""

    def __init__(self, runs: list[Run], median: bool) -> None:
        self._runs = runs
        self._median = median
        self._ends = deque(end for end in ends(runs, RANGE_BYTES) if end is not None)

    def before(self, end: Key | None, pieces: _Pieces, given: Codes) -> "_Middles":
        middles = _Middles(given, self._median)
        while self._ends and (end is None or self._ends[0] < end):
            inner = self._ends.popleft()
            self._add(middles, pieces, [pieces.end_in(n, inner) for n in range(len(self._runs))])
        last = [(NUMBER, start + len(n)) for start, n in zip(pieces.starts, pieces.numbers)]
        self._add(middles, pieces, last)
        middles.check()
        return middles

    def _add(self, middles: "_Middles", pieces: _Pieces, source_ends: Sequence[Key]) -> None:
        tables = []
        ranges = zip(self._runs, source_ends, pieces.starts, pieces.numbers, strict=True)
        for run, end, start, numbers in ranges:
            with naming(run.key):
                tables += [renumbered(table, numbers, start) for table in run.before(end)]
        if tables:
            values = grouped(tables, Index(tables))
            groups, cells = values.keys
            middles.add(groups.values, cells, values.sums["size"])


class _Middles:
    """
    Args:
        given: how many values each group has.
        median: whether their middles are sought.
    """

    def __init__(self, given: Codes, median: bool) -> None:
        self._median = median
        self.unique = np.zeros_like(given)
        self._given = given
        self._seen = np.zeros_like(given)
        # In a sorted group, the middle value, or the two around the middle.
        self._sought = {"low": (given - 1) // 2, "high": given // 2}
        self.values = {each: np.full(len(given), None, dtype=object) for each in self._sought}

    def add(self, groups: Codes, cells: Cells, counts: Codes) -> None:
        """Values that follow those before: groups ascend, and in each of them its values."""
        np.add.at(self.unique, groups, 1)
        through = np.cumsum(counts)
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        earlier = (through - counts)[starts].repeat(np.diff(starts, append=len(groups)))
        through += self._seen[groups] - earlier
        for name, sought in self._sought.items() if self._median else ():
            place = sought[groups]
            rows = np.flatnonzero((through - counts <= place) & (place < through))
            self.values[name][groups[rows]] = cells.take(rows).to_series().astype(object)
        np.add.at(self._seen, groups, counts)

    def check(self) -> None:
        if (self._seen != self._given).any():
            raise InvalidPartials(f"values must be {self._given.sum()}; found {self._seen.sum()}")

    def medians(self) -> list[Any]:
        pairs = zip(self.values["low"].tolist(), self.values["high"].tolist())
        return [low if low == high else (low + high) / 2 for low, high in pairs]


def finished(
    declared: Declared, by: list[str], groups: Groups, middles: dict[str, _Middles]
) -> pd.DataFrame:
    """The rows of a summary: its keys and its columns."""
    columns: dict[str, Any] = {
        name: cells.to_series() for name, cells in zip(by, groups.keys, strict=True)
    }
    for name, (column, how) in declared.named.items():
        columns[name] = _results(how, column, groups, middles)
    return pd.DataFrame(columns)


def _results(how: str, column: str, groups: Groups, middles: dict[str, _Middles]) -> Any:
    if how in ("min", "max", "first", "last"):
        picked = groups.picks.get(f"{how} {column}")
        return [None] * groups.rows if picked is None else picked.to_series()
    if how == "nunique":
        return middles[column].unique
    if how == "median":
        return _column(middles[column].medians())
    if how == "size":
        return _sums("size", groups)
    given = _sums(f"count {column}", groups)
    if how == "count":
        return given
    fractions = _sums(f"fractions {column}", groups)
    infinite = _sums(f"above {column}", groups) + _sums(f"below {column}", groups)
    digits = _digits("sum", column, groups)
    small = small_totals(digits, groups.rows)
    if small is not None and not infinite.any() and how in ("sum", "mean"):
        with np.errstate(invalid="ignore"):
            return whole(small) if how == "sum" else small / given
    sums, bits = totals(digits, groups.rows)
    if how == "sum":
        found = [
            quotient(total, 1 << bits) if fraction else total >> bits
            for total, fraction in zip(sums, fractions.tolist())
        ]
    elif how == "mean":
        found = [quotient(total, n << bits) for total, n in zip(sums, given.tolist())]
    else:
        found = _variances(sums, bits, _digits("square", column, groups), given.tolist())
        if how == "std":
            found = [None if variance is None else math.sqrt(variance) for variance in found]
    above = _sums(f"above {column}", groups)
    for row in np.flatnonzero(infinite).tolist():
        one_sign = above[row] in (0, infinite[row]) and how in ("sum", "mean")
        found[row] = (math.inf if above[row] else -math.inf) if one_sign else None
    return _column(found)


def _variances(
    sums: list[int], bits: int, squares: dict[int, Codes], given: list[int]
) -> list[Any]:
    of_squares, squares_bits = totals(squares, len(sums))
    scale = max(2 * bits, squares_bits)
    return [
        quotient(
            (n * square << scale - squares_bits) - (total * total << scale - 2 * bits),
            n * (n - 1) << scale,
        )
        for total, square, n in zip(sums, of_squares, given)
    ]


def quotient(dividend: int, divisor: int) -> float | None:
    """Rounded once; None for a divisor of 0, infinite beyond the floats."""
    try:
        return dividend / divisor if divisor > 0 else None
    except OverflowError:
        return math.inf if dividend > 0 else -math.inf


def _sums(name: str, groups: Groups) -> Codes:
    return groups.sums.get(name, np.zeros(groups.rows, np.int64))


def _digits(what: str, column: str, groups: Groups) -> dict[int, Codes]:
    found = {}
    for name, sums in groups.sums.items():
        state, _, of = name.partition(" ")
        if of == column and state.startswith(what):
            found[int(state.removeprefix(what))] = sums
    return found


def _column(values: list[Any]) -> Any:
    """As an array of numbers where all are; integers beyond 15 digits stay Python's."""
    if any(value is None for value in values) or any(map(_is_long, values)):
        return np.array([*values, None], dtype=object)[:-1]
    return whole(np.array(values, np.float64))


def _is_long(value: Any) -> bool:
    return isinstance(value, int) and not -(10**15) < value < 10**15


def _sorted(
    declared: Declared, sort: str, frames: Iterable[pd.DataFrame]
) -> Iterator[pd.DataFrame]:
    """In the order of a column; equal ones keep the order of their keys."""
    spool, column = Spool(), sort.removeprefix("-")
    runs = []
    for df in frames:
        first = Cells.of(df[column])
        keys = [first.descending() if sort.startswith("-") else first]
        keys += [Cells.of(df[by]) for by in declared.by]
        picks = {f"first {name}": Cells.of(df[name]) for name in df.columns}
        table = Groups(len(df), keys, {}, picks)
        runs.append(spool.run(grouped([table], Index([table]))))
        empty = df.head(0)
    if not any(run.blocks for run in runs):
        yield empty
    for end in ends(runs, RANGE_BYTES):
        tables = [table for run in runs for table in run.before(end)]
        if tables:
            picks = grouped(tables, Index(tables)).picks
            yield pd.DataFrame({name: picks[f"first {name}"].to_series() for name in empty.columns})

"""Summaries of the whole table, merged from all segments' partial results a range of keys at a time."""

import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.excel import EXACT_INTEGER
from pipeline.summaries.cells import NUMBER, Cells, Codes, whole
from pipeline.summaries.exact import small_totals, totals
from pipeline.summaries.partials import (
    Groups,
    Index,
    Key,
    Partials,
    Run,
    ends,
    grouped,
    no_groups,
    opened,
    renumbered,
    written,
)
from pipeline.summaries.summary import PICKED, SORTED, Columns, Declared, Summary

RANGE_BYTES = 1 << 20  # of blocks merged at a time: some 100,000 groups
SPOOLED_BYTES = 8 << 20  # in memory; more goes to a file
NONE = np.zeros(0, np.int64)

Runs = dict[str, Run]  # partial results that are put aside, by the names of their tables


class Spool:
    """Partial results put aside, in memory or in a file without a name."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(SPOOLED_BYTES)  # noqa: SIM115  # closed with it
        self._size = 0

    def add(self, data: bytes) -> int:
        """Where the bytes start."""
        self._file.seek(self._size)
        self._file.write(data)
        self._size += len(data)
        return self._size - len(data)

    def put(self, parts: Partials) -> Runs:
        fields, data = written(parts)
        keys = {name: len(table.keys) for name, table in parts.items()}
        return opened(fields, self.add(data), keys, self.read)

    def read(self, start: int, size: int) -> bytes:
        self._file.seek(start)
        return self._file.read(size)


def group_frames(declared: Declared, sources: Sequence[Runs]) -> Iterator[pd.DataFrame]:
    """The groups of all sources in the order that is declared, in frames of some of them.

    Args:
        sources: in the order of their rows.
    """
    frames = _frames(declared, declared.by, sources)
    if declared.sort is not None:
        frames = _sorted(declared.sort, frames)
    left = declared.top or math.inf
    for df in frames:
        if left > 0:
            yield df if len(df) <= left else df.head(int(left))
        left -= len(df)


def total_frame(declared: Declared, sources: Sequence[Runs]) -> pd.DataFrame:
    """The one row over everything, with the same columns."""
    (df,) = _frames(declared, [], sources)
    for place, name in enumerate(declared.by):
        df.insert(place, name, pd.Series([None if place else declared.total], dtype=object))
    return df


def summarize(df: pd.DataFrame, summary: Summary) -> pd.DataFrame:
    """The summary of one frame, its total row last: for an ETL's own tests."""
    spool = Spool()
    partials = Columns(df, "table").partials(summary.declared, summary.keys)
    groups, *total = map(spool.put, partials)
    frames = [*group_frames(summary.declared, [groups])]
    frames += [total_frame(summary.declared, [each]) for each in total]
    return pd.concat(frames, ignore_index=True)


def _frames(declared: Declared, by: list[str], sources: Sequence[Runs]) -> Iterator[pd.DataFrame]:
    for end in _ends([each[""] for each in sources]):
        starts = [each[""].taken for each in sources]
        pieces = [[*each[""].before(end)] for each in sources]
        tables = [*chain.from_iterable(pieces)]
        if tables or end is None:
            tables = tables or [no_groups(len(by))]
            index = Index(tables)
            groups = grouped(tables, index)
            found = iter(index.numbers)
            numbers = [np.concatenate([NONE, *islice(found, len(piece))]) for piece in pieces]
            distinct = {}
            for column in declared.columns(*SORTED):
                runs = [each[column] for each in sources]
                median = column in declared.columns("median")
                distinct[column] = _merged(runs, starts, numbers, _given(column, groups), median)
            yield _finished(declared, by, groups, distinct)


def _ends(runs: Iterable[Run]) -> Iterator[Key | None]:
    blocks = ((block.first, block.size) for run in runs for block in run.blocks)
    return ends(blocks, RANGE_BYTES)


def _merged(
    runs: list[Run], starts: list[int], numbers: list[Codes], given: Codes, median: bool
) -> "_Distinct":
    """The distinct values of a range of groups, merged a range of values at a time.

    Args:
        starts: of each run, how many groups its source has before the range.
        numbers: of each run, the number in the range of each of its source's groups there.
    """
    found = _Distinct(given, median)
    of_runs = [*zip(runs, starts, numbers, strict=True)]
    blocks = [block for each in of_runs for block in _blocks(*each)]
    for end in ends(blocks, RANGE_BYTES):
        tables = []
        for run, start, own in of_runs:
            pieces = run.before(_own_end(end, start, own))
            tables += [renumbered(table, own, start) for table in pieces]
        if tables:
            values = grouped(tables)
            groups, cells = values.keys
            found.add(groups.values, cells, values.sum("size"))
    return found


def _blocks(run: Run, start: int, numbers: Codes) -> Iterator[tuple[Key, int]]:
    """The first key, by the group's number in the range, and the size of each block of the range."""
    for _, size, (_, number, *value) in run.blocks:
        if number >= start + len(numbers):
            return
        if number >= start:
            yield (int(numbers[number - start]), *value), size


def _own_end(end: Key | None, start: int, numbers: Codes) -> Key:
    """Where the values of one source end that sort before the end, or that are in the range."""
    if end is None:
        return NUMBER, start + len(numbers)
    number, *value = end
    place = int(np.searchsorted(numbers, number))
    has_group = place < len(numbers) and numbers[place] == number
    return NUMBER, start + place, *(value if has_group else ())


class _Distinct:
    """How many distinct values groups have, and their medians.

    Args:
        given: how many values each group has.
        median: whether it is sought.
    """

    def __init__(self, given: Codes, median: bool) -> None:
        self.unique = np.zeros_like(given)
        self._seen = np.zeros_like(given)
        # In a sorted group, the middle value, or the two around the middle.
        self._places = [(given - 1) // 2, given // 2] if median else []
        self._middles: list[Any] = [np.full(len(given), math.nan) for _ in self._places]

    def add(self, groups: Codes, cells: Cells, counts: Codes) -> None:
        """Values that follow those before: groups ascend, and in each of them its values."""
        np.add.at(self.unique, groups, 1)
        through = np.cumsum(counts)
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        earlier = (through - counts)[starts].repeat(np.diff(starts, append=len(groups)))
        through += self._seen[groups] - earlier
        for which, places in enumerate(self._places):
            place = places[groups]
            rows = np.flatnonzero((through - counts <= place) & (place < through))
            values = cells.take(rows).to_series()
            if values.dtype == object:  # with an integer of more than 15 digits
                self._middles[which] = self._middles[which].astype(object)
            self._middles[which][groups[rows]] = values
        np.add.at(self._seen, groups, counts)

    def medians(self) -> NDArray[Any]:
        low, high = self._middles
        with np.errstate(invalid="ignore", over="ignore"):
            middles: NDArray[Any] = np.where(low == high, low, (low + high) / 2)
        return middles


def _finished(
    declared: Declared, by: list[str], groups: Groups, distinct: dict[str, _Distinct]
) -> pd.DataFrame:
    """The rows of a summary: its keys and its columns."""
    columns: dict[str, Any] = {
        name: cells.to_series() for name, cells in zip(by, groups.keys, strict=True)
    }
    for name, (column, how) in declared.named.items():
        if how in PICKED:
            picked = groups.picks.get(f"{how} {column}")
            columns[name] = [None] * groups.rows if picked is None else picked.to_series()
        elif how == "nunique":
            columns[name] = distinct[column].unique
        elif how == "median":
            columns[name] = _column(distinct[column].medians())
        elif how == "size":
            columns[name] = groups.sum("size")
        elif how == "count":
            columns[name] = _given(column, groups)
        else:
            columns[name] = _computed(how, column, groups)
    return pd.DataFrame(columns)


def _given(column: str, groups: Groups) -> Codes:
    return groups.sum("size") - groups.sum(f"gaps {column}")


def _computed(how: str, column: str, groups: Groups) -> Any:
    """A sum, mean, var or std."""
    given, digits = _given(column, groups), _digits("sum", column, groups)
    above = groups.sum(f"above {column}")
    infinite = above + groups.sum(f"below {column}")
    small = small_totals(digits, groups.rows)
    if small is not None and not infinite.any() and how in ("sum", "mean"):
        with np.errstate(invalid="ignore"):
            return whole(small) if how == "sum" else small / given
    sums, bits = totals(digits, groups.rows)
    count = given.astype(object)
    found: Any
    if how == "sum":
        fractions = groups.sum(f"fractions {column}") > 0
        found = np.where(fractions, _quotients(sums, 1 << bits), sums >> bits)
    elif how == "mean":
        found = _quotients(sums, count << bits)
    else:
        squares, squares_bits = totals(_digits("square", column, groups), groups.rows)
        scale = max(2 * bits, squares_bits)
        squared = (count * squares << scale - squares_bits) - (sums * sums << scale - 2 * bits)
        found = _quotients(squared, count * (count - 1) << scale)
    if how == "std":
        found = np.array([math.sqrt(variance) for variance in found.tolist()], dtype=object)
    for row in np.flatnonzero(infinite).tolist():
        one_sign = above[row] in (0, infinite[row]) and how in ("sum", "mean")
        found[row] = (math.inf if above[row] else -math.inf) if one_sign else math.nan
    return _column(found)


def _quotient(dividend: int, divisor: int) -> float:
    """Rounded once; not a number for a divisor of 0, infinite beyond the floats."""
    try:
        return dividend / divisor if divisor > 0 else math.nan
    except OverflowError:
        return math.inf if dividend > 0 else -math.inf


_quotients = np.frompyfunc(_quotient, 2, 1)


def _digits(what: str, column: str, groups: Groups) -> dict[int, Codes]:
    found = {}
    for name, sums in groups.sums.items():
        state, _, of = name.partition(" ")
        if of == column and state.startswith(what):
            found[int(state.removeprefix(what))] = sums
    return found


def _column(values: NDArray[Any]) -> NDArray[Any]:
    """As numbers, unless an integer has more than 15 digits."""
    objects = values.tolist() if values.dtype == object else []
    if any(type(value) is int and abs(value) > EXACT_INTEGER for value in objects):
        return values
    return whole(values.astype(np.float64))


def _sorted(sort: str, frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """In the order of a column; equal ones in the order that they have."""
    spool, rows = Spool(), 0
    runs = []
    for df in frames:
        cells = Cells.of(df[sort.removeprefix("-")])
        keys = [
            cells.descending() if sort.startswith("-") else cells,
            Cells.numbered(np.arange(rows, rows + len(df))),
        ]
        picks = {f"first {name}": Cells.of(df[name]) for name in df.columns}
        runs.append(spool.put({"": grouped([Groups(len(df), keys, {}, picks)])})[""])
        rows += len(df)
        empty = df.head(0)
    if not rows:
        yield empty
    for end in _ends(runs):
        tables = [table for run in runs for table in run.before(end)]
        if tables:
            picks = grouped(tables).picks
            yield pd.DataFrame({name: picks[f"first {name}"].to_series() for name in empty.columns})

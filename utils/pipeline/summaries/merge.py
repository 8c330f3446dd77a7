"""Summaries of the whole table, merged from all segments' partial results a range of keys at a time."""

import math
import operator
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import batched, chain, islice, pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.excel import EXACT_INTEGER, is_long
from pipeline.summaries.cells import NUMBER, Cells, Codes, whole
from pipeline.summaries.exact import Fractions, exact_number, quotient, root, small_totals, totals
from pipeline.summaries.partials import (
    EXACT_VALUE,
    SIZE,
    Groups,
    Index,
    Key,
    Partials,
    Pick,
    Run,
    Runs,
    Sum,
    ends,
    grouped,
    no_groups,
    opened,
    renumbered,
    written,
)
from pipeline.summaries.summary import PICKED, SORTED, Column, Columns, Declared, Summary
from pipeline.workers import map_forked, vcpus

RANGE_BYTES = 1 << 20  # of blocks merged at a time: some 100,000 groups
RANGES = 8  # that a worker merges in one go: each begins with blocks that the last one ends with
INFINITE = (math.inf, -math.inf)
NONE = np.zeros(0, np.int64)


class Spool:
    """Partial results put aside, in a file without a name."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed with it
        self._size = 0

    def add(self, data: bytes) -> int:
        """Where the bytes start."""
        self._file.write(data)
        self._file.flush()
        self._size += len(data)
        return self._size - len(data)

    def put(self, parts: Partials) -> Runs:
        fields, data = written(parts)
        return opened(fields, self.add(data), len(parts.groups.keys), parts.values, self.read)

    def read(self, start: int, size: int) -> bytes:
        return os.pread(self._file.fileno(), size, start)  # workers share the file, and its place


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
    ends = [*_ends([each.groups for each in sources])]
    workers, at_once = (vcpus(), RANGES) if len(ends) > RANGES else (1, 1)
    batches = [*batched(pairwise([(), *ends]), at_once if workers > 1 else 1)]
    merge = partial(_merged_ranges, declared, by, sources)
    for ranges, frames in zip(batches, map_forked(merge, batches, workers), strict=True):
        yield from merge(ranges) if frames is None else frames


def _merged_ranges(
    declared: Declared,
    by: list[str],
    sources: Sequence[Runs],
    ranges: Sequence[tuple[Key | None, Key | None]],
) -> list[pd.DataFrame]:
    """The groups of consecutive ranges, each with its first key and the one behind its last."""
    for each in sources:
        each.skip(ranges[0][0] or ())
    frames = [_merged_range(declared, by, sources, end) for _, end in ranges]
    return [df for df in frames if df is not None]


def _merged_range(
    declared: Declared, by: list[str], sources: Sequence[Runs], end: Key | None
) -> pd.DataFrame | None:
    """The groups that follow and sort before the end, if there are any; all, without one."""
    starts = [each.groups.taken for each in sources]
    pieces = [[*each.groups.before(end)] for each in sources]
    tables = [*chain.from_iterable(pieces)]
    if not tables and end is not None:
        return None
    tables = tables or [no_groups(len(by))]
    index = Index(tables)
    groups = grouped(tables, index)
    found = iter(index.numbers)
    numbers = [np.concatenate([NONE, *islice(found, len(piece))]) for piece in pieces]
    distinct = {}
    for column in declared.used(*SORTED):
        runs = [each.values[column] for each in sources]
        median = column in declared.used("median")
        distinct[column] = _merged(runs, starts, numbers, _given(column, groups), median)
    return _finished(declared, by, groups, distinct)


def _ends(runs: Iterable[Run]) -> Iterator[Key | None]:
    blocks = ((block.first, block.size) for run in runs for block in run.blocks)
    return ends(blocks, RANGE_BYTES)


def _merged(
    runs: list[Run], starts: list[int], numbers: list[Codes], given: Codes, median: bool
) -> "_Distinct":
    """The distinct values of a range of groups, merged a range of values at a time.

    A source's values name its own groups, counted from its first one; merged ones name those of
    the range. Say the range has the groups b, c and d, which are its 0, 1 and 2:

        source 0 has a b d     start 1   numbers [0, 2]   values (0, x) (1, x) (1, z) (2, y)
        source 1 has b c       start 0   numbers [0, 1]   values (0, z) (1, y)

    In the range those of source 0 are (0, x) (0, z) (2, y): a is not in it. Up to the end (1, y),
    source 0 is read before its own 2, for it has no c, and source 1 before its own (1, y): that
    makes (0, x) once and (0, z) twice. Then come (1, y) and (2, y).

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
            found.add(groups.values, cells, values.sum(SIZE), values.sum(EXACT_VALUE))
    return found


def _blocks(run: Run, start: int, numbers: Codes) -> Iterator[tuple[Key, int]]:
    """The first key, by the group's number in the range, and the size of each block of the range."""
    for _, size, _, (_, number, *value) in run.blocks:
        if number >= start + len(numbers):
            return
        if number >= start:
            yield (int(numbers[number - start]), *value), size


def _own_end(end: Key | None, start: int, numbers: Codes) -> Key:
    """The end in a source's own numbers; without one, that of the range. See `_merged`."""
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

    def add(self, groups: Codes, cells: Cells, counts: Codes, exact: Codes) -> None:
        """Values that follow those before: groups ascend, and in each of them its values.

        Args:
            counts: how often each value is there.
            exact: how often it is exact.
        """
        np.add.at(self.unique, groups, 1)
        through = np.cumsum(counts)
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        earlier = (through - counts)[starts].repeat(np.diff(starts, append=len(groups)))
        through += self._seen[groups] - earlier
        for which, places in enumerate(self._places):
            place = places[groups]
            rows = np.flatnonzero((through - counts <= place) & (place < through))
            values = cells.take(rows).to_series((exact == counts)[rows])
            if values.dtype == object:  # with an exact number
                self._middles[which] = self._middles[which].astype(object)
            self._middles[which][groups[rows]] = values
        np.add.at(self._seen, groups, counts)

    def medians(self) -> NDArray[Any]:
        low, high = self._middles
        halves: NDArray[Any]
        with np.errstate(invalid="ignore", over="ignore"):
            if object in (low.dtype, high.dtype):
                halves = _halves(low, high)
            else:
                halves = (low + high) / 2
                halves = np.where(np.isinf(halves), low / 2 + high / 2, halves) + 0.0  # no -0.0
        return halves

    def exact_medians(self) -> Fractions:
        low, high = (Fractions.of(values.tolist()) for values in self._middles)
        both = low + high
        return replace(both, under=both.under * 2)


def _half(low: Any, high: Any) -> Any:
    """Half the sum: exact where a number is longer than a float, and neither is a fraction of one."""
    if low == high or low != low:
        return low
    if infinite := [number for number in (low, high) if number in INFINITE]:
        return sum(infinite)
    half = (Fraction(low) + Fraction(high)) / 2
    long = [is_long(number) or isinstance(number, Decimal) for number in (low, high)]
    whole = [number == int(number) and abs(number) <= EXACT_INTEGER for number in (low, high)]
    exact = any(long) and all(map(operator.or_, long, whole))
    return exact_number(half) if exact else quotient(*half.as_integer_ratio())


_halves = np.frompyfunc(_half, 2, 1)


def _finished(
    declared: Declared, by: list[str], groups: Groups, distinct: dict[str, _Distinct]
) -> pd.DataFrame:
    """The rows of a summary: its keys and its columns."""
    size = groups.sum(SIZE)
    shown: dict[str, Any] = {
        name: cells.to_series(groups.sum(Sum("exact", name)) == size)
        for name, cells in zip(by, groups.keys, strict=True)
    }
    for column in declared.columns:
        shown[column.name] = _shown(column, groups, distinct.get(column.of))
    formulas = declared.formulas()
    exact = {}
    for name in declared.operands() - formulas.keys():
        exact[name] = _exact(name, declared, shown, groups, distinct)
    for name, formula in formulas.items():
        exact[name] = formula.value(exact, groups.rows)
        shown[name] = _column(exact[name].numbers())
    return pd.DataFrame(shown)


def _shown(column: Column, groups: Groups, distinct: _Distinct | None) -> Any:
    """What its cells hold; of a formula, which is computed last, nothing yet."""
    match column.how:
        case None:
            return None
        case "size":
            return groups.sum(SIZE)
        case "count":
            return _given(column.of, groups)
        case "nunique" if distinct:
            return distinct.unique
        case "median" if distinct:
            return _column(distinct.medians())
        case how if how in PICKED:
            picked = groups.picks.get(Pick(how, column.of))
            return pd.Series([None] * groups.rows) if picked is None else picked.to_series()
    return _computed(str(column.how), column.of, groups)


def _exact(
    name: str,
    declared: Declared,
    shown: dict[str, Any],
    groups: Groups,
    distinct: dict[str, _Distinct],
) -> Fractions:
    """The values of a column before they are rounded; a `std` is a root and has none.

    A key is no number in the total.
    """
    column = next((each for each in declared.columns if each.name == name), None)
    if column and column.how in ("sum", "mean", "var"):
        return _moment(column.how, column.of, groups)
    if column and column.how == "median":
        return distinct[column.of].exact_medians()
    return Fractions.of(shown[name].tolist() if name in shown else [None] * groups.rows)


def _given(column: str, groups: Groups) -> Codes:
    return groups.sum(SIZE) - groups.sum(Sum("gaps", column))


def _computed(how: str, column: str, groups: Groups) -> Any:
    """A sum, mean, var or std."""
    given, digits = _given(column, groups), _digits("sum", column, groups)
    above = groups.sum(Sum("above", column))
    infinite = above + groups.sum(Sum("below", column))
    small = small_totals(digits, groups.rows)
    if small is not None and not infinite.any() and how in ("sum", "mean"):
        with np.errstate(invalid="ignore"):
            return whole(small) if how == "sum" else small / given
    exact = _moment(how, column, groups)
    found: Any
    if how == "sum":
        found = _sums(exact.over, exact.under, exact.rounded)
    else:
        found = (_roots if how == "std" else _quotients)(exact.over, exact.under)
    for row in np.flatnonzero(infinite).tolist():
        one_sign = above[row] in (0, infinite[row]) and how in ("sum", "mean")
        found[row] = (math.inf if above[row] else -math.inf) if one_sign else math.nan
    return _column(found) if how == "sum" else whole(found.astype(np.float64))


def _moment(how: str, column: str, groups: Groups) -> Fractions:
    """A sum, mean or var, or that of a std; of infinite numbers none."""
    sums, scale = totals(_digits("sum", column, groups), groups.rows)
    count = _given(column, groups).astype(object)
    over, under = sums, np.full(groups.rows, scale, dtype=object)
    if how == "mean":
        under = count * scale
    elif how != "sum":
        squares, squares_scale = totals(_digits("square", column, groups), groups.rows)
        common = math.lcm(scale * scale, squares_scale)
        over = count * squares * (common // squares_scale)
        over -= sums * sums * (common // (scale * scale))
        under = count * (count - 1) * common
    under[groups.sum(Sum("above", column)) + groups.sum(Sum("below", column)) > 0] = 0
    return Fractions(over, under, groups.sum(Sum("fractions", column)) > 0)


def _sum(total: int, scale: int, rounded: bool) -> Any:
    if rounded or not scale:
        return quotient(total, scale)
    return exact_number(Fraction(total, scale))


_sums = np.frompyfunc(_sum, 3, 1)
_quotients = np.frompyfunc(quotient, 2, 1)
_roots = np.frompyfunc(root, 2, 1)


def _digits(what: str, column: str, groups: Groups) -> dict[tuple[int, int], Codes]:
    return {
        (of.place, of.tens): sums
        for of, sums in groups.sums.items()
        if (of.what, of.column) == (what, column)
    }


def _column(values: NDArray[Any]) -> NDArray[Any]:
    """As numbers, unless one is kept exactly."""
    objects = values.tolist() if values.dtype == object else []
    if any(isinstance(value, Decimal) or is_long(value) for value in objects):
        return values
    return whole(values.astype(np.float64))


def _sorted(sort: str, frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """In the order of a column; equal ones in the order that they have."""
    spool, rows = Spool(), 0
    runs = []
    for df in frames:
        cells = Cells.of(df[sort.removeprefix("-")]).by_value()
        keys = [
            cells.descending() if sort.startswith("-") else cells,
            Cells.numbered(np.arange(rows, rows + len(df))),
        ]
        picks = {Pick("first", name): Cells.of(df[name]) for name in df.columns}
        groups = grouped([Groups(len(df), keys, {}, picks)])
        runs.append(spool.put(Partials(groups, {})).groups)
        rows += len(df)
        empty = df.head(0)
    if not rows:
        yield empty
    for end in _ends(runs):
        tables = [table for run in runs for table in run.before(end)]
        if tables:
            picks = grouped(tables).picks
            yield pd.DataFrame(
                {name: picks[Pick("first", name)].to_series() for name in empty.columns}
            )

"""Summaries of the whole table, merged from all segments' partial results a range of keys at a time."""

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import batched, chain, islice, pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.sheet.table import Across, header_rows
from pipeline.summaries.cells import NUMBER, Cells, Codes, Distinct, missing
from pipeline.summaries.exact import Fractions, RunningSums, TooLong
from pipeline.summaries.finish import DistinctValues, Range, compute, finished, given
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
    ends,
    grouped,
    no_groups,
    opened,
    renumbered,
    written,
)
from pipeline.summaries.rows import Rows, header_texts, runs_of, side_by_side, top
from pipeline.summaries.summary import (
    SORTED,
    Columns,
    Declared,
    InvalidSummary,
    Summary,
    check_across,
)
from pipeline.workers import map_forked, vcpus

RANGE_BYTES = 1 << 20  # of blocks merged at a time: some 100,000 groups
RANGES = 8  # that a worker merges in one go: each begins with blocks that the last one ends with
NONE = np.zeros(0, np.int64)
PARTS = ("over", "under", "rounded")  # of a fraction


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


class Sheet(NamedTuple):
    """A summary as its sheet shows it.

    Attributes:
        frames: its rows in order, some at a time.
        total: its last row, with the same columns; None for none.
        across: of a cross table, what stands above its columns.
    """

    frames: Iterator[pd.DataFrame]
    total: pd.DataFrame | None
    across: Across | None


def sheet(declared: Declared, scopes: Sequence[Sequence[Runs]]) -> Sheet:
    """
    Args:
        scopes: what all sources contribute to each of the declared ones, in the order of their rows.

    Raises:
        InvalidSummary: a cross table has too many columns; or, while the frames are read, a running
            total cannot be computed.
    """
    values, across, foot = _foot(declared, scopes[1::2])
    rows = iter(_Rows(declared, scopes[::2], values, foot.exact))
    if declared.sort is not None:
        rows = _sorted(declared, rows, len(values))
    rows = _with_running(declared, top(rows, declared.top), foot.exact, len(values) + 1)
    shown = None if across is None else len(across.values)
    frames = (df for each in rows for df in side_by_side(each, declared.by, shown))
    total = None if declared.total is None else next(side_by_side(foot, declared.by, shown))
    return Sheet(frames, total, across)


def summarize(df: pd.DataFrame, summary: Summary) -> pd.DataFrame:
    """The summary of one frame, its total row last: for an ETL's own tests. The columns of a cross
    table are values across; where several stand under each, pairs of a value and a name.
    """
    spool, declared = Spool(), summary.declared
    partials = Columns(df, "table").partials(declared, summary.keys)
    made = sheet(declared, [[spool.put(each)] for each in partials])
    frames = [*made.frames, *([] if made.total is None else [made.total])]
    table = pd.concat(frames, ignore_index=True)
    header = header_rows(list(table.columns), len(declared.by), made.across)
    pairs = pd.MultiIndex.from_arrays(header, names=[declared.across, None][: len(header)])
    return table.set_axis(pairs if len(header) > 1 else header[0], axis=1)


def _foot(
    declared: Declared, scopes: Sequence[Sequence[Runs]]
) -> tuple[Cells, Across | None, Rows]:
    """The values across, what stands above columns, and the row over everything, with the exact
    values of all columns.
    """
    values, across, foot = missing(0), None, Rows(pd.DataFrame(), {}, NONE, NONE)
    if scopes:
        foot = finished(declared, [], _merge(declared, scopes[0], None), np.zeros(1, np.int64))
    if declared.across is not None:
        found = _merge(declared, scopes[1], None)
        (values,), count = found.groups.keys, found.groups.rows
        check_across(declared, count, "all segments")
        cells = finished(declared, [declared.across], found, np.arange(count))
        texts = header_texts(cells.df.pop(declared.across).tolist())
        texts += [declared.total] if declared.total is not None else []
        across = Across(declared.across, texts, len(declared.columns))
        foot = replace(cells, at=0 * cells.at).beside(replace(foot, column=np.array([count])))
    for place, name in enumerate(declared.by):
        foot.df.insert(place, name, [None if place else declared.total] * len(foot.df))
    return values, across, foot


@dataclass(frozen=True)
class _Rows:
    """How the rows of the sheet are merged.

    Attributes:
        scopes: of rows, and of the cells of a cross table, whose keys begin with those of rows.
        values: across.
        totals: the exact values over everything of each column.
    """

    declared: Declared
    scopes: Sequence[Sequence[Runs]]
    values: Cells
    totals: Mapping[str, Fractions]

    def __iter__(self) -> Iterator[Rows]:
        """In the order of keys; in a cross table each row after its cells."""
        runs = [each.groups for sources in self.scopes for each in sources]
        ends = [*_ends(runs, len(self.declared.by))]
        workers, at_once = (vcpus(), RANGES) if len(ends) > RANGES else (1, 1)
        batches = [*batched(pairwise([(), *ends]), at_once if workers > 1 else 1)]
        for ranges, rows in zip(batches, map_forked(self._merged, batches, workers), strict=True):
            yield from self._merged(ranges) if rows is None else rows

    def _merged(self, ranges: Sequence[tuple[Key | None, Key | None]]) -> list[Rows]:
        """Of consecutive ranges, each with its first key and the one behind its last."""
        for each in chain(*self.scopes):
            each.skip(ranges[0][0] or ())
        merged = ([_merge(self.declared, each, end) for each in self.scopes] for _, end in ranges)
        return [
            self._joined(*found)
            for found, (_, end) in zip(merged, ranges)
            if found[0].groups.rows or end is None
        ]

    def _joined(self, margin: Range, *parts: Range) -> Rows:
        """The rows of a range, and the cells."""
        column = np.full(margin.groups.rows, len(self.values))
        rows = finished(self.declared, self.declared.by, margin, column, self.totals)
        for groups, distinct in parts:
            *keys, across = groups.keys
            column = Distinct([self.values, across]).places[1]
            part = Range(replace(groups, keys=keys), distinct)
            cells = finished(self.declared, self.declared.by, part, column, self.totals)
            rows = replace(cells, at=runs_of(keys)).beside(rows)
        return rows


def _merge(declared: Declared, sources: Sequence[Runs], end: Key | None) -> Range:
    """The groups that follow in all sources and sort before the end; all, without one."""
    starts = [each.groups.taken for each in sources]
    pieces = [[*each.groups.before(end)] for each in sources]
    tables = [*chain.from_iterable(pieces)] or [no_groups(sources[0].groups.keys)]
    index = Index(tables)
    groups = grouped(tables, index)
    found = iter(index.numbers)
    numbers = [np.concatenate([NONE, *islice(found, len(piece))]) for piece in pieces]
    distinct = {}
    for column in declared.used(*SORTED):
        runs = [each.values[column] for each in sources]
        distinct[column] = DistinctValues(given(column, groups), declared.percents(column))
        _merged(runs, starts, numbers, distinct[column])
    return Range(groups, distinct)


def _ends(runs: Iterable[Run], keys: int) -> Iterator[Key | None]:
    """
    Args:
        keys: how many columns of keys ranges are cut by.
    """
    blocks = ((block.first[: 3 * keys], block.size) for run in runs for block in run.blocks)
    return ends(blocks, RANGE_BYTES)


def _merged(
    runs: list[Run], starts: list[int], numbers: list[Codes], found: DistinctValues
) -> None:
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
        found: of the range; takes the values.
    """
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


def _with_running(
    declared: Declared, rows: Iterator[Rows], totals: Mapping[str, Fractions], columns: int
) -> Iterator[Rows]:
    """The rows with the formulas that their order decides."""
    after = declared.after
    sums: defaultdict[str, RunningSums] = defaultdict(lambda: RunningSums(columns))
    for each in rows:
        try:
            compute(after, each, totals, sums)
        except TooLong as error:
            rule = f"summary {declared.name}: a running total {error}"
            raise InvalidSummary(rule) from None
        yield each


def _sorted(declared: Declared, rows: Iterator[Rows], margin: int) -> Iterator[Rows]:
    """In the order of a column; equal ones in the order that they have.

    Args:
        margin: the number of the column by whose rows it goes.
    """
    spool, count, runs = Spool(), 0, []
    sort = str(declared.sort)
    for each in rows:
        cells = Cells.of(each.df[sort.removeprefix("-")][each.column == margin]).by_value()
        keys = [
            (cells.descending() if sort.startswith("-") else cells).take(each.at),
            Cells.numbered(each.at + count),
        ]
        if declared.across is not None:
            keys.append(Cells.numbered(each.column))
        picks = {Pick("shown", name): Cells.of(each.df[name]) for name in each.df.columns}
        for name, exact in each.exact.items():
            parts = zip(PARTS, exact.reduced().parts)
            picks |= {Pick(part, name): Cells.of(pd.Series(of, dtype=object)) for part, of in parts}
        groups = grouped([Groups(len(each.df), keys, {}, picks)])
        runs.append(spool.put(Partials(groups, {})).groups)
        count += each.count
        empty = each.take(slice(0))
    if not count:
        yield empty
    for end in _ends(runs, 2):
        if tables := [table for run in runs for table in run.before(end)]:
            groups = grouped(tables)
            found = {pick: cells.to_series() for pick, cells in groups.picks.items()}
            df = pd.DataFrame({name: found[Pick("shown", name)] for name in empty.df.columns})
            exacts = {}
            for name in empty.exact:
                exacts[name] = Fractions(
                    *(found[Pick(part, name)].to_numpy(object) for part in PARTS)
                )
            at = runs_of(groups.keys[1:2])
            column = at * 0 if declared.across is None else groups.keys[2].values
            yield Rows(df, exacts, at, column)

"""Summaries of the whole table, merged from all segments' partial results a range of keys at a time."""

import os
import tempfile
import weakref
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import batched, islice
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.sheet.table import Across, header_rows
from pipeline.summaries.aggregations import DistinctValues, Merged, given
from pipeline.summaries.cells import NUMBER, Cells, Codes, joined, missing, ranked
from pipeline.summaries.contribution import Columns
from pipeline.summaries.exact import Fractions, RunningSums, TooLong
from pipeline.summaries.partials import (
    SIZE,
    Groups,
    Key,
    Partials,
    Pick,
    Run,
    grouped,
    no_groups,
    opened,
    ranges,
    renumbered,
    written,
)
from pipeline.summaries.rows import (
    Rows,
    compute,
    finished,
    header_texts,
    runs_of,
    side_by_side,
    top,
)
from pipeline.summaries.summary import Declared, InvalidSummary, Summary, check_across
from pipeline.workers import map_forked, vcpus

RANGE_BYTES = 3 << 17  # of blocks merged at a time: some 100,000 groups
RANGES = 8  # that a worker merges in one go: each begins with blocks that the last one ends with
NONE = np.zeros(0, np.int64)
PARTS = ("over", "under", "rounded")  # of a fraction


class Spool:
    """Partial results put aside, in a file without a name."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._size = 0

    def add(self, data: bytes) -> int:
        """Where the bytes start."""
        self._file.write(data)
        self._file.flush()
        self._size += len(data)
        return self._size - len(data)

    def put(self, parts: Partials) -> list[Run]:
        fields, data = written(parts)
        return opened(fields, self.add(data), len(parts[0].keys), self.read)

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


def sheet(declared: Declared, scopes: Sequence[Sequence[list[Run]]]) -> Sheet:
    """
    Args:
        scopes: what all sources contribute to each of the declared ones, in the order of their rows.

    Raises:
        InvalidSummary: a cross table has too many columns; or, while the frames are read, a running
            total cannot be computed.
    """
    values, across, foot = _foot(declared, scopes[1::2])
    rows = _rows(declared, scopes[::2], values, foot.exact)
    if declared.sort is not None:
        rows = _sorted(declared, rows, len(values))
    rows = _with_running(declared, top(rows, declared.top), foot.exact, len(values) + 1)
    shown = None if across is None else len(across.values)
    frames = (df for each in rows for df in side_by_side(each, declared.by, shown))
    total = None if declared.total is None else next(side_by_side(foot, declared.by, shown))
    return Sheet(frames, total, across)


def summarize(df: pd.DataFrame, summary: Summary) -> pd.DataFrame:
    """See `pipeline.etl`."""
    spool, declared = Spool(), summary.declared
    partials = Columns(df, "table").partials(declared, summary.keys)
    made = sheet(declared, [[spool.put(each)] for each in partials])
    frames = [*made.frames, *([] if made.total is None else [made.total])]
    table = pd.concat(frames, ignore_index=True)
    header = header_rows(list(table.columns), len(declared.by), made.across)
    pairs = pd.MultiIndex.from_arrays(header, names=[declared.across, None][: len(header)])
    return table.set_axis(pairs if len(header) > 1 else header[0], axis=1)


def _foot(
    declared: Declared, scopes: Sequence[Sequence[list[Run]]]
) -> tuple[Cells, Across | None, Rows]:
    """The values across, what stands above columns, and the row over everything, with the exact
    values of all columns.
    """
    values, across, foot = missing(0), None, Rows(pd.DataFrame(), {}, NONE, NONE)
    if scopes:
        foot = finished(declared, [], _merge(declared, scopes[0]), np.zeros(1, np.int64))
    if declared.across is not None:
        found = _merge(declared, scopes[1])
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


def _rows(
    declared: Declared,
    scopes: Sequence[Sequence[list[Run]]],
    values: Cells,
    totals: Mapping[str, Fractions],
) -> Iterator[Rows]:
    """In the order of keys; in a cross table each row after its cells.

    Args:
        scopes: of rows, and of the cells of a cross table, whose keys begin with those of rows.
        values: across.
    """

    def merged(cuts: Sequence[tuple[Key, Key | None]]) -> list[Rows]:
        found = ([_merge(declared, each, *ends) for each in scopes] for ends in cuts)
        return [_joined(declared, values, totals, *each) for each in found]

    groups = [runs[0] for sources in scopes for runs in sources]
    cuts = [*_ranges(groups, len(declared.by))]
    workers = vcpus() if len(cuts) > RANGES else 1
    batches = [*batched(cuts, RANGES if workers > 1 else 1)]
    for batch, rows in zip(batches, map_forked(merged, batches, workers), strict=True):
        yield from merged(batch) if rows is None else rows


def _joined(
    declared: Declared,
    values: Cells,
    totals: Mapping[str, Fractions],
    margin: Merged,
    *parts: Merged,
) -> Rows:
    """The rows of a range, and the cells of a cross table."""
    column = np.full(margin.groups.rows, len(values))
    rows = finished(declared, declared.by, margin, column, totals)
    for groups, distinct in parts:
        *keys, across = groups.keys
        both = joined([values, across])
        column = ranked(both.order, len(both))[0][len(values) :]
        part = Merged(replace(groups, keys=keys), distinct)
        cells = finished(declared, declared.by, part, column, totals)
        rows = replace(cells, at=runs_of(keys)).beside(rows)
    return rows


def _merge(
    declared: Declared, sources: Sequence[list[Run]], start: Key = (), end: Key | None = None
) -> Merged:
    """The groups of all sources from a key on that sort before the end; all, without one."""
    pieces = [[*runs[0].between(start, end)] for runs in sources]
    tables = [table for each in pieces for _, table in each]
    groups, numbers = grouped(tables or [no_groups(sources[0][0].keys)])
    of_tables = iter(numbers)
    own = [np.concatenate([NONE, *islice(of_tables, len(each))]) for each in pieces]
    starts = [each[0][0] if each else 0 for each in pieces]
    distinct = {}
    for place, (column, percents) in enumerate(declared.distinct.items(), 1):
        runs = [each[place] for each in sources]
        distinct[column] = DistinctValues(given(column, groups), percents)
        _merge_values([*zip(runs, starts, own, strict=True)], distinct[column])
    return Merged(groups, distinct)


def _ranges(runs: Iterable[Run], keys: int) -> Iterator[tuple[Key, Key | None]]:
    """Ranges that are cut by so many columns of keys."""
    blocks = ((block.first[: 3 * keys], block.size) for run in runs for block in run.blocks)
    return ranges(blocks, RANGE_BYTES)


def _merge_values(sources: list[tuple[Run, int, Codes]], found: DistinctValues) -> None:
    """The distinct values of a range of groups, merged a range of values at a time.

    A source's values name its own groups, counted from its first one; merged ones name those of
    the range. Say the range has the groups b, c and d, which are its 0, 1 and 2:

        source 0 has a b d     start 1   numbers [0, 2]   values (0, x) (1, x) (1, z) (2, y)
        source 1 has b c       start 0   numbers [0, 1]   values (0, z) (1, y)

    In the range those of source 0 are (0, x) (0, z) (2, y): a is not in it. Up to the end (1, y),
    source 0 is read before its own 2, for it has no c, and source 1 before its own (1, y): that
    makes (0, x) once and (0, z) twice. Then come (1, y) and (2, y).

    Args:
        sources: of each its values, how many groups it has before the range, and the number in the
            range of each of its groups there.
        found: of the range; takes the values.
    """
    blocks = [block for each in sources for block in _blocks(*each)]
    for first, last in ranges(blocks, RANGE_BYTES, (0,)):
        tables = []
        for run, start, own in sources:
            pieces = run.between(_own_key(first, start, own), _own_key(last, start, own))
            tables += [renumbered(table, own, start) for _, table in pieces]
        if tables:
            values, _ = grouped(tables)
            groups, cells = values.keys
            found.add(groups.values, cells, values.sum(SIZE))


def _blocks(run: Run, start: int, numbers: Codes) -> Iterator[tuple[Key, int]]:
    """The first key, by the group's number in the range, and the size of each block of the range."""
    for block in run.among((NUMBER, start), (NUMBER, start + len(numbers))):
        _, number, *value = block.first
        if number >= start:
            yield (int(numbers[number - start]), *value), block.size


def _own_key(key: Key | None, start: int, numbers: Codes) -> Key:
    """The key in a source's own numbers; for None, the end of the range. See `_merge_values`."""
    if key is None:
        return NUMBER, start + len(numbers)
    number, *value = key
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
    """In the order of a column, of a cross table that over all values, whose number is `margin`;
    equal ones in the order that they have.
    """
    spool, count, runs = Spool(), 0, []
    sort = str(declared.sort)
    for each in rows:
        cells = Cells.of(each.df[sort.removeprefix("-")][each.column == margin])
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
        groups, _ = grouped([Groups(len(each.df), keys, {}, picks)])
        runs += spool.put([groups])
        count += each.count
        empty = each.take(slice(0))
    if not count:
        yield empty
    for start, end in _ranges(runs, 2):
        if tables := [table for run in runs for _, table in run.between(start, end)]:
            groups, _ = grouped(tables)
            found = {pick: cells.to_series() for pick, cells in groups.picks.items()}
            df = pd.DataFrame({name: found[Pick("shown", name)] for name in empty.df.columns})
            of_parts = {
                name: [found[Pick(part, name)].to_numpy(object) for part in PARTS]
                for name in empty.exact
            }
            exacts = {name: Fractions(*parts) for name, parts in of_parts.items()}
            at = runs_of(groups.keys[1:2])
            column = at * 0 if declared.across is None else groups.keys[2].values
            yield Rows(df, exacts, at, column)

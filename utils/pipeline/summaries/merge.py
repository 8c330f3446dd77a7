"""Summaries of the whole table, merged from all segments' partial results a range of keys at a time."""

import math
import operator
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import batched, chain, islice, pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.excel import EXACT_INTEGER, is_long
from pipeline.sheet.table import Across, header_rows
from pipeline.summaries.cells import NUMBER, Cells, Codes, Distinct, missing, whole
from pipeline.summaries.exact import (
    Fractions,
    RunningSums,
    TooLong,
    exact_number,
    quotient,
    root,
    small_totals,
    totals,
)
from pipeline.summaries.formula import Formula, Name
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
from pipeline.summaries.rows import Rows, header_texts, runs_of, side_by_side, top
from pipeline.summaries.summary import (
    PERCENTILES,
    PICKED,
    SORTED,
    Column,
    Columns,
    Declared,
    InvalidSummary,
    Summary,
    check_across,
)
from pipeline.workers import map_forked, vcpus

RANGE_BYTES = 1 << 20  # of blocks merged at a time: some 100,000 groups
RANGES = 8  # that a worker merges in one go: each begins with blocks that the last one ends with
INFINITE = (math.inf, -math.inf)
SMALL = 2.0**46  # 100 times a whole number below it is one of a float's
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
    rows = _rows(declared, scopes[::2], values, foot.exact)
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
        foot = _finished(declared, [], _merge(declared, scopes[0], None), np.zeros(1, np.int64))
    if declared.across is not None:
        found = _merge(declared, scopes[1], None)
        (values,), count = found.groups.keys, found.groups.rows
        check_across(declared, count, "all segments")
        cells = _finished(declared, [declared.across], found, np.arange(count))
        texts = header_texts(cells.df.pop(declared.across).tolist())
        texts += [declared.total] if declared.total is not None else []
        across = Across(declared.across, texts, len(declared.columns))
        foot = replace(cells, at=0 * cells.at).beside(replace(foot, column=np.array([count])))
    for place, name in enumerate(declared.by):
        foot.df.insert(place, name, [None if place else declared.total] * len(foot.df))
    return values, across, foot


def _rows(
    declared: Declared,
    scopes: Sequence[Sequence[Runs]],
    values: Cells,
    totals: Mapping[str, Fractions],
) -> Iterator[Rows]:
    """The rows of the sheet in the order of keys; in a cross table each after its cells.

    Args:
        scopes: of rows, and of cells, whose keys begin with those of rows.
    """
    ends = [*_ends([each.groups for sources in scopes for each in sources], len(declared.by))]
    workers, at_once = (vcpus(), RANGES) if len(ends) > RANGES else (1, 1)
    batches = [*batched(pairwise([(), *ends]), at_once if workers > 1 else 1)]
    merge = partial(_merged_ranges, declared, scopes, values, totals)
    for ranges, rows in zip(batches, map_forked(merge, batches, workers), strict=True):
        yield from merge(ranges) if rows is None else rows


def _merged_ranges(
    declared: Declared,
    scopes: Sequence[Sequence[Runs]],
    values: Cells,
    totals: Mapping[str, Fractions],
    ranges: Sequence[tuple[Key | None, Key | None]],
) -> list[Rows]:
    """The rows of consecutive ranges, each with its first key and the one behind its last."""
    for each in chain(*scopes):
        each.skip(ranges[0][0] or ())
    merged = ([_merge(declared, sources, end) for sources in scopes] for _, end in ranges)
    return [
        _joined(declared, values, totals, *found)
        for found, (_, end) in zip(merged, ranges)
        if found[0].groups.rows or end is None
    ]


def _joined(
    declared: Declared,
    values: Cells,
    totals: Mapping[str, Fractions],
    margin: "_Range",
    *parts: "_Range",
) -> Rows:
    """The rows of a range, and in a cross table its cells."""
    column = np.full(margin.groups.rows, len(values))
    rows = _finished(declared, declared.by, margin, column, totals)
    for part in parts:
        *keys, across = part.groups.keys
        columns = Distinct([values, across]).places[1]
        groups = replace(part.groups, keys=keys)
        cells = _finished(declared, declared.by, part._replace(groups=groups), columns, totals)
        rows = replace(cells, at=runs_of(keys)).beside(rows)
    return rows


class _Range(NamedTuple):
    """Some groups, merged from all sources; of a column the distinct values of each."""

    groups: Groups
    distinct: dict[str, "_Distinct"]


def _merge(declared: Declared, sources: Sequence[Runs], end: Key | None) -> _Range:
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
        values = _Distinct(_given(column, groups), declared.percents(column))
        distinct[column] = _merged(runs, starts, numbers, values)
    return _Range(groups, distinct)


def _ends(runs: Iterable[Run], keys: int) -> Iterator[Key | None]:
    """
    Args:
        keys: how many columns of keys ranges are cut by.
    """
    blocks = ((block.first[: 3 * keys], block.size) for run in runs for block in run.blocks)
    return ends(blocks, RANGE_BYTES)


def _merged(
    runs: list[Run], starts: list[int], numbers: list[Codes], found: "_Distinct"
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
    """How many distinct values groups have, and their percentiles.

    Args:
        given: how many values each group has.
        percents: of the percentiles that are sought.
    """

    def __init__(self, given: Codes, percents: Iterable[int]) -> None:
        self.unique = np.zeros_like(given)
        self.percentiles = {percent: _Percentile(given, percent) for percent in percents}
        self._seen = np.zeros_like(given)

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
        for percentile in self.percentiles.values():
            percentile.add(groups, cells, through - counts, through, exact == counts)
        np.add.at(self._seen, groups, counts)


class _Percentile:
    """The number at (n - 1) * percent / 100 among the n sorted ones of each group, counted from 0;
    between two places, it is in proportion between their numbers.
    """

    def __init__(self, given: Codes, percent: int) -> None:
        below, self._rest = divmod((given - 1) * percent, 100)  # hundredths of the way
        self._places = [below, below + (self._rest > 0)]
        self._found: list[Any] = [np.full(len(given), math.nan) for _ in self._places]

    def add(self, groups: Codes, cells: Cells, start: Codes, stop: Codes, exact: Any) -> None:
        """
        Args:
            start, stop: of each value, the places that it takes in its group.
            exact: whether it is exact.
        """
        for which, places in enumerate(self._places):
            rows = np.flatnonzero((start <= places[groups]) & (places[groups] < stop))
            values = cells.take(rows).to_series(exact[rows])
            if values.dtype == object:  # with an exact number
                self._found[which] = self._found[which].astype(object)
            self._found[which][groups[rows]] = values

    @np.errstate(invalid="ignore", over="ignore")
    def numbers(self) -> Any:
        """Rounded once; exact, where a number is longer than a float."""
        low, high = self._found
        if object in (low.dtype, high.dtype):
            return _between(low, high, self._rest)
        common = np.gcd(self._rest, 100)
        parts, above = 100 // common, self._rest // common
        found = (low * (parts - above) + high * above) / parts + 0.0  # no -0.0
        whole = (low % 1 == 0) & (high % 1 == 0)
        small = whole & (np.maximum(np.abs(low), np.abs(high)) < SMALL)
        rows = ~(np.isfinite(found) & (small | (parts <= 2)))  # where it may be rounded twice
        found[rows] = _between(low[rows], high[rows], self._rest[rows])
        return found

    def exact(self) -> Fractions:
        low, high = (Fractions.of(values.tolist()) for values in self._found)
        over = low.over * high.under * (100 - self._rest) + high.over * low.under * self._rest
        return Fractions(over, low.under * high.under * 100, low.rounded | high.rounded)


def _number_between(low: Any, high: Any, rest: int) -> Any:
    """So many hundredths of the way from one to the other: exact where one is longer than a float,
    and neither is a fraction of one.
    """
    if low == high or low != low:
        return low
    if infinite := [number for number in (low, high) if number in INFINITE]:
        return sum(infinite)
    number = (Fraction(low) * (100 - rest) + Fraction(high) * rest) / 100
    long = [is_long(number) or isinstance(number, Decimal) for number in (low, high)]
    whole = [number == int(number) and abs(number) <= EXACT_INTEGER for number in (low, high)]
    exact = any(long) and all(map(operator.or_, long, whole))
    return exact_number(number) if exact else quotient(*number.as_integer_ratio())


_between = np.frompyfunc(_number_between, 3, 1)


def _finished(
    declared: Declared,
    by: list[str],
    found: _Range,
    column: Codes,
    totals: Mapping[str, Fractions] | None = None,
) -> Rows:
    """The rows of a summary: its keys and its columns, but for what the rows' order decides.

    Args:
        column: of each row.
        totals: the exact values over everything of each column; None for a row over everything.
    """
    groups, distinct = found
    size = groups.sum(SIZE)
    shown: dict[str, Any] = {
        name: cells.to_series(groups.sum(Sum("exact", name)) == size)
        for name, cells in zip(by, groups.keys, strict=True)
    }
    for each in declared.columns:
        shown[each.name] = _shown(each, groups, distinct.get(each.of))
    formulas, exact = declared.formulas, {}
    for name in declared.operands() - formulas.keys():
        exact[name] = _exact(name, declared, shown, groups, distinct)
    rows = Rows(pd.DataFrame(shown), exact, np.arange(groups.rows), column)
    if totals is None:
        _compute(formulas, rows)
        return rows
    after = declared.after
    _compute({name: formulas[name] for name in formulas if name not in after}, rows, totals)
    used = {name for formula in after.values() for name in formula.names if name.over != "total"}
    left = {name.column for name in used} - after.keys()
    return replace(rows, exact={name: exact[name] for name in left})


def _compute(
    formulas: Mapping[str, Formula],
    rows: Rows,
    totals: Mapping[str, Fractions] | None = None,
    sums: Mapping[str, RunningSums] | None = None,
) -> None:
    """Add columns to the rows.

    Args:
        totals: the exact values over everything of each column; None for a row over everything,
            which is its own total, and the only row of a running total.
        sums: of the rows before these, by column.
    """
    running: dict[Name, Fractions] = {}

    def operand(name: Name) -> Fractions:
        if name.over == "total" and totals is not None:
            return totals[name.column].take(rows.column)
        exact: Fractions = rows.exact[name.column]
        if name.over != "running" or sums is None:
            return exact
        if name not in running:
            running[name] = sums[name.column].add(exact, rows.column)
        return running[name]

    for name, formula in formulas.items():
        rows.exact[name] = formula.value(operand, len(rows.df))
        rows.df[name] = _column(rows.exact[name].numbers())


def _with_running(
    declared: Declared, rows: Iterator[Rows], totals: Mapping[str, Fractions], columns: int
) -> Iterator[Rows]:
    """The rows with the formulas that their order decides."""
    after = declared.after
    sums: defaultdict[str, RunningSums] = defaultdict(lambda: RunningSums(columns))
    for each in rows:
        try:
            _compute(after, each, totals, sums)
        except TooLong as error:
            rule = f"summary {declared.name}: a running total {error}"
            raise InvalidSummary(rule) from None
        yield each


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
        case how if how in PERCENTILES and distinct:
            return _column(distinct.percentiles[PERCENTILES[how]].numbers())
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
    if column and column.how in PERCENTILES:
        return distinct[column.of].percentiles[PERCENTILES[column.how]].exact()
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
    others = [value for value in objects if type(value) is not float]
    if any(isinstance(value, Decimal) or is_long(value) for value in others):
        return values
    return whole(values.astype(np.float64))


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

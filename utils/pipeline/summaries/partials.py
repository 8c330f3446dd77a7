"""Partial results: tables of groups that add up, sorted by their keys, in blocks that merge."""

import json
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any, NamedTuple

import numpy as np

from pipeline.summaries.cells import NUMBER, Cells, Codes, Distinct, missing, split

BLOCK_BYTES = 64 * 1024
INTEGERS = ("|i1", "<i2", "<i4", "<i8")

Read = Callable[[int, int], bytes]
Key = tuple[Any, ...]  # of each cell its kind, its value and its text


class Sum(NamedTuple):
    """What adds up over rows.

    Attributes:
        what: size, of all rows; exact, of the rows whose key or value is an exact number; of a
            column's cells gaps, above (infinite ones), below, fractions; sum and square, of digits
            there, each worth 2**(32 * place) / 10**tens.
        column: of the table; of a key, its name.
    """

    what: str
    column: str = ""
    place: int = 0
    tens: int = 0


class Pick(NamedTuple):
    """One of a column's cells: its min, max, first or last."""

    how: str
    column: str


SIZE, EXACT_VALUE = Sum("size"), Sum("exact")


@dataclass(frozen=True)
class Groups:
    """Groups, or rows that are yet to be grouped.

    Attributes:
        keys: of each key column, a cell for each group.
        sums: an integer for each group. One that is not there counts 0.
        picks: a cell for each group.
    """

    rows: int
    keys: list[Cells]
    sums: dict[Sum, Codes]
    picks: dict[Pick, Cells]

    def take(self, rows: slice) -> "Groups":
        return Groups(
            len(range(self.rows)[rows]),
            [cells.take(rows).compact() for cells in self.keys],
            {name: column[rows] for name, column in self.sums.items()},
            {name: cells.take(rows).compact() for name, cells in self.picks.items()},
        )

    def key(self, row: int) -> Key:
        """Keys compare as groups sort; a shorter one comes before those that it begins."""
        return tuple(part for cells in self.keys for part in cells.key(row))

    def sum(self, what: Sum) -> Codes:
        return self.sums.get(what, np.zeros(self.rows, np.int64))


class Partials(NamedTuple):
    """What some rows contribute to one summary, or to its total.

    Attributes:
        groups: the groups.
        values: of a column the distinct values of each group and their counts, by the number of
            the group and the value.
    """

    groups: Groups
    values: dict[str, Groups]


def no_groups(keys: int) -> Groups:
    return Groups(0, [missing(0)] * keys, {}, {})


class Index:
    """The distinct keys of some tables, sorted.

    Attributes:
        numbers: of each table, the number of each group among them.
        rows: how many there are.
    """

    def __init__(self, tables: Sequence[Groups]) -> None:
        self._levels: list[tuple[Distinct, Codes]] = []
        self.numbers = [np.zeros(table.rows, np.int64) for table in tables]
        self.rows = 1
        for column in zip(*(table.keys for table in tables), strict=True):
            distinct = Distinct(column)
            if self._levels:
                pairs = zip(self.numbers, distinct.places, strict=True)
                wide = np.concatenate([above * len(distinct) + below for above, below in pairs])
                # With return_index NumPy merges, which is faster where long runs are sorted.
                level, _, ranks = np.unique(wide, return_index=True, return_inverse=True)
                self.numbers = split(ranks, self.numbers)
            else:
                self.numbers, level = distinct.places, np.arange(len(distinct))
            self._levels.append((distinct, level))
            self.rows = len(level)

    def keys(self) -> list[Cells]:
        """Of each key column, the cell of each group."""
        numbers, found = np.arange(self.rows), []
        for distinct, level in reversed(self._levels):
            numbers, places = np.divmod(level[numbers], len(distinct))
            found.append(distinct.cells(places))
        return found[::-1]


def grouped(tables: Sequence[Groups], index: Index | None = None) -> Groups:
    """One table of groups; of equal keys the sums are added, in the order of the tables picked."""
    index = index or Index(tables)
    sums: dict[Sum, Codes] = {}
    for table, numbers in zip(tables, index.numbers, strict=True):
        for part, column in table.sums.items():
            total = sums.setdefault(part, np.zeros(index.rows, np.int64))
            if index.rows == 1:
                total += column.sum()
            else:
                np.add.at(total, numbers, column)
    picks = {}
    for pick in dict.fromkeys(pick for table in tables for pick in table.picks):
        columns = [table.picks.get(pick) or missing(table.rows) for table in tables]
        picks[pick] = _picked(pick.how, columns, index)
    return Groups(index.rows, index.keys(), sums, picks)


def combined(parts: Sequence[Partials]) -> Partials:
    """What they contribute together; the order of the parts is that of their rows."""
    index = Index([each.groups for each in parts])
    groups = grouped([each.groups for each in parts], index)
    values = {}
    for column in parts[0].values:
        pairs = zip(parts, index.numbers, strict=True)
        tables = [renumbered(each.values[column], numbers) for each, numbers in pairs]
        values[column] = grouped(tables)
    return Partials(groups, values)


def renumbered(values: Groups, numbers: Codes, first: int = 0) -> Groups:
    """
    Args:
        numbers: the new number of each group, from the number `first` on.
    """
    group, value = values.keys
    numbered = Cells.numbered(numbers[group.values - first])
    return Groups(values.rows, [numbered, value], values.sums, {})


def _picked(how: str, columns: list[Cells], index: Index) -> Cells:
    distinct = Distinct(columns)
    if not len(distinct):
        return missing(index.rows)
    given = np.flatnonzero(np.concatenate([cells.given for cells in columns]))
    places = np.concatenate(distinct.places)[given]
    groups = np.concatenate(index.numbers)[given]
    order = np.argsort(places, kind="stable") if how in ("min", "max") else np.arange(len(given))
    if how in ("min", "first"):
        order = order[::-1]
    best = np.full(index.rows, -1)  # the last one is missing, if any is
    best[groups[order]] = places[order]  # of several for a group the last one stays
    return distinct.cells(best)


def written(parts: Partials) -> tuple[list[Any], bytes]:
    """As it travels: of the groups, then of each column's values, the size, the rows and the first
    key of each block; and all blocks.
    """
    fields, bodies = [], []
    for table in (parts.groups, *parts.values.values()):
        blocks = [(packed(block), block.rows, block.key(0)) for block in _blocks(table)]
        fields.append([[len(body), rows, first] for body, rows, first in blocks])
        bodies += [body for body, _, _ in blocks]
    return fields, b"".join(bodies)


def _blocks(table: Groups) -> Iterator[Groups]:
    """The table in pieces of about BLOCK_BYTES."""
    if table.rows > 1 and (blocks := _size(table) // BLOCK_BYTES):
        rows = -(-table.rows // (blocks + 1))
        for start in range(0, table.rows, rows):
            yield from _blocks(table.take(slice(start, start + rows)))
    elif table.rows:
        yield table


def _size(table: Groups) -> int:
    """About as many bytes as it takes, packed."""
    cells = [*table.keys, *table.picks.values()]
    text = sum(sum(map(len, each.texts)) for each in cells)
    return text + table.rows * (2 * len(table.sums) + 4 * len(cells))


def packed(table: Groups) -> bytes:
    """A line of JSON, each group's integers in as few bytes as its columns need, and JSON of texts."""
    cells = [*table.keys, *table.picks.values()]
    columns: list[Any] = [*table.sums.values()]
    for each in cells:
        columns += [each.kinds, each.values, each.places]
    arrays = [_narrowed(column) for column in columns]
    header = {
        "rows": table.rows,
        "keys": len(table.keys),
        "sums": list(table.sums),
        "picks": list(table.picks),
        "arrays": [[array.dtype.str, len(array)] for array in arrays],
    }
    line, texts = (
        json.dumps(each, ensure_ascii=False).encode("utf-8", "surrogatepass")
        for each in (header, [each.texts for each in cells])
    )
    return b"".join([line, b"\n", *(array.tobytes() for array in arrays), texts])


def _narrowed(column: Any) -> Any:
    """Of equal numbers, one."""
    low, high = int(column.min()), int(column.max())
    kinds = (np.dtype(kind) for kind in INTEGERS)
    kind = next(k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max)
    return column[: 1 if low == high else None].astype(kind)


def unpacked(data: bytes) -> Groups:
    """What `packed` wrote."""
    line, _, rest = data.partition(b"\n")
    header = json.loads(line)
    rows, keys = header["rows"], header["keys"]
    sums = [Sum(*each) for each in header["sums"]]
    picks = [Pick(*each) for each in header["picks"]]
    columns, end = [], 0
    for kind, stored in header["arrays"]:
        column = np.frombuffer(rest, kind, stored, end)
        columns.append(np.broadcast_to(column, rows).astype(np.int64))
        end += column.nbytes
    texts = json.loads(rest[end:].decode("utf-8", "surrogatepass"))
    arrays = batched(columns[len(sums) :], 3, strict=True)
    cells = [
        Cells(kinds.astype(np.uint8), values, places, of)
        for (kinds, values, places), of in zip(arrays, texts, strict=True)
    ]
    named = dict(zip(sums, columns)), dict(zip(picks, cells[keys:], strict=True))
    return Groups(rows, cells[:keys], *named)


class Block(NamedTuple):
    """Some groups of a table as bytes: where they are, how many, and the key of the first."""

    start: int
    size: int
    rows: int
    first: Key


class Run:
    """The groups of one table in their order, read block by block.

    Args:
        fields: of its blocks, as `written` gives them.
        start: of the first block.
        keys: how many columns its keys have.
        read: the bytes from a start on, of a length.

    Attributes:
        keys: how many columns its keys have.
        taken: groups that were given out or skipped.
    """

    def __init__(self, fields: Any, start: int, keys: int, read: Read) -> None:
        self.blocks: deque[Block] = deque()
        self.end = start
        for size, rows, first in fields:
            self.blocks.append(Block(self.end, size, rows, tuple(first)))
            self.end += size
        self.taken = 0
        self.keys = keys
        self._read = read
        self._rest: Groups | None = None

    def before(self, end: Key | None) -> Iterator[Groups]:
        """The groups that follow and sort before the end; all, without one."""
        while self._rest or (self.blocks and (end is None or self.blocks[0].first < end)):
            table = self._rest or self._next()
            stop = table.rows
            if end is not None:
                stop = bisect_left(range(table.rows), end, key=table.key)
            self._rest = table.take(slice(stop, None)) if stop < table.rows else None
            self.taken += stop
            if stop:
                yield table.take(slice(0, stop)) if self._rest else table
            if self._rest:
                return

    def skip(self, end: Key) -> None:
        """Pass over the groups that sort before the end, and read no block without need."""
        if self._rest and self.blocks and self.blocks[0].first <= end:
            self.taken += self._rest.rows
            self._rest = None
        while len(self.blocks) > 1 and self.blocks[1].first <= end:
            self.taken += self.blocks.popleft().rows
        if not self._rest or self._rest.key(0) < end:
            for _ in self.before(end):
                pass

    def whole(self) -> Groups:
        tables = [*self.before(None)] or [no_groups(self.keys)]
        return tables[0] if len(tables) == 1 else grouped(tables)

    def _next(self) -> Groups:
        block = self.blocks.popleft()
        return unpacked(self._read(block.start, block.size))


class Runs(NamedTuple):
    """Partial results to read block by block, as Partials has them."""

    groups: Run
    values: dict[str, Run]

    def skip(self, end: Key) -> None:
        """Pass over the groups that sort before the end, and their values."""
        self.groups.skip(end)
        for run in self.values.values():
            run.skip((NUMBER, self.groups.taken))

    @property
    def end(self) -> int:
        return max(run.end for run in (self.groups, *self.values.values()))

    def whole(self) -> Partials:
        values = {name: run.whole() for name, run in self.values.items()}
        return Partials(self.groups.whole(), values)


def opened(fields: Any, start: int, keys: int, columns: Iterable[str], read: Read) -> Runs:
    """Some partial results, to read block by block.

    Args:
        fields: as `written` gives them.
        keys: how many columns the keys of the groups have.
        columns: those of which there are distinct values.
        start, read: see Run.
    """
    of_groups, *of_values = fields
    groups = Run(of_groups, start, keys, read)
    values: dict[str, Run] = {}
    end = groups.end
    for name, each in zip(columns, of_values, strict=True):
        values[name] = Run(each, end, 2, read)
        end = values[name].end
    return Runs(groups, values)


def ends(blocks: Iterable[tuple[Key, int]], size: int) -> Iterator[Key | None]:
    """Keys that cut all blocks into ranges, each of about `size` bytes; None at last.

    Args:
        blocks: the first key of each, and its size.
    """
    ordered = sorted(blocks)
    taken, last = 0, ordered[0][0] if ordered else ()
    for first, block_size in ordered:
        if taken >= size and first > last:
            yield first
            taken, last = 0, first
        taken += block_size
    yield None

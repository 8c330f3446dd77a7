"""Partial results: tables of groups that add up, sorted by their keys, in blocks that merge."""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched, chain
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from pipeline.summaries.cells import EXACT, Cells, Codes, joined, missing, ranked, split

BLOCK_BYTES = 64 * 1024  # before it is deflated
INFLATED_BYTES = 128 * 1024  # of most blocks, at most
INTEGERS = ("|i1", "<i2", "<i4", "<i8")

Read = Callable[[int, int], bytes]
Key = tuple[Any, ...]  # of each cell its kind, its value and its text


class Sum(NamedTuple):
    """What adds up over rows.

    Attributes:
        what: size, of all rows; of a column's cells gaps, above (infinite ones), below, fractions;
            sum and square, of digits there, each worth 2**(32 * place) / 10**tens.
        column: of the table.
    """

    what: str
    column: str = ""
    place: int = 0
    tens: int = 0


class Pick(NamedTuple):
    """One of a column's cells: its min, max, first or last."""

    how: str
    column: str


SIZE = Sum("size")


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

    def pick(self, what: Pick) -> Cells:
        return self.picks.get(what) or missing(self.rows)


# What some rows contribute to one summary, or to its total: the groups; then of each column whose
# distinct values are sought, those of each group and their counts, by the group's number and the value.
Partials = list[Groups]


def no_groups(keys: int) -> Groups:
    return Groups(0, [missing(0)] * keys, {}, {})


def grouped(tables: Sequence[Groups]) -> tuple[Groups, list[Codes]]:
    """One table of groups, and of each table the numbers of its groups there.

    Of equal keys the sums are added, and one of their cells is picked in the order of the tables.
    """
    keys = [joined(column) for column in zip(*(table.keys for table in tables), strict=True)]
    rows = sum(table.rows for table in tables)
    numbers, count = ranked(chain.from_iterable(cells.order for cells in keys), rows)
    of_tables = split(numbers, [range(table.rows) for table in tables])
    sums: dict[Sum, Codes] = {}
    for table, own in zip(tables, of_tables, strict=True):
        for part, column in table.sums.items():
            total = sums.setdefault(part, np.zeros(count, np.int64))
            if count == 1:
                total += column.sum()
            else:
                np.add.at(total, own, column)
    picks = {}
    for pick in dict.fromkeys(pick for table in tables for pick in table.picks):
        columns = [table.pick(pick) for table in tables]
        cells = joined([*columns, missing(1)])
        picks[pick] = _last(_picked(pick.how, cells), cells, numbers, count)
    keys = [_last(_exact_first(each), each, numbers, count) for each in keys]
    return Groups(count, keys, sums, picks), of_tables


def _exact_first(cells: Cells) -> Codes:
    """All rows in an order in which the last one of equal numbers is a float, if any is."""
    exact = cells.kinds == EXACT
    return np.concatenate([np.flatnonzero(exact), np.flatnonzero(~exact)])


def _picked(how: str, cells: Cells) -> Codes:
    """The rows in an order in which the last one of a group is what it picks."""
    rows = np.flatnonzero(cells.given)
    if how in ("min", "max"):
        given = cells.take(rows)
        places, _ = ranked([*given.order, given.kinds], len(rows))
        rows = rows[np.argsort(places, kind="stable")]
    return rows[::-1] if how in ("min", "first") else rows


def _last(rows: Codes, cells: Cells, numbers: Codes, count: int) -> Cells:
    """Of each group the cell of the last of its rows; the last of all cells, where it has none."""
    last = np.full(count, len(cells) - 1)
    last[numbers[rows]] = rows
    return cells.take(last)


def combined(parts: Sequence[Partials]) -> Partials:
    """What they contribute together; the order of the parts is that of their rows."""
    tables, *of_columns = zip(*parts, strict=True)
    groups, numbers = grouped(tables)
    return [groups, *(grouped([*map(renumbered, each, numbers)])[0] for each in of_columns)]


def renumbered(values: Groups, numbers: Codes, first: int = 0) -> Groups:
    """With new numbers of the groups, of which `numbers` has those from the number `first` on."""
    group, value = values.keys
    numbered = Cells.numbered(numbers[group.values - first])
    return Groups(values.rows, [numbered, value], values.sums, {})


def written(parts: Partials) -> tuple[list[Any], bytes]:
    """As it travels: of each table the size, the rows and the first key of each block; all blocks."""
    fields, bodies = [], []
    for table in parts:
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
    """A line of JSON, the columns' integers in as few bytes as each needs, and JSON of texts; deflated."""
    cells = [*table.keys, *table.picks.values()]
    columns: list[Any] = [*table.sums.values()]
    for each in cells:
        columns += [each.kinds, each.values, each.places]
    arrays = [*map(_narrowed, columns)]
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
    return isal_zlib.compress(
        b"".join([line, b"\n", *(array.tobytes() for array in arrays), texts]), 1
    )


def _narrowed(column: NDArray[Any]) -> NDArray[Any]:
    """Of equal numbers, one."""
    low, high = int(column.min()), int(column.max())
    kinds = (np.dtype(kind) for kind in INTEGERS)
    kind = next(k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max)
    return column[: 1 if low == high else None].astype(kind)


def unpacked(data: bytes) -> Groups:
    """What `packed` wrote."""
    line, _, rest = isal_zlib.decompress(data, bufsize=INFLATED_BYTES).partition(b"\n")
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
    """Some groups of a table as bytes.

    Attributes:
        before: how many groups the table has before them.
        first: the key of the first.
    """

    start: int
    size: int
    before: int
    first: Key


FIRST = attrgetter("first")


class Run:
    """The groups of one table in their order, read block by block.

    Args:
        fields: of its blocks, as `written` gives them.
        start: of the first block.
        keys: how many columns its keys have.
        read: the bytes from a start on, of a length.

    Attributes:
        end: of the last block.
    """

    def __init__(self, fields: Any, start: int, keys: int, read: Read) -> None:
        self.blocks: list[Block] = []
        self.end, before = start, 0
        for size, rows, first in fields:
            self.blocks.append(Block(self.end, size, before, tuple(first)))
            self.end, before = self.end + size, before + rows
        self.keys = keys
        self._read = read
        self._rest: tuple[Block, int, Groups] | None = None  # of a block, from a number on
        self._last_keys: dict[Block, Key] = {}

    def among(self, start: Key, end: Key | None) -> list[Block]:
        """The blocks that may have groups from a key on that sort before the end.

        The last key of a block is known once it was read.
        """
        if start == end:
            return []
        first = max(0, bisect_right(self.blocks, start, key=FIRST) - 1)
        last = None if end is None else bisect_left(self.blocks, end, key=FIRST)
        blocks = self.blocks[first:last]
        return [block for block in blocks if self._last_keys.get(block, start) >= start]

    def between(self, start: Key, end: Key | None) -> Iterator[tuple[int, Groups]]:
        """The groups from a key on that sort before the end, or all without one, in pieces, each
        with the number of its first group.
        """
        for block in self.among(start, end):
            first, table = self._groups(block, start)
            self._last_keys[block] = table.key(table.rows - 1)
            low, high = 0, table.rows
            if table.key(0) < start:
                low = bisect_left(range(table.rows), start, key=table.key)
            if end is not None and table.key(high - 1) >= end:
                high = bisect_left(range(table.rows), end, low, key=table.key)
            self._rest = None
            if high < table.rows:
                self._rest = block, first + high, table.take(slice(high, None))
            if low < high:
                yield first + low, table.take(slice(low, high))

    def whole(self) -> Groups:
        tables = [table for _, table in self.between((), None)] or [no_groups(self.keys)]
        return tables[0] if len(tables) == 1 else grouped(tables)[0]

    def _groups(self, block: Block, start: Key) -> tuple[int, Groups]:
        """The groups of a block, at least from a key on, and the number of the first: where a range
        has ended, the next one begins.
        """
        if self._rest and self._rest[0] is block and self._rest[2].key(0) <= start:
            return self._rest[1:]
        return block.before, unpacked(self._read(block.start, block.size))


def opened(fields: Any, start: int, keys: int, read: Read) -> list[Run]:
    """Some partial results, to read block by block; the arguments are those of Run."""
    runs: list[Run] = []
    for each in fields:
        runs.append(Run(each, start, 2 if runs else keys, read))
        start = runs[-1].end
    return runs


def ranges(
    blocks: Iterable[tuple[Key, int]], size: int, start: Key = ()
) -> Iterator[tuple[Key, Key | None]]:
    """Cut blocks, given by their first keys and sizes, into ranges of about `size` bytes: the first
    key of each, and the one behind its last; None at last.
    """
    taken = 0
    for first, block_size in sorted(blocks):
        if taken >= size and first > start:
            yield start, first
            taken, start = 0, first
        taken += block_size
    yield start, None

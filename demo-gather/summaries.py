"""The summaries of a workbook, from what all its segments contribute."""

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from beside import render_table
from cells import SPELLED, missing
from facts import INLINE_BYTES
from merged import Source, Spool, group_frames, total_frame
from partials import Block, Groups, InvalidPartials, Partials, Run, combined, unpacked
from summary import SORTED, Columns, Declared, InvalidSummary, partials_of
from table import Table

AT_ONCE = 64  # small contributions, combined into one
SMALL_GROUPS = 20_000  # that a combined one may have and stay in memory
BLOCK_ROWS = 1 << 14  # rendered at a time, however the groups came: the same bytes for every cut

Finish = Callable[[str, pd.DataFrame], pd.DataFrame]


class MissingPartials(ValueError):
    """A segment did not contribute, and its result does not tell what it would have."""


class Summaries:
    """What segments contribute, added in their order.

    Args:
        load: reads the result at a key; called for a segment without a contribution, or with one
            to other summaries than the first segment's.
    """

    def __init__(self, load: Callable[[str], pd.DataFrame]) -> None:
        self._load = load
        self._declared: list[Declared] = []
        self._waiting: list[str] = []
        self._spool = Spool()
        self._scopes: list[list[_Scope]] = []

    def add(self, key: str, rows: int, summaries: Any, data: bytes) -> None:
        """
        Args:
            key: of the segment's result.
            rows: of that.
            summaries: of its figures; None without a contribution.
            data: its blocks.

        Raises:
            InvalidPartials: they are not as a segment writes them.
            MissingPartials: there are none, and others' cannot be made of the result.
        """
        try:
            fields = summaries["summaries"] if summaries else []
            declared = [Declared.of(each["declared"]) for each in fields]
            if declared and not self._declared:
                self._begin(declared)
            if declared and declared == self._declared:
                self._take(key, rows, fields, data)
                return
        except (InvalidPartials, InvalidSummary) as error:
            raise InvalidPartials(f"{key}: {error}") from None
        except (TypeError, KeyError, ValueError) as error:
            raise InvalidPartials(f"{key}: must be partial results; found {error!r}") from None
        if self._declared:
            self._count(key)
        else:
            self._waiting.append(key)

    def tables(self, formats: dict[str, str], finish: Finish) -> Iterator[Table]:
        """Each summary as sheets beside the table's.

        Args:
            finish: makes of some rows of a summary the rows that its sheet shows.
        """
        for declared, scopes in zip(self._declared, self._scopes):
            name = declared.name
            groups, *total = [scope.sources() for scope in scopes]
            blocks = in_blocks(group_frames(declared, groups))
            yield render_table(
                name,
                (finish(name, df) for df in blocks),
                formats,
                total=finish(name, total_frame(declared, total[0])) if total else None,
                chart=declared.chart,
                keys=len(declared.by),
            )

    def _begin(self, declared: list[Declared]) -> None:
        self._declared = declared
        for each in declared:
            scopes = 1 if each.total is None else 2
            self._scopes.append([_Scope(self._spool) for _ in range(scopes)])
        for key in self._waiting:
            self._count(key)

    def _take(self, key: str, rows: int, fields: list[Any], data: bytes) -> None:
        small = len(data) <= INLINE_BYTES
        start = end = 0 if small else self._spool.add(data)
        contributions = []
        for declared, each, scopes in zip(self._declared, fields, self._scopes, strict=True):
            pairs = zip(scopes, each["scopes"], strict=True)
            for (scope, tables), by in zip(pairs, (declared.by, [])):
                blocks = {}
                for column in ["", *declared.columns(*SORTED)]:
                    blocks[column] = blocks_of(tables[column], end, 2 * len(by) + 2 * bool(column))
                    end += sum(block.size for block in blocks[column])
                contributions.append((scope, blocks, len(by)))
        if end - start != len(data):
            raise InvalidPartials(f"blocks must have {end - start} bytes; found {len(data)}")
        for scope, blocks, keys in contributions:
            if small:
                scope.add(small_partials(rows, blocks, keys, data))
            else:
                runs = {name: Run(each, self._spool.read, key) for name, each in blocks.items()}
                scope.add_source(Source(runs.pop(""), runs, rows))

    def _count(self, key: str) -> None:
        columns = Columns(self._load(key), key)
        for declared, scopes in zip(self._declared, self._scopes):
            if declared.computed:
                raise MissingPartials(
                    f"{key}: its segment must contribute to summary {declared.name}, whose "
                    f"{declared.computed[0]} a function makes; found no contribution"
                )
            keys = [columns.cells(name, declared.name) for name in declared.by]
            for scope, parts in zip(scopes, partials_of(declared, keys, columns)):
                scope.add(parts)


class _Scope:
    """What segments contribute to the groups of one summary, or to its total."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._small: list[Partials] = []
        self._sources: list[Source] = []

    def add(self, parts: Partials) -> None:
        self._small.append(parts)
        if len(self._small) == AT_ONCE or parts.groups.rows > SMALL_GROUPS:
            self._small = [combined(self._small)]
            if self._small[0].groups.rows > SMALL_GROUPS:
                self._put_aside()

    def add_source(self, source: Source) -> None:
        self._put_aside()
        self._sources.append(source)

    def sources(self) -> list[Source]:
        self._put_aside()
        return self._sources

    def _put_aside(self) -> None:
        if self._small:
            self._sources.append(self._spool.source(combined(self._small)))
            self._small = []


def small_partials(rows: int, blocks: dict[str, list[Block]], keys: int, data: bytes) -> Partials:
    """
    Raises:
        InvalidPartials: they are not those of a result of so many rows.
    """
    tables = {}
    for name, found in blocks.items():
        read = [unpacked(data[each.start : each.start + each.size]) for each in found]
        columns = 2 if name else keys
        tables[name] = read[0] if read else Groups(0, [missing(0)] * columns, {}, {})
        if len(read) > 1 or len(tables[name].keys) != columns:
            raise InvalidPartials(f"a small table must be one block; found {len(read)}")
    parts = Partials(tables.pop(""), tables)
    counted = int(parts.groups.sums["size"].sum()) if parts.groups.rows else 0
    if counted != rows:
        raise InvalidPartials(f"must count {rows} rows; found {counted}")
    return parts


def blocks_of(fields: Any, start: int, parts: int) -> list[Block]:
    """
    Args:
        parts: of the first key of each block.

    Raises:
        InvalidPartials: they are not the fields of blocks.
    """
    blocks = []
    for size, first, number in fields:
        kinds, values = first[::2], first[1::2]
        typed = all(type(v) is (str if kind in SPELLED else int) for kind, v in zip(kinds, values))
        whole = all(type(each) is int for each in (size, number, *kinds)) and size > 0
        if not (typed and whole and len(first) == parts):
            raise InvalidPartials(f"a block must have a size, a key and a number; found {first}")
        blocks.append(Block(start, size, tuple(first), number))
        start += size
    return blocks


def in_blocks(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The same rows in frames of BLOCK_ROWS; one at least."""
    held = next(frames)
    for df in frames:
        while len(held) > BLOCK_ROWS:
            yield held.head(BLOCK_ROWS)
            held = held.iloc[BLOCK_ROWS:]
        held = pd.concat([held, df], ignore_index=True) if len(held) else df
    while len(held) > BLOCK_ROWS:
        yield held.head(BLOCK_ROWS)
        held = held.iloc[BLOCK_ROWS:]
    yield held

"""The summaries of a workbook, from what all its segments contribute."""

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from pipeline.excel import COUNT_FORMAT
from pipeline.facts.stages import INLINE_BYTES
from pipeline.sheet.rendered_table import render_table
from pipeline.sheet.table import Table
from pipeline.summaries.contribution import Columns
from pipeline.summaries.merge import Spool, sheet
from pipeline.summaries.partials import Partials, Run, combined, opened
from pipeline.summaries.rows import in_blocks
from pipeline.summaries.summary import Declared

AT_ONCE = 64  # small contributions, combined into one


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

    def add(self, key: str, fields: list[Any], data: bytes) -> None:
        """
        Args:
            key: of the segment's result.
            fields, data: as `contribution.carried` gives them; [] without a contribution.

        Raises:
            MissingPartials: there are none, and others' cannot be made of the result.
        """
        declared = [Declared.of(each["declared"]) for each in fields]
        if declared and not self._declared:
            self._begin(declared)
        if declared and declared == self._declared:
            self._add(fields, data)
        elif self._declared:
            self._count(key)
        else:
            self._waiting.append(key)

    def tables(self, formats: dict[str, str], own_styles: int = 0) -> Iterator[Table]:
        """Each summary as sheets beside the table's.

        Args:
            own_styles: of the first one, see Table.
        """
        for declared, scopes in zip(self._declared, self._scopes):
            counts = [each.name for each, made in declared.aggregated if made.is_count]
            made = sheet(declared, [scope.sources() for scope in scopes])
            table = render_table(
                declared.name,
                in_blocks(made.frames),
                dict.fromkeys(counts, COUNT_FORMAT) | formats,
                total=made.total,
                chart=declared.chart,
                keys=len(declared.by),
                own_styles=own_styles,
                across=made.across,
            )
            own_styles = table.next_style
            yield table

    def _begin(self, declared: list[Declared]) -> None:
        self._declared = declared
        for each in declared:
            self._scopes.append([_Scope(self._spool, len(keys)) for keys in each.scopes])
        for key in self._waiting:
            self._count(key)

    def _add(self, fields: list[Any], data: bytes) -> None:
        is_small = len(data) <= INLINE_BYTES
        start = 0 if is_small else self._spool.add(data)
        read = (lambda at, size: data[at : at + size]) if is_small else self._spool.read
        for each, scopes in zip(fields, self._scopes, strict=True):
            for scope, tables in zip(scopes, each["scopes"], strict=True):
                runs = opened(tables, start, scope.keys, read)
                start = runs[-1].end
                if is_small:
                    scope.add([run.whole() for run in runs])
                else:
                    scope.add_source(runs)

    def _count(self, key: str) -> None:
        columns = Columns(self._load(key), key)
        for declared, scopes in zip(self._declared, self._scopes):
            if declared.computed:
                raise MissingPartials(
                    f"{key}: its segment must contribute to summary {declared.name}, whose "
                    f"{declared.computed[0]} a function makes; found no contribution"
                )
            keys = {name: name for names in declared.scopes for name in names}
            for scope, parts in zip(scopes, columns.partials(declared, keys)):
                scope.add_source(self._spool.put(parts))


class _Scope:
    """What segments contribute to the groups of one summary, or to its total."""

    def __init__(self, spool: Spool, keys: int) -> None:
        self.keys = keys
        self._spool = spool
        self._small: list[Partials] = []
        self._sources: list[list[Run]] = []

    def add(self, parts: Partials) -> None:
        self._small.append(parts)
        if len(self._small) == AT_ONCE:
            self._put_aside()

    def add_source(self, runs: list[Run]) -> None:
        self._put_aside()
        self._sources.append(runs)

    def sources(self) -> list[list[Run]]:
        self._put_aside()
        return self._sources

    def _put_aside(self) -> None:
        if self._small:
            self._sources.append(self._spool.put(combined(self._small)))
            self._small = []

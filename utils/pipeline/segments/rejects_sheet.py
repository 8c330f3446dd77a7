"""The sheet of the faulty records that segments left out of the table."""

import json
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import pandas as pd

from pipeline.errors.wording import printable
from pipeline.excel import CELL_CHARACTERS, SHEET_COLUMNS, shortened
from pipeline.keys import rejects_key
from pipeline.s3.overlap import map_ahead
from pipeline.segments.figures import Rejects
from pipeline.sheet.duplicate_columns import header, with_columns
from pipeline.sheet.rendered_table import render_table
from pipeline.sheet.table import REJECTS, Table

TRANSFERS = 4


class TooManyRejects(ValueError):
    """More records are faulty than the execution's input allows."""


class Rejected:
    """What segments left out, added in their order.

    Args:
        load: reads the frame at a key, of that ETag.
    """

    def __init__(self, load: Callable[[str, str], pd.DataFrame]) -> None:
        self._load = load
        self._held: list[tuple[str, str]] = []
        self._all: Rejects | None = None

    @property
    def told(self) -> int | None:
        """How many there are; None where nobody asked for them."""
        return self._all.count if self._all else None

    def add(self, key: str, rejects: Rejects | None) -> None:
        """
        Args:
            key: of the segment's result.
        """
        if rejects is None:
            return
        before = self._all or Rejects(0, rejects.columns)
        count, columns = before.count + rejects.count, header([before.columns, rejects.columns])
        self._all = Rejects(count, columns, rejects.most, first=before.first or rejects.first)
        if rejects.count:
            self._held.append((rejects_key(key, rejects.count), rejects.etag))

    def check(self) -> None:
        """
        Raises:
            TooManyRejects: there are more than the input's max_rejects.
        """
        found = self._all
        if found and found.most is not None and found.count > found.most:
            raise TooManyRejects(
                f"{found.first}: the first of {found.count} faulty records; "
                f"max_rejects is {found.most}"
            )

    def tables(self, formats: dict[str, str], own_styles: int = 0) -> Iterator[Table]:
        """The sheet, also without a record; none where nobody asked for it.

        Args:
            own_styles: see Table.
        """
        if self._all:
            columns = self._all.columns
            loaded = map_ahead(lambda held: self._load(*held), self._held, TRANSFERS)
            frames = chain([pd.DataFrame(columns=columns)], loaded)
            blocks = (on_a_sheet(with_columns(df, columns)) for df in frames)
            yield render_table(REJECTS, blocks, formats, own_styles=own_styles)


def on_a_sheet(df: pd.DataFrame) -> pd.DataFrame:
    """What a sheet can hold of records: where they have more columns than it, the last one's header
    says how many it leaves out."""
    names = [in_a_cell(str(name)) for name in df.columns]
    if more := max(0, len(names) - SHEET_COLUMNS):
        names[SHEET_COLUMNS - 1 :] = [f"… {more + 1} more columns"]
    held = {place: in_cells(df.iloc[:, place]) for place in range(len(names) - (more > 0))}
    columns = range(len(names))
    return pd.DataFrame(held, index=df.index, columns=columns).set_axis(names, axis=1)


def in_cells(column: "pd.Series[Any]") -> "pd.Series[Any]":
    if column.dtype.kind != "O":
        return column
    return pd.Series(map(in_a_cell, column.tolist()), column.index, object)


def in_a_cell(value: Any) -> Any:
    """What a cell can hold of a value of JSON: the beginning of a long text, with …; and escapes
    such as \\ud801 for lone surrogates."""
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    return shortened(printable(value), CELL_CHARACTERS) if isinstance(value, str) else value

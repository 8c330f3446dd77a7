"""Tables cut into segments, and what the gather makes of their summaries."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd
import pytest

from pipeline.summaries import merge, partials
from pipeline.summaries import rows as rows_module
from pipeline.summaries.contribution import Columns
from pipeline.summaries.merge import Spool, sheet
from pipeline.summaries.summary import Summary


def frame(names: str, rows: Sequence[Any]) -> pd.DataFrame:
    """Of columns that are called by one letter each."""
    columns = zip(*rows) if rows else [()] * len(names)
    return pd.DataFrame({name: pd.Series(each, dtype=object) for name, each in zip(names, columns)})


def segments(df: pd.DataFrame, cuts: list[int]) -> list[pd.DataFrame]:
    """Cut the table; each segment has dtypes of its own, where none of its integers would change."""
    ends = [0, *sorted(min(cut, len(df)) for cut in cuts), len(df)]
    pieces = [df.iloc[start:stop].copy() for start, stop in zip(ends, ends[1:])]
    for piece in pieces:
        for name in piece.columns:
            if not any(isinstance(cell, int) and abs(cell) >= 10**15 for cell in piece[name]):
                piece[name] = piece[name].infer_objects()
    return pieces


def merged(summary: Summary, pieces: list[pd.DataFrame]) -> list[list[Any]]:
    """What the gather makes of segments: the rows, the total's last."""
    spool, declared = Spool(), summary.declared
    partials = [Columns(piece, "table").partials(declared, summary.keys) for piece in pieces]
    made = sheet(declared, [[spool.put(each) for each in scope] for scope in zip(*partials)])
    frames = [*made.frames, *([] if made.total is None else [made.total])]
    return [row for each in frames for row in cells(each)]


@contextmanager
def tiny_blocks() -> Iterator[pytest.MonkeyPatch]:
    """Blocks of a row, ranges of a few groups, and slices of a few cells."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partials, "BLOCK_BYTES", 1)
        patch.setattr(merge, "RANGE_BYTES", 2_000)
        patch.setattr(rows_module, "BLOCK_CELLS", 20)
        yield patch


def cells(df: pd.DataFrame) -> list[list[Any]]:
    """As a workbook shows them: 5.0 is 5."""
    rows = df.astype(object).itertuples(index=False, name=None)
    return [[plain(cell) for cell in row] for row in rows]


def plain(cell: Any) -> Any:
    if cell is None or cell is pd.NaT or cell != cell:
        return None
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 10**15:
        return int(cell)
    return cell.to_pydatetime() if isinstance(cell, pd.Timestamp) else cell

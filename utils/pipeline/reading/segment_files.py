"""The files of a table's segments, one after another or by several workers."""

from collections.abc import Callable, Iterator
from typing import TypeIs

from pipeline.reading.columns import Block, Table
from pipeline.reading.cuts import block_bytes, blocks_per_segment, segment_bytes, tables
from pipeline.reading.side_by_side import ENDS, Made, make_side_by_side
from pipeline.reading.source import Source, Sources
from pipeline.workers import vcpus


def make_files(
    source: Source | Sources,
    rows_per_segment: int | None,
    most_segments: float,
    pickle: Callable[[Table, int, list[str]], bytes],
) -> Iterator[Made]:
    """In row order; a table without rows is one segment, with the columns that a header names.

    Args:
        rows_per_segment: None to choose by size, see `tables`.
        pickle: makes the file of a table, given the number of its first row and the columns so far.
    """
    json_bytes, start = source.json_bytes, 0
    columns: dict[str, None] = {}
    if is_for_workers(source, rows_per_segment):
        reader, at_a_time = source.reader, block_bytes(source.form.size, source.key)
        per_segment = blocks_per_segment(json_bytes, most_segments)
        for made in make_side_by_side(reader, at_a_time, per_segment, pickle, vcpus()):
            columns |= dict.fromkeys(made[0])
            yield made
        start = reader.index
    for table in tables(source.blocks(), json_bytes, rows_per_segment, most_segments):
        columns |= dict.fromkeys([*table.columns, *source.columns])
        names, rows = list(columns), table.rows
        pickled = pickle(table, start, names)
        del table  # before the next one is made
        yield names, rows, pickled
        start += rows
    if not start:
        names = [*source.columns]
        empty = Table([Block({name: [] for name in names}, 0)])
        yield names, 0, pickle(empty, 0, names)


def is_for_workers(source: Source | Sources, rows_per_segment: int | None) -> TypeIs[Source]:
    return (
        isinstance(source, Source)
        and type(source.reader) in ENDS
        and vcpus() > 1
        and source.json_bytes > segment_bytes(source.json_bytes)
        and not rows_per_segment
    )

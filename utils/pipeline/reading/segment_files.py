"""The files of a table's segments, one after another or by several workers."""

from collections.abc import Callable, Iterator

from pipeline.reading.columns import Block, Table
from pipeline.reading.cuts import block_bytes, segment_bytes, tables
from pipeline.reading.reader import Reader
from pipeline.reading.side_by_side import ENDS, Made, make_side_by_side
from pipeline.reading.source import Source
from pipeline.workers import vcpus


def make_files(
    source: Source,
    rows_per_segment: int | None,
    most_segments: float,
    pickle: Callable[[Table, int, list[str]], bytes],
) -> Iterator[Made]:
    """In row order; a table without rows is one segment, with the columns that a header names.

    Args:
        rows_per_segment: None to choose by size, see `tables`.
        pickle: makes the file of a table, given the number of its first row and the columns so far.
    """
    size, start = source.json_bytes, 0
    if not rows_per_segment and (reader := for_workers(source)):
        wanted = segment_bytes(size, most_segments)
        for made in make_side_by_side(reader, block_bytes(size), wanted, pickle, vcpus()):
            source.columns |= dict.fromkeys(made[0])
            yield made
        start = reader.index
    for table in tables(source.blocks(), size, rows_per_segment, most_segments):
        names, rows = list(source.columns), table.rows
        pickled = pickle(table, start, names)
        del table  # before the next one is made
        yield names, rows, pickled
        start += rows
    if not start:
        names = list(source.columns)
        empty = Table([Block({name: [] for name in names}, 0)])
        yield names, 0, pickle(empty, 0, names)


def for_workers(source: Source) -> Reader | None:
    """The reader whose text several workers can make segments of, if it fills more than one."""
    size = source.json_bytes
    by_them = type(source.reader) in ENDS and vcpus() > 1 and size > segment_bytes(size)
    return source.reader if by_them else None

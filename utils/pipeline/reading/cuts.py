"""Where a table is cut into segments, by rows or by bytes."""

import itertools
import math
from collections.abc import Iterable, Iterator

from pipeline.reading.columns import Block, Table
from pipeline.reading.exact_parser import Record

# Rows per segment, unless the event says otherwise, of tables of up to SMALL_TABLE_BYTES (1,000
# members). A variable of this name sets it for every table, and 0 has small ones cut as longer
# ones are: a deployed stack's default, as ten rows cost as much as 70,000.
# Longer tables run faster in fewer segments of about SEGMENT_BYTES (70,000 members); from half of
# that on in an even number, for two workers. Where an inline Map runs them, they grow beyond that
# once there are SEGMENTS of them; a distributed Map takes as many as there are.
DIVISION_NUMBER = 10
SMALL_TABLE_BYTES = 200_000
SEGMENT_BYTES = 9_800_000
SEGMENTS = 200
BLOCK_BYTES = 240_000  # of JSON, read and parsed at a time: its records stay in a CPU's cache
BLOCK_ROWS = 1_000  # taken at a time where segments are cut by rows


def segment_bytes(json_bytes: int, most: float = math.inf) -> int:
    """How much JSON a segment takes, unless cut by rows, if there may be so many at most."""
    if json_bytes <= SEGMENT_BYTES / 2:
        return max(1, json_bytes)
    pairs = math.ceil(json_bytes / (2 * SEGMENT_BYTES))
    return math.ceil(json_bytes / min(2 * pairs, most))


def block_bytes(json_bytes: int, weight: int = 1) -> int:
    """How much of a text is parsed at a time, a byte of which holds `weight` bytes of JSON."""
    segment = segment_bytes(json_bytes)
    return math.ceil(segment / math.ceil(segment / BLOCK_BYTES) / weight)


def tables(
    blocks: Iterator[Block], json_bytes: int, division_number: int | None, most: float = SEGMENTS
) -> Iterator[Table]:
    """Divide the records into one table for each segment.

    Args:
        json_bytes: of the whole table.
        division_number: rows of each; None to choose by size, 0 to do so for small tables, too.
        most: segments that there may be, where the size chooses.
    """
    cuts: Iterator[Iterable[Block]]
    if division_number or (division_number is None and json_bytes <= SMALL_TABLE_BYTES):
        cuts = by_rows(blocks, division_number)
    else:
        wanted = segment_bytes(json_bytes, most)
        cuts = (take_bytes(blocks, wanted) for _ in itertools.count())
    return itertools.takewhile(lambda table: table.rows, map(Table, cuts))


def take_bytes(blocks: Iterator[Block], wanted: int) -> Iterator[Block]:
    """The next blocks, for which at least so many bytes were read, or as many as are left."""
    while wanted > 0 and (block := next(blocks, None)):
        wanted -= block.size
        yield block
        del block  # before the next one is made


def by_rows(blocks: Iterable[Block], division_number: int | None) -> Iterator[Iterable[Block]]:
    """The blocks of each segment, for ever; all that follow the table have none.

    Args:
        division_number: rows of a segment; None for the default, and at most SEGMENTS segments.
    """
    records: Iterator[Record] = itertools.chain.from_iterable(block.records for block in blocks)
    if not division_number:
        small = list(records)
        division_number = max(DIVISION_NUMBER, math.ceil(len(small) / SEGMENTS))
        records = iter(small)
    while True:
        yield take_rows(records, division_number)


def take_rows(records: Iterator[Record], rows: int) -> Iterator[Block]:
    """The next rows, or as many as are left, some at a time."""
    while rows and (taken := list(itertools.islice(records, min(rows, BLOCK_ROWS)))):
        yield Block.of(taken)
        rows -= len(taken)

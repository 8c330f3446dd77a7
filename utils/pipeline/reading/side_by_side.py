"""Segments of JSON made side by side: each worker gets the text of a whole one.

A text ends where the reader by itself would end the segment if its fast parser took all of it.
The worker parses it with such a reader, which shows whether that is so. Where it is not, and
where the file ends, the workers' part ends: the reader goes on by itself from that byte.
"""

import itertools
import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing import Pipe

from pipeline.reading.columns import Table
from pipeline.reading.json_records import ArrayReader, LinesReader
from pipeline.reading.reader import Reader
from pipeline.workers import map_forked

ENDS: dict[type[Reader], bytes] = {ArrayReader: b"}", LinesReader: b"\n"}  # of records
TURN_BYTES = 60_000  # which a pipe takes though nobody reads them

Made = tuple[list[str], int, bytes]  # the columns of the table so far, rows, a segment file


@dataclass
class Text:
    """What a reader reads for one segment.

    Attributes:
        buffer: what was read with the segment before it, from `offset` on.
        size: bytes that are read for it.
        blocks: how often.
    """

    number: int
    offset: int
    buffer: bytes
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    blocks: int = 0

    def next(self, end: bytes) -> "Text":
        """The text that follows: it begins behind the last end of a record."""
        rest = self.chunks[-1][self.chunks[-1].rfind(end) + 1 :]
        size = len(self.buffer) + sum(map(len, self.chunks)) - len(rest)
        return Text(self.number + 1, self.offset + size, rest)


def make_side_by_side(
    reader: Reader,
    block_bytes: int,
    segment_bytes: int,
    pickle: Callable[[Table, int, list[str]], bytes],
    workers: int,
) -> Iterator[Made]:
    """
    Args:
        reader: of an unread file; goes on where the segments end.
        segment_bytes: that are read for each segment, at least.
        pickle: makes the segment file of a table, given the number of its first row and the columns so far.
    """
    unmade, end = deque[Text](), ENDS[type(reader)]
    texts = read_texts(reader, block_bytes, segment_bytes, unmade)
    turns = [Pipe(duplex=False) for _ in range(workers)]
    turns[0][1].send_bytes(b"[0, []]")

    def make(text: Text) -> tuple[Made, list[tuple[int, int]]]:
        part = type(reader)(text.chunks, reader.source)
        part.buffer, part.offset = text.buffer, text.offset
        part.index = first = int(text.offset > 0)
        table = Table(itertools.islice(part.blocks(block_bytes), text.blocks))
        if (part.offset, len(part.starts)) != (text.next(end).offset, text.blocks):
            raise ValueError("the fast parser must take each block; found one that it declined")
        start, names = json.loads(turns[text.number % workers][0].recv_bytes())
        columns = [*dict.fromkeys([*names, *table.columns])]
        turn = json.dumps([start + table.rows, columns]).encode()
        if len(turn) > TURN_BYTES:
            raise ValueError(f"names of columns have at most {TURN_BYTES} bytes; found more")
        turns[(text.number + 1) % workers][1].send_bytes(turn)
        starts = [(byte, start + row - first) for byte, row in part.starts]
        return (columns, table.rows, pickle(table, start, columns)), starts

    for result in map_forked(make, texts, workers):
        if not result:
            break
        made, starts = result
        unmade.popleft()
        reader.starts += starts
        reader.index += made[1]
        yield made
    reader.buffer, reader.offset = unmade[0].buffer, unmade[0].offset
    reader.chunks = itertools.chain(*(text.chunks for text in unmade), reader.chunks)


def read_texts(
    reader: Reader, block_bytes: int, segment_bytes: int, unmade: deque[Text]
) -> Iterator[Text]:
    """The texts of all segments, as the file arrives, each `unmade` until its file is there."""
    text = Text(0, 0, b"")
    while True:
        unmade.append(text)
        missing = 0
        while text.size < segment_bytes and missing <= 0:
            text.blocks, missing = text.blocks + 1, block_bytes
            try:
                while missing > 0 and (chunk := next(reader.chunks, b"")):
                    text.chunks.append(chunk)
                    missing -= len(chunk)
                    text.size += len(chunk)
            except Exception as error:
                reader.chunks = raised(error)
                return
        if not text.chunks:
            return
        yield text
        text = text.next(ENDS[type(reader)])


def raised(error: Exception) -> Iterator[bytes]:
    raise error
    yield  # so that it is raised where the next chunk is asked for

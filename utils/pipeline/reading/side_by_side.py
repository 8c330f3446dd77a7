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
from typing import NamedTuple

from pipeline.reading.columns import Table
from pipeline.reading.reader import Reader
from pipeline.workers import map_forked

TURN_BYTES = 60_000  # which a pipe takes though nobody reads them

Pickle = Callable[[Table, int, list[str]], bytes]


@dataclass
class Text:
    """What a reader reads for one segment.

    Attributes:
        offset: of its first byte in the file.
        buffer: what was read with the segment before it.
        chunks: that are read for it.
        blocks: how often chunks are read for it.
    """

    number: int
    offset: int
    buffer: bytes
    chunks: list[bytes] = field(default_factory=list)
    blocks: int = 0

    def next(self, ends: bytes) -> "Text":
        """The text that follows: it begins behind the last end of a record."""
        last = self.chunks[-1]
        rest = last[last.rfind(ends) + 1 :]
        size = len(self.buffer) + sum(map(len, self.chunks)) - len(rest)
        return Text(self.number + 1, self.offset + size, rest)


class Made(NamedTuple):
    """A segment file, with the columns of the table so far."""

    columns: list[str]
    rows: int
    pickled: bytes


def make_side_by_side(
    reader: Reader, block_bytes: int, blocks: int, pickle: Pickle, workers: int
) -> Iterator[Made]:
    """
    Args:
        reader: of an unread file; goes on where the segments end.
        blocks: of each segment.
        pickle: makes the segment file of a table, given the number of its first row and the columns so far.
    """
    unmade = deque[Text]()
    turns = [Pipe(duplex=False) for _ in range(workers)]
    turns[0][1].send_bytes(b"[0, []]")

    def make(text: Text) -> tuple[Made, list[tuple[int, int]]]:
        starts, table = parsed(type(reader), reader.source, text, block_bytes)
        start, names = json.loads(turns[text.number % workers][0].recv_bytes())
        columns = [*dict.fromkeys([*names, *table.columns])]
        turn = json.dumps([start + table.rows, columns]).encode()
        if len(turn) > TURN_BYTES:
            raise ValueError(f"names of columns have at most {TURN_BYTES} bytes; found more")
        turns[(text.number + 1) % workers][1].send_bytes(turn)
        made = Made(columns, table.rows, pickle(table, start, columns))
        return made, [(byte, start + record) for byte, record in starts]

    texts = read_texts(reader, block_bytes, blocks, unmade)
    for result in map_forked(make, texts, workers):
        if not result:
            break
        made, starts = result
        unmade.popleft()
        reader.starts += starts
        reader.index += made.rows
        yield made
    reader.buffer, reader.offset = unmade[0].buffer, unmade[0].offset
    reader.chunks = itertools.chain(*(text.chunks for text in unmade), reader.chunks)


def read_texts(
    reader: Reader, block_bytes: int, blocks: int, unmade: deque[Text]
) -> Iterator[Text]:
    """The texts of all segments, as the file arrives; an error of its is left for the reader.

    Args:
        unmade: gets each text, and what is behind the last one.
    """
    text = Text(0, 0, b"")
    while True:
        unmade.append(text)
        try:
            all(take(reader.chunks, block_bytes, text) for _ in range(blocks))
        except Exception as error:
            reader.chunks = raised(error)
            return
        if not text.chunks:
            return
        yield text
        text = text.next(reader.END)


def take(chunks: Iterator[bytes], wanted: int, text: Text) -> bool:
    """Add whole chunks of so many bytes at least; whether the file has them."""
    text.blocks += 1
    while wanted > 0 and (chunk := next(chunks, b"")):
        text.chunks.append(chunk)
        wanted -= len(chunk)
    return wanted <= 0


def raised(error: Exception) -> Iterator[bytes]:
    raise error
    yield


def parsed(
    kind: type[Reader], source: str, text: Text, block_bytes: int
) -> tuple[list[tuple[int, int]], Table]:
    """Where blocks begin in a text, and its records from 0 on.

    Raises:
        ValueError: such a reader does not end its segment there.
    """
    reader = kind(text.chunks, source)
    reader.buffer, reader.offset = text.buffer, text.offset
    reader.index = first = int(text.offset > 0)
    table = Table(itertools.islice(reader.blocks(block_bytes), text.blocks))
    if (reader.offset, len(reader.starts)) != (text.next(reader.END).offset, text.blocks):
        raise ValueError("the fast parser must take each block; found one that it declined")
    return [(byte, record - first) for byte, record in reader.starts], table

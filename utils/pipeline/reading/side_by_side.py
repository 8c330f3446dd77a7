"""Segments of JSON made side by side: each worker gets the text of a whole one.

A text is cut where the reader by itself would end the segment if its fast parser took all of it.
The worker parses it with such a reader, which shows whether that is so. Where it is not, the
workers' part ends: the reader goes on by itself from that byte.
"""

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.reading.columns import Table
from pipeline.reading.reader import Reader
from pipeline.workers import map_forked, vcpus

Pickle = Callable[[Table, int, list[str]], bytes]


@dataclass(frozen=True)
class Text:
    """The text of one segment.

    Attributes:
        pieces: what the reader's buffer holds before it, and the chunks that are read for it.
        cut: bytes of the last piece that belong to the next segment.
        ahead: the chunks that were read behind it; none at the end of the file.
        first: no record comes before it.
    """

    pieces: list[bytes]
    cut: int
    ahead: list[bytes]
    first: bool

    @property
    def rest(self) -> bytes:
        last = self.pieces[-1]
        return last[len(last) - self.cut :]

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces)) - self.cut


class Told(NamedTuple):
    """What a worker found in a text; its starts count from the text's beginning."""

    rows: int
    columns: list[str]
    starts: list[tuple[int, int]]


class Made(NamedTuple):
    """A segment file, with the columns of the table so far."""

    columns: list[str]
    rows: int
    pickled: bytes


def make_side_by_side(
    reader: Reader, block_bytes: int, blocks: int, columns: dict[str, None], pickle: Pickle
) -> Generator[Made, None, bool]:
    """
    Args:
        blocks: of each segment.
        columns: of the table so far; those that come up are added.
        pickle: makes the segment file of a table, given the number of its first row and the columns so far.

    Returns:
        Whether that is the whole file; if not, the reader goes on where the segments end.
    """
    waiting: deque[Text] = deque()
    declined: list[bool] = []
    failed: list[Exception] = []

    def until_it_fails(chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from chunks
        except Exception as error:  # a fault of the text before it goes first
            failed.append(error)

    def in_turn() -> Iterator[Text]:
        reader.open(block_bytes)
        reader.chunks = until_it_fails(reader.chunks)
        for text in texts(reader, block_bytes, blocks):
            waiting.append(text)
            yield text

    def work(text: Text) -> Generator[Told | None, tuple[int, list[str]] | None, Made | None]:
        told, table = parsed(type(reader), reader.source, text, block_bytes, blocks)
        answer = yield told
        return Made(answer[1], table.rows, pickle(table, *answer)) if answer else None

    def answer(told: Told | None) -> tuple[int, list[str]] | None:
        if told is None or declined or (failed and not waiting[0].ahead):
            declined.append(True)
            return None
        start = reader.index
        reader.starts += [(reader.offset + byte, start + record) for byte, record in told.starts]
        reader.offset += waiting.popleft().size
        reader.index += told.rows
        columns.update(dict.fromkeys(told.columns))
        return start, list(columns)

    for made in map_forked(work, in_turn(), answer, vcpus()):
        if made is None:
            break
        if made.rows:  # the last text may be an array's end alone
            yield made
    if waiting:
        reader.buffer = waiting[0].pieces[0]
        unread = [*(text.pieces[1:] for text in waiting), waiting[-1].ahead]
        reader.chunks = itertools.chain(*unread, reader.chunks, raised(failed))
    return not waiting


def raised(errors: Sequence[Exception]) -> Iterator[bytes]:
    for error in errors:
        raise error
    yield from ()


def texts(reader: Reader, block_bytes: int, blocks: int) -> Iterator[Text]:
    """The texts of all segments of an open file, as it arrives."""
    pieces, first = [reader.buffer], True
    while True:
        for _ in range(blocks - 1):
            pieces += take(reader.chunks, block_bytes)
        ahead = take(reader.chunks, block_bytes)
        cut = len(pieces[-1]) - (pieces[-1].rfind(reader.END) + 1) if ahead else 0
        text = Text(pieces, cut, ahead, first)
        yield text
        if not ahead:
            return
        pieces, first = [text.rest, *ahead], False


def take(chunks: Iterator[bytes], wanted: int) -> list[bytes]:
    """Whole chunks of so many bytes at least; fewer only where the file ends."""
    taken = []
    while wanted > 0 and (chunk := next(chunks, b"")):
        taken.append(chunk)
        wanted -= len(chunk)
    return taken


def parsed(
    kind: type[Reader], source: str, text: Text, block_bytes: int, blocks: int
) -> tuple[Told | None, Table]:
    """What such a reader makes of a text; None unless it ends exactly there."""
    *pieces, last = text.pieces
    pieces.append(last[: len(last) - text.cut])
    reader = kind(pieces[1:], source)
    reader.buffer, reader.opened, reader.index = pieces[0], True, int(not text.first)
    first = reader.index
    made = reader.blocks(block_bytes)
    try:
        table = Table(itertools.islice(made, blocks))
        whole = not reader.buffer and len(reader.starts) == blocks
        if not (whole if text.ahead else next(made, None) is None):
            return None, table
    except ValueError:  # the reader that goes on from here says where and why
        return None, Table([])
    starts = [(byte, record - first) for byte, record in reader.starts]
    return Told(table.rows, list(table.columns), starts), table

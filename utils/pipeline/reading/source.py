"""The objects of a table, opened and read ahead."""

import io
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline import endings
from pipeline.facts.stages import ObjectFacts
from pipeline.reading import formats
from pipeline.reading.columns import Block
from pipeline.reading.csv_table import CSVColumns
from pipeline.reading.cuts import block_bytes
from pipeline.reading.gunzip import unpack
from pipeline.reading.objects import AT_ONCE, At, Listed
from pipeline.reading.reader import Reader
from pipeline.s3.client import OTHERS, status
from pipeline.s3.overlap import map_ahead

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READ_AHEAD = 8  # blocks
WHOLE_BYTES = 2_000_000  # an object of many that is read at once, and ahead
AHEAD_BYTES = 8_000_000  # of such objects
HEAD_BYTES = 240_000  # of a packed object, which tell how much it unpacks to
NAMED = 10  # columns in a message


class InputChanged(ValueError):
    """An object was replaced or deleted since the scatter first saw it."""


class NoCommonColumn(ValueError):
    """Objects that have nothing in common are no table."""


@dataclass(frozen=True)
class Opened:
    """An object as it is read."""

    key: str
    etag: str
    size: int
    form: formats.Format
    reader: Reader

    @property
    def facts(self) -> ObjectFacts:
        """What a scatter tells of the object, once it is read."""
        reader = self.reader
        table = reader.index, reader.starts, self.form.packed, reader.header, reader.delimiter
        return ObjectFacts(self.key, self.size, self.etag, *table)


@dataclass
class Source:
    """The objects of a table, read as one.

    Attributes:
        objects: each is opened when its turn comes.
        json_bytes: how many bytes of JSON hold the table, about.
        csv: which columns of CSV files are numbers, in all of them.
        reader: of the only object.
        begun: the first row of each object that is begun, and its key.
        columns: of what is read so far, in first-seen order.
        read: of each object that is read.
    """

    objects: Iterable[Opened]
    json_bytes: int
    csv: CSVColumns
    reader: Reader | None = None
    begun: list[tuple[int, str]] = field(default_factory=list)
    columns: dict[str, None] = field(default_factory=dict)
    read: list[ObjectFacts] = field(default_factory=list)

    def blocks(self) -> Iterator[Block]:
        """Those of all objects, in their order."""
        rows = 0
        for opened in self.objects:
            if self.reader is None:
                self.begun.append((rows, opened.key))
            yield from self._blocks(opened)
            self.read.append(opened.facts)
            rows += opened.reader.index

    def _blocks(self, opened: Opened) -> Iterator[Block]:
        reader, weight = opened.reader, formats.weight(opened.key)
        before, own = set(self.columns if self.read else ()), dict[str, None]()
        read = reader.offset + len(reader.buffer)
        for block in reader.blocks(block_bytes(self.json_bytes, weight)):
            own |= dict.fromkeys(block.columns)
            self.columns |= own
            if not endings.is_csv(opened.key):
                self.csv.add_texts({name for name, kinds in block.kinds.items() if str in kinds})
            if not self.csv.mixed:
                now = reader.offset + len(reader.buffer)
                block.size, read = (now - read) * weight, now
                yield block
            del block  # before the next one is made
        own |= dict.fromkeys(reader.header)
        self.columns |= own
        if before and own and before.isdisjoint(own):
            rule = f"must have a column of {self.begun[0][1]}, {some(before)}"
            raise NoCommonColumn(f"{opened.key}: {rule}; found {some(own)}")


def some(names: Iterable[str]) -> str:
    """Some names of columns, in a message."""
    first = list(itertools.islice(names, NAMED + 1))
    return ", ".join([*first[:NAMED], *["…"] * (len(first) > NAMED)])


def open_table(
    s3: "S3Client",
    at: At,
    objects: Sequence[Listed],
    reading: Mapping[str, str],
    texts: Iterable[str] = (),
) -> Source:
    """
    Args:
        reading: what `Format.reader` is told besides.
        texts: the columns of CSV that are known to hold other texts than numbers.

    Raises:
        InputChanged: an object is not the one that was listed any more.
    """
    csv = CSVColumns(texts)

    def open_object(listed: Listed, whole: bool = False) -> Opened:
        """`whole`: read all of it at once."""
        key, answer = listed.key, get(s3, at, listed)
        size, weight = answer["ContentLength"], formats.weight(key)
        piece = block_bytes(size * weight, weight)
        body = io.BytesIO(answer["Body"].read()) if whole else answer["Body"]
        chunks = iter(partial(body.read, piece), b"")
        head = next(chunks, b"")
        form = formats.tell(key, head, size)
        chunks = itertools.chain([head], chunks)
        if form.packed:
            chunks = unpack(chunks, key, block_bytes(form.size * weight, weight))
        reader = form.reader(chunks if whole else read_ahead(chunks), key, csv, **reading)
        return Opened(key, answer["ETag"], size, form, reader)

    if len(objects) > 1:
        size = json_bytes(objects, partial(get, s3, at))
        return Source(open_ahead(open_object, objects), size, csv)
    only = open_object(objects[0])
    size = only.form.size * formats.weight(only.key)
    return Source([only], size, csv, only.reader, begun=[(0, only.key)])


def open_ahead(
    open_object: Callable[[Listed, bool], Opened], objects: Sequence[Listed]
) -> Iterator[Opened]:
    """Small objects are read ahead, side by side; a large one when its turn comes."""
    small = [each.size for each in objects if each.size <= WHOLE_BYTES]
    at_once = min(AT_ONCE, AHEAD_BYTES // max(1, *small, 1))

    def ahead(listed: Listed) -> Opened | None:
        return open_object(listed, True) if listed.size <= WHOLE_BYTES else None

    for listed, opened in zip(objects, map_ahead(ahead, objects, at_once)):
        yield opened or open_object(listed, False)


def json_bytes(objects: Sequence[Listed], get: Callable[..., Any]) -> int:
    """How many bytes of JSON hold the objects, about: the largest packed one tells of all that are."""
    packed = [each for each in objects if endings.ends(each.key)[1]]
    ratio = 1.0
    largest = max(packed, key=lambda each: each.size, default=None)
    if largest and largest.size:
        head = get(largest, Range=f"bytes=0-{HEAD_BYTES - 1}")["Body"].read()
        ratio = formats.tell(largest.key, head, largest.size).size / largest.size
    return math.ceil(weighed(objects) + (ratio - 1) * weighed(packed))


def weighed(objects: Iterable[Listed]) -> int:
    return sum(each.size * formats.weight(each.key) for each in objects)


def get(s3: "S3Client", at: At, listed: Listed, **asked: Any) -> Any:
    if listed.etag:
        asked["IfMatch"] = listed.etag
    try:
        return s3.get_object(**at, Key=listed.key, **asked)
    except ClientError as error:
        if not listed.etag or status(error) not in OTHERS:
            raise
        found = OTHERS[status(error)].replace("another", "another object")
        raise InputChanged(f"{listed.key}: must stay while it is read; found {found}") from None


def read_ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    turns = itertools.repeat(None)
    ahead = map_ahead(lambda _: next(chunks, b""), turns, READ_AHEAD, threads=1)
    return itertools.takewhile(bool, ahead)

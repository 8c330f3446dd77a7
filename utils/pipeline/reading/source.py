"""The objects of a table, opened and read ahead."""

import io
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline import endings
from pipeline.errors import places
from pipeline.facts.stages import ObjectFacts
from pipeline.reading import formats
from pipeline.reading.columns import Block, join
from pipeline.reading.cuts import block_bytes
from pipeline.reading.gunzip import unpack
from pipeline.reading.objects import AT_ONCE, At, Listed
from pipeline.reading.reader import Reader
from pipeline.s3.client import OTHERS, status
from pipeline.s3.overlap import map_ahead

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READ_AHEAD = 8  # blocks
WHOLE_BYTES = 2_000_000  # an object of a folder that is read at once, and ahead
AHEAD_BYTES = 8_000_000  # of such objects
HEAD_BYTES = 240_000  # of a packed object, which tell how much it unpacks to
NAMED = 10  # columns in a message


class InputChanged(ValueError):
    """An object was replaced or deleted since the scatter first saw it."""


class NoCommonColumn(ValueError):
    """Objects that have nothing in common are no table."""


@dataclass(frozen=True)
class Source:
    """An object as it is read.

    Attributes:
        size: in bytes.
    """

    key: str
    etag: str
    size: int
    form: formats.Format
    reader: Reader

    @property
    def json_bytes(self) -> int:
        """How many bytes of JSON hold the table, about."""
        return self.form.size * formats.weight(self.key)

    @property
    def columns(self) -> list[str]:
        """Those that a header names."""
        return self.reader.header

    @property
    def texts(self) -> set[str]:
        return self.reader.texts

    @property
    def mixed(self) -> bool:
        return self.reader.mixed

    @property
    def read(self) -> list[ObjectFacts]:
        """What a scatter tells of the object, once it is read."""
        reader, packed = self.reader, self.form.packed
        index, header = reader.starts, reader.header
        rows, sign = reader.index, reader.delimiter
        return [ObjectFacts(self.key, self.size, self.etag, rows, index, packed, header, sign)]

    def blocks(self) -> Iterator[Block]:
        return self.reader.blocks(block_bytes(self.form.size, self.key))

    def origins(self, start: int, stop: int) -> dict[str, str]:
        """What tells of rows which records of which objects they are; of one object, nothing."""
        return {}


def open_table(
    s3: "S3Client",
    at: At,
    listed: Listed,
    reading: Mapping[str, str],
    texts: Iterable[str] = (),
    whole: bool = False,
) -> Source:
    """
    Args:
        reading: what `Format.reader` is told besides.
        texts: the columns of a CSV file that are known to hold other texts than numbers.
        whole: read all of it at once.

    Raises:
        InputChanged: it is not the object that was listed any more.
    """
    key = listed.key
    obj = get(s3, at, listed)
    size = obj["ContentLength"]
    if whole:
        chunks = iter(partial(io.BytesIO(obj["Body"].read()).read, block_bytes(size, key)), b"")
    else:
        chunks = iter(obj["Body"].iter_chunks(block_bytes(size, key)))
    head = next(chunks, b"")
    form = formats.tell(key, head, size)
    chunks = itertools.chain([head], chunks)
    if form.packed:
        chunks = unpack(chunks, key, block_bytes(form.size, key))
    ahead = chunks if whole else read_ahead(chunks)
    reader = form.reader(ahead, key, texts=texts, **reading)
    return Source(key, obj["ETag"], size, form, reader)


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


class Sources:
    """The objects of one table, opened one after the other.

    Args:
        texts: the columns of CSV that are known to hold other texts than numbers.

    Attributes:
        columns: of what was read so far.
        texts, mixed: see CSVReader; of all objects, as a text of JSON is none of a number either.
        read: what is told of the objects that were read.
    """

    def __init__(
        self,
        s3: "S3Client",
        at: At,
        objects: list[Listed],
        reading: Mapping[str, str],
        texts: Iterable[str] = (),
    ) -> None:
        self.columns: dict[str, None] = {}
        self.texts = set(texts)
        self.mixed = False
        self.read: list[ObjectFacts] = []
        self._begun: list[tuple[int, str]] = []
        self._numbers: set[str] = set()
        self._objects = objects
        self._get = partial(get, s3, at)
        self._open = partial(open_table, s3, at, reading=reading)

    @cached_property
    def json_bytes(self) -> int:
        """See Source; what the first packed object unpacks to tells of all that are packed."""
        size = packed = 0
        first = None
        for each in self._objects:
            if endings.ends(each.key)[1]:
                first = first or each
                packed += each.size * formats.weight(each.key)
            else:
                size += each.size * formats.weight(each.key)
        if first is None or not first.size:
            return size + packed
        head = self._get(first, Range=f"bytes=0-{HEAD_BYTES - 1}")["Body"].read()
        return size + packed * formats.tell(first.key, head, first.size).size // first.size

    def blocks(self) -> Iterator[Block]:
        """Blocks of about one size, of one object or of several; the last one comes when all of
        the table is read."""
        wanted = block_bytes(self.json_bytes, "")
        held: list[Block] = []
        size = 0
        for block, taken in self._blocks(wanted):
            if size >= wanted:
                yield join(held)
                held, size = [], size - wanted
            held.append(block)
            size += taken
        if held:
            yield join(held)

    def origins(self, start: int, stop: int) -> dict[str, str]:
        return places.written(self._begun, start, stop)

    def _blocks(self, wanted: int) -> Iterator[tuple[Block, int]]:
        """Each object's blocks, and how much JSON they hold."""
        rows = 0
        for source in self._opened():
            reader, weight, at = source.reader, formats.weight(source.key), 0
            reader.texts, reader.numbers, reader.mixed = self.texts, self._numbers, self.mixed
            self._begun.append((rows, source.key))
            before, own = set(self.columns), dict[str, None]()
            for block in reader.blocks(math.ceil(wanted / weight)):
                own |= dict.fromkeys(block.columns)
                self.columns |= own
                if not endings.is_csv(source.key):
                    self._add_texts(reader, block)
                if not reader.mixed:
                    yield block, (reader.offset - at) * weight
                at = reader.offset
            own |= dict.fromkeys(reader.header)
            self.columns |= own
            if before and own and before.isdisjoint(own):
                rule = f"must have a column of {self._begun[0][1]}, {some(before)}"
                raise NoCommonColumn(f"{source.key}: {rule}; found {some(own)}")
            self.mixed = reader.mixed
            self.read += source.read
            rows += reader.index

    def _add_texts(self, reader: Reader, block: Block) -> None:
        texts = {name for name, kinds in block.kinds.items() if str in kinds}
        self.texts |= texts
        reader.mixed |= not texts.isdisjoint(self._numbers)

    def _opened(self) -> Iterator[Source]:
        """Small objects are read ahead, side by side; a large one when its turn comes."""
        small = [each.size for each in self._objects if each.size <= WHOLE_BYTES]
        at_once = min(AT_ONCE, AHEAD_BYTES // max(1, *small, 1))

        def ahead(listed: Listed) -> Source | None:
            return self._open(listed, whole=True) if listed.size <= WHOLE_BYTES else None

        opened = map_ahead(ahead, self._objects, at_once, at_once)
        for listed, source in zip(self._objects, opened):
            yield source or self._open(listed)


def some(names: Iterable[str]) -> str:
    """Some names of columns, in a message."""
    first = list(itertools.islice(names, NAMED + 1))
    return ", ".join([*first[:NAMED], *["…"] * (len(first) > NAMED)])

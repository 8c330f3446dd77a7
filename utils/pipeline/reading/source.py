"""An object of S3, opened as a table and read ahead."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.facts.stages import ScatterFacts, SegmentCut
from pipeline.reading import formats
from pipeline.reading.cuts import block_bytes
from pipeline.reading.gunzip import unpack
from pipeline.reading.reader import Reader
from pipeline.s3.overlap import map_ahead

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READ_AHEAD = 8  # blocks


class InputChanged(ValueError):
    """The input was replaced between its two readings."""


@dataclass(frozen=True)
class Source:
    """An object as it is read.

    Attributes:
        size: in bytes.
    """

    etag: str
    size: int
    form: formats.Format
    reader: Reader

    def facts(self, input_obj: str, encoding: str, cuts: list[SegmentCut]) -> ScatterFacts:
        """What a scatter tells of the table, once it is read and cut."""
        return ScatterFacts(
            input_obj,
            self.size,
            self.etag,
            sum(cut.rows for cut in cuts),
            cuts,
            self.reader.starts,
            self.form.packed,
            self.reader.header,
            encoding,
        )


def open_table(
    s3: "S3Client", bucket: str, key: str, encoding: str, texts: Iterable[str] = (), **match: Any
) -> Source:
    """
    Args:
        texts: the columns of a CSV file that are known to hold other texts than numbers.
        match: conditions of S3's.

    Raises:
        InputChanged: it does not match any more.
    """
    try:
        obj = s3.get_object(Bucket=bucket, Key=key, **match)
    except ClientError as error:
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise
        raise InputChanged(f"{key}: must stay while it is read; found another object") from None
    size = obj["ContentLength"]
    chunks: Iterator[bytes] = iter(obj["Body"].iter_chunks(block_bytes(size, key)))
    head = next(chunks, b"")
    form = formats.tell(key, head, size)
    chunks = itertools.chain([head], chunks)
    if form.packed:
        chunks = unpack(chunks, key, block_bytes(form.size, key))
    reader = form.reader(read_ahead(chunks), key, encoding, texts)
    return Source(obj["ETag"], size, form, reader)


def read_ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    turns = itertools.repeat(None)
    ahead = map_ahead(lambda _: next(chunks, b""), turns, READ_AHEAD, threads=1)
    return itertools.takewhile(bool, ahead)

"""Tables that an ETL looks something up in: the objects that REFERENCES names.

All segments of an execution see one version of each: the scatter, which knows no ETL, writes the
ETags of all of `reference/` to `scatter/<execution>/references.json`, and all segments go by it.
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from botocore.exceptions import ClientError

from pipeline import endings
from pipeline.errors.wording import require
from pipeline.keys import REFERENCE, references_key
from pipeline.s3.client import ABSENT, OTHERS, status
from pipeline.s3.signed import Objects, signing_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MOST_BYTES = 64 * 1024 * 1024  # of a table, as it is and unpacked
PIECE_BYTES = 240_000  # parsed at a time

# What this worker has read: by bucket and key, the last version's ETag, and its frame.
_last: dict[tuple[str, str], tuple[str, pd.DataFrame]] = {}


class InvalidReference(ValueError):
    """A key in REFERENCES, or the table there, breaks a rule."""


class MissingReference(ValueError):
    """A name is not in REFERENCES, or its table is not there."""


class ReferenceChanged(ValueError):
    """A table is not the version that the execution sees any more."""


@dataclass
class References:
    """The tables by their names, each read when it is first looked up.

    Attributes:
        keys: REFERENCES.
        s3: None, as in an ETL's tests, reads files on disk instead.
        segment: key of the segment file. Without an execution in it, the tables are those of now.
        on_disk: the folder that stands for the bucket there.
    """

    keys: Mapping[str, str]
    s3: "S3Client"
    bucket: str
    segment: str
    on_disk: Path = Path("tests")

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self.keys:
            names = ", ".join(self.keys) or "nothing"
            raise MissingReference(f"REFERENCES: names {names}; found no {name}")
        key = self.keys[name]
        if not self.s3:
            return read(self._file(name, key), key)
        etag, place = self.etags.get(key), (self.bucket, key)
        if etag is None:
            raise missing(name, key, "nothing when the execution began")
        if place not in _last or _last[place][0] != etag:
            _last.pop(place, None)  # before the next one takes memory
            _last[place] = etag, read(self._object(key, etag), key)
        return _last[place][1].copy(deep=False)

    @cached_property
    def etags(self) -> dict[str, str]:
        """Of each key, the version that all segments of the execution see."""
        key = references_key(self.segment)
        if key is None:
            return self._present()
        try:
            pinned = Objects(self.s3, self.bucket, signing_key()).get(key)
        except ClientError as error:
            if status(error) not in ABSENT:
                raise
            return {}
        etags: dict[str, str] = json.loads(pinned)
        return etags

    def _present(self) -> dict[str, str]:
        etags = {}
        for name, key in self.keys.items():
            try:
                etags[key] = self.s3.head_object(Bucket=self.bucket, Key=key)["ETag"]
            except ClientError as error:
                if status(error) not in ABSENT:
                    raise
                raise missing(name, key, ABSENT[status(error)]) from None
        return etags

    def _object(self, key: str, etag: str) -> bytes:
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=key, IfMatch=etag)
        except ClientError as error:
            if status(error) not in OTHERS:
                raise
            rule = f"all segments of an execution see one version, {etag}"
            raise ReferenceChanged(f"{key}: {rule}; found {OTHERS[status(error)]}") from None
        check_size(answer["ContentLength"], key)
        return answer["Body"].read()

    def _file(self, name: str, key: str) -> bytes:
        try:
            return (self.on_disk / key).read_bytes()
        except FileNotFoundError:
            raise missing(name, key, f"nothing in {self.on_disk}") from None


def pin(objects: Objects, segment: str) -> None:
    """Write the version of each table that all segments of an execution see, if there is one."""
    key = references_key(segment)
    if key is None:
        return
    pages = objects.s3.get_paginator("list_objects_v2").paginate(
        Bucket=objects.bucket, Prefix=REFERENCE
    )
    etags = {each["Key"]: each["ETag"] for page in pages for each in page.get("Contents", [])}
    if etags:
        objects.put(key, json.dumps(etags).encode())


def check_references(keys: Mapping[str, str]) -> None:
    """Refuse what is no key of a table that the segment's role may read."""
    for name, key in keys.items():
        below = isinstance(key, str) and key.startswith(REFERENCE) and key != REFERENCE
        rule = f"must have a key below {REFERENCE}, where the function may read"
        require(below, f"REFERENCES: {name} {rule}", key, InvalidReference)
        require(endings.is_read(key), f"REFERENCES: {name} {endings.RULE}", key, InvalidReference)


def read(data: bytes, key: str, texts: Iterable[str] = ()) -> pd.DataFrame:
    """A table in UTF-8; `texts` are columns of CSV known to hold other texts than numbers."""
    from pipeline.reading import (
        formats,  # the parsers, which an ETL without references does not load
    )
    from pipeline.reading.columns import Table
    from pipeline.reading.csv_table import CSVColumns
    from pipeline.reading.gunzip import unpack

    chunks = iter(partial(io.BytesIO(data).read, PIECE_BYTES), b"")
    form, columns = formats.tell(key, data[:PIECE_BYTES], len(data)), CSVColumns(texts)
    try:
        text = limited(unpack(chunks, key, PIECE_BYTES) if form.packed else chunks, key)
        reader = form.reader(text, key, columns)
        table = Table(reader.blocks(PIECE_BYTES))
    except ValueError as error:
        raise InvalidReference(str(error)) from None
    if columns.mixed:
        return read(data, key, columns.texts)
    df = pd.DataFrame(table.arrays(), columns=reader.header or None, copy=False)
    df.attrs["source"] = key
    return df


def limited(chunks: Iterable[bytes], key: str) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        check_size(size, key)
        yield chunk


def check_size(size: int, key: str) -> None:
    if size > MOST_BYTES:
        rule = f"a reference table has at most {MOST_BYTES} bytes, unpacked too"
        raise InvalidReference(f"{key}: {rule}; found {size}")


def missing(name: str, key: str, what: str) -> MissingReference:
    return MissingReference(f"{key}: must be there, as {name} of REFERENCES; found {what}")

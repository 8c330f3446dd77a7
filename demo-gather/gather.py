"""gather-lambda: splice the segments' rendered rows into one workbook, without holding it."""

import io
import itertools
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig

import rendered
from expiry import let_expire
from rendered import Rendered
from workbook import workbook_chunks

if TYPE_CHECKING:
    import pandas as pd
    from mypy_boto3_s3 import S3Client

WORKBOOK = "test.xlsx"
TRANSFERS = 4
CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class InvalidEvent(ValueError):
    """The event does not say what to gather."""


class MissingSegment(ValueError):
    """A segment has no result; a workbook without its rows would look whole."""


class GatherHandler:
    """Join `gather/…/job_NNN.pkl`, in the order of the event, into one workbook."""

    def __init__(self, event: dict[str, Any], context: Any, s3: "S3Client") -> None:
        self.event = event
        self.context = context
        self.s3 = s3
        self.bucket = os.environ.get("BUCKET", "test-bucket")

    def main(self) -> str:
        event = self.get_event(self.bucket)
        keys = result_keys(event)
        segments = self.get_rendered(self.bucket, keys)
        workbook = self.send_excel(segments, self.bucket, self.event.get("workbook", WORKBOOK))
        let_expire(self.s3, self.bucket, event.get("segment_definitions", []), keys)
        return workbook

    def get_event(self, bucket: str) -> dict[str, Any]:
        """The event, with the lists that a manifest stands for: each segment's result has its name."""
        if "manifest" not in self.event:
            return self.event
        manifest = self.s3.get_object(Bucket=bucket, Key=self.event["manifest"])["Body"].read()
        definitions = json.loads(manifest)
        results = [key.replace("scatter/", "gather/", 1) for key in definitions]
        return {"segment_definitions": definitions, "segment_results": results}

    def get_rendered(self, bucket: str, keys: list[str]) -> dict[str, Rendered]:
        """The figures of every segment's rendered rows, in order.

        Rows that are not there as the workbook needs them are rendered now, from the pickle:
        those of a function that wrote nothing else, and those behind an ETL that dropped, added
        or widened rows.
        """
        etags = self.list_etags(bucket, keys)
        segments: dict[str, Rendered] = {}
        position = 0
        for key, figures in zip(keys, ahead(keys, lambda key: self.find(bucket, key, etags))):
            if figures is None or not figures.starts_at(position):
                figures = self.render(bucket, key, etags[key], position)
            segments[key] = figures
            position += figures.rows
        columns = header(segments.values())
        for key, figures in segments.items():
            if figures.columns != columns:
                start = figures.parts[0].position if figures.parts else 0
                segments[key] = self.render(bucket, key, etags[key], start, columns)
        return segments

    def list_etags(self, bucket: str, keys: list[str]) -> dict[str, str]:
        """The ETags of the segment files and their siblings.

        Raises:
            MissingSegment: a key is not there.
        """
        prefix = os.path.commonprefix(keys).removesuffix(".pkl")  # of a single key, all of it
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        etags = {obj["Key"]: obj["ETag"] for page in pages for obj in page.get("Contents", [])}
        missing = [key for key in keys if key not in etags]
        if missing:
            raise MissingSegment(
                f"{missing[0]}: each segment must have a result; "
                f"found none for {len(missing)} of {len(keys)}"
            )
        return etags

    def find(self, bucket: str, key: str, etags: dict[str, str]) -> Rendered | None:
        """The figures beside a pickle; None where there are none or they are of an older one."""
        if rendered.figures_key(key) not in etags:
            return None
        data = self.s3.get_object(Bucket=bucket, Key=rendered.figures_key(key))["Body"].read()
        figures = Rendered.from_json(data)
        return figures if figures.pickle_etag == etags[key] else None

    def render(
        self, bucket: str, key: str, etag: str, position: int, columns: list[str] | None = None
    ) -> Rendered:
        df = self.get_s3_df(bucket, key)
        df.columns = df.columns.map(str)
        if columns:
            df = df.reindex(columns=columns)
        return rendered.send(self.s3, bucket, key, lambda: etag, df, position)

    def get_s3_df(self, bucket: str, key: str) -> "pd.DataFrame":
        import frames  # pandas takes a second to load, and a gather rarely needs it

        return frames.load(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read(), key)

    def send_excel(self, segments: dict[str, Rendered], bucket: str, workbook: str) -> str:
        """Write the workbook, which appears in the bucket only when it is whole."""
        figures = list(segments.values())
        bodies = ahead(segments.items(), lambda segment: self.get_xml(bucket, *segment))
        chunks = workbook_chunks(
            header(figures), widest(figures), [part for f in figures for part in f.parts], bodies
        )
        self.s3.upload_fileobj(
            io.BufferedReader(ChunkReader(chunks)),
            bucket,
            workbook,
            ExtraArgs={"ContentType": CONTENT_TYPE},
            Config=upload_config(),
        )
        return workbook

    def get_xml(self, bucket: str, key: str, figures: Rendered) -> bytes:
        return self.s3.get_object(
            Bucket=bucket, Key=rendered.xml_key(key), IfMatch=figures.xml_etag
        )["Body"].read()


def result_keys(event: dict[str, Any]) -> list[str]:
    """The segment results, one for each definition.

    Raises:
        InvalidEvent: there are none, or not lists of keys.
        MissingSegment: a definition has no result.
    """
    definitions, results = event.get("segment_definitions"), event.get("segment_results")
    if not isinstance(definitions, list) or not isinstance(results, list) or not definitions:
        raise InvalidEvent(
            "event: segment_definitions and segment_results must be lists of keys; "
            f"found {definitions!r} and {results!r}"
        )
    if len(results) > len(definitions):
        raise InvalidEvent(
            f"event: found {len(results)} results for {len(definitions)} segments"
        )
    pairs = list(itertools.zip_longest(definitions, results))
    missing = [definition for definition, result in pairs if not isinstance(result, str)]
    if missing:
        raise MissingSegment(
            f"{missing[0]}: each segment must have one result; "
            f"found {len(pairs) - len(missing)} results for {len(pairs)} segments"
        )
    return results


def header(segments: Iterable[Rendered]) -> list[str]:
    """The columns of all segments, in first-seen order."""
    first, *others = [figures.columns for figures in segments]
    if all(columns == first for columns in others):
        return first
    return list(dict.fromkeys(itertools.chain(first, *others)))


def widest(segments: Iterable[Rendered]) -> list[str]:
    """For each column the longest of the segments' widest texts."""
    texts = zip(*(figures.widest for figures in segments), strict=True)
    return [max(column, key=len) for column in texts]


def ahead[Item, Result](
    items: Iterable[Item], fetch: Callable[[Item], Result]
) -> Iterator[Result]:
    """Fetch in order, a few at a time, ahead of the caller."""
    with ThreadPoolExecutor(TRANSFERS) as threads:
        pending: deque[Future[Result]] = deque()
        for item in items:
            pending.append(threads.submit(fetch, item))
            if len(pending) == TRANSFERS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def upload_config() -> TransferConfig:
    """Parts of 8 MiB, of which few are in memory at a time, and up to 10,000 in a workbook."""
    config = TransferConfig(multipart_chunksize=8 * 1024 * 1024, max_concurrency=2)
    config.max_in_memory_upload_chunks = 2
    return config


class ChunkReader(io.RawIOBase):
    """A stream of chunks as a file to read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks = chunks
        self.rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.rest:
            chunk = next(self.chunks, None)
            if chunk is None:
                return 0
            self.rest = memoryview(chunk)
        size = min(len(buffer), len(self.rest))
        buffer[:size] = self.rest[:size]
        self.rest = self.rest[size:]
        return size

"""scatter-lambda: split a JSON array in S3 into segment files, in memory bounded by a segment."""

import contextlib
import itertools
import json
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

import frames
from records import InvalidJSON, Record, record_blocks

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Rows per segment, unless the event says otherwise, of tables of up to SMALL_TABLE_BYTES (1,000
# members). Longer ones run faster in fewer segments: of SEGMENT_BLOCKS blocks (35,000 members), or
# more where that would make more than SEGMENTS of them.
DIVISION_NUMBER = 10
SMALL_TABLE_BYTES = 200_000
BLOCK_BYTES = 960_000  # of JSON, parsed at a time: what stays in a CPU's cache
SEGMENT_BLOCKS = 5
SEGMENTS = 200
SAMPLE = 1_000  # values that tell whether a column repeats itself

# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
STATE_BYTES = 256 * 1024
ITERATIONS = 3_500  # of an inline Map, at 7 of the 25,000 history events each

OVERRIDES = ("input_obj", "division_number")
READ_BYTES = 1024 * 1024
TRANSFERS = 4


class InvalidEvent(ValueError):
    """The event does not say what to scatter."""


class TooManySegments(ValueError):
    """The segments would not fit into one execution."""


@dataclass(frozen=True)
class Job:
    """One table to scatter, as its event describes it."""

    input_obj: str
    division_number: int | None
    execution: str | None
    manifest: bool = False

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        fields = {**event, **overrides_of(event)}
        input_obj, number = fields.get("input_obj"), fields.get("division_number")
        if not isinstance(input_obj, str) or not is_plain_key(input_obj):
            raise InvalidEvent(f"input_obj: must be the key of an object; found {input_obj!r}")
        if number is not None and (type(number) is not int or number < 1):
            raise InvalidEvent(f"division_number: must be a whole number from 1; found {number!r}")
        job = cls(input_obj, number, event.get("execution"), bool(event.get("manifest")))
        if job.workbook == input_obj:
            raise InvalidEvent(f"input_obj: the workbook would overwrite it; found {input_obj!r}")
        return job

    @property
    def workbook(self) -> str:
        return str(PurePosixPath(self.input_obj).with_suffix(".xlsx"))

    @property
    def folder(self) -> str:
        return f"scatter/{self.execution}" if self.execution else "scatter"

    def segment_key(self, number: int) -> str:
        return f"{self.folder}/job_{number:03d}.pkl"


@dataclass(frozen=True)
class Table:
    """Records as columns, in first-seen order; a record without a key has None there."""

    columns: dict[str, list[Any]]
    rows: int

    @classmethod
    def of(cls, records: list[Record]) -> Self:
        names = list(records[0])
        if sum(map(len, records)) == len(names) * len(records):
            with contextlib.suppress(KeyError):
                columns = {name: [record[name] for record in records] for name in names}
                return cls(columns, len(records))
        names = list(dict.fromkeys(itertools.chain.from_iterable(records)))
        return cls({name: [record.get(name) for record in records] for name in names}, len(records))

    @classmethod
    def joined(cls, tables: Sequence[Self]) -> Self:
        if len(tables) == 1:
            return tables[0]
        names = dict.fromkeys(name for table in tables for name in table.columns)
        columns = {
            name: list(itertools.chain.from_iterable(table.values(name) for table in tables))
            for name in names
        }
        return cls(columns, sum(table.rows for table in tables))

    def values(self, name: str) -> Iterable[Any]:
        return self.columns.get(name) or itertools.repeat(None, self.rows)


class ScatterHandler:
    """Cut the table at `input_obj` into `scatter/[<execution>/]job_NNN.pkl`."""

    def __init__(self, event: dict[str, Any], context: Any, s3: "S3Client") -> None:
        self.event = event
        self.context = context
        self.s3 = s3
        self.bucket = os.environ.get("BUCKET", "test-bucket")

    def main(self) -> dict[str, Any]:
        job = Job.from_event(self.event)
        size, chunks = self.get_s3_data(self.bucket, job.input_obj)
        segments = self.make_segment_df(chunks, size, job.input_obj, job.division_number)
        return self.result(job, self.send_segments(segments, job))

    def result(self, job: Job, keys: list[str]) -> dict[str, Any]:
        """The state's output; with a manifest the keys stay in S3, however many they are."""
        workbook = {"workbook": job.workbook} if job.execution else {}
        if not job.manifest:
            return {"segment_definitions": keys, **workbook}
        manifest = f"{job.folder}/manifest.json"
        self.s3.put_object(Bucket=self.bucket, Key=manifest, Body=json.dumps(keys))
        return {"bucket": self.bucket, "manifest": manifest, **workbook}

    def get_s3_data(self, bucket: str, key: str) -> tuple[int, Iterator[bytes]]:
        """Open an object: its size in bytes, and its content in pieces, read ahead."""
        obj = self.s3.get_object(Bucket=bucket, Key=key)
        return obj["ContentLength"], read_ahead(obj["Body"].iter_chunks(READ_BYTES))

    def make_segment_df(
        self, chunks: Iterable[bytes], size: int, source: str, division_number: int | None
    ) -> Iterator[pd.DataFrame]:
        """The table's segments in row order; an empty table is one segment without rows.

        Args:
            chunks: the JSON text, `size` bytes in all.
            source: the object's name, for errors.
            division_number: rows per segment; None: chosen from the size.
        """
        blocks = record_blocks(chunks, source, BLOCK_BYTES)
        blocks_per_segment = 1
        if division_number:
            blocks = by_rows(itertools.chain.from_iterable(blocks), division_number)
        elif size <= SMALL_TABLE_BYTES:
            records = list(itertools.chain.from_iterable(blocks))
            blocks = by_rows(records, max(DIVISION_NUMBER, math.ceil(len(records) / SEGMENTS)))
        else:
            most = math.ceil(size / BLOCK_BYTES)
            blocks_per_segment = max(SEGMENT_BLOCKS, math.ceil(most / SEGMENTS))
        start = 0
        for tables in itertools.batched(map(Table.of, blocks), blocks_per_segment):
            df = self.make_df(Table.joined(tables), start, source)
            yield df
            start += len(df)
        if not start:
            yield self.make_df(Table({}, 0), 0, source)

    def make_df(self, table: "Table", start: int, source: str) -> pd.DataFrame:
        """The table indexed by the row numbers of the whole one, from `start` on.

        `attrs["source"]` keeps the whole table's name for the errors of later stages.
        """
        index = pd.RangeIndex(start, start + table.rows)
        columns = {name: compact(values) for name, values in table.columns.items()}
        df = pd.DataFrame(columns, index=index)
        for name in df.columns[df.dtypes == "float64"]:
            df[name] = exact_numbers(df[name], table.columns[name], f"{source} record")
        df.attrs["source"] = source
        return df

    def send_segments(self, segments: Iterable[pd.DataFrame], job: Job) -> list[str]:
        """Write the segment files, all with the same columns; returns their keys in row order."""
        columns: dict[str, None] = {}
        written: dict[str, int] = {}
        with Uploads(self.s3, self.bucket) as uploads:
            for df in segments:
                columns |= dict.fromkeys(df.columns)
                key = job.segment_key(len(written))
                uploads.put(key, frames.dump(with_columns(df, list(columns))))
                written[key] = len(columns)
                if not job.manifest:
                    check_fits_execution(len(written), key, job)
        for key, width in written.items():
            if width < len(columns):
                self.widen(key, list(columns))
        return list(written)

    def widen(self, key: str, columns: list[str]) -> None:
        """Add the columns that first came up in later segments."""
        data = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        df = with_columns(frames.load(data, key), columns)
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=frames.dump(df))


class Uploads:
    """Puts that overlap the parsing, a few at a time; leaving the block waits for all of them."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self.s3 = s3
        self.bucket = bucket
        self.pool = ThreadPoolExecutor(TRANSFERS)
        self.pending: deque[Future[Any]] = deque()

    def __enter__(self) -> Self:
        return self

    def put(self, key: str, body: bytes) -> None:
        if len(self.pending) == TRANSFERS:
            self.pending.popleft().result()
        self.pending.append(
            self.pool.submit(self.s3.put_object, Bucket=self.bucket, Key=key, Body=body)
        )

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self.pool.shutdown(wait=True, cancel_futures=error is not None)
        if error is None:
            for upload in self.pending:
                upload.result()


def overrides_of(event: dict[str, Any]) -> dict[str, Any]:
    """What the execution's input changes in the event; a Comment, as consoles send it, nothing."""
    overrides = event.get("overrides") or {}
    if not isinstance(overrides, dict):
        raise InvalidEvent(f"overrides: must be an object; found {overrides!r}")
    unknown = overrides.keys() - {*OVERRIDES, "Comment"}
    if unknown:
        raise InvalidEvent(
            f"overrides: knows {', '.join(OVERRIDES)}; found {', '.join(sorted(unknown))}"
        )
    return overrides


def is_plain_key(key: str) -> bool:
    """Whether key names an object without climbing: no empty, `.` or `..` step."""
    return all(step not in ("", ".", "..") for step in key.split("/")) and key.isprintable()


def read_ahead(chunks: Iterator[bytes], depth: int = 4) -> Iterator[bytes]:
    """The same chunks, fetched by a thread while the caller works on earlier ones."""
    with ThreadPoolExecutor(1) as thread:
        pending = deque(thread.submit(next, chunks, None) for _ in range(depth))
        while (chunk := pending.popleft().result()) is not None:
            pending.append(thread.submit(next, chunks, None))
            yield chunk


def by_rows(records: Iterable[Record], rows_per_segment: int) -> Iterator[list[Record]]:
    """Group records into segments; the last one may be shorter."""
    records = iter(records)
    while segment := list(itertools.islice(records, rows_per_segment)):
        yield segment


def compact(values: list[Any]) -> Any:
    """Values as pandas takes them fastest: whole numbers as an array, equal texts as one object.

    A pickle holds one object once, so that texts that recur make smaller segment files.
    """
    kinds = set(map(type, values))
    if kinds == {int}:
        with contextlib.suppress(OverflowError):
            return np.array(values, dtype=np.int64)
    if kinds == {str} and len(set(values[:SAMPLE])) < SAMPLE / 2:
        known: dict[str, str] = {}
        return list(map(known.setdefault, values, values))
    return values


def exact_numbers(
    column: "pd.Series[float]", values: list[Any], record: str
) -> "pd.Series[Any]":
    """Keep integers that a float64 column would round; refuse numbers beyond its range."""
    largest = np.nanmax(column.abs().to_numpy(), initial=0)
    if largest < 2**53:
        return column
    if math.isinf(largest):
        row = column.index[np.isinf(column.to_numpy())][0]
        raise InvalidJSON(f"{record} {row}: {column.name} is beyond the range of numbers")
    if any(type(value) is int and abs(value) > 2**53 for value in values):
        return pd.Series(values, index=column.index, name=column.name, dtype=object)
    return column


def with_columns(df: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    return df if list(df.columns) == columns else df.reindex(columns=columns)


def check_fits_execution(segments: int, key: str, job: Job) -> None:
    """Refuse a division that an inline Map cannot hold.

    Args:
        segments: how many there are so far.
        key: the latest one's, the longest.

    Raises:
        TooManySegments: beyond ITERATIONS, or STATE_BYTES with a definition and a result each.
    """
    state = 2 * segments * len(json.dumps(key) + ",")
    if segments > ITERATIONS or state > STATE_BYTES:
        raise TooManySegments(
            f"{job.input_obj}: an execution holds at most {ITERATIONS} segments and {STATE_BYTES} "
            f"bytes of state; division_number {job.division_number} passes that at segment "
            f"{segments}: choose a larger one, or the distributed state machine"
        )

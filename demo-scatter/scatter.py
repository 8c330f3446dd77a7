"""scatter-lambda: split a JSON array in S3 into segment files, in memory bounded by a segment."""

import contextlib
import itertools
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

import frames
from helper import Helper, Part, can_help, helping
from records import Cut, Doubtful, InvalidJSON, Reader, Record, whole_records
from tables import Table, exact_numbers
from transfers import Uploads, read_ahead

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Rows per segment, unless the event says otherwise, of tables of up to SMALL_TABLE_BYTES (1,000
# members). A variable of this name sets it for every table, and 0 has small ones cut as longer
# ones are: a deployed stack's default, as ten rows cost as much as 70,000.
# Longer ones run faster in fewer segments, of up to SEGMENT_BYTES (70,000 members), or
# more where that would make more than SEGMENTS of them; in two as soon as that pays.
DIVISION_NUMBER = 10
SMALL_TABLE_BYTES = 200_000
SEGMENT_BYTES = 9_800_000
SEGMENTS = 200
BLOCK_BYTES = 960_000  # of JSON, parsed at a time: what stays in a CPU's cache

# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
STATE_BYTES = 256 * 1024
ITERATIONS = 3_500  # of an inline Map, at 7 of the 25,000 history events each

OVERRIDES = ("input_obj", "division_number")
READ_BYTES = 1024 * 1024


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
class Segment:
    """A segment file, with the columns of the table so far."""

    columns: list[str]
    pickled: bytes


class LocalPart:
    """A `Part` that this process has made."""

    def __init__(self, df: pd.DataFrame) -> None:
        self.df = df
        self.rows = len(df)
        self.columns: list[str] = list(df.columns)

    def finish(self, start: int, columns: list[str]) -> None:
        self.df.index = pd.RangeIndex(start, start + self.rows)
        self.data = frames.dump(with_columns(self.df, columns))
        del self.df  # and its memory

    def pickled(self) -> bytes:
        return self.data


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
        return self.result(job, self.send_segments(self.make_segments(chunks, size, job), job))

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

    def make_segments(self, chunks: Iterable[bytes], size: int, job: Job) -> Iterator[Segment]:
        """The table's segments in row order; an empty table is one segment without rows.

        Args:
            chunks: the JSON text, `size` bytes in all.
        """
        reader = Reader(chunks, job.input_obj)
        set_number = os.environ.get("DIVISION_NUMBER")
        division_number = job.division_number or int(set_number or 0) or None
        if division_number or (set_number is None and size <= SMALL_TABLE_BYTES):
            groups = self.by_rows(reader, division_number)
        else:
            groups = self.by_bytes(reader, size)
        columns: dict[str, None] = {}
        start = 0
        for parts in groups:
            names = []
            for part in parts:
                columns |= dict.fromkeys(part.columns)
                names.append(list(columns))
                part.finish(start, names[-1])
                start += part.rows
            for part, known in zip(parts, names):
                yield Segment(known, part.pickled())
        if not start:
            empty = self.make_segment_df([], 0, job.input_obj)
            yield Segment([], frames.dump(empty))

    def by_rows(self, reader: Reader, division_number: int | None) -> Iterator[Sequence[Part]]:
        records: Iterable[Record] = itertools.chain.from_iterable(reader.blocks(BLOCK_BYTES))
        if not division_number:
            records = list(records)
            division_number = max(DIVISION_NUMBER, math.ceil(len(records) / SEGMENTS))
        start = 0
        for segment in itertools.batched(records, division_number):
            yield [LocalPart(self.make_segment_df([segment], start, reader.source))]
            start += len(segment)

    def by_bytes(self, reader: Reader, size: int) -> Iterator[Sequence[Part]]:
        """Parts of as many bytes each, two at a time where a second process can help.

        Text that may be no whole records is put back, to be read in the exact way.
        """
        pairs = math.ceil(size / (2 * SEGMENT_BYTES))
        segments = min(SEGMENTS, 2 * pairs) if size > SEGMENT_BYTES / 2 else 1
        part_bytes = math.ceil(size / segments)
        reader.open(BLOCK_BYTES)
        two = segments > 1 and can_help()
        with helping(self.make_part) if two else contextlib.nullcontext() as helper:
            while parts := self.make_parts(reader, part_bytes, helper):
                yield parts
        while (rest := self.exact_part(reader, part_bytes)).rows:
            yield [rest]

    def make_parts(self, reader: Reader, part_bytes: int, helper: Helper | None) -> list[Part]:
        """The next part, or two; none where no text is left that may be whole records."""
        source, first = reader.source, not reader.index
        cuts = [Cut(reader, part_bytes, BLOCK_BYTES) for _ in range(2 if helper else 1)]
        if helper:
            helper.begin(source, cuts[0], first)
            first = first and not cuts[0].texts
        made = [self.make_part(source, cuts[-1], first)]
        if helper:
            made.insert(0, helper.part())
        parts: list[Part] = []
        for cut, part in zip(cuts, made):
            if not cut.texts:
                break
            if part is None:
                reader.put_back(cuts[len(parts) :])
                return parts or [self.exact_part(reader, part_bytes)]
            reader.accept(cut, part.rows)
            parts.append(part)
        return parts

    def make_part(
        self, source: str, texts: Iterable[bytes | bytearray], first: bool
    ) -> Part | None:
        """None without a text, or where one takes a closer look; the rows are numbered later."""
        try:
            part = LocalPart(self.make_segment_df(whole_records(texts, first), 0, source))
        except (Doubtful, InvalidJSON):
            return None
        return part if part.rows else None

    def exact_part(self, reader: Reader, part_bytes: int) -> Part:
        """The next rows, or none at the array's end.

        Raises:
            InvalidJSON: names what the object's fault is.
        """
        blocks = itertools.islice(reader.blocks(BLOCK_BYTES), math.ceil(part_bytes / BLOCK_BYTES))
        return LocalPart(self.make_segment_df(blocks, reader.index, reader.source))

    def make_segment_df(
        self, blocks: Iterable[Sequence[Record]], start: int, source: str
    ) -> pd.DataFrame:
        """The frame of one segment, taken block by block while each is in the CPU's cache.

        Args:
            start: row number of the first record in the whole table.
        """
        return self.make_df(Table(blocks), start, source)

    def make_df(self, table: Table, start: int, source: str) -> pd.DataFrame:
        """The table indexed by the row numbers of the whole one, from `start` on.

        `attrs["source"]` keeps the whole table's name for the errors of later stages.
        """
        index = pd.RangeIndex(start, start + table.rows)
        columns = {name: column.joined() for name, column in table.columns.items()}
        df = pd.DataFrame(columns, index=index)
        for name in df.columns[df.dtypes == "float64"]:
            df[name] = exact_numbers(df[name], columns[name], f"{source} record")
        df.attrs["source"] = source
        return df

    def send_segments(self, segments: Iterable[Segment], job: Job) -> list[str]:
        """Write the segment files, all with the same columns; returns their keys in row order."""
        columns: list[str] = []
        written: dict[str, int] = {}
        with Uploads(self.s3, self.bucket) as uploads:
            for segment in segments:
                key = job.segment_key(len(written))
                uploads.put(key, segment.pickled)
                columns = segment.columns
                written[key] = len(columns)
                if not job.manifest:
                    check_fits_execution(len(written), key, job)
        for key, width in written.items():
            if width < len(columns):
                self.widen(key, columns)
        return list(written)

    def widen(self, key: str, columns: list[str]) -> None:
        """Add the columns that first came up in later segments."""
        data = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        df = with_columns(frames.load(data, key), columns)
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=frames.dump(df))


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

"""scatter-lambda: split a table in S3 into segment files, in memory bounded by a segment."""

import itertools
import json
import math
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
from botocore.exceptions import ClientError

import endings
import formats
import frames
from columns import Block, Table
from csv_table import ENCODINGS
from exact_parser import Record
from facts import ScatterFacts, SegmentCut, facts_key
from found import found
from gunzip import unpack
from overlap import map_ahead
from reader import Reader
from signed import Objects, signing_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Rows per segment, unless the event says otherwise, of tables of up to SMALL_TABLE_BYTES (1,000
# members). A variable of this name sets it for every table, and 0 has small ones cut as longer
# ones are: a deployed stack's default, as ten rows cost as much as 70,000.
# Longer tables run faster in fewer segments of about SEGMENT_BYTES (70,000 members), at most
# SEGMENTS of them; from half of SEGMENT_BYTES on in an even number, for two workers.
DIVISION_NUMBER = 10
SMALL_TABLE_BYTES = 200_000
SEGMENT_BYTES = 9_800_000
SEGMENTS = 200
BLOCK_BYTES = 240_000  # of JSON, read and parsed at a time: its records stay in a CPU's cache
BLOCK_ROWS = 1_000  # taken at a time where segments are cut by rows
READ_AHEAD = 8  # blocks
UPLOADS = 4  # at once

# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
STATE_BYTES = 256 * 1024
ITERATIONS = 1_500  # of an inline Map; with three retries each, 16 of the 25,000 events
NAME_CHARACTERS = 80  # of an execution

TOLD = ("etl", "rejects", "max_rejects")  # what the segments are told with their rows
OVERRIDES = ("input_obj", "division_number", "encoding", *TOLD)
# Of an input that others write: the consoles', Step Functions' own and those of an EventBridge event.
IGNORED = {
    *("Comment", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"),
    *("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"),
}


class InvalidEvent(ValueError):
    """The event does not say what to scatter."""


class InputChanged(ValueError):
    """The input was replaced between its two readings."""


class TooManySegments(ValueError):
    """The segments would not fit into one execution."""


def is_key(key: object) -> bool:
    """Whether the key names an object of S3, without climbing and without control characters."""
    if not isinstance(key, str) or any(unicodedata.category(each) in ("Cc", "Cs") for each in key):
        return False  # Cs: a lone surrogate has no UTF-8
    steps = key.split("/")
    return len(key.encode()) <= endings.KEY_BYTES and not {"", ".", ".."}.intersection(steps)


def workbook_of(input_obj: str) -> str:
    return endings.workbook_key(input_obj, os.environ.get("INBOX", ""))


def is_whole(number: object, least: int) -> bool:
    return type(number) is int and number >= least


# Of an event's fields, the rule in words and what tells whether a value keeps it.
RULES: list[tuple[str, str, Callable[[Any], bool]]] = [
    ("input_obj", "must be the key of an object", is_key),
    ("input_obj", endings.RULE, endings.is_read),
    (
        "input_obj",
        f"must be short enough for its workbook, whose key has at most {endings.KEY_BYTES:,} bytes",
        lambda key: len(workbook_of(key).encode()) <= endings.KEY_BYTES,
    ),
    ("division_number", "must be a whole number from 1", lambda n: n is None or is_whole(n, 1)),
    (
        "execution",
        "must be an execution's name",
        lambda name: (
            name is None or (is_key(name) and "/" not in name and len(name) <= NAME_CHARACTERS)
        ),
    ),
    ("encoding", f"must be {' or '.join(ENCODINGS)}", lambda name: name in ENCODINGS),
    ("etl", "must be the name of an ETL", lambda name: isinstance(name, str) and name != ""),
    ("rejects", 'must be "sheet"', lambda place: place == "sheet"),
    ("max_rejects", "must be a whole number from 0", lambda n: is_whole(n, 0)),
]


@dataclass(frozen=True)
class Job:
    """One table to scatter, as its event describes it.

    Attributes:
        told: the table's ETL, and where faulty records go; {} where nobody asked.
    """

    input_obj: str
    division_number: int | None
    execution: str | None
    manifest: bool = False
    encoding: str = "utf-8"
    told: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        """
        Raises:
            InvalidEvent: names the field, its rule and what was found.
        """
        fields: dict[str, Any] = {"input_obj": None, **event, **overrides_of(event)}
        for name, rule, holds in RULES:
            if name in fields and not holds(fields[name]):
                raise InvalidEvent(f"{name}: {rule}; found {found(fields[name])}")
        key, encoding = fields["input_obj"], fields.get("encoding", "utf-8")
        if encoding != "utf-8" and endings.ends(key)[0] != ".csv":
            raise InvalidEvent(f"encoding: JSON is UTF-8; found {found(encoding)} of {key}")
        if "max_rejects" in fields and "rejects" not in fields:
            raise InvalidEvent('rejects: must be "sheet"; found max_rejects alone')
        number, execution = fields.get("division_number"), fields.get("execution")
        told = {name: fields[name] for name in fields if name in TOLD}
        return cls(key, number, execution, bool(event.get("manifest")), encoding, told)

    @property
    def workbook(self) -> str:
        return workbook_of(self.input_obj)

    @property
    def folder(self) -> str:
        return f"scatter/{self.execution}" if self.execution else "scatter"

    def segment_key(self, number: int) -> str:
        return f"{self.folder}/job_{number:03d}.pkl"


@dataclass(frozen=True)
class Segment:
    """A segment file, with the columns of the table so far."""

    key: str
    columns: list[str]
    rows: int
    pickled: bytes


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


class ScatterHandler:
    """Cut the table at `input_obj` into `scatter/[<execution>/]job_NNN.pkl`."""

    def __init__(self, event: dict[str, Any], context: Any, s3: "S3Client") -> None:
        self.event = event
        self.context = context
        self.s3 = s3
        self.bucket = os.environ.get("BUCKET", "test-bucket")
        self.objects = Objects(s3, self.bucket, signing_key())
        self.asked: dict[str, Any] = {}

    def main(self) -> dict[str, Any]:
        job = Job.from_event(self.event)
        self.asked = job.told
        source = self.get_s3_data(self.bucket, job)
        cuts = self.send_segments(self.make_segments(source, job), job)
        if source.reader.mixed:
            # A column turned out to hold other texts than numbers: cut the table once more.
            source = self.get_s3_data(self.bucket, job, source.reader.texts, IfMatch=source.etag)
            cuts = self.send_segments(self.make_segments(source, job), job)
        self.send_facts(source, cuts, job)
        return self.result(job, [cut.key for cut in cuts])

    def result(self, job: Job, keys: list[str]) -> dict[str, Any]:
        """The state's output; with a manifest the keys stay in S3, however many they are."""
        workbook = {"workbook": job.workbook} if job.execution else {}
        if not job.manifest:
            return {"segment_definitions": keys, **workbook}
        manifest = f"{job.folder}/manifest.json"
        self.objects.put(manifest, json.dumps(keys).encode())
        return {"bucket": self.bucket, "manifest": manifest, **workbook}

    def get_s3_data(self, bucket: str, job: Job, texts: Iterable[str] = (), **match: Any) -> Source:
        """Open the input, and read it ahead.

        Args:
            texts: the columns of a CSV file that are known to hold other texts than numbers.
            match: conditions of S3's.

        Raises:
            InputChanged: it does not match any more.
        """
        key = job.input_obj
        try:
            obj = self.s3.get_object(Bucket=bucket, Key=key, **match)
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
        reader = form.reader(read_ahead(chunks), key, job.encoding, texts)
        return Source(obj["ETag"], size, form, reader)

    def make_segments(self, source: Source, job: Job) -> Iterator[Segment]:
        """The table's segments in row order; one without rows is one segment, with the columns that
        a header names."""
        size = source.form.size
        blocks = source.reader.blocks(block_bytes(size, job.input_obj))
        columns: dict[str, None] = {}
        start = 0
        rows = set_division_number() if job.division_number is None else job.division_number
        for number, table in enumerate(tables(blocks, size * formats.weight(job.input_obj), rows)):
            columns |= dict.fromkeys(table.columns)
            names = list(columns)
            pickled = frames.dump(self.make_segment_df(table, start, names, job.input_obj))
            taken = table.rows
            del table  # before the next one is made
            yield Segment(job.segment_key(number), names, taken, pickled)
            start += taken
        if not start:
            header = source.reader.header
            empty = Table([Block({name: [] for name in header}, 0)])
            pickled = frames.dump(self.make_df(empty, 0, job.input_obj))
            yield Segment(job.segment_key(0), header, 0, pickled)

    def make_segment_df(
        self, table: Table, start: int, columns: list[str], source: str
    ) -> pd.DataFrame:
        """The frame of one segment, with the columns of the whole table so far."""
        return with_columns(self.make_df(table, start, source), columns)

    def make_df(self, table: Table, start: int, source: str) -> pd.DataFrame:
        """The table indexed by the row numbers of the whole one, from `start` on.

        `attrs["source"]` keeps the whole table's name for the errors of later stages, and
        `attrs["etl"]` its ETL, `attrs["rejects"]` where faulty records go, see Job;
        `attrs["format"]` says that it is CSV.
        """
        index = pd.RangeIndex(start, start + table.rows)
        df = pd.DataFrame(table.arrays(), index=index, copy=False)
        df.attrs |= {"source": source, **self.asked}
        if endings.ends(source)[0] == ".csv":
            df.attrs["format"] = "csv"
        return df

    def send_segments(self, segments: Iterable[Segment], job: Job) -> list[SegmentCut]:
        """Write the segment files, all with the same columns; returns them in row order."""
        columns: list[str] = []
        sent: list[tuple[int, SegmentCut]] = []
        for columns, cut in map_ahead(self.put, segments, UPLOADS, UPLOADS):
            sent.append((len(columns), cut))
            if not job.manifest:
                check_fits_execution(len(sent), cut.key, job)
        width = len(columns)
        return [self.widen(cut, columns) if own < width else cut for own, cut in sent]

    def put(self, segment: Segment) -> tuple[list[str], SegmentCut]:
        self.objects.put(segment.key, segment.pickled)
        return segment.columns, SegmentCut(segment.key, segment.rows, len(segment.pickled))

    def widen(self, cut: SegmentCut, columns: list[str]) -> SegmentCut:
        """Add the columns that first came up in later segments."""
        df = frames.load(self.objects.get(cut.key), cut.key)
        pickled = frames.dump(with_columns(df, columns))
        self.objects.put(cut.key, pickled)
        return replace(cut, size=len(pickled))

    def send_facts(self, source: Source, cuts: list[SegmentCut], job: Job) -> None:
        rows = sum(cut.rows for cut in cuts)
        reader = source.reader
        facts = ScatterFacts(
            job.input_obj,
            source.size,
            source.etag,
            rows,
            cuts,
            reader.starts,
            source.form.packed,
            reader.header,
            job.encoding,
        )
        self.objects.put(facts_key(job.segment_key(0)), facts.to_json())


def segment_bytes(size: int) -> int:
    """How much JSON a segment of a table of `size` bytes takes, unless it is cut by rows."""
    if size <= SEGMENT_BYTES / 2:
        return max(1, size)
    pairs = math.ceil(size / (2 * SEGMENT_BYTES))
    return math.ceil(size / min(SEGMENTS, 2 * pairs))


def blocks_per_segment(size: int) -> int:
    return math.ceil(segment_bytes(size) / BLOCK_BYTES)


def block_bytes(size: int, key: str) -> int:
    """How much of a text of `size` bytes is read and parsed at a time."""
    weight = formats.weight(key)
    json_bytes = segment_bytes(size * weight) / blocks_per_segment(size * weight)
    return math.ceil(json_bytes / weight)


def read_ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    turns = itertools.repeat(None)
    ahead = map_ahead(lambda _: next(chunks, b""), turns, READ_AHEAD, threads=1)
    return itertools.takewhile(bool, ahead)


def set_division_number() -> int | None:
    """What the function's environment sets for executions that say nothing."""
    text = os.environ.get("DIVISION_NUMBER")
    return None if text is None else int(text)


def tables(blocks: Iterator[Block], size: int, division_number: int | None) -> Iterator[Table]:
    """Divide the records into one table for each segment.

    Args:
        size: bytes of the whole JSON text.
        division_number: rows of each; None to choose by size, 0 to do so for small tables, too.
    """
    cuts: Iterator[Iterable[Block]]
    if division_number or (division_number is None and size <= SMALL_TABLE_BYTES):
        cuts = by_rows(blocks, division_number)
    else:
        cuts = (itertools.islice(blocks, blocks_per_segment(size)) for _ in itertools.count())
    return itertools.takewhile(lambda table: table.rows, map(Table, cuts))


def by_rows(blocks: Iterable[Block], division_number: int | None) -> Iterator[Iterable[Block]]:
    """The blocks of each segment, for ever; all that follow the table have none.

    Args:
        division_number: rows of a segment; None for the default, and at most SEGMENTS segments.
    """
    records: Iterator[Record] = itertools.chain.from_iterable(block.records for block in blocks)
    if not division_number:
        small = list(records)
        division_number = max(DIVISION_NUMBER, math.ceil(len(small) / SEGMENTS))
        records = iter(small)
    while True:
        yield take_rows(records, division_number)


def take_rows(records: Iterator[Record], rows: int) -> Iterator[Block]:
    """The next rows, or as many as are left, some at a time."""
    while rows and (taken := list(itertools.islice(records, min(rows, BLOCK_ROWS)))):
        yield Block.of(taken)
        rows -= len(taken)


def overrides_of(event: dict[str, Any]) -> dict[str, Any]:
    """The fields that the execution's input overrides."""
    overrides = event.get("overrides") or {}
    if not isinstance(overrides, dict):
        raise InvalidEvent(f"overrides: must be an object; found {found(overrides)}")
    unknown = overrides.keys() - {*OVERRIDES, *IGNORED}
    if unknown:
        raise InvalidEvent(
            f"overrides: knows {', '.join(OVERRIDES)}; found {', '.join(sorted(unknown))}"
        )
    return overrides


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
            f"{segments}: choose a larger one, or DEFINITION=distributed"
        )

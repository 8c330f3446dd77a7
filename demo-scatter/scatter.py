"""scatter-lambda: split a table in S3 into segment files, in memory bounded by a segment."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline import endings
from pipeline.errors.places import objects_of, origins_of, written
from pipeline.errors.wording import require
from pipeline.events.scatter import Job, check_fits_execution
from pipeline.facts.stages import ScatterFacts, SegmentCut
from pipeline.keys import InvalidEvent, claim_key, facts_key, manifest_key
from pipeline.reading import references
from pipeline.reading.columns import Array, Table
from pipeline.reading.objects import At, Listed, find_objects, head, input_bucket
from pipeline.reading.segment_files import make_files
from pipeline.reading.source import Source, open_table
from pipeline.s3.overlap import map_ahead
from pipeline.s3.signed import Objects, signing_key
from pipeline.segments import frames

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UPLOADS = 4  # at once


@dataclass(frozen=True)
class Segment:
    """A segment file, with the columns of the table so far."""

    key: str
    columns: list[str]
    rows: int
    pickled: bytes


class ScheduledTwice(ValueError):
    """Another execution makes, or has made, the workbook of a scheduled time."""


class ScatterHandler:
    """Cut the table at `input_obj` into `scatter/[<execution>/]job_NNN.pkl`."""

    def __init__(self, event: dict[str, Any], context: Any, s3: "S3Client") -> None:
        self.event = event
        self.context = context
        self.s3 = s3
        self.bucket = os.environ.get("BUCKET", "test-bucket")
        self.objects = Objects(s3, self.bucket, signing_key())

    def main(self) -> dict[str, Any]:
        job = Job.from_event(self.event, self.is_there)
        references.pin(self.objects, job.segment_key(0))
        at = input_bucket(self.s3, self.bucket, job.input_bucket)
        inputs = find_objects(self.s3, at, job.input_obj)
        job = job.of((each.key for each in inputs.objects), inputs.written)
        source = self.get_s3_data(at, job, inputs.objects)
        if job.scheduled_time:
            self.claim(job)
        cuts = self.send_segments(source, job)
        if source.csv.mixed:
            # A column turned out to hold other texts than numbers: cut the table once more.
            read = [Listed(each.key, each.etag, each.size) for each in source.read]
            source = self.get_s3_data(at, job, read, source.csv.texts)
            cuts = self.send_segments(source, job)
        self.send_facts(source, cuts, job, inputs.passed_over)
        result = self.result(job, [cut.key for cut in cuts])
        if job.is_uploaded and job.execution:  # the gather asks whether it is still the latest
            result["upload"] = {"key": job.input_obj, "etag": source.read[0].etag}
        return result

    def is_there(self, key: str, bucket: str) -> bool:
        return head(self.s3, input_bucket(self.s3, self.bucket, bucket), key) is not None

    def claim(self, job: Job) -> None:
        """Take the workbook of a scheduled time for this execution, which may do so again."""
        own = json.dumps(job.execution).encode()
        taken = self.objects.put_once(claim_key(job.scheduled_time, job.workbook), own)
        if taken != own:
            told = f"one execution makes it for {job.scheduled_time}; found {taken.decode()}"
            raise ScheduledTwice(f"{job.workbook}: {told}")

    def result(self, job: Job, keys: list[str]) -> dict[str, Any]:
        """The state's output; with a manifest the keys stay in S3, however many they are."""
        workbook = {"workbook": job.workbook} if job.execution else {}
        if not job.manifest:
            return {"segment_definitions": keys, **workbook}
        manifest = manifest_key(job.execution)
        self.objects.put(manifest, json.dumps(keys).encode())
        return {"bucket": self.bucket, "manifest": manifest, **workbook}

    def get_s3_data(
        self, at: At, job: Job, objects: Sequence[Listed], texts: Iterable[str] = ()
    ) -> Source:
        """Open the objects; `texts` are columns of CSV known to hold other texts than numbers."""
        return open_table(self.s3, at, objects, job.reading, texts)

    def make_segments(self, source: Source, job: Job) -> Iterator[Segment]:
        """The table's segments in row order."""

        def pickle(table: Table, start: int, columns: list[str]) -> bytes:
            return frames.dump(self.make_segment_df(table, start, columns, job, source))

        files = make_files(source, job.rows_per_segment, job.most_segments, pickle)
        for number, (columns, rows, pickled) in enumerate(files):
            yield Segment(job.segment_key(number), [*job.added, *columns], rows, pickled)

    def make_segment_df(
        self,
        table: Table,
        start: int,
        columns: list[str],
        job: Job,
        source: Source,
    ) -> pd.DataFrame:
        """The frame of one segment, with the columns of the whole table so far."""
        df = self.make_df(table, start, job.table)
        stop = start + table.rows
        origins = {} if job.written else written(source.begun, start, stop)
        df.attrs |= {**origins, **job.told}
        formats = {endings.is_csv(key) for _, key in origins_of(df.attrs)}
        if True in formats:
            df.attrs["format"] = "csv" if len(formats) == 1 else "mixed"
        added: dict[str, Array] = {}
        for name in job.added:
            rule = "must be a column that the table has not"
            require(name not in df.columns, f"source_column: {rule}", name, InvalidEvent)
            added[name] = pd.array(list(objects_of(df.attrs, start, stop)), dtype="str")
        return with_columns(df, [*job.added, *columns], added)

    def make_df(self, table: Table, start: int, source: str) -> pd.DataFrame:
        """The table indexed by the row numbers of the whole one, from `start` on.

        Its attributes are for later stages: `source`, the whole table's name, and `origins`, see
        `places`, for errors; what the input asks for, see Job; and in `format`, whether cells
        are texts of CSV.
        """
        index = pd.RangeIndex(start, start + table.rows)
        df = pd.DataFrame(table.arrays(), index=index, copy=False)
        df.attrs["source"] = source
        return df

    def send_segments(self, source: Source, job: Job) -> list[SegmentCut]:
        """Write the segment files, all with the same columns; returns them in row order."""
        sent: list[tuple[int, SegmentCut]] = []
        for width, cut in map_ahead(self.put, self.make_segments(source, job), UPLOADS):
            sent.append((width, cut))
            if not job.manifest:
                check_fits_execution(len(sent), cut.key, job)
        columns = [*job.added, *source.columns]
        return [self.widen(cut, columns) if own < len(columns) else cut for own, cut in sent]

    def put(self, segment: Segment) -> tuple[int, SegmentCut]:
        self.objects.put(segment.key, segment.pickled)
        return len(segment.columns), SegmentCut(segment.key, segment.rows, len(segment.pickled))

    def widen(self, cut: SegmentCut, columns: list[str]) -> SegmentCut:
        """Add the columns that first came up in later segments."""
        df = frames.load(self.objects.get(cut.key), cut.key)
        pickled = frames.dump(with_columns(df, columns, {}))
        self.objects.put(cut.key, pickled)
        return replace(cut, size=len(pickled))

    def send_facts(
        self, source: Source, cuts: list[SegmentCut], job: Job, passed_over: int
    ) -> None:
        rows = sum(cut.rows for cut in cuts)
        encoding, bucket = job.reading.get("encoding", "utf-8"), job.input_bucket
        facts = ScatterFacts(job.table, rows, cuts, source.read, passed_over, encoding, bucket)
        self.objects.put(facts_key(job.segment_key(0)), facts.to_json())


def with_columns(df: pd.DataFrame, columns: list[str], added: Mapping[str, Array]) -> pd.DataFrame:
    """The columns of the whole table, of which the segment's records have some, and `added` others.

    The rest holds nulls, which rules for numbers and rules for texts pass over.
    """
    if list(df.columns) == columns:
        return df
    nulls = np.full(len(df), None)
    made = pd.DataFrame({name: df.get(name, added.get(name, nulls)) for name in columns}, df.index)
    made.attrs = df.attrs
    return made

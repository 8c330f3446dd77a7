"""scatter-lambda: split a table in S3 into segment files, in memory bounded by a segment."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline import endings
from pipeline.events.scatter import Job, check_fits_execution
from pipeline.facts.stages import SegmentCut
from pipeline.keys import facts_key, manifest_key
from pipeline.reading import formats, references
from pipeline.reading.columns import Block, Table
from pipeline.reading.cuts import (
    block_bytes,
    blocks_per_segment,
    is_cut_by_rows,
    segment_bytes,
    tables,
)
from pipeline.reading.side_by_side import ENDS, Made, make_side_by_side
from pipeline.reading.source import Source, open_table
from pipeline.s3.overlap import map_ahead
from pipeline.s3.signed import Objects, signing_key
from pipeline.segments import frames
from pipeline.workers import vcpus

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
        references.pin(self.objects, job.segment_key(0))
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
        manifest = manifest_key(job.execution)
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
        key, encoding = job.input_obj, job.encoding
        return open_table(self.s3, bucket, key, encoding, texts, **match)

    def make_segments(self, source: Source, job: Job) -> Iterator[Segment]:
        """The table's segments in row order; one without rows is one segment, with the columns that
        a header names."""
        for number, made in enumerate(self.make_files(source, job)):
            yield Segment(job.segment_key(number), *made)

    def make_files(self, source: Source, job: Job) -> Iterator[Made]:
        def pickle(table: Table, start: int, columns: list[str]) -> bytes:
            return frames.dump(self.make_segment_df(table, start, columns, job.input_obj))

        reader, json_bytes = source.reader, source.form.size * formats.weight(job.input_obj)
        at_a_time = block_bytes(source.form.size, job.input_obj)
        columns: dict[str, None] = {}
        several = json_bytes > segment_bytes(json_bytes)
        by_bytes = several and not is_cut_by_rows(json_bytes, job.rows_per_segment)
        if by_bytes and type(reader) in ENDS and vcpus() > 1:
            per_segment = blocks_per_segment(json_bytes, job.most_segments)
            for made in make_side_by_side(reader, at_a_time, per_segment, pickle, vcpus()):
                columns = dict.fromkeys(made[0])
                yield made
        start = reader.index
        blocks = reader.blocks(at_a_time)
        for table in tables(blocks, json_bytes, job.rows_per_segment, job.most_segments):
            columns |= dict.fromkeys(table.columns)
            names, rows = list(columns), table.rows
            pickled = pickle(table, start, names)
            del table  # before the next one is made
            yield names, rows, pickled
            start += rows
        if not start:
            empty = Table([Block({name: [] for name in reader.header}, 0)])
            yield reader.header, 0, pickle(empty, 0, reader.header)

    def make_segment_df(
        self, table: Table, start: int, columns: list[str], source: str
    ) -> pd.DataFrame:
        """The frame of one segment, with the columns of the whole table so far."""
        return with_columns(self.make_df(table, start, source), columns)

    def make_df(self, table: Table, start: int, source: str) -> pd.DataFrame:
        """The table indexed by the row numbers of the whole one, from `start` on.

        `attrs["source"]` keeps the whole table's name for the errors of later stages, and
        `attrs["etl"]` its ETL, `attrs["rejects"]` where faulty records go, `attrs["sheets"]` which
        the workbook has, see Job; `attrs["format"]` says that it is CSV.
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
        facts = source.facts(job.input_obj, job.encoding, cuts)
        self.objects.put(facts_key(job.segment_key(0)), facts.to_json())


def with_columns(df: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    return df if list(df.columns) == columns else df.reindex(columns=columns)

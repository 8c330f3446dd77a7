"""gather-lambda: splice the segments' rendered rows into one workbook, without holding it."""

import itertools
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
from boto3.s3.transfer import TransferConfig

import frames
import rendered
from excel import EXACT_INTEGER, integer_text, widest
from facts import SummaryFacts, Told, facts_key, segment_facts_key
from found import found
from labels import header, with_columns
from overlap import map_ahead
from rejects import Rejected
from rendered import Figures, MissingSegment
from sheet_xml import render_rows
from signed import Objects, signing_key
from summaries import Summaries
from table import Table
from workbook import Chunks, sheet_names, workbook_chunks

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WORKBOOK = "test.xlsx"
TRANSFERS = 4
CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class InvalidEvent(ValueError):
    """The event does not say what to gather."""


class GatherHandler:
    """Join `gather/…/job_NNN.pkl`, in the order of the event, into one workbook."""

    def __init__(self, event: dict[str, Any], context: Any, s3: "S3Client") -> None:
        self.event = event
        self.context = context
        self.s3 = s3
        self.bucket = os.environ.get("BUCKET", "test-bucket")
        self.objects = Objects(s3, self.bucket, signing_key())
        self.told = Told()
        self.summaries = Summaries(lambda key: self.get_s3_df(self.bucket, key))
        self.rejected = Rejected(lambda key, etag: self.get_s3_df(self.bucket, key, etag))

    def main(self) -> str:
        keys = result_keys(self.get_event())
        segments = self.get_rendered(keys)
        workbook: str = self.event.get("workbook", WORKBOOK)
        formats = next(iter(segments.values())).formats
        self.rejected.check()
        summaries = list(self.summaries.tables(formats))
        tables = [self.table(segments), *summaries, *self.rejected.tables(formats)]
        size = self.send_excel(tables, formats, self.bucket, workbook)
        self.send_facts(segments, tables, summaries, workbook, size)
        return workbook

    def get_event(self) -> dict[str, Any]:
        """The event, with the lists of keys in place of its manifest."""
        if "manifest" not in self.event:
            return self.event
        definitions = json.loads(self.objects.get(self.event["manifest"]))
        results = [key.replace("scatter/", "gather/", 1) for key in definitions]
        return {"segment_definitions": definitions, "segment_results": results}

    def get_rendered(self, keys: list[str]) -> dict[str, Figures]:
        """The figures of every segment's rendered rows, in order.

        Rows are rendered here if the segment wrote only a pickle, if the ETL changed the number of
        rows or the columns, or if its number formats are not the first ones.
        """
        etags = self.list_etags(keys)
        segments: dict[str, Figures] = {}
        formats: dict[str, str] | None = None
        position = 0
        found_ahead = map_ahead(
            lambda key: self.read_segment(key, etags), keys, TRANSFERS, TRANSFERS
        )
        for key, (before, contributed) in zip(keys, found_ahead, strict=True):
            self.told.add(before.facts if before else None)
            if before and formats is None:
                formats = before.formats
            figures = before or self.render(key, etags[key], position, None, formats or {})
            self.summaries.add(key, *contributed)
            self.rejected.add(key, before.rejects if before else None)
            # Of 100,000 segments, too much to hold.
            segments[key] = replace(figures, facts=None, summaries=None, rejects=None)
            position += figures.rows
        columns, formats = header(figures.columns for figures in segments.values()), formats or {}
        position = 0
        for key, figures in segments.items():
            as_others = (figures.columns, figures.formats) == (columns, formats)
            if not as_others or not figures.starts_at(position):
                before = self.read_figures(key, etags)
                segments[key] = self.render(key, etags[key], position, before, formats, columns)
            position += figures.rows
        return segments

    def list_etags(self, keys: list[str]) -> dict[str, str]:
        """The ETags of the segment files and their siblings.

        Raises:
            MissingSegment: a key is not there.
        """
        prefix = os.path.commonprefix(keys).removesuffix(".pkl")  # of a single key, all of it
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        etags = {obj["Key"]: obj["ETag"] for page in pages for obj in page.get("Contents", [])}
        missing = [key for key in keys if key not in etags]
        if missing:
            raise MissingSegment(
                f"{missing[0]}: each segment must have a result; "
                f"found none for {len(missing)} of {len(keys)}"
            )
        return etags

    def read_figures(self, key: str, etags: dict[str, str]) -> Figures | None:
        """The figures beside a pickle; None where there are none or they are of an older one.

        Raises:
            MissingSegment: there are none, or of another one, and the deployment has a key: they
                say what else belongs to the result.
        """
        at = segment_facts_key(key)
        figures = Figures.from_json(self.objects.get(at)) if at in etags else None
        if figures and figures.pickle_etag == etags[key]:
            return figures
        if self.objects.secret:
            self.objects.get(key)  # refuses a stranger's
            what = "those of another" if figures else "none"
            raise MissingSegment(f"{at}: must be the figures of the result {key}; found {what}")
        return None

    def read_segment(
        self, key: str, etags: dict[str, str]
    ) -> tuple[Figures | None, tuple[list[Any], bytes]]:
        """The figures, and what the segment contributes to summaries."""
        figures = self.read_figures(key, etags)
        return figures, rendered.contributed(self.objects, key, figures)

    def render(
        self,
        key: str,
        etag: str,
        position: int,
        before: Figures | None,
        formats: dict[str, str],
        columns: list[str] | None = None,
    ) -> Figures:
        df = self.get_s3_df(self.bucket, key, etag)
        if columns:
            df = with_columns(df, columns)
        rows = render_rows(df, position, key, formats)
        told = (before.facts, before.summaries, before.rejects) if before else ()
        return rendered.send(self.objects, key, rows, etag, *told)

    def get_s3_df(self, bucket: str, key: str, etag: str = "") -> pd.DataFrame:
        objects = Objects(self.s3, bucket, self.objects.secret)
        data = rendered.get_told(objects, key, etag) if etag else objects.get(key)
        return frames.load(data, key)

    def table(self, segments: dict[str, Figures]) -> Table:
        """The segments' rows, which are read when the workbook takes them."""
        figures = list(segments.values())
        return Table(
            "Sheet1",
            header(f.columns for f in figures),
            widest(f.widest for f in figures),
            [part for f in figures for part in f.parts],
            map_ahead(lambda each: self.get_xml(*each), segments.items(), TRANSFERS, TRANSFERS),
        )

    def send_excel(
        self, tables: Sequence[Table], formats: Mapping[str, str], bucket: str, workbook: str
    ) -> int:
        """Write the workbook, which appears in the bucket only when it is whole.

        Args:
            tables: the segments' rows, and those beside them.

        Returns:
            Its size in bytes.
        """
        file = Chunks(workbook_chunks(workbook, tables, formats))
        self.s3.upload_fileobj(
            file,  # type: ignore[arg-type]  # boto3 only calls its read
            bucket,
            workbook,
            ExtraArgs={"ContentType": CONTENT_TYPE},
            Config=upload_config(),
        )
        return file.size

    def send_facts(
        self,
        segments: dict[str, Figures],
        tables: Sequence[Table],
        summaries: Sequence[Table],
        workbook: str,
        size: int,
    ) -> None:
        rows, columns = tables[0].rows, list(tables[0].columns)
        facts = self.told.facts(workbook, size, rows, columns, sheet_names(tables))
        told = [told_of(each) for each in summaries]
        facts = replace(facts, summaries=told, rejects=self.rejected.told)
        self.objects.put(facts_key(next(iter(segments))), facts.to_json())

    def get_xml(self, key: str, figures: Figures) -> bytes:
        return rendered.get_told(self.objects, rendered.xml_key(key), figures.xml_etag)


def result_keys(event: dict[str, Any]) -> list[str]:
    """The segment results; where the event names the definitions, too, one for each of them.

    Raises:
        InvalidEvent: there are none, or not lists of keys.
        MissingSegment: a definition has no result.
    """
    results = key_list(event, "segment_results")
    definitions = (
        key_list(event, "segment_definitions") if "segment_definitions" in event else results
    )
    if not definitions:
        raise InvalidEvent("event: segment_results must hold a key; found an empty list")
    if len(results) > len(definitions):
        raise InvalidEvent(f"event: found {len(results)} results for {len(definitions)} segments")
    pairs = itertools.zip_longest(definitions, results)
    if missing := [segment for segment, result in pairs if not isinstance(result, str)]:
        count = len(definitions)
        raise MissingSegment(
            f"{missing[0] or 'event'}: each segment must have one result; "
            f"found {count - len(missing)} results for {count} segments"
        )
    if repeated := [key for key, count in Counter(results).items() if count > 1]:
        raise InvalidEvent(f"event: each result must be another; found {repeated[0]} again")
    return results


def key_list(event: dict[str, Any], name: str) -> list[Any]:
    keys = event.get(name)
    if not isinstance(keys, list):
        raise InvalidEvent(f"event: {name} must be a list of keys; found {found(keys)}")
    return keys


def told_of(table: Table) -> SummaryFacts:
    """A table beside the segments' own, as JSON has it."""
    rows = [[json_cell(cell) for cell in row] for row in (*table.first_rows, table.total)]
    count = table.rows - bool(table.total)
    return SummaryFacts(
        table.name, list(table.columns), table.keys, count, table.chart, rows[:-1], rows[-1]
    )


def json_cell(cell: Any) -> Any:
    plain = cell is None or (isinstance(cell, int | float) and abs(cell) <= EXACT_INTEGER)
    if plain:
        return cell
    return integer_text(cell) if isinstance(cell, int) else str(cell)


def upload_config() -> TransferConfig:
    """Parts of 8 MiB, of which few are in memory at a time, and up to 10,000 in a workbook."""
    config = TransferConfig(multipart_chunksize=8 * 1024 * 1024, max_concurrency=2)
    config.max_in_memory_upload_chunks = 2
    return config

"""gather-lambda: splice the segments' rendered rows into one workbook, without holding it."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.events.gather import result_keys
from pipeline.facts.stages import workbook_metadata
from pipeline.keys import facts_key, gathered
from pipeline.s3.signed import Objects, signing_key
from pipeline.s3.upload import WrittenMeanwhile, upload, upload_latest
from pipeline.segments import figures, frames
from pipeline.segments.rejects_sheet import Rejected
from pipeline.segments.results import Results
from pipeline.sheet.chunks import Chunks
from pipeline.sheet.layout import Layout
from pipeline.sheet.table import Table, next_style
from pipeline.sheet.workbook import Workbook, check_size, sheet_names
from pipeline.summaries.combine import Summaries

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WORKBOOK = "test.xlsx"
CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class GatherHandler:
    """Join `gather/…/job_NNN.pkl`, in the order of the event, into one workbook."""

    def __init__(self, event: dict[str, Any], context: Any, s3: "S3Client") -> None:
        self.event = event
        self.context = context
        self.s3 = s3
        self.bucket = os.environ.get("BUCKET", "test-bucket")
        self.objects = Objects(s3, self.bucket, signing_key())
        self.summaries = Summaries(lambda key: self.get_s3_df(self.bucket, key))
        self.rejected = Rejected(lambda key, etag: self.get_s3_df(self.bucket, key, etag))

    def main(self) -> str:
        try:
            return self.make_workbook()
        except WrittenMeanwhile:  # look again which upload is the latest
            return GatherHandler(self.event, self.context, self.s3).main()

    def make_workbook(self) -> str:
        keys = result_keys(self.get_event())
        results = self.get_results(keys)
        workbook: str = self.event.get("workbook", WORKBOOK)
        formats = next(iter(results.figures.values())).formats
        self.rejected.check()
        # Before summaries are merged.
        check_size(workbook, sum(part.deflated_bytes for part in results.parts))
        tables = list(results.tables())
        summaries = list(self.summaries.tables(formats, next_style(tables)))
        tables += summaries
        tables += self.rejected.tables(formats, next_style(tables))
        source, layout = results.told.source, results.first.layout
        size = self.send_excel(tables, formats, self.bucket, workbook, source, layout)
        self.send_facts(results, sheet_names(tables), summaries, workbook, size)
        return workbook

    def get_event(self) -> dict[str, Any]:
        """The event, with the lists of keys in place of its manifest."""
        if "manifest" not in self.event:
            return self.event
        definitions = json.loads(self.objects.get(self.event["manifest"]))
        results = [gathered(key) for key in definitions]
        return {"segment_definitions": definitions, "segment_results": results}

    def get_results(self, keys: list[str]) -> Results:
        """What the segments wrote; what they left out, and contribute to summaries, is added here."""
        results = Results(
            self.objects, keys, lambda key, etag: self.get_s3_df(self.bucket, key, etag)
        )
        for key, rejects, contributed in results.read():
            self.summaries.add(key, *contributed)
            self.rejected.add(key, rejects)
        return results

    def get_s3_df(self, bucket: str, key: str, etag: str = "") -> pd.DataFrame:
        objects = Objects(self.s3, bucket, self.objects.secret)
        data = figures.get_told(objects, key, etag) if etag else objects.get(key)
        return frames.load(data, key)

    def send_excel(
        self,
        tables: Sequence[Table],
        formats: Mapping[str, str],
        bucket: str,
        workbook: str,
        source: str,
        layout: Layout,
    ) -> int:
        """Write the workbook, which appears in the bucket only when it is whole.

        Args:
            tables: the segments' rows, and those beside them.
            source: the input that they are made of.
            layout: of their sheets.

        Returns:
            Its size in bytes; 0 where a later upload of the input has taken its place.
        """
        made = Workbook(workbook, tables, formats, layout)
        described = {"ContentType": CONTENT_TYPE, "Metadata": workbook_metadata(source)}
        file = Chunks(made.chunks())
        if given := self.event.get("upload"):
            made_from = given["key"], given["etag"]
            latest = upload_latest(self.s3, bucket, workbook, file, made.size, described, made_from)
            return made.size if latest else 0
        upload(self.s3, bucket, workbook, file, made.size, described)
        return made.size

    def send_facts(
        self,
        results: Results,
        sheets: list[str],
        summaries: Sequence[Table],
        workbook: str,
        size: int,
    ) -> None:
        facts = results.told.facts(workbook, size, results.rows, results.columns, sheets)
        told = [each.facts() for each in summaries]
        facts = replace(
            facts,
            later=not size,
            summaries=told,
            rejects=self.rejected.told,
            table=not results.first.alone,
        )
        self.objects.put(facts_key(next(iter(results.figures))), facts.to_json())

"""gather-lambda: splice the segments' rendered rows into one workbook, without holding it."""

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
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
from pipeline.sheet.table import Table, next_style
from pipeline.sheet.workbook import Workbook, check_size
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
        self.load = partial(self.get_s3_df, self.bucket)
        self.summaries = Summaries(self.load)
        self.rejected = Rejected(self.load)

    def main(self) -> str:
        try:
            return self.make_workbook()
        except WrittenMeanwhile:  # look again which upload is the latest
            return GatherHandler(self.event, self.context, self.s3).main()

    def make_workbook(self) -> str:
        results = self.get_results(result_keys(self.get_event()))
        workbook: str = self.event.get("workbook", WORKBOOK)
        self.rejected.check()
        # Before summaries are merged.
        check_size(workbook, sum(part.deflated_bytes for part in results.parts))
        formats = results.first.formats
        tables = list(results.tables())
        summaries = list(self.summaries.tables(formats, next_style(tables)))
        tables += summaries
        tables += self.rejected.tables(formats, next_style(tables))
        made = Workbook(workbook, tables, formats, results.first.layout)
        size = self.send_excel(made, self.bucket, results.told.source)
        self.send_facts(results, summaries, made, size)
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
        results = Results(self.objects, keys, self.load)
        for key, rejects, contributed in results.read():
            self.summaries.add(key, *contributed)
            self.rejected.add(key, rejects)
        return results

    def get_s3_df(self, bucket: str, key: str, etag: str = "") -> pd.DataFrame:
        objects = Objects(self.s3, bucket, self.objects.secret)
        data = figures.get_told(objects, key, etag) if etag else objects.get(key)
        return frames.load(data, key)

    def send_excel(self, made: Workbook, bucket: str, source: str) -> int:
        """Write the workbook, which appears in the bucket only when it is whole.

        Args:
            source: the input that it is made of.

        Returns:
            Its size in bytes; 0 where a later upload of the input has taken its place.
        """
        described = {"ContentType": CONTENT_TYPE, "Metadata": workbook_metadata(source)}
        file = Chunks(made.chunks())
        if given := self.event.get("upload"):
            made_from = given["key"], given["etag"]
            latest = upload_latest(
                self.s3, bucket, made.name, file, made.size, described, made_from
            )
            return made.size if latest else 0
        upload(self.s3, bucket, made.name, file, made.size, described)
        return made.size

    def send_facts(
        self, results: Results, summaries: Iterable[Table], made: Workbook, size: int
    ) -> None:
        facts = replace(
            results.told.facts(made.name, size, results.rows, results.columns, made.sheet_names),
            later=not size,
            summaries=[each.facts() for each in summaries],
            rejects=self.rejected.told,
            table=not results.first.alone,
        )
        self.objects.put(facts_key(next(iter(results.figures))), facts.to_json())

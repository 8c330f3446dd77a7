"""segment-lambda: runs the table's ETL, a module of etl/, on one segment."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.etl_names import choose, known
from pipeline.etls.module import Etl, load
from pipeline.keys import result_key
from pipeline.reading.plain_numbers import read_cells
from pipeline.reading.references import References
from pipeline.segments import result
from pipeline.segments.rules import Fault, sift

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ETLS = Path(__file__).with_name("etl")


class SegmentHandler:
    """Turn `scatter/…/job_NNN.pkl` into `gather/…/job_NNN.pkl`."""

    def __init__(self, event: str, context: Any, s3: "S3Client") -> None:
        self.event = event
        self.context = context
        self.s3 = s3
        self.bucket = os.environ.get("BUCKET", "test-bucket")
        self.references = References({}, s3, self.bucket, event)

    def main(self) -> str:
        key = result_key(self.event)
        # By it the log of executions that run at once is told apart.
        request_id = getattr(self.context, "aws_request_id", None)
        print(f"SEGMENT RequestId: {request_id} Key: {json.dumps(self.event)}")
        df = self.get_s3_data(self.bucket, self.event)
        processed, faults = sift(self.process, df, etl_of(df).numbers)
        return self.send_segment_df(processed, self.bucket, key, df, faults)

    def get_s3_data(self, bucket: str, key: str) -> pd.DataFrame:
        df = result.read_segment(self.s3, bucket, key)
        etl = etl_of(df)
        etl.check_sheets(df.attrs.get("sheets"))
        return read_cells(df, etl.numbers)

    def process(self, df: pd.DataFrame) -> pd.DataFrame:
        """Make of some rows of a table what its ETL makes of them: no I/O, new columns last.

        Raises:
            UnknownEtl: there is none of that name.
            MissingColumn: the table has not all COLUMNS.
            InvalidMember: names the records that the ETL refuses, counted from 0.
        """
        etl = etl_of(df)
        self.references.keys = etl.references
        return etl.apply(df, self.references)

    def send_segment_df(
        self,
        df: pd.DataFrame,
        bucket: str,
        key: str,
        segment: pd.DataFrame,
        faults: dict[int, Fault],
    ) -> str:
        """
        Args:
            segment: the rows that df was made of.
            faults: those of them that are not in it.
        """
        etl = etl_of(segment)
        declared = (etl.summaries, etl.formats, etl.layout)
        result.send(self.s3, bucket, key, df, segment, faults, *declared)
        return key


def etl_of(df: pd.DataFrame) -> Etl:
    """The ETL of a table: what its execution's input chose, else that of the inbox's folder, else the
    function's environment."""
    folder = known(ETLS, df.attrs.get("folder"))
    return load(ETLS, choose(ETLS, df.attrs.get("etl"), folder, os.environ.get("ETL")))

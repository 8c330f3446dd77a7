"""segment-lambda: the rule that runs on each segment of the table, and what is declared beside it."""

import os
from typing import TYPE_CHECKING, Any

import pandas as pd

import result
from excel import check_formats
from references import References, check_references
from refused import Fault, is_number, refuse, sift, source_of
from refused import InvalidMember as InvalidMember
from summary import Summary, check_summaries

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

COLUMNS = ["会員番号", "名前", "会員ランク", "ポイント", "タイムスタンプ"]
NUMBERS = ["会員ランク", "ポイント"]  # what `process` computes with; CSV itself has only texts
SUMMARIES = [
    Summary(
        "会員ランク別",
        by="会員ランク",
        total="合計",
        chart="column",
        人数=("会員番号", "count"),
        ポイント=("ポイント", "sum"),
        平均=("ボーナスポイント", "mean"),
    ),
]
FORMATS = {"ポイント": "#,##0", "平均": "#,##0.0"}  # as Excel's, of columns that a sheet may have
REFERENCES: dict[str, str] = {}  # {"料率": "reference/rates.csv"} is self.references["料率"]
RANKS = range(1, 6)
BONUS_RATE = 1.25  # for members ranked above 3

check_formats(FORMATS)
check_summaries(SUMMARIES)
check_references(REFERENCES)


class SegmentHandler:
    """Turn `scatter/…/job_NNN.pkl` into `gather/…/job_NNN.pkl`."""

    def process(self, df: pd.DataFrame) -> pd.DataFrame:
        """Add ボーナスポイント: ポイント, times BONUS_RATE where 会員ランク is 4 or 5.

        This is the step to replace with your own ETL: rows in, rows out, no I/O.

        Args:
            df: some rows of the members table, indexed by their row numbers in it.

        Returns:
            The same columns and ボーナスポイント last: int64 where no rank exceeds 3, else float64.

        Raises:
            InvalidMember: a column is missing, or a record, counted from 0, has no value or a rank
                beyond 1 to 5.
        """
        members = df if len(df.columns) else df.reindex(columns=COLUMNS)
        check_members(members)
        rank, points = members["会員ランク"], members["ポイント"]
        return members.assign(ボーナスポイント=points.where(rank <= 3, points * BONUS_RATE))

    def __init__(self, event: str, context: Any, s3: "S3Client") -> None:
        self.event = event
        self.context = context
        self.s3 = s3
        self.bucket = os.environ.get("BUCKET", "test-bucket")
        self.references = References(REFERENCES, s3, self.bucket, event)

    def main(self) -> str:
        key = result.result_key(self.event)
        df = self.get_s3_data(self.bucket, self.event)
        processed, faults = sift(self.process, df, NUMBERS)
        return self.send_segment_df(processed, self.bucket, key, df, faults)

    def get_s3_data(self, bucket: str, key: str) -> pd.DataFrame:
        return result.read_segment(self.s3, bucket, key, NUMBERS)

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
        result.send(self.s3, bucket, key, df, segment, faults, SUMMARIES, FORMATS)
        return key


def check_members(df: pd.DataFrame) -> None:
    missing = [name for name in COLUMNS if name not in df.columns]
    if missing:
        raise InvalidMember(
            f"{source_of(df)}: members have the columns {', '.join(COLUMNS)}; "
            f"found no {', '.join(missing)}"
        )
    for name in COLUMNS:
        refuse(df, name, df[name].isna(), "must be given")
    refuse(df, "会員ランク", ~is_rank(df["会員ランク"]), "must be 1 to 5")
    refuse(df, "ポイント", ~is_number(df["ポイント"]), "must be a number")


def is_rank(column: pd.Series) -> pd.Series:
    return is_number(column) & column.isin(RANKS)

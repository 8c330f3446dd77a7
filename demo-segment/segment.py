"""segment-lambda: run the ETL on one segment and render its rows for the workbook."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

import frames
import plain_numbers
import rendered
from excel import check_formats
from found import found
from profile_table import segment_facts
from references import References, check_references
from refused import Fault, refuse, refused, rejects, sift, source_of
from refused import InvalidMember as InvalidMember
from rendered import Rejects, rejected_before, rejects_key
from sheet_xml import render_rows
from summary import Summary, carried, check_summaries

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


class InvalidEvent(ValueError):
    """The event is not the key of a segment file."""


class SegmentHandler:
    """Turn `scatter/…/job_NNN.pkl` into `gather/…/job_NNN.pkl`."""

    def __init__(self, event: str, context: Any, s3: "S3Client") -> None:
        self.event = event
        self.context = context
        self.s3 = s3
        self.bucket = os.environ.get("BUCKET", "test-bucket")
        self.references = References(REFERENCES, s3, self.bucket, event)

    def main(self) -> str:
        key = gather_key(self.event)
        df = self.get_s3_data(self.bucket, self.event)
        result, faults = sift(self.process, df)
        if faults and "rejects" not in df.attrs:
            raise refused(df, faults)
        left_out = self.send_rejects(df, faults, self.bucket, key)
        return self.send_segment_df(result, self.bucket, key, first_row(df), len(df), left_out)

    def get_s3_data(self, bucket: str, key: str) -> pd.DataFrame:
        data = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return plain_numbers.read_cells(frames.load(data, key), NUMBERS)

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

    def send_rejects(
        self, df: pd.DataFrame, faults: dict[int, Fault], bucket: str, key: str
    ) -> Rejects | None:
        """Write the records that are left out of the result; None where nobody asked for them."""
        if "rejects" not in df.attrs:
            return None
        left_out = rejects(df, faults)
        columns, most = [str(name) for name in left_out.columns], df.attrs.get("max_rejects")
        if not faults:
            return Rejects(0, columns, most)
        etag, _ = self.put_pickle(left_out, bucket, rejects_key(key, len(faults)))
        first, *_ = str(refused(df, faults)).splitlines()
        return Rejects(len(faults), columns, most, etag, first)

    def send_segment_df(
        self,
        df: pd.DataFrame,
        bucket: str,
        key: str,
        position: int = 0,
        rows_in: int = 0,
        left_out: Rejects | None = None,
    ) -> str:
        """Write the result and, beside it, its rows rendered for the workbook, what it contributes
        to summaries, and its facts.

        Args:
            position: row number of the first row in the whole table.
            rows_in: of the segment file.
            left_out: the records of that which are not in the result.
        """
        partials = carried(SUMMARIES, df, key)
        facts = segment_facts(df, rows_in)
        with ThreadPoolExecutor(1) as thread:
            pickled = thread.submit(self.put_pickle, df, bucket, key)
            if left_out:
                pickled.result()  # meanwhile, others tell what they left out
                position = max(0, position - rejected_before(self.s3, bucket, key))
            rows = render_rows(df, position, key, FORMATS)
            summaries = rendered.contribution(self.s3, bucket, key, *partials)
            etag, size = pickled.result()
            told = asdict(
                replace(
                    facts,
                    size=size,
                    partials=len(partials[1]),
                    rejects=left_out.count if left_out else 0,
                )
            )
            rendered.send(self.s3, bucket, key, rows, etag, told, summaries, left_out)
        return key

    def put_pickle(self, df: pd.DataFrame, bucket: str, key: str) -> tuple[str, int]:
        """Returns its ETag, and its size in bytes."""
        pickled = frames.dump(df)
        return self.s3.put_object(Bucket=bucket, Key=key, Body=pickled)["ETag"], len(pickled)


def first_row(df: pd.DataFrame) -> int:
    return int(df.index[0]) if len(df) else 0


def gather_key(scatter_key: str) -> str:
    """`scatter/job_000.pkl` → `gather/job_000.pkl`.

    Raises:
        InvalidEvent: not a segment file's key, or one that climbs.
    """
    steps = scatter_key.split("/") if isinstance(scatter_key, str) else [""]
    if steps[0] != "scatter" or scatter_key[-4:] != ".pkl" or {"", ".", ".."} & set(steps):
        raise InvalidEvent(
            f"event: must be a key like scatter/job_000.pkl; found {found(scatter_key)}"
        )
    return "/".join(["gather", *steps[1:]])


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


def is_number(column: pd.Series) -> pd.Series:
    if column.dtype != object:
        numeric = pd.api.types.is_numeric_dtype(column) and column.dtype != bool
        return pd.Series(numeric, index=column.index)
    return column.map(type).isin([int, float])

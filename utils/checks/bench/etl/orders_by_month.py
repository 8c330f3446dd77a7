"""Orders, and what each customer bought in which of twelve months."""

from etl.orders import process as process
from pipeline.etl import Summary

SUMMARIES = [
    Summary(
        "顧客×月",
        by="顧客",
        across={"月": lambda df: df["金額"] % 12 + 1},
        total="合計",
        件数=("注文番号", "count"),
        金額=("金額", "sum"),
    )
]

"""Orders, and what each customer bought."""

from etl.orders import process as process
from pipeline.etl import Summary

SUMMARIES = [
    Summary(
        "顧客別",
        by="顧客",
        件数=("注文番号", "count"),
        金額=("金額", "sum"),
        商品数=("商品", "nunique"),
        中央=("金額", "median"),
    )
]

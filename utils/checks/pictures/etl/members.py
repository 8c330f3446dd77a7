"""Members by rank and month: what the picture of a cross table shows."""

import pandas as pd

from pipeline.etl import Summary

SUMMARIES = [
    Summary(
        "会員ランク×月",
        by="会員ランク",
        across={"月": lambda df: df["タイムスタンプ"].str[:7]},
        total="合計",
        chart="column",
        人数=("会員番号", "count"),
    ),
]


def process(df: pd.DataFrame) -> pd.DataFrame:
    return df

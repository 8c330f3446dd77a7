"""Members: what bonus each earns, and what they sum to by rank."""

import pandas as pd

from pipeline.etl import Summary, is_number, refuse

COLUMNS = ["会員番号", "名前", "会員ランク", "ポイント", "タイムスタンプ"]
NUMBERS = ["会員ランク", "ポイント"]
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
FORMATS = {"ポイント": "#,##0", "平均": "#,##0.0"}
RANKS = range(1, 6)
BONUS_RATE = 1.25  # for members ranked above 3


def process(df: pd.DataFrame) -> pd.DataFrame:
    """Add ボーナスポイント: ポイント, times BONUS_RATE where 会員ランク is 4 or 5.

    It is int64 where no rank exceeds 3, else float64.
    """
    for name in COLUMNS:
        refuse(df, name, df[name].isna(), "must be given")
    refuse(df, "会員ランク", ~is_rank(df["会員ランク"]), "must be 1 to 5")
    refuse(df, "ポイント", ~is_number(df["ポイント"]), "must be a number")
    rank, points = df["会員ランク"], df["ポイント"]
    return df.assign(ボーナスポイント=points.where(rank <= 3, points * BONUS_RATE))


def is_rank(column: pd.Series) -> pd.Series:
    return column.where(is_number(column)).isin(RANKS)

"""Orders: what each comes to, and what they sum to by product."""

import pandas as pd

from pipeline.etl import Summary, is_number, refuse

COLUMNS = ["注文番号", "商品", "単価", "数量"]
NUMBERS = ["単価", "数量"]
SUMMARIES = [
    Summary(
        "商品別",
        by="商品",
        total="合計",
        sort="-金額",
        数量=("数量", "sum"),
        金額=("金額", "sum"),
        平均単価="金額 / 数量",
    ),
    Summary(
        "商品×数量",
        by="商品",
        across={"数量": lambda df: df["数量"].lt(10).map({True: "10個未満", False: "10個以上"})},
        total="合計",
        金額=("金額", "sum"),
    ),
]
FORMATS = {"金額": "#,##0"}


def process(df: pd.DataFrame) -> pd.DataFrame:
    """Add 金額: 単価 × 数量, a tenth less from ten pieces on."""
    for name in NUMBERS:
        refuse(df, name, ~is_number(df[name]), "must be a number")
    amount = df["単価"] * df["数量"]
    return df.assign(金額=amount.where(df["数量"] < 10, amount * 0.9))

"""polars: orders by customer, and a workbook of both."""

import polars as pl
import xlsxwriter

from members import arguments, read, sheets

source, path = arguments()
df = pl.DataFrame(read(source))
amount = pl.col("金額")
summary = df.group_by("顧客").agg(
    pl.col("注文番号").count().alias("件数"),
    amount.sum(),
    pl.col("商品").n_unique().alias("商品数"),
    amount.median().alias("中央"),
)
tables = {sheet: df[start:stop] for sheet, start, stop in sheets(df.height)}
with xlsxwriter.Workbook(path) as workbook:
    for sheet, rows in {**tables, "顧客別": summary.sort("顧客")}.items():
        rows.write_excel(workbook, sheet, autofilter=False, freeze_panes=(1, 0), float_precision=2)

"""polars `write_excel`."""

import polars as pl
import xlsxwriter

from members import BONUS, arguments, read, sheets

source, path = arguments()
points = pl.col("ポイント")
df = pl.DataFrame(read(source)).with_columns(
    pl.when(pl.col("会員ランク") <= 3).then(points).otherwise(points * 1.25).alias(BONUS)
)
with xlsxwriter.Workbook(path) as workbook:
    for sheet, start, stop in sheets(df.height):
        df[start:stop].write_excel(
            workbook, sheet, autofilter=False, freeze_panes=(1, 0), float_precision=2
        )

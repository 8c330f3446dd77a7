"""jetxl's parallel writer of Arrow tables, which polars makes of what orjson read."""

import os

import jetxl
import polars as pl

from members import BONUS, arguments, read, sheets

source, workbook = arguments()
points = pl.col("ポイント")
df = pl.DataFrame(read(source)).with_columns(
    pl.when(pl.col("会員ランク") <= 3).then(points).otherwise(points * 1.25).alias(BONUS)
)
tables = [
    {"data": df[start:stop], "name": sheet, "freeze_rows": 1, "styled_headers": True}
    for sheet, start, stop in sheets(df.height)
]
jetxl.write_sheets_arrow(tables, workbook, os.cpu_count())

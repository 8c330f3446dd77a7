"""pandas: orders by customer, and a workbook of both."""

import pandas as pd

from members import arguments, read, sheets

source, workbook = arguments()
df = pd.DataFrame(read(source))
summary = df.groupby("顧客", as_index=False).agg(
    件数=("注文番号", "count"),
    金額=("金額", "sum"),
    商品数=("商品", "nunique"),
    中央=("金額", "median"),
)
with pd.ExcelWriter(workbook, engine="xlsxwriter") as writer:
    for sheet, start, stop in sheets(len(df)):
        df[start:stop].to_excel(writer, sheet_name=sheet, index=False, freeze_panes=(1, 0))
    summary.to_excel(writer, sheet_name="顧客別", index=False, freeze_panes=(1, 0))

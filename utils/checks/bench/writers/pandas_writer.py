"""pandas `to_excel`, with its faster engine."""

import pandas as pd

from members import BONUS, arguments, read, sheets

source, workbook = arguments()
df = pd.DataFrame(read(source))
points = df["ポイント"]
df[BONUS] = points.where(df["会員ランク"] <= 3, points * 1.25)
with pd.ExcelWriter(workbook, engine="xlsxwriter") as writer:
    for sheet, start, stop in sheets(len(df)):
        df[start:stop].to_excel(writer, sheet_name=sheet, index=False, freeze_panes=(1, 0))

"""rust_xlsxwriter through rustpy-xlsxwriter, with the header bold and frozen."""

from rustpy_xlsxwriter import write_worksheets

from members import BONUS, arguments, bonus, read, sheets

source, workbook = arguments()
members = read(source)
for member in members:
    member[BONUS] = bonus(member)
write_worksheets(
    [(sheet, members[start:stop]) for sheet, start, stop in sheets(len(members))],
    workbook,
    freeze_panes={"general": {"row": 1, "col": 0}},
    bold_headers=True,
)

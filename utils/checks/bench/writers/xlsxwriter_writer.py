"""XlsxWriter in `constant_memory`, cell by cell of known types: `write_row` takes longer."""

from typing import Any

import xlsxwriter

from members import BONUS, arguments, bonus, read, sheets


def write_sheet(sheet: Any, members: list[dict[str, Any]], columns: list[str]) -> None:
    sheet.freeze_panes(1, 0)
    sheet.write_row(0, 0, columns)
    text, number = sheet.write_string, sheet.write_number
    for row, member in enumerate(members, 1):
        name, full_name, rank, points, stamp = member.values()
        text(row, 0, name)
        text(row, 1, full_name)
        number(row, 2, rank)
        number(row, 3, points)
        text(row, 4, stamp)
        number(row, 5, bonus(member))


source, path = arguments()
members = read(source)
with xlsxwriter.Workbook(path, {"constant_memory": True}) as workbook:
    for name, start, stop in sheets(len(members)):
        write_sheet(workbook.add_worksheet(name), members[start:stop], [*members[0], BONUS])

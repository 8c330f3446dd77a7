"""rustypyxl's streaming writer, the fastest Rust one found; it has no frozen or bold header."""

import itertools

from rustypyxl import WriteOnlyWorkbook

from members import BONUS, arguments, bonus, read, sheets

BATCH_ROWS = 10_000

source, path = arguments()
members = read(source)
workbook = WriteOnlyWorkbook(path)
for sheet, start, stop in sheets(len(members)):
    workbook.create_sheet(sheet)
    workbook.append_row([*members[0], BONUS])
    for batch in itertools.batched(members[start:stop], BATCH_ROWS, strict=False):
        workbook.append_rows([[*member.values(), bonus(member)] for member in batch])
workbook.close()

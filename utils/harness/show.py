"""Show a downloaded workbook."""

import os

from openpyxl import load_workbook
from rich.console import Console
from rich.table import Table

from harness.fault import Fault
from harness.settings import local_copy


def show(workbook: str = "test.xlsx", rows: int = 5) -> None:
    """Print a downloaded workbook's first rows and where it is."""
    path = local_copy(workbook)
    if not path.exists():
        raise Fault(f"{os.path.relpath(path)} does not exist: make download WORKBOOK={workbook}")
    book = load_workbook(path, read_only=True)
    sheet = book.worksheets[0]
    lines = sheet.iter_rows(max_row=rows + 1, values_only=True)
    table = Table(*(str(name) for name in next(lines)))
    for line in lines:
        table.add_row(*("" if cell is None else str(cell) for cell in line))
    Console().print(table)
    print(f"{sum(each.max_row - 1 for each in book.worksheets)} rows in {os.path.relpath(path)}")
    book.close()

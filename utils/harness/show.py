"""Show a downloaded workbook."""

import itertools
import os
import re
import shlex
from collections import deque
from collections.abc import Iterable
from typing import Any

from openpyxl import load_workbook
from rich.table import Table

from harness.fault import Fault
from harness.report.formats import cell
from harness.settings import local_copy
from harness.terminal import console

SUMMARY_ROWS = 20
OF_THE_TABLE = re.compile("Sheet[0-9]+")  # all other sheets are summaries


def show(workbook: str = "test.xlsx", rows: int = 5) -> None:
    """Print a downloaded workbook's first rows, its summaries, and where it is."""
    path = local_copy(workbook)
    if not path.exists():
        raise Fault(
            f"{os.path.relpath(path)} does not exist: make download WORKBOOK={shlex.quote(workbook)}"
        )
    book = load_workbook(path, read_only=True)
    first, *others = book.worksheets
    own = [first, *(sheet for sheet in others if OF_THE_TABLE.fullmatch(sheet.title))]
    print_rows(first.iter_rows(max_row=rows + 1, values_only=True))
    for sheet in book.worksheets[len(own) :]:
        print(sheet.title)
        print_rows(shortened(sheet.iter_rows(values_only=True)))
    print(f"{sum(sheet.max_row - 1 for sheet in own)} rows in {os.path.relpath(path)}")
    book.close()


def shortened(rows: Iterable[Any]) -> list[Any]:
    """The header, the first SUMMARY_ROWS rows and the last one, which may be a total."""
    rows = iter(rows)
    shown = [*itertools.islice(rows, SUMMARY_ROWS + 1)]
    left = deque(rows, 2)
    return [*shown, *([["…"], left[-1]] if len(left) == 2 else left)]


def print_rows(rows: Iterable[Any]) -> None:
    header, *lines = rows
    table = Table(*map(text, header))
    for line in lines:
        table.add_row(*map(text, line))
    console().print(table)


def text(value: Any) -> str:
    if value is None:
        return ""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return cell(value) if number else str(value)

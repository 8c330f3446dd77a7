"""Compare a workbook with the JSON it was made of: `python -m checks.bench.check JSON ROWS WORKBOOK`.

Runs in the bench's own environment and prints `{"sheets": 1, "fault": null}`.
"""

import json
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook

from checks.bench.comparison import difference, expected_sheets, read_members


def check(source: Path, rows: int, workbook: Path) -> dict[str, Any]:
    try:
        book = CalamineWorkbook.from_path(workbook)
        return {"sheets": len(book.sheet_names), "fault": fault(source, rows, book)}
    except (CalamineError, OSError) as error:
        return {"sheets": 0, "fault": f"cannot be read: {error}"}


def fault(source: Path, rows: int, book: Any) -> str | None:
    """The first thing wrong: a sheet too few or too many, or a cell."""
    expected = expected_sheets(read_members(source), rows)
    for number, (want, name) in enumerate(zip_longest(expected, book.sheet_names), 1):
        if want is None or name != f"Sheet{number}":
            return f"sheet {number}: expected {f'Sheet{number}' if want else 'none'}; found {name}"
        if found := difference(name, want, book.get_sheet_by_name(name).iter_rows()):
            return found
    return None


if __name__ == "__main__":
    source, rows, workbook = sys.argv[1:]
    print(json.dumps(check(Path(source), int(rows), Path(workbook)), ensure_ascii=False))

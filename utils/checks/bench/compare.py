"""Compare a workbook with the JSON it was made of; the bonus is computed here once more.

`python -m checks.bench.compare JSON ROWS WORKBOOK`, in the environment that has the reader,
prints the first thing that is wrong.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

from checks.bench.figures import UTILS, python

BONUS = "ボーナスポイント"
DATA_ROWS = 1_048_575  # a sheet's rows but for the header

type Row = list[Any]


def check(source: Path, rows: int, workbook: Path) -> str | None:
    """The first thing wrong with a workbook; None if it holds the table, and nothing else."""
    command = [python("bench"), "-m", "checks.bench.compare", str(source), str(rows), str(workbook)]
    done = subprocess.run(command, cwd=UTILS, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return f"not compared: the comparison ended with {done.returncode}"
    return done.stdout.strip() or None


def expected_sheets(
    members: Iterable[dict[str, Any]], rows: int, limit: int = DATA_ROWS
) -> Iterator[Iterator[Row]]:
    """The rows of each sheet in turn, header first; one sheet must be used up before the next."""
    members = iter(members)
    first = next(members)
    members = chain([first], members)
    for start in range(0, rows, limit):
        here = islice(members, min(limit, rows - start))
        yield chain([[*first, BONUS]], map(expected_row, here))


def expected_row(member: dict[str, Any]) -> Row:
    rate = 1.25 if member["会員ランク"] in (4, 5) else 1
    return [*member.values(), member["ポイント"] * rate]


def read_members(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file of ours, which has one a line; never all at once."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.startswith("{"):
                yield json.loads(line.rstrip(",\n"))


def difference(sheet: str, expected: Iterable[Row], found: Iterable[Row]) -> str | None:
    """The first row that differs, in words; None if there is none. 75 and 75.0 are one number."""
    for number, (want, have) in enumerate(zip_longest(expected, found), 1):
        if want != have or bool in map(type, have):
            return f"{sheet} row {number}: expected {want or 'no row'}; found {have or 'no row'}"
    return None


def fault(source: Path, rows: int, book: Any) -> str | None:
    """The first thing wrong in a workbook: a sheet too few or too many, or a cell."""
    sheets = expected_sheets(read_members(source), rows)
    for number, (want, name) in enumerate(zip_longest(sheets, book.sheet_names), 1):
        if want is None or name != f"Sheet{number}":
            return f"sheet {number}: expected {f'Sheet{number}' if want else 'none'}; found {name}"
        if found := difference(name, want, book.get_sheet_by_name(name).iter_rows()):
            return found
    return None


def main(source: str, rows: str, workbook: str) -> None:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_path(workbook)
        print(fault(Path(source), int(rows), book) or "")
    except (CalamineError, OSError) as error:
        print(f"cannot be read: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])

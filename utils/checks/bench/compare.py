"""Compare a workbook with the JSON it was made of; bonus and summary are computed here once more.

`python -m checks.bench.compare WORKBOOK JSON [SUMMARY]`, in the gather's environment, which has a
reader, prints the first thing that is wrong; `… WORKBOOK OTHER.xlsx`, where it differs from another.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

from checks.bench.measure import ROOT, UTILS
from harness.fault import Fault

BONUS = "ボーナスポイント"
RANK = "会員ランク"
SUMMARY = "会員ランク別"
DATA_ROWS = 1_048_575  # a sheet's rows but for the header

type Row = list[Any]


def check(workbook: Path, *expected: object) -> None:
    """
    Args:
        expected: a JSON file and, where the members' summary must follow, SUMMARY; or another
            workbook.

    Raises:
        Fault: names the first thing that the workbook lacks, or holds besides.
    """
    python = ROOT / "demo-gather/.venv/bin/python"
    command = [str(python), "-m", "checks.bench.compare", str(workbook), *map(str, expected)]
    done = subprocess.run(command, cwd=UTILS, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Fault(f"not compared: the comparison ended with {done.returncode}")
    if wrong := done.stdout.strip():
        raise Fault(wrong)


def expected_sheets(
    members: Iterable[dict[str, Any]], limit: int = DATA_ROWS
) -> Iterator[Iterator[Row]]:
    """The rows of each sheet in turn, header first; one sheet must be used up before the next."""
    members = iter(members)
    first = next(members)
    rows = map(expected_row, chain([first], members))
    for row in rows:
        yield chain([[*first, BONUS], row], islice(rows, limit - 1))


def expected_row(member: dict[str, Any]) -> Row:
    rate = 1.25 if member[RANK] in (4, 5) else 1
    return [*member.values(), member["ポイント"] * rate]


def expected_summary(members: Iterable[dict[str, Any]]) -> Iterator[Row]:
    """The rows of the members' summary, header first and total last."""
    counts = Counter((m[RANK], m["ポイント"], expected_row(m)[-1]) for m in members)

    def row(name: Any, of: Iterable[int]) -> Row:
        alike = [each for each in counts.items() if each[0][0] in of]
        number = sum(count for _, count in alike)
        points = sum(points * count for (_, points, _), count in alike)
        bonus = sum(bonus * count for (_, _, bonus), count in alike)  # of quarters: exact
        return [name, number, points, bonus / number]

    ranks = sorted({rank for rank, _, _ in counts})
    yield [RANK, "人数", "ポイント", "平均"]
    yield from (row(rank, [rank]) for rank in ranks)
    yield row("合計", ranks)


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


def fault(expected: Iterable[tuple[str, Iterable[Row]]], book: Any) -> str | None:
    """The first thing wrong in a workbook: a sheet too few or too many, or a cell.

    Args:
        expected: name and rows of each sheet.
    """
    pairs = zip_longest(expected, book.sheet_names, fillvalue=None)
    for number, (sheet, found) in enumerate(pairs, 1):
        name, rows = sheet or (None, [])
        if found is None or name != found:
            return f"sheet {number}: expected {name or 'none'}; found {found or 'none'}"
        if wrong := difference(found, rows, book.get_sheet_by_name(found).iter_rows()):
            return wrong
    return None


def sheets_of_members(source: Path, summary: str = "") -> Iterator[tuple[str, Iterable[Row]]]:
    for number, sheet in enumerate(expected_sheets(read_members(source)), 1):
        yield f"Sheet{number}", sheet
    if summary:
        yield summary, expected_summary(read_members(source))


def sheets_of_book(book: Any) -> Iterator[tuple[str, Iterable[Row]]]:
    for name in book.sheet_names:
        yield name, book.get_sheet_by_name(name).iter_rows()


def main(workbook: str, other: str, *summary: str) -> None:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_path(workbook)
        if other.endswith(".xlsx"):
            expected = sheets_of_book(CalamineWorkbook.from_path(other))
        else:
            expected = sheets_of_members(Path(other), *summary)
        print(fault(expected, book) or "")
    except (CalamineError, OSError) as error:
        print(f"cannot be read: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])

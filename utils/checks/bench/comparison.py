"""Whether a workbook holds the table: the bonus is computed here once more, from the JSON."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

BONUS = "ボーナスポイント"
DATA_ROWS = 1_048_575  # a sheet's rows but for the header

type Row = list[Any]


def expected_sheets(
    members: Iterable[dict[str, Any]], rows: int, limit: int = DATA_ROWS
) -> Iterator[Iterator[Row]]:
    """The rows of each sheet in turn, header first; one sheet must be used up before the next."""
    members = iter(members)
    first = next(members)
    members = chain([first], members)
    for start in range(0, rows, limit):
        yield sheet_rows([*first, BONUS], members, min(limit, rows - start))


def sheet_rows(header: list[str], members: Iterator[dict[str, Any]], rows: int) -> Iterator[Row]:
    yield header
    yield from map(row, islice(members, rows))


def row(member: dict[str, Any]) -> Row:
    rate = 1.25 if member["会員ランク"] in (4, 5) else 1
    return [*member.values(), member["ポイント"] * rate]


def read_members(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file of ours, which has one a line; never all at once."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.startswith("{"):
                yield json.loads(line.rstrip(",\n"))


def difference(sheet: str, expected: Iterable[Row], found: Iterable[Row]) -> str | None:
    """The first cell that differs, in words; None if there is none. 75 and 75.0 are one number."""
    for number, (want, have) in enumerate(zip_longest(expected, found), 1):
        if want != have or bool in map(type, have):
            return f"{sheet} row {number}: {cell_difference(want, have)}"
    return None


def cell_difference(want: Row | None, have: Row | None) -> str:
    if want is None or have is None:
        return f"expected {want or 'no row'}; found {have or 'no row'}"
    if len(want) != len(have):
        return f"expected {len(want)} columns; found {len(have)}"
    return next(
        f"column {column}: expected {left!r}; found {right!r}"
        for column, (left, right) in enumerate(zip(want, have), 1)
        if left != right or type(right) is bool
    )

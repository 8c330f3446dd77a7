import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import pytest

from checks.bench import scale
from checks.bench.compare import (
    SUMMARY,
    difference,
    expected_row,
    expected_sheets,
    expected_summary,
    fault,
    read_members,
)
from checks.bench.measure import Run
from checks.bench.show import HEADS, line
from utils import members, write


class Book:
    """As calamine shows a workbook."""

    def __init__(self, sheets: dict[str, list[list[Any]]]) -> None:
        self.sheets = sheets
        self.sheet_names = list(sheets)

    def get_sheet_by_name(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(iter_rows=lambda: self.sheets[name])


def expected() -> dict[str, list[list[Any]]]:
    """The sheets of seven members, five to a sheet, and of their summary."""
    sheets = expected_sheets(members(7, seed=7), limit=5)
    rows = {f"Sheet{number}": list(sheet) for number, sheet in enumerate(sheets, 1)}
    return {**rows, SUMMARY: list(expected_summary(members(7, seed=7)))}


def test_a_right_workbook_has_no_fault() -> None:
    assert [len(rows) for rows in expected().values()][:2] == [6, 3]
    assert fault(expected().items(), Book(expected())) is None


@pytest.mark.parametrize(
    ("sheet", "row", "found", "place"),
    [
        ("Sheet1", 3, lambda row: [*row[:5], 1], "Sheet1 row 3: expected ['001'"),
        ("Sheet2", 1, lambda row: [*row, "more"], "Sheet2 row 1: expected ['会員番号'"),
        ("Sheet2", 2, lambda row: ["006", *row[1:]], "Sheet2 row 2: expected ['005'"),
        ("Sheet1", 6, None, "Sheet1 row 6: expected ['004'"),
        ("Sheet2", 4, lambda row: ["007"], "Sheet2 row 4: expected no row"),
        (SUMMARY, 2, lambda row: [*row[:3], 0], f"{SUMMARY} row 2: expected "),
    ],
    ids=["bonus", "column too many", "other member", "row too few", "row too many", "summary"],
)
def test_a_wrong_row_is_found(
    sheet: str, row: int, found: Callable[[list[Any]], list[Any]] | None, place: str
) -> None:
    sheets = expected()
    (before,) = sheets[sheet][row - 1 : row] or [[]]
    sheets[sheet][row - 1 : row] = [found(before)] if found else []
    assert (fault(expected().items(), Book(sheets)) or "").startswith(place)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["Sheet1"], "sheet 2: expected 会員ランク別; found none"),
        (["Sheet1", "別"], "sheet 2: expected 会員ランク別; found 別"),
        (["Sheet1", SUMMARY, "more"], "sheet 3: expected none; found more"),
    ],
    ids=["too few", "other name", "too many"],
)
def test_a_wrong_sheet_is_found(names: list[str], message: str) -> None:
    sheets = {"Sheet1": [[1]], SUMMARY: [[1]]}
    assert fault(sheets.items(), Book({name: [[1]] for name in names})) == message


def test_true_is_not_one() -> None:
    assert difference("Sheet1", [[1]], [[True]]) == "Sheet1 row 1: expected [1]; found [True]"


def test_members_are_read_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "members.json"
    write(3, 1, path)
    assert list(read_members(path)) == json.loads(path.read_text()) == list(members(3, seed=1))


def test_a_line_has_medians_and_what_a_process_has_not_is_empty() -> None:
    stages = {"scatter": 1.0, "segment": 2.0, "gather": 0.5}
    runs = [Run(s, 2 * s, 100 * s, stages, 400 + s) for s in (5, 3.5, 4)]
    found = dict(zip(HEADS, line("warm", runs), strict=True))
    assert found == {
        "": "warm",
        "runs": "3",
        "median": "4.00 s",
        "least": "3.50 s",
        "CPU": "8.00 s",
        "peak": "500 MB",
        "scatter": "1.00 s",
        "Map": "2.00 s",
        "gather": "0.50 s",
        "LocalStack": "405 MB",
    }
    alone = dict(zip(HEADS, line("pandas", [Run(45, 44, 1287)]), strict=True))
    assert [name for name in HEADS if not alone[name]] == HEADS[-4:]


def test_the_summary_is_that_of_the_members_rows() -> None:
    [header, *ranks, total] = expected_summary(members(50, seed=7))
    rows = [expected_row(member) for member in members(50, seed=7)]
    assert header == ["会員ランク", "人数", "ポイント", "平均"]
    for rank, count, points, mean in ranks:
        own = [row for row in rows if row[2] == rank]
        assert (count, points) == (len(own), sum(row[3] for row in own))
        assert mean == fmean(row[-1] for row in own)
    bonus = fmean(row[-1] for row in rows)
    assert total == ["合計", 50, sum(row[3] for row in rows), bonus]


def test_each_stage_runs_alone_on_all_rows_or_a_sample(capsys: pytest.CaptureFixture[str]) -> None:
    scale.main(40_000)
    table, model = capsys.readouterr().out.strip().split("\n\n")
    scatter, segment, gather = table.splitlines()[2:]
    assert scatter.startswith("| scatter | 40,000 rows, 0.01 GB | ")
    assert segment.startswith("| segment | 1 of 2 segments | ")
    assert gather.startswith("| gather | 2 segments, 0.00 GB | ")
    assert model.splitlines()[-1].startswith("| workbook | ")


@pytest.mark.parametrize(
    ("each", "most", "breaks"),
    [(9, 900, "100 million rows"), (35, 512, "15 million rows"), (0, 1_769, "–")],
)
def test_a_scale_says_at_how_many_rows_a_limit_is_reached(
    each: float, most: int, breaks: str
) -> None:
    what, *sizes, limit, found = scale.grown("x", each, most, "s", fixed=2)
    assert sizes == [f"{2 + each * millions:,} s" for millions in scale.SCALES]
    assert (what, limit, found) == ("x", f"{most:,} s", breaks)

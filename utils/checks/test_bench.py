import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from checks.bench.compare import (
    difference,
    expected_row,
    expected_sheets,
    expected_summary,
    fault,
    read_members,
)
from checks.bench.figures import Bench, Execution, Run, Sized, Summed
from checks.bench.verdicts import summary_verdicts, verdicts
from utils import members, write


@pytest.fixture
def book(tmp_path: Path) -> Workbook:
    """What a right writer makes of seven members, five to a sheet."""
    book = Workbook()
    book.remove(book.worksheets[0])
    for number, rows in enumerate(expected_sheets(members(7, seed=7), 7, limit=5), 1):
        sheet = book.create_sheet(f"Sheet{number}")
        for row in rows:
            sheet.append(row)
    book.save(tmp_path / "members.xlsx")
    return load_workbook(tmp_path / "members.xlsx")


def first_difference(book: Workbook) -> str | None:
    sheets = expected_sheets(members(7, seed=7), 7, limit=5)
    found = (
        difference(sheet.title, rows, map(list, sheet.values))
        for sheet, rows in zip(book.worksheets, sheets, strict=True)
    )
    return next(filter(None, found), None)


def test_a_right_workbook_has_no_difference(book: Workbook) -> None:
    assert [sheet.max_row for sheet in book.worksheets] == [6, 3]
    assert first_difference(book) is None


@pytest.mark.parametrize(
    ("sheet", "cell", "value", "place"),
    [
        ("Sheet1", "F3", 1, "Sheet1 row 3"),
        ("Sheet2", "A2", "006", "Sheet2 row 2"),
        ("Sheet2", "B1", "name", "Sheet2 row 1"),
        ("Sheet2", "G2", "more", "Sheet2 row 1"),
        ("Sheet2", "A4", "007", "Sheet2 row 4"),
    ],
    ids=["bonus", "other member", "header", "column too many", "row too many"],
)
def test_a_wrong_cell_is_found(
    book: Workbook, sheet: str, cell: str, value: Any, place: str
) -> None:
    book[sheet][cell] = value
    assert (first_difference(book) or "").startswith(f"{place}: expected ")


def test_a_missing_row_is_found(book: Workbook) -> None:
    book["Sheet1"].delete_rows(6)
    assert (first_difference(book) or "").startswith("Sheet1 row 6: expected ['004'")


class Book:
    """As calamine shows a workbook whose every sheet has one cell."""

    def __init__(self, *names: str) -> None:
        self.sheet_names = names

    def get_sheet_by_name(self, name: str) -> "Book":
        return self

    def iter_rows(self) -> list[list[int]]:
        return [[1]]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["Sheet1", "会員ランク別"], None),
        (["Sheet1"], "sheet 2: expected 会員ランク別; found none"),
        (["Sheet1", "別"], "sheet 2: expected 会員ランク別; found 別"),
        (["Sheet1", "会員ランク別", "more"], "sheet 3: expected none; found more"),
    ],
    ids=["right", "too few", "other name", "too many"],
)
def test_a_wrong_sheet_is_found(names: list[str], found: str | None) -> None:
    expected = [("Sheet1", [[1]]), ("会員ランク別", [[1]])]
    assert fault(expected, Book(*names)) == found


def test_true_is_not_one() -> None:
    assert difference("Sheet1", [[1]], [[True]]) == "Sheet1 row 1: expected [1]; found [True]"


def test_members_are_read_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "members.json"
    write(3, 1, path)
    assert list(read_members(path)) == json.loads(path.read_text()) == list(members(3, seed=1))


def execution(wall_s: float, **figures: Any) -> Execution:
    default: dict[str, Any] = {
        "peak_mb": 160,
        "stage_s": {"scatter": 2.0, "segment": wall_s - 2.5, "gather": 0.5},
        "stage_mb": {"scatter": 150, "segment": 160, "gather": 120},
    }
    return Execution(
        wall_s=wall_s,
        cpu_s=wall_s,
        segments=40,
        localstack_mb=400,
        gb_s=9,
        **{**default, **figures},
    )


def sized(rows: int, wall_s: float, others_cpus: float = 0, **figures: Any) -> Sized:
    """A size at which pandas takes eight times the pipeline's time, and the Rust writers 5 to 7 s."""
    writers = {
        "pandas": [Run(8 * wall_s, 8 * wall_s, 900)],
        "rustpy": [Run(7, 7, 700)],
        "rustypyxl": [Run(6, 6, 700)],
        "jetxl": [Run(5, 9, 1500)],
    }
    runs = [execution(wall_s, **figures)] * 3
    scatters = {
        "": [Run(1, 1, 80)],
        ".json": [Run(2, 2, 120)],
        ".jsonl": [Run(2, 1.9, 120)],
        ".csv": [Run(3, 2.9, 130)],
    }
    return Sized(rows, 140 * rows, writers, runs[:1], runs, [6.0] * 200, others_cpus, scatters)


def bench(*sizes: Sized) -> Bench:
    return Bench(2, 0.1, list(sizes))


GOOD = bench(
    sized(100_000, 0.45),
    sized(1_000_000, 4.4),
    sized(5_000_000, 22, stage_s={"scatter": 10.0, "segment": 10.0, "gather": 2.0}),
)
CLAIMS = 12
AIM = 1  # the position of the claim that GOOD does not meet


def met(bench: Bench) -> list[bool | None]:
    return [verdict.met for verdict in verdicts(bench)]


def test_each_claim_has_a_verdict_that_follows_its_limit() -> None:
    expected: list[bool | None] = [True] * CLAIMS
    expected[AIM] = False
    assert met(GOOD) == expected
    [size] = bench(sized(1_000_000, 4.4, peak_mb=257)).sizes
    [memory] = [each for each in verdicts(bench(size)) if "at most 256 MB" in each.claim]
    assert memory.met is False
    size.writers.clear()
    assert [verdict.measured for verdict in verdicts(bench(size))[:2]] == ["not measured"] * 2


def test_a_bench_without_the_sizes_decides_only_on_memory_and_invocations() -> None:
    assert met(bench(sized(10_000, 0.3))) == [*[None] * (CLAIMS - 2), True, True]


def test_the_fastest_rust_writer_decides() -> None:
    [first, *_] = verdicts(GOOD)
    assert first.measured == "0.629 of rustpy, 0.733 of rustypyxl, 0.88 of jetxl"
    [slower, *_] = verdicts(bench(sized(1_000_000, 4.6)))
    assert (slower.measured.endswith("0.92 of jetxl"), slower.met) == (True, False)


def test_a_machine_in_use_is_noisy() -> None:
    assert not GOOD.noisy
    assert Bench(2, 3.0).noisy
    assert bench(sized(1_000_000, 5, others_cpus=0.9)).noisy


@pytest.mark.parametrize(
    ("orders_s", "peak_mb", "expected"),
    [(16.0, 160, [True] * 3), (16.1, 160, [True, False, True]), (16.0, 257, [True, True, False])],
    ids=["met", "too slow", "too large"],
)
def test_the_least_times_decide_what_a_summary_costs(
    orders_s: float, peak_mb: float, expected: list[bool]
) -> None:
    members = Summed("members", 1_000_000, 1, [execution(4), execution(6)], [execution(4.2)])
    summed = [execution(orders_s, peak_mb=peak_mb), execution(99)]
    orders = Summed("orders", 5_000_000, 1, [execution(10)], summed)
    assert [verdict.met for verdict in summary_verdicts(members, orders)] == expected


def test_a_summary_of_other_sizes_decides_on_memory_only() -> None:
    few = Summed("members", 10_000, 1, [execution(1)], [execution(9)])
    verdicts = summary_verdicts(few, Summed("orders", 5_000_000, 1))
    assert [verdict.met for verdict in verdicts] == [None, None, True]


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

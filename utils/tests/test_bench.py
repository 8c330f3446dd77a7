import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from checks.bench.comparison import difference, expected_sheets, read_members
from checks.bench.figures import Bench, PipelineRun, Sized, WriterRun
from checks.bench.verdicts import verdicts
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
    found = (
        difference(sheet.title, rows, map(list, sheet.values))
        for sheet, rows in zip(book.worksheets, expected_sheets(members(7, seed=7), 7, limit=5))
    )
    return next(filter(None, found), None)


def test_a_right_workbook_has_no_difference(book: Workbook) -> None:
    assert [sheet.max_row for sheet in book.worksheets] == [6, 3]
    assert first_difference(book) is None


def test_bonuses_are_computed_by_the_rule() -> None:
    member = {"会員番号": "000", "会員ランク": 4, "ポイント": 58}
    [rows] = expected_sheets([member, {**member, "会員ランク": 3}], 2)
    assert [row[-1] for row in rows] == ["ボーナスポイント", 72.5, 58]


@pytest.mark.parametrize(
    ("sheet", "cell", "value", "found"),
    [
        ("Sheet1", "F3", 1, "Sheet1 row 3: column 6: expected"),
        ("Sheet1", "A2", 0, "Sheet1 row 2: column 1: expected '000'; found 0"),
        ("Sheet2", "A2", "006", "Sheet2 row 2: column 1: expected '005'; found '006'"),
        ("Sheet2", "B1", "name", "Sheet2 row 1: column 2: expected '名前'; found 'name'"),
        ("Sheet2", "G2", "more", "Sheet2 row 1: expected 6 columns; found 7"),
        ("Sheet2", "A4", "007", "Sheet2 row 4: expected no row; found ['007'"),
    ],
    ids=["bonus", "number for text", "other member", "header", "column too many", "row too many"],
)
def test_a_wrong_cell_is_found(
    book: Workbook, sheet: str, cell: str, value: Any, found: str
) -> None:
    book[sheet][cell] = value
    assert (first_difference(book) or "").startswith(found)


def test_a_missing_row_is_found(book: Workbook) -> None:
    book["Sheet1"].delete_rows(6)
    assert (first_difference(book) or "").startswith("Sheet1 row 6: expected ['004'")


def test_true_is_not_one() -> None:
    assert difference("Sheet1", [[1]], [[True]]) == "Sheet1 row 1: column 1: expected 1; found True"


def test_members_are_read_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "members.json"
    write(3, 1, path)
    assert list(read_members(path)) == json.loads(path.read_text()) == list(members(3, seed=1))


def execution(wall_s: float, **figures: Any) -> PipelineRun:
    stage_s = {"scatter": 2.0, "segment": wall_s - 2.5, "gather": 0.5}
    peaks = {"scatter": 150, "segment": 160, "gather": 120}
    return PipelineRun(
        **{
            "wall_s": wall_s,
            "cpu_s": wall_s,
            "segments": 40,
            "stage_s": stage_s,
            "peak_mb": peaks,
            "localstack_mb": 400.0,
            "gb_s": 9.0,
            **figures,
        }
    )


def sized(rows: int, wall_s: float, **figures: Any) -> Sized:
    writers = {"pandas": [WriterRun(8 * wall_s, 8 * wall_s, 900)], "rustpy": [WriterRun(5, 5, 700)]}
    runs = [execution(wall_s, **figures)] * 3
    return Sized(rows, 140 * rows, writers, runs[:1], runs, sheets=-(-rows // 1_048_575))


def bench(*sizes: Sized, noop_ms: float = 6.0) -> Bench:
    return Bench(2, 0.1, list(sizes), [noop_ms] * 200, [])


GOOD = bench(
    sized(100_000, 0.5),
    sized(1_000_000, 4.9),
    sized(5_000_000, 25, stage_s={"scatter": 10.0, "segment": 13.0, "gather": 2.0}),
)


def met(bench: Bench) -> list[bool | None]:
    return [verdict.met for verdict in verdicts(bench)]


def test_each_acceptance_line_has_a_verdict() -> None:
    rust_aim = 1
    expected: list[bool | None] = [True] * 11
    expected[rust_aim] = False
    assert met(GOOD) == expected


def test_a_bench_without_the_size_decides_nothing() -> None:
    assert met(bench(sized(10_000, 0.3)))[:-1] == [None] * 10


@pytest.mark.parametrize(
    ("figures", "claim"),
    [
        ({"peak_mb": {"scatter": 257, "segment": 9, "gather": 9}}, "every worker at most 256 MB"),
        ({"stage_s": {"scatter": 2.5, "segment": 1, "gather": 0.5}}, "at least 60 MB/s"),
        ({"stage_s": {"scatter": 2.0, "segment": 1, "gather": 1.1}}, "at most 1 s per million"),
    ],
    ids=["memory", "scatter", "gather"],
)
def test_what_exceeds_its_limit_is_not_met(figures: dict[str, Any], claim: str) -> None:
    found = verdicts(bench(sized(1_000_000, 4.9, **figures)))
    assert [verdict.met for verdict in found if claim in verdict.claim] == [False]


def test_a_writer_that_was_wrong_decides_nothing() -> None:
    size = sized(1_000_000, 4.9)
    size.writers["rustpy"] = []
    assert met(bench(size))[:3] == [None, None, True]


@pytest.mark.parametrize("factor", [0.8, 1.2], ids=["too fast to be proportional", "too slow"])
def test_time_that_is_not_proportional_is_not_met(factor: float) -> None:
    large = sized(5_000_000, 25 * factor)
    found = verdicts(bench(sized(100_000, 0.5), sized(1_000_000, 5), large))
    [linear] = [verdict for verdict in found if "proportional" in verdict.claim]
    assert (linear.measured, linear.met) == (
        f"time per row, of that at 100,000: 1.00 at 1,000,000, {factor:.2f} at 5,000,000",
        False,
    )


def test_a_bench_is_kept_as_json() -> None:
    assert Bench.from_json(json.loads(json.dumps(GOOD.to_json()))) == GOOD


def test_a_machine_in_use_is_noisy() -> None:
    assert not GOOD.noisy
    assert Bench(2, 3.0, [], [], []).noisy
    assert bench(replace(sized(1_000_000, 5), others_cpus=0.9)).noisy

import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import pytest

from checks.bench.claims import Claim, claims, summary_claims
from checks.bench.compare import (
    SUMMARY,
    difference,
    expected_row,
    expected_sheets,
    expected_summary,
    fault,
    read_members,
)
from checks.bench.figures import ACROSS, COLD, FOLDERS, WARM, WITH, WITHOUT, WRITERS, Run, Table
from checks.bench.scale import SCALES, grown
from checks.bench.show import show, show_claims
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
    sheets = expected_sheets(members(7, seed=7), 7, limit=5)
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


def executions(wall_s: float, peak_mb: float = 160, gather_s: float = 0.3) -> list[Run]:
    stages = {"scatter": 2.0, "segment": wall_s - 2 - gather_s, "gather": gather_s}
    return [Run(wall_s, wall_s, peak_mb, 40, stages, dict.fromkeys(stages, 150))] * 3


def table(rows: int, wall_s: float, folder_s: float = 0.6, **figures: float) -> Table:
    """A size at which pandas takes eight times the pipeline's time, and the Rust writers 5 and 6 s.

    Args:
        folder_s: which a folder takes longer than one object.
    """
    times = {"pandas": 8 * wall_s, "rustypyxl": 6, "jetxl": 5}
    runs = {WRITERS[name]: [Run(s, s, 900)] for name, s in times.items()}
    runs |= dict.fromkeys((COLD, WARM), executions(wall_s, **figures))
    runs |= dict.fromkeys(FOLDERS, executions(wall_s + folder_s))
    cpu_s = {"": 1, ".json": 2, ".jsonl": 1.9, ".csv": 2.9}
    scatters = {end: [Run(s, s, 120)] for end, s in cpu_s.items()}
    return Table("members", rows, 140 * rows, runs, scatters)


GOOD = [table(100_000, 0.45), table(1_000_000, 4.2), table(5_000_000, 5.7, gather_s=1.6)]


def found(*tables: Table) -> dict[str, Claim]:
    return {claim.text.partition(":")[0]: claim for claim in claims(tables)}


def test_each_claim_is_met_or_not_by_its_limit() -> None:
    assert [claim.met for claim in claims(GOOD)] == [True] * 6
    assert (
        found(table(1_000_000, 4.4, peak_mb=421))["every worker, with what it forks"].met is False
    )
    assert found(table(1_000_000, 4.4, gather_s=0.36))["gather"].met is False
    folders = found(table(1_000_000, 4.4, folder_s=0.7))["1,000,000 rows in a folder"]
    assert (folders.met, round(min(folders.figures.values()), 4)) == (False, 0.0175)
    assert [claim.met for claim in claims([table(10_000, 0.3)])] == [*[None] * 5, True]


def test_the_fastest_rust_writer_decides() -> None:
    first, *_ = claims(GOOD)
    assert list(first.figures) == ["of rustypyxl", "of jetxl"]
    slower, *_ = claims([table(1_000_000, 4.3)])
    assert slower.figures["of jetxl"] == pytest.approx(0.86)
    assert slower.met is False


@pytest.mark.parametrize(
    ("orders_s", "peak_mb", "expected"),
    [(16.0, 160, [True] * 3), (16.1, 160, [True, False, True]), (16.0, 421, [True, True, False])],
    ids=["met", "too slow", "too large"],
)
def test_the_least_times_decide_what_a_summary_costs(
    orders_s: float, peak_mb: float, expected: list[bool]
) -> None:
    of_members = {WITHOUT: executions(4) + executions(6), WITH: executions(4.2)}
    of_orders = {WITHOUT: executions(10), WITH: executions(orders_s, peak_mb) + executions(99)}
    members = Table("members", 1_000_000, 1, of_members)
    orders = Table("orders", 5_000_000, 1, of_orders)
    assert [claim.met for claim in summary_claims(members, orders)] == expected


def test_a_worker_of_a_cross_table_counts_as_the_others() -> None:
    runs = {WITHOUT: executions(4), ACROSS: executions(4, 257), WITH: executions(4)}
    *_, workers = summary_claims(Table("members", 1, 1), Table("orders", 1, 1, runs))
    assert workers.figures == {"orders": 257}


def test_a_bench_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    show(GOOD[1])
    show_claims(claims([*GOOD, table(1_000_000, 4.7, peak_mb=421)]))
    shown = capsys.readouterr().out
    assert "1,000,000 members, 140.0 MB of JSON" in shown
    for name in (*GOOD[1].runs, *GOOD[1].scatters, "not met"):
        assert name in shown


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


@pytest.mark.parametrize(
    ("each", "most", "breaks"),
    [(9, 900, "100 million rows"), (35, 512, "15 million rows"), (0, 1_769, "–")],
)
def test_a_scale_says_at_how_many_rows_a_limit_is_reached(
    each: float, most: int, breaks: str
) -> None:
    what, *sizes, limit, found = grown("x", each, most, "s", fixed=2)
    assert sizes == [f"{2 + each * millions:,} s" for millions in SCALES]
    assert (what, limit, found) == ("x", f"{most:,} s", breaks)

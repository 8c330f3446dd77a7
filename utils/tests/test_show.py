"""What `make demo` prints of a workbook at its end."""

from pathlib import Path

import pytest
from openpyxl import Workbook

from harness.show import show


@pytest.mark.parametrize(
    ("groups", "shown"),
    [
        (3, [*range(1, 4), "合計"]),
        (20, [*range(1, 21), "合計"]),
        (25, [*range(1, 21), "…", "合計"]),
    ],
    ids=str,
)
def test_a_summary_stands_under_the_first_rows_and_is_not_counted(
    groups: int,
    shown: list[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("harness.settings.RESULT", tmp_path)
    book = Workbook()
    book.active.title = "Sheet1"  # type: ignore[union-attr]
    sheets = [book["Sheet1"], book.create_sheet("Sheet2"), book.create_sheet("ランク別")]
    for sheet in sheets:
        sheet.append(["鍵", "数"])
    for sheet, rows in zip(sheets, (6, 2, groups)):
        for row in range(1, rows + 1):
            sheet.append([row, row * 1000.5])
    sheets[2].append(["合計", None])
    book.save(tmp_path / "test.xlsx")
    show()
    said = capsys.readouterr().out
    first, summary = said.split("ランク別")
    assert keys(first) == ["1", "2", "3", "4", "5"]
    assert keys(summary) == list(map(str, shown))
    assert "3,001.5" in summary
    assert summary.splitlines()[-1].startswith("8 rows in ")


def keys(printed: str) -> list[str]:
    """Of the rows under the header."""
    return [line.split("│")[1].strip() for line in printed.splitlines() if line.startswith("│")]


def test_cells_are_shown_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.settings.RESULT", tmp_path)
    cells = ["[/red]", "[bold]a[/bold]", ":smile:", "\\[a]", "[link=x]"]
    book = Workbook()
    assert book.active
    for row in [cells, cells]:
        book.active.append(row)
    book.save(tmp_path / "test.xlsx")
    show()
    said = capsys.readouterr().out
    header, row = (
        [cell.strip() for cell in line.strip("┃│").replace("┃", "│").split("│")]
        for line in said.splitlines()
        if line[0] in "┃│"
    )
    assert header == row == cells

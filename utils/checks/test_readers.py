"""Other programs read a spliced workbook as they read XlsxWriter's own of the same table."""

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from test_workbook import AWKWARD, MEMBERS, spliced, table, written_by_xlsxwriter

HERE = Path(__file__).resolve().parent

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

"""What an ETL declares is checked when it is first used, by name, and before it is packed."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.etl import Summary
from pipeline.etls.module import Etl, check_all
from pipeline.reading.references import References

PROCESS = "def process(df): return df\n"
API = "from pipeline.etl import Summary\n"
FAULTS = {
    "no rule": ("", "InvalidEtl: process: must be a function .*; found null"),
    "no function": (
        "process = 3",
        "InvalidEtl: process: must be a function .*; found the number 3",
    ),
    "a rule of nothing": ("def process(): ...", "InvalidEtl: process: must take df, or .*"),
    "a rule of three": ("def process(a, b, c): ...", r"InvalidEtl: .*; found .*\(a, b, c\).*"),
    "a rule of a keyword": ("def process(df, *, k): ...", "InvalidEtl: process: must take df, .*"),
    "columns in a text": (
        PROCESS + 'NUMBERS = "単価"',
        'InvalidEtl: NUMBERS: must be a list; found the text "単価"',
    ),
    "columns that are no names": (
        PROCESS + "COLUMNS = [1]",
        "InvalidEtl: COLUMNS: must hold names; found the number 1",
    ),
    "a summary outside a list": (
        API + PROCESS + "SUMMARIES = Summary('x', n=('a', 'size'))",
        "InvalidEtl: SUMMARIES: must be a list; found .*",
    ),
    "an aggregation that is none": (
        API + PROCESS + "SUMMARIES = [Summary('商品別', 数=('点', 'avg'))]",
        'InvalidSummary: summary 商品別: 数 must be one of count, .*; found the text "avg"',
    ),
    "no column of a summary": (
        API + PROCESS + "SUMMARIES = [Summary('x')]",
        "InvalidSummary: summary x: must name a column.*",
    ),
    "groups that are none": (
        API + PROCESS + "SUMMARIES = [Summary('x', by=5, n=('a', 'size'))]",
        "InvalidSummary: summary x: by must be a column, .*; found the number 5",
    ),
    "a group that is none": (
        API + PROCESS + "SUMMARIES = [Summary('x', by={'月': 5}, n=('a', 'size'))]",
        "InvalidSummary: summary x: by must be a column, .*; found the number 5",
    ),
    "a name that is no text": (
        API + PROCESS + "SUMMARIES = [Summary(5, n=('a', 'size'))]",
        "InvalidSummary: a summary must have a name; found the number 5",
    ),
    "a name that no sheet can have": (
        API + PROCESS + "SUMMARIES = [Summary('a/b', n=('a', 'size'))]",
        "InvalidSheetName: .*",
    ),
    "the name of the sheet of rejects": (
        API + PROCESS + "SUMMARIES = [Summary('rejects', n=('a', 'size'))]",
        "InvalidSheetName: .*",
    ),
    "no format": (PROCESS + "FORMATS = {'金額': ''}", "InvalidFormat: FORMATS: 金額 must have .*"),
    "no layout": (
        PROCESS + "LAYOUT = {'widhts': {}}",
        'InvalidLayout: LAYOUT: has title, .* and nothing else; found the text "widhts"',
    ),
    "a layout in a list": (
        PROCESS + "LAYOUT = ['title']",
        "InvalidEtl: LAYOUT: must be a dictionary; found an array",
    ),
    "a key elsewhere": (
        PROCESS + "REFERENCES = {'料率': 'rates.csv'}",
        "InvalidReference: REFERENCES: 料率 must have a key below reference/.*",
    ),
    "a name that is none": ("x = 単価\n" + PROCESS, "NameError: name '単価' is not defined"),
    "another import": ("import absent", "ModuleNotFoundError: No module named 'absent'"),
    "an exit": (PROCESS + "raise SystemExit", "SystemExit: "),
    "a file that is no Python": ("def process(:", "SyntaxError: .*"),
}


@pytest.mark.parametrize(("source", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_etl_is_named_with_what_is_wrong(tmp_path: Path, source: str, fault: str) -> None:
    (tmp_path / "own.py").write_text(source, encoding="utf-8")
    with pytest.raises(SystemExit, match=rf"own\.py(:\d+)?: {fault}$") as raised:
        check_all(tmp_path)
    assert len(str(raised.value).splitlines()) == 1


def test_the_line_of_a_module_that_does_not_load_is_named(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("\n\nx = 単価\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"own\.py:3: NameError: "):
        check_all(tmp_path)


def test_declarations_are_stored_unread_so_that_a_module_loads_with_its_faults() -> None:
    """An error of a module that is being loaded is lost where names are Japanese."""
    summary: Any = Summary("商品別", by=5, chart="pizza")  # type: ignore[arg-type]
    assert (summary.by, summary.chart) == (5, "pizza")


def test_texts_are_cut_and_numbers_multiplied_in_an_empty_table() -> None:
    def process(df: pd.DataFrame) -> pd.DataFrame:
        return df.assign(月=df["日付"].str[:7], 倍=df["点"].round(1) * 2)

    etl = Etl("own", process, columns=["日付", "点"], numbers=["点"])
    made = etl.apply(pd.DataFrame(), References({}, None, "", ""))  # type: ignore[arg-type]
    assert (list(made.columns), len(made)) == (["日付", "点", "月", "倍"], 0)

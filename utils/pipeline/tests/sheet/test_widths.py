"""Columns are as wide as what their cells show, on every machine."""

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from xlsxwriter.utility import CHAR_WIDTHS

from pipeline.excel import EXACT_INTEGER, FORMAT_PERCENTS
from pipeline.sheet.rendered_table import render_table
from pipeline.sheet.widths import MARGIN, date_text, formatted, text_pixels, widest, widest_texts
from pipeline.tests.sheet.test_rendered_table import beside
from pipeline.tests.sheet.test_workbook import opened

ASCII = [chr(code) for code in range(32, 127)]


@pytest.mark.parametrize("character", ASCII, ids=ascii)
def test_a_character_is_as_wide_as_excel_measured_it(character: str) -> None:
    """XlsxWriter's table has Excel's pixels, which it rounds to whole ones."""
    assert abs(text_pixels(character * 100) - MARGIN - 100 * CHAR_WIDTHS[character]) <= 100


@pytest.mark.parametrize(
    ("text", "ems"),
    [("長野原", 3), ("ハンカク", 4), ("ﾊﾝｶｸ", 2), ("１２", 2), ("😀", 1)],
)
def test_kanji_are_an_em_wide_and_narrow_kana_half_of_one(text: str, ems: int) -> None:
    assert text_pixels(text) - MARGIN == pytest.approx(ems * 11 * 96 / 72, abs=1)


@pytest.mark.parametrize(
    ("text", "as_wide"), [("é", "e"), ("e\u0301", "e"), ("Ñ", "N"), ("ガ", "カ")]
)
def test_an_accent_takes_no_width(text: str, as_wide: str) -> None:
    assert text_pixels(text) == text_pixels(as_wide)


def test_bold_letters_are_wider_and_bold_digits_are_not() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    assert text_pixels(letters, bold=True) > text_pixels(letters)
    assert text_pixels("0123456789", bold=True) == text_pixels("0123456789")


def test_a_duration_is_as_wide_as_excel_shows_it_whoever_holds_it() -> None:
    day = dt.timedelta(hours=30, minutes=5)
    for held in (pd.Series([day]), pd.Series([day, np.timedelta64(day, "ns")], dtype=object)):
        (text,) = widest_texts(held.to_frame())
        assert text_pixels(text) == text_pixels("30:05:00")


def test_a_column_is_as_wide_as_its_widest_text_of_any_block() -> None:
    names = ["iiiiiiiiiiii", "WWWWWW", ""]
    assert widest([name] for name in names) == ["WWWWWW"]


@pytest.mark.parametrize(
    ("number_format", "text"),
    [
        ("yyyy-mm-dd hh:mm:ss", "2021-05-16 12:00:00"),
        ('yyyy"年"m"月"d"日"', "2021年12月16日"),
        ("[$-411]ggge年m月d日", "令和3年12月16日"),
        ("d mmmm yyyy", "30 September 2021"),
        ("dddd", "Wednesday"),
        ("[h]:mm:ss", "36:00:00"),
        (r"hh\hmm;@", "12h30"),
        ("aaa", "日"),
    ],
)
def test_a_date_has_the_room_that_its_format_asks_for(number_format: str, text: str) -> None:
    assert 0 <= text_pixels(date_text(number_format)) - text_pixels(text) < 3 * CHAR_WIDTHS["0"]


def excels(text: str) -> int:
    """What Excel measures of a text in pixels."""
    return sum(CHAR_WIDTHS.get(character, 15) for character in text)


def columns(*blocks: pd.DataFrame, formats: dict[str, str], **kwargs: Any) -> dict[str, float]:
    """The widths in pixels of a table's columns, by the letters of their names."""
    file = beside(render_table("x", blocks, formats, **kwargs), formats=formats)
    widths = opened(file)["x"].column_dimensions
    return {letters: each.width * 7 + 5 for letters, each in widths.items()}


LATE: dict[str, tuple[Any, Any, str, str]] = {
    "a format": (1, 10**9, "#,##0", "1,000,000,000"),
    "a negative number": (1, -(10**9), "#,##0.00", "-1,000,000,000.00"),
    "a share": (0.1, 12.5, "0.0%", "1250.0%"),
    "no format": (1, 10**12, "", "1000000000000"),
    "a decimal": (Decimal(1), Decimal("1234567.5"), "#,##0.00", "1,234,567.50"),
    "a date": (None, dt.date(2021, 5, 16), "", "2021-05-16"),
    "a time": (dt.datetime(2021, 5, 16), dt.datetime(2021, 5, 16, 12), "", "2021-05-16 12:00:00"),
    "a formatted date": (None, dt.date(2021, 5, 16), "yyyy年m月d日", "2021年5月16日"),
}


def test_a_late_number_or_date_is_not_shown_as_hashes() -> None:
    """The table's first 200 rows tell how wide texts are; numbers and dates, all rows."""
    headers = dict(zip("ABCDEFGHI", LATE))  # shorter than what stands below
    formats = {header: LATE[name][2] for header, name in headers.items() if LATE[name][2]}
    rows = {header: [*[LATE[name][0]] * 300, LATE[name][1]] for header, name in headers.items()}
    df = pd.DataFrame(rows, dtype=object)
    whole = columns(df, formats=formats)
    for header, name in headers.items():
        assert excels(LATE[name][3]) + 5 <= whole[header], name
    assert columns(df[:300], df[300:], formats=formats) == whole
    assert columns(df.infer_objects(), formats=formats) == whole


def test_a_number_has_a_width_in_a_format_of_as_many_percent_signs_as_one_may_have() -> None:
    signs = "%" * FORMAT_PERCENTS
    text = formatted(EXACT_INTEGER, signs)
    assert text.endswith(signs)
    assert float(text.rstrip("%")) == pytest.approx(EXACT_INTEGER * 100**FORMAT_PERCENTS)


def test_all_prices_of_four_characters_have_one_width() -> None:
    """Of 0.07 a cell's XML has 16 digits, of which Excel shows 15."""
    prices = [f"0.{cents:02}" for cents in range(1, 100) if cents % 10]
    df = pd.DataFrame([[*map(float, prices), "0.25"]], columns=["n"] * (len(prices) + 1))
    assert [*columns(df, formats={})] == ["A"]  # which stands for its neighbours of one width


def test_a_total_has_room_in_bold() -> None:
    df = pd.DataFrame({"名": ["a"], "n": [1]})
    total = pd.DataFrame([["MMMMMMMMMM", 10**12]], columns=df.columns)
    plain = columns(df, total, formats={})
    bold = columns(df, formats={}, total=total)
    assert bold["A"] > plain["A"] and bold["B"] >= plain["B"] >= excels(str(10**12)) + 5

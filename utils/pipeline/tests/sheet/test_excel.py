"""Names and formats are taken as Excel takes them."""

import re
from io import BytesIO
from typing import Any

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.styles.numbers import BUILTIN_FORMATS

from pipeline.excel import (
    STYLE_FORMATS,
    InvalidFormat,
    InvalidSheetName,
    check_formats,
    check_sheet_name,
    check_sheet_names,
    style_formats,
)

NAMES = {
    "": 'is not empty; found the text ""',
    "x" * 32: f'has at most 31 characters; found the text "{"x" * 32}"',
    "😀" * 16: f'has at most 31 characters; found the text "{"😀" * 16}"',
    **{f"a{sign}b": f'has none of []:*?/\\; found the text "a{sign}b"' for sign in "[]:*?/"},
    "a\\b": r'has none of []:*?/\; found the text "a\\b"',
    "a\x01": r'has no characters that XML cannot hold; found the text "a\u0001"',
    "a\n": r'has no characters that XML cannot hold; found the text "a\n"',
    "\ud800": r'has no characters that XML cannot hold; found the text "\ud800"',
    "'a": """neither begins nor ends with an apostrophe; found the text "'a\"""",
    "a'": """neither begins nor ends with an apostrophe; found the text "a'\"""",
    "hISTORY": 'is not History, which Excel keeps for itself; found the text "hISTORY"',
    "sheet12": 'is not one of the table\'s own sheets; found the text "sheet12"',
}


@pytest.mark.parametrize(("name", "fault"), NAMES.items(), ids=ascii)
def test_a_name_that_excel_does_not_take_is_refused(name: str, fault: str) -> None:
    with pytest.raises(InvalidSheetName) as raised:
        check_sheet_name(name)
    assert str(raised.value) == f"a sheet's name {fault}"


@given(st.text(max_size=33) | st.text("'Shet1[/ a😀", max_size=33))
def test_a_name_that_is_taken_is_read_back(name: str) -> None:
    try:
        check_sheet_name(name)
    except InvalidSheetName:
        return
    file = BytesIO()
    with xlsxwriter.Workbook(file) as workbook:
        workbook.add_worksheet()
        workbook.add_worksheet(name)
    assert openpyxl.load_workbook(file).sheetnames == ["Sheet1", name]


def test_names_differ_by_more_than_case() -> None:
    check_sheet_names(["Sheet", "Sheets1", "月別", "A"])
    with pytest.raises(InvalidSheetName, match='^no two sheets have one name, .*; found .* "a"$'):
        check_sheet_names(["A", "b", "a"])


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (3, "the number 3"),
        (None, "null"),
        ("", 'the text ""'),
        ("0" * 256, f'the text "{"0" * 60}…"'),
        ("0\x00", r'the text "0\\u0000"'),
    ],
    ids=ascii,
)
def test_a_format_that_a_workbook_cannot_hold_is_refused(value: Any, found: str) -> None:
    rule = "FORMATS: 平均 must have a text of 1 to 255 printable characters"
    with pytest.raises(InvalidFormat, match=f"^{rule}; found {found}$"):
        check_formats({"ポイント": "0", "平均": value})


BRACKETS = "must have a color, a condition, a currency or a duration in brackets; found "
NO_FORMATS = {
    "yyyy-[mm": BRACKETS + "[mm in yyyy-[mm",
    "[赤]0": BRACKETS + "[赤]0 in [赤]0",
    "[Color 57]0": BRACKETS + "[Color 57]0 in [Color 57]0",
    "[<x]0": BRACKETS + "[<x]0 in [<x]0",
    "0]": "must have no bracket alone; found ] in 0]",
    '#,##0"円': 'must end its quotes; found "円 in #,##0"円',
    "0;0;0;@;0": "must have at most 4 sections; found 5 in 0;0;0;@;0",
    "{:,.1f}": "must have its texts in quotes; found f} in {:,.1f}",
    "0.0 kg": "must have its texts in quotes; found kg in 0.0 kg",
    "0\\": "must have a character behind \\, * and _; found \\ in 0\\",
    "0*": "must have a character behind \\, * and _; found * in 0*",
    "0`": "must have its texts in quotes; found ` in 0`",
    "%" * 101: f"must have at most 100 percent signs; found 101 in {'%' * 101}",
}


@pytest.mark.parametrize(("number_format", "fault"), NO_FORMATS.items(), ids=NO_FORMATS)
def test_what_excel_does_not_read_as_a_format_is_named(number_format: str, fault: str) -> None:
    with pytest.raises(InvalidFormat) as raised:
        check_formats({"ポイント": "0", "平均": number_format})
    assert str(raised.value) == f"FORMATS: the format of 平均 {fault}"


JAPANESE = [
    *('#,##0"円"', "#,##0円", "[$¥-411]#,##0;[Red]-[$¥-411]#,##0", "¥#,##0.00", "[DBNum3]0"),
    *(
        'yyyy"年"m"月"d"日"',
        "yyyy年mm月dd日",
        '[$-411]ggge"年"m"月"d"日"',
        "[$-ja-JP-x-gannen]ggge",
    ),
    *("aaa", "aaaa", 'm"月"d"日"(aaa)', "[h]:mm:ss", "[mm]:ss.0", "h:mm AM/PM", "h:mm:ss A/P"),
    *('[>=1000000]0.0,,"M";[<0][Red]-0;0', "[Color 10]0;[color56]-0", ";;;", "General\\ 円"),
    *(
        "0.00E+00",
        "# ?/16",
        "_-* #,##0_-",
        "[<>0]0",
        "000-0000",
        "B2dd/mm/yyyy",
        "GENERAL",
        "*" * 2,
    ),
]


@pytest.mark.parametrize("number_format", [*BUILTIN_FORMATS.values(), *JAPANESE, "%" * 100])
def test_what_excel_reads_as_a_format_is_taken(number_format: str) -> None:
    check_formats({"平均": number_format})


@given(st.text(max_size=20) | st.text('0#;[]"\\*_yh<=1é', max_size=20))
def test_a_format_that_is_taken_ends_its_quotes_and_brackets(number_format: str) -> None:
    """By taking away what a backslash and the like protect."""
    try:
        check_formats({"平均": number_format})
    except InvalidFormat:
        return
    plain = re.sub(r'"[^"]*"|[\\*_].', "", number_format)
    assert '"' not in plain
    assert re.fullmatch(r"([^][]|\[[^][]*\])*", plain)
    assert re.sub(r"\[[^][]*\]", "", plain).count(";") <= 3


def test_more_formats_than_excel_takes_are_refused() -> None:
    check_formats({f"{n}": "0" * (n % 200 + 1) for n in range(400)})
    with pytest.raises(InvalidFormat, match="at most 200 of them; found 201$"):
        check_formats({f"{n}": "0" * (n + 1) for n in range(201)})


@given(st.dictionaries(st.text(), st.sampled_from(["0", "#,##0", "@", *STYLE_FORMATS])))
def test_a_format_has_one_style_whatever_the_columns_order(formats: dict[str, str]) -> None:
    styles = style_formats(formats)
    assert styles == style_formats(dict(reversed(formats.items())))
    assert styles[: len(STYLE_FORMATS)] == STYLE_FORMATS
    assert sorted(set(styles)) == sorted({*STYLE_FORMATS, *formats.values()})

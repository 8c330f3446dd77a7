"""The rendered rows are, byte for byte, the ones that XlsxWriter writes."""

import datetime as dt
import json
import re
import tracemalloc
import zipfile
import zlib
from decimal import Decimal
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xlsxwriter.utility
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.excel import (
    SHEET_COLUMNS,
    SHEET_ROWS,
    STYLE_FORMATS,
    InvalidCell,
    TooManyColumns,
    column_letters,
)
from pipeline.sheet.parts import SheetPart
from pipeline.sheet.sheet_xml import render_rows
from pipeline.sheet.widths import widest_texts

# The first text that hypothesis makes on a machine takes it a second, for its table of Unicode.
settings.register_profile("sheet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sheet")

SOURCE = "members.json"

AWKWARD_TEXTS = [
    "=1+1",
    "{=A1}",
    "@SUM(A1)",
    "https://example.org/?a=1&b=<2>",
    "000",
    "1e5",
    "TRUE",
    "長野原 ひろし",
    "😀",
    "e\u0301\u200d",
    " leading",
    "trailing ",
    "\u3000全角",
    "全角\u00a0",
    " ",
    "\n",
    "two\nlines",
    "tab\t",
    "carriage\rreturn\r\n",
    "\0",
    "nul\0inside",
    "\x01\x1f\x7f\x85",
    "_x0041_",
    "_x005F_",
    "_xZZZZ_",
    "\ufffe\uffff",
    "]]>",
    "&amp;",
    "\"quoted\" 'twice'",
]
LONGEST_TEXTS = ["a" * 32_767, "&" * 32_767, "😀" * 16_383]

texts = st.text() | st.sampled_from(AWKWARD_TEXTS)
floats = st.floats() | st.sampled_from([0.0, -0.0])
integers = st.integers(-(2**63), 2**63 - 1) | st.integers(-(10**15) - 1, 10**15 + 1)
FIRST = dt.datetime(1900, 1, 1)
LEAP = dt.datetime(1900, 3, 1)  # before it, Excel counts a day that never was
datetimes = st.datetimes(FIRST, dt.datetime(9999, 12, 31, 23, 59, 59)) | st.datetimes(FIRST, LEAP)
nanosecond_datetimes = st.datetimes(FIRST, dt.datetime(2262, 1, 1))
dates = st.dates(FIRST.date()) | st.dates(FIRST.date(), LEAP.date())
durations = st.timedeltas(dt.timedelta(days=-10_000), dt.timedelta(days=10_000))
json_values = st.lists(texts | st.integers()) | st.dictionaries(texts, floats | st.none())
anything = st.one_of(
    st.none(), texts, floats, integers, st.booleans(), datetimes, dates, durations, json_values
)
COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "str": st.none() | texts,
    "object": anything,
    "category": st.none() | texts,
    "int64": integers,
    "Int64": st.none() | integers,
    "uint8": st.integers(0, 255),
    "float64": floats,
    "float32": st.floats(width=32),
    "bool": st.booleans(),
    "boolean": st.none() | st.booleans(),
    "datetime64[us]": st.none() | datetimes,
    "datetime64[s]": st.none() | datetimes.map(lambda value: value.replace(microsecond=0)),
    "datetime64[ns]": st.none() | nanosecond_datetimes,
    "timedelta64[us]": st.none() | durations,
    "timedelta64[ns]": st.none() | durations,
}


@st.composite
def typed_columns(draw: st.DrawFn) -> list[tuple[str, list[Any]]]:
    """Columns as (dtype, values), with values that repeat."""
    rows = draw(st.integers(0, 12))
    dtypes = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=4))
    pools = [draw(st.lists(COLUMNS[dtype], min_size=1, max_size=6)) for dtype in dtypes]
    return [
        (dtype, draw(st.lists(st.sampled_from(pool), min_size=rows, max_size=rows)))
        for dtype, pool in zip(dtypes, pools)
    ]


def frame(columns: list[tuple[str, list[Any]]]) -> pd.DataFrame:
    series = [pd.Series(values, dtype=dtype) for dtype, values in columns]
    return pd.concat(series, axis=1) if series else pd.DataFrame()


def render_parts(df: pd.DataFrame, position: int) -> tuple[list[SheetPart], bytes]:
    rows = render_rows(df, position, SOURCE)
    return rows.parts, rows.xml


def inflated(parts: list[SheetPart], body: bytes) -> str:
    assert len(body) == sum(part.deflated_bytes for part in parts)
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(body).decode()


def rows_of(df: pd.DataFrame) -> str:
    """The XML of a frame's rows, but for rows without a cell, which XlsxWriter leaves out."""
    return re.sub('<row r="[0-9]+"></row>', "", inflated(*render_parts(df, 0)))


def cells_of(values: list[Any], dtype: str = "object", **formats: str) -> list[str]:
    """What stands in the rows of a table of one column."""
    df = pd.DataFrame({"名前": pd.Series(values, dtype=dtype)})
    rows = render_rows(df, 0, SOURCE, formats)
    xml = inflated(rows.parts, rows.xml)
    return re.findall('<row r="[0-9]+">(.*?)</row>', xml, re.DOTALL)


def xlsxwriter_rows(columns: list[tuple[str, list[Any]]]) -> str:
    file = BytesIO()
    with xlsxwriter.Workbook(file, {"constant_memory": True}) as workbook:
        own = range(len(STYLE_FORMATS), len(STYLE_FORMATS) + len(columns))
        numbers = range(1, own.stop)
        formats = [workbook.add_format({"italic": True, "indent": n}) for n in numbers]
        worksheet = workbook.add_worksheet()
        for column, cell_format in enumerate(formats):
            worksheet.write_blank(0, column, None, cell_format)
        for row, values in enumerate(zip(*(values for _, values in columns)), 1):
            for column, value in enumerate(values):
                write_cell(worksheet, row, column, value, formats, formats[own[column] - 1])
    xml = zipfile.ZipFile(file).read("xl/worksheets/sheet1.xml").decode()
    return xml.partition("</row>")[2].partition("</sheetData>")[0]


def write_cell(
    worksheet: Any, row: int, column: int, value: Any, formats: list[Any], of_datetimes: Any
) -> None:
    if value is None or value == "" or value != value:
        return
    if isinstance(value, (dict, list)):
        worksheet.write_string(row, column, json.dumps(value, ensure_ascii=False))
    elif isinstance(value, bool):
        worksheet.write_boolean(row, column, value)
    elif (isinstance(value, int) and abs(value) > 999_999_999_999_999) or (
        isinstance(value, float) and abs(value) == float("inf")
    ):
        worksheet.write_string(row, column, str(value))
    elif isinstance(value, (int, float)):
        worksheet.write_number(row, column, value)
    elif isinstance(value, str):
        worksheet.write_string(row, column, value)
    elif isinstance(value, dt.datetime) and value < LEAP:
        # XlsxWriter takes the first day for a time without a date, and moves the last by a day.
        time = value - dt.datetime.combine(value, dt.time())
        day = worksheet._convert_date_time(value.date())
        worksheet.write_number(row, column, day + time.total_seconds() / 86_400, of_datetimes)
    elif isinstance(value, dt.datetime):
        worksheet.write_datetime(row, column, value, of_datetimes)
    elif isinstance(value, dt.date):
        worksheet.write_datetime(row, column, value, formats[1])
    else:
        worksheet.write_datetime(row, column, value, formats[3])


@given(typed_columns())
@example([("object", [True, 1, 1.0, "1", None, [1], False, 0])])
@example([("datetime64[us]", [dt.datetime(1900, 1, 1, 12), dt.datetime(1900, 2, 28, 12)])])
@example([("object", [dt.date(1900, 1, 1), dt.date(1900, 2, 28), dt.date(1900, 3, 1)])])
def test_rows_are_those_of_xlsxwriter(columns: list[tuple[str, list[Any]]]) -> None:
    assert rows_of(frame(columns)) == xlsxwriter_rows(columns)


def test_awkward_text_is_written_as_xlsxwriter_writes_it_alone_and_beside_plain_text() -> None:
    many: list[Any] = [*AWKWARD_TEXTS, None, *map(str, range(3_000)), *LONGEST_TEXTS]
    for values in [many, *([text] for text in AWKWARD_TEXTS)]:
        columns = [("str", values)]
        assert rows_of(frame(columns)) == xlsxwriter_rows(columns)


@given(st.text("_x04a1\x01\uffff", max_size=20))
@example("_x0041_x0041_")
@example("_x0041\x01")
def test_a_text_is_what_its_escapes_mean(text: str) -> None:
    """By ECMA-376, ST_Xstring; XlsxWriter leaves one out where two of them overlap."""
    [cell] = cells_of([f"a{text}"])
    escaped = cell.partition("<t>")[2].removesuffix("</t></is></c>")
    assert re.sub("_x([0-9A-Fa-f]{4})_", lambda code: chr(int(code[1], 16)), escaped) == f"a{text}"


def test_text_that_looks_like_rich_text_markup_stays_text() -> None:
    # XlsxWriter itself would put it into the sheet as markup.
    [cell] = cells_of(["<r>bold</r>"])
    assert "<t>&lt;r&gt;bold&lt;/r&gt;</t>" in cell


@pytest.mark.parametrize(
    "missing",
    [None, float("nan"), pd.NA, pd.NaT, np.datetime64("NaT", "s"), Decimal("NaN"), ""],
    ids=repr,
)
def test_a_missing_value_has_no_cell(missing: Any) -> None:
    assert cells_of(["a", missing, missing]) == [cells_of(["a"])[0], "", ""]
    assert cells_of([missing]) == [""]


BEYOND = 2**53 + 1  # the first integer that a float loses
NEIGHBOURS: dict[str, tuple[str, list[Any]]] = {
    "none": ("int64", []),
    "small ones": ("int64", [1, 2]),
    "a gap, Int64": ("Int64", [None]),
    "a gap, object": ("object", [None]),
    "a gap, category": ("category", [None]),
    "larger ones": ("object", [10**30]),
    "a float": ("object", [0.5]),
    "NumPy's": ("object", [np.int64(7), np.uint64(2**64 - 1)]),
    "all kinds": ("object", ["x", 0.5, None, True, pd.NA, [1], Decimal(1)]),
    "unsigned": ("uint64", [0, 2**64 - 1]),
    "unsigned, a gap": ("UInt64", [None, 2**64 - 1]),
}


@pytest.mark.parametrize(("dtype", "others"), NEIGHBOURS.values(), ids=NEIGHBOURS)
def test_an_integer_beyond_15_digits_is_text_whatever_stands_beside_it(
    dtype: str, others: list[Any]
) -> None:
    [cell] = cells_of([BEYOND, *others], dtype)[:1]
    assert cell == '<c r="A2" t="inlineStr"><is><t>9007199254740993</t></is></c>'
    assert cells_of([*others, BEYOND], dtype)[-1] == cell.replace("A2", f"A{len(others) + 2}")


@pytest.mark.parametrize("values", [[-0.0, 0.0, 0.0], [0.0, -0.0, 0.0]], ids=str)
@pytest.mark.parametrize("dtype", ["float64", "object", "Float64", "category"])
def test_each_zero_is_written_with_its_own_sign(dtype: str, values: list[float]) -> None:
    if dtype == "category":
        values = values[:1]  # pandas itself takes both for one category
    signs = [f"<v>{value:.16G}</v>" for value in values]
    assert [re.findall("<v>.*</v>", cell) for cell in cells_of(values, dtype)] == [
        [sign] for sign in signs
    ]


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("75.0", "<v>75</v>"),
        ("0.1", "<v>0.1</v>"),
        ("-1E+3", "<v>-1000</v>"),
        ("123456789012345", "<v>123456789012345</v>"),
        ("0.1234567890123456", "<t>0.1234567890123456</t>"),
        ("1E+400", "<t>1E+400</t>"),
        ("1E-400", "<t>1E-400</t>"),
        ("Infinity", "<t>inf</t>"),
    ],
)
def test_a_decimal_is_a_number_unless_that_would_change_it(value: str, content: str) -> None:
    assert content in cells_of([Decimal(value)])[0]


@pytest.mark.parametrize(
    ("scalar", "plain"),
    [
        (np.int64(75), 75),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.int64(-(2**63)), -(2**63)),
        (np.float64(72.5), 72.5),
        (np.float32(0.5), 0.5),
        (np.bool(True), True),
        (np.str_("000"), "000"),
        (np.datetime64("2021-05-16T12:00"), dt.datetime(2021, 5, 16, 12)),
        (np.timedelta64(36, "h"), dt.timedelta(hours=36)),
        (pd.Timestamp("2021-05-16 12:00:00.123456789"), dt.datetime(2021, 5, 16, 12, 0, 0, 123456)),
        (pd.Timedelta("1 days 00:00:01.5"), dt.timedelta(1, 1.5)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_scalar_in_an_object_column_is_its_plain_value(scalar: Any, plain: Any) -> None:
    column = pd.Series([None], dtype=object)
    column[0] = scalar
    assert type(column[0]) is type(scalar)
    for formats in ({}, {"名前": "0.0"}):
        assert cells_of(column.tolist(), **formats) == cells_of([plain], **formats)


@pytest.mark.parametrize("dtype", ["object", "datetime64[us]", "datetime64[ns]"])
def test_a_date_and_its_midnight_are_one_number_which_xlsxwriter_writes_for_the_date(
    dtype: str,
) -> None:
    days = pd.date_range("1900-01-01", "1900-03-02").date.tolist()
    midnights = [dt.datetime.combine(day, dt.time()) for day in days]
    numbers = [re.findall("<v>(.*)</v>", cell)[0] for cell in cells_of(midnights, dtype)]
    written = xlsxwriter_rows([("object", days)])
    assert rows_of(frame([("object", days)])) == written
    assert numbers == re.findall("<v>(.*?)</v>", written)


def test_nanoseconds_before_1970_round_down_as_python_would_have_them() -> None:
    values = ["1969-12-31T23:59:59.999999999", "1900-03-01T00:00:00.000000001"]
    columns = [("", [dt.datetime.fromisoformat(value[:26]) for value in values])]
    assert rows_of(frame([("datetime64[ns]", values)])) == xlsxwriter_rows(columns)


def test_columns_are_named_as_excel_names_them() -> None:
    for index in range(SHEET_COLUMNS):
        assert column_letters(index) == xlsxwriter.utility.xl_col_to_name(index)


def test_columns_may_have_one_name() -> None:
    df = pd.DataFrame([[1, "a"], [2, "b"]], columns=["同じ", "同じ"])
    assert rows_of(df) == xlsxwriter_rows([("", [1, 2]), ("", ["a", "b"])])


def test_figures_describe_the_part() -> None:
    df = pd.DataFrame({"ポイント": range(10_000)})
    [part], body = render_parts(df, 7)
    xml = inflated([part], body).encode()
    assert part == SheetPart(7, 10_000, len(xml), len(body), zlib.crc32(xml))


def test_a_sheet_ends_at_excels_last_row_and_the_next_begins_below_its_header() -> None:
    parts, body = render_parts(pd.DataFrame({"n": [1, 2, 3]}), SHEET_ROWS - 3)
    assert [(part.position, part.rows) for part in parts] == [
        (SHEET_ROWS - 3, 2),
        (SHEET_ROWS - 1, 1),
    ]
    assert re.findall('<row r="([0-9]+)"', inflated(parts, body)) == ["1048575", "1048576", "2"]


def test_the_xml_of_a_part_is_never_whole_in_memory() -> None:
    df = pd.DataFrame({f"column {n}": np.arange(30_000) for n in range(10)})
    tracemalloc.start()
    [part], _ = render_parts(df, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < part.xml_bytes / 2


JSON_RULE = "a dict or a list is written as JSON; found Object of type set is not JSON serializable"
KINDS_RULE = "a cell holds text (.astype(str) makes it), a number, a bool, a date or JSON; found "


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a" * 40_000, "a cell holds at most 32767 characters; found 40000"),
        ("a" + "😀" * 16_384, "a cell holds at most 32767 characters; found 32769"),
        (["a" * 40_000], "a cell holds at most 32767 characters; found 40004"),
        ("a\ud800", "text must be valid Unicode; found a lone surrogate U+D800"),
        ({"a": {1}}, JSON_RULE),
        (object(), KINDS_RULE + "object"),
        (b"bytes", KINDS_RULE + "bytes"),
        ((1, 2), KINDS_RULE + "tuple"),
        (1j, KINDS_RULE + "complex"),
        (dt.time(12), KINDS_RULE + "time"),
        (pd.Period("2021-05"), KINDS_RULE + "Period"),
        (pd.Interval(0, 1), KINDS_RULE + "Interval"),
        (
            pd.Timestamp("2021-05-16", tz="Asia/Tokyo"),
            "Excel has no time zones; found 2021-05-16 00:00:00+09:00",
        ),
        (
            np.datetime64("10000-01-01T00:00:00"),
            "the last date is 9999-12-31; found 10000-01-01T00:00:00.000000",
        ),
        (dt.date(1899, 12, 31), "the first date is 1900-01-01; found 1899-12-31"),
        (
            dt.timedelta.max,
            "a duration has at most 106751991 days; found 999999999 days, 23:59:59.999999",
        ),
        (dt.date(1, 1, 1), "the first date is 1900-01-01; found 0001-01-01"),
        (
            dt.datetime(1899, 12, 31, 23, 59, 59, 999_999),
            "the first date is 1900-01-01; found 1899-12-31T23:59:59.999999",
        ),
        (
            pd.Timestamp("1700-01-01"),
            "the first date is 1900-01-01; found 1700-01-01T00:00:00.000000",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_cell_cannot_hold_is_refused_by_name(value: Any, message: str) -> None:
    column = pd.Series(["a"] * 7, index=range(12, 19), dtype=object)
    column.iat[5] = value
    with pytest.raises(InvalidCell) as error:
        df = pd.DataFrame({"会員番号": range(12, 19), "名前": column}, column.index)
        render_parts(df, 12)
    assert str(error.value) == f"members.json record 17, column 名前: {message}"


NAMES = {
    "a surrogate": ("b\ud801", "text must be valid Unicode; found a lone surrogate U+D801"),
    "too long": ("b" * 40_000, "a cell holds at most 32767 characters; found 40000"),
}


@pytest.mark.parametrize(("name", "message"), NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("value", [1, "\ud802"], ids=["a cell", "no cell either"])
def test_a_name_that_a_cell_cannot_hold_is_refused_by_its_column(
    name: str, message: str, value: Any
) -> None:
    with pytest.raises(InvalidCell) as error:
        render_parts(pd.DataFrame({"a": [1], name: [value]}), 0)
    assert str(error.value) == f"members.json: header of column B: {message}"


def test_a_column_with_a_time_zone_is_refused_by_name() -> None:
    df = pd.DataFrame({"日時": pd.to_datetime(["2021-05-16"]).tz_localize("UTC")})
    with pytest.raises(
        InvalidCell, match="^members.json record 0, column 日時: Excel has no time zones"
    ):
        render_parts(df, 0)


def test_a_table_wider_than_a_sheet_is_refused() -> None:
    rule = "^members.json: a sheet holds at most 16384 columns; found 16385"
    with pytest.raises(TooManyColumns, match=rule):
        render_parts(pd.DataFrame(np.zeros((1, SHEET_COLUMNS + 1))), 0)


def test_the_widest_text_is_the_widest_to_the_eye_and_no_longer_than_a_column() -> None:
    columns = {
        "名前": ["abcde", "十河 アンナ", None],
        "ポイント": [75.0, 72.5, None],
        "行": ["one\nlonger line", "short", "x"],
        "無": [None, None, None],
        "長": ["x" * 40_000, "x", "x"],
    }
    widest = ["十河 アンナ", "72.5", "longer line", "", "x" * 255]
    assert widest_texts(pd.DataFrame(columns)) == widest

"""A rule refuses the same records and gives the same rows, however its table was cut."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.reading import plain_numbers
from pipeline.reading.columns import Block, Table
from pipeline.reading.csv_table import CSVColumns, CSVReader
from pipeline.segments import frames
from pipeline.segments.rules import Fault, is_number, refuse, sift

README = Path(__file__).resolve().parents[4] / "README.md"
NAMES = ["単価", "数量", "備考"]
type Records = list[dict[str, Any]]
type Rule = Callable[[pd.DataFrame], pd.DataFrame]

# The long integers stand where nothing is computed with them: beyond 15 digits NumPy rounds or wraps.
FACTORS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(-5, 5).map(lambda x: round(x, 2)),
    st.sampled_from(["", "3", "1,280", [3], {}]),
)
ANYTHING = FACTORS | st.sampled_from([10**16 + 1, -(10**30), 1e300, 2.0])
RECORDS = st.lists(
    st.fixed_dictionaries({}, optional={"単価": FACTORS, "数量": FACTORS, "備考": ANYTHING}),
    min_size=1,
    max_size=20,
)
TEXTS = st.sampled_from(["", "0", "-3", "12", "0.5", "007", "1,280", "x"])
ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys(NAMES, TEXTS)), min_size=1, max_size=20)


ANY_CUT = pytest.mark.fault(
    tried=(
        "generated tables with missing, mixed and true cells, JSON and CSV, cut at 1, 7 and all rows",
        "生成した表（欠損、型の混在、真偽値。JSON と CSV）を 1 行、7 行、全体に分割",
    ),
    happened=(
        "the same records refused, the same rows, as plain Python has them",
        "拒否するレコードも行も同じで、素の Python の計算とも一致",
    ),
)


def first_snippet() -> Rule:
    """The rule on the front page."""
    [code] = re.findall(r"```python\n(NUMBERS.*?)```", README.read_text(), re.S)
    scope: dict[str, Any] = {"pd": pd, "refuse": refuse, "is_number": is_number}
    exec(code, scope)
    rule: Rule = scope["process"]
    return rule


def cut(table: Records, rows: int) -> Iterator[pd.DataFrame]:
    """As the scatter cuts: every segment has the table's columns, and types of its own."""
    for start in range(0, len(table), rows):
        part = Table([Block.of(table[start : start + rows])])
        index = pd.RangeIndex(start, start + part.rows)
        df = pd.DataFrame(part.arrays(), index=index).reindex(columns=NAMES)
        df.attrs["source"] = "orders.json"
        yield frames.load(frames.dump(df), "scatter/job_000.pkl")


def cut_csv(table: Records, rows: int) -> Iterator[pd.DataFrame]:
    """As the scatter reads: a column is numbers only where all of the file are."""
    text = io.StringIO()
    writer = csv.DictWriter(text, NAMES)
    writer.writeheader()
    writer.writerows(table)
    data = iter([text.getvalue().encode()])
    reader = CSVReader(data, "orders.csv", CSVColumns(), "utf-8", ",")
    records = [each for block in reader.blocks(1 << 20) for each in block.records]
    for df in cut(records, rows):
        df.attrs["format"] = "csv"
        yield plain_numbers.read_cells(df, ["単価", "数量"])


def processed(rule: Rule, segments: Iterator[pd.DataFrame]) -> tuple[Any, dict[int, Fault]]:
    """The rows by their numbers, and the rejects, of all segments."""
    rows: dict[int, Any] = {}
    rejects: dict[int, Fault] = {}
    for segment in segments:
        result, faults = sift(rule, segment, ["単価", "数量"])
        cells: Any = result.astype(object).to_dict("index")
        rows |= {
            number: {k: plain(cell) for k, cell in row.items()} for number, row in cells.items()
        }
        rejects |= faults
    return rows, rejects


def plain(cell: Any) -> Any:
    """As a workbook tells cells apart: 1 and 1.0 are one, True is another."""
    if isinstance(cell, list | dict):
        return cell
    if pd.isna(cell):
        return None
    return ("true", "false")[not cell] if isinstance(cell, bool) else cell


def number(cell: Any) -> float | None:
    """What a cell is worth by itself."""
    return cell if type(cell) in (int, float) else None


def number_of_text(cell: str) -> float | None:
    return float(cell) if re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?", cell) else None


def orders(
    table: Records, worth: Callable[[Any], float | None]
) -> tuple[dict[int, Any], list[int]]:
    """Record by record in plain Python: what each comes to, and which are faulty."""
    pairs = {
        at: (worth(record.get("単価", "")), worth(record.get("数量", "")))
        for at, record in enumerate(table)
    }
    rows = {at: a * b for at, (a, b) in pairs.items() if a is not None and b is not None}
    return rows, [at for at in pairs if at not in rows]


@ANY_CUT
@settings(max_examples=50)
@given(RECORDS)
def test_the_first_snippet_answers_by_the_record_alone(table: Records) -> None:
    rows, faulty = orders(table, number)
    for size in (1, 7, len(table)):
        made, rejects = processed(first_snippet(), cut(table, size))
        assert sorted(rejects) == faulty
        assert {at: row["金額"] for at, row in made.items()} == rows
        for at, row in made.items():
            assert [row[name] for name in NAMES] == [plain(table[at].get(name)) for name in NAMES]


@ANY_CUT
@settings(max_examples=50)
@given(ROWS)
def test_the_first_snippet_answers_by_the_line_of_a_csv_file_alone(table: Records) -> None:
    rows, faulty = orders(table, number_of_text)
    for size in (1, 7, len(table)):
        made, rejects = processed(first_snippet(), cut_csv(table, size))
        assert sorted(rejects) == faulty
        assert {at: row["金額"] for at, row in made.items()} == rows


TYPES = {
    "integers": (pd.Series([1, 2]), [True, True]),
    "floats": (pd.Series([0.5, None]), [True, False]),
    "integers with pandas' NA": (pd.Series([1, None], dtype="Int64"), [True, False]),
    "floats with pandas' NA": (pd.Series([0.5, None], dtype="Float64"), [True, False]),
    "truth": (pd.Series([True, False]), [False, False]),
    "truth with pandas' NA": (pd.Series([True, None], dtype="boolean"), [False, False]),
    "texts": (pd.Series(["1", None], dtype="str"), [False, False]),
    "days": (pd.Series([pd.Timestamp("2026-01-01"), None]), [False, False]),
    "categories": (pd.Series([1, None], dtype="category"), [True, False]),
    "objects": (
        pd.Series([1, 0.5, True, "1", None, float("nan"), pd.NA, [1]], dtype=object),
        [True, True, False, False, False, False, False, False],
    ),
    "NumPy's objects": (
        pd.Series([np.int64(1), np.float64(0.5), np.timedelta64(1, "D")], dtype=object),
        [True, True, False],
    ),
}


@pytest.mark.parametrize(("column", "answer"), TYPES.values(), ids=TYPES)
def test_a_column_of_any_type_answers_as_its_cells_do(
    column: "pd.Series[Any]", answer: list[bool]
) -> None:
    assert is_number(column).tolist() == answer
    assert is_number(column.astype(object)).tolist() == answer
    assert [is_number(column[[at]]).tolist() for at in column.index] == [[each] for each in answer]


def test_a_gap_that_is_left_out_leaves_whole_numbers_whole() -> None:
    """A rule that writes them as texts would tell 2026.0 from 2026."""

    def years(df: pd.DataFrame) -> pd.DataFrame:
        refuse(df, "備考", ~is_number(df["備考"]), "must be a year")
        return df.assign(年=df["備考"].astype(str))

    table: Records = [{"備考": 2026}, {"備考": None}, {"備考": "x"}, {"備考": 2027}]
    for size in (1, 2, 4):
        rows, _ = processed(years, cut(table, size))
        assert [row["年"] for row in rows.values()] == ["2026", "2027"]


def test_a_long_integer_leaves_other_columns_as_they_are() -> None:
    table: Records = [
        {"備考": 10**16 + 1, "数量": 3},
        {"備考": 1, "数量": "x"},
        {"備考": 0.5, "数量": None},
    ]

    def pieces(df: pd.DataFrame) -> pd.DataFrame:
        refuse(df, "数量", df["数量"].map(type) == str, "must be no text")
        return df.assign(倍=df["数量"] * 2)

    for size in (1, 3):
        rows, _ = processed(pieces, cut(table, size))
        assert [(row["備考"], row["倍"]) for row in rows.values()] == [(10**16 + 1, 6), (0.5, None)]


def test_a_column_may_have_any_name() -> None:
    """As self, of which no keyword can be made."""
    df = pd.DataFrame({"self": ["1", "x"]})
    df.attrs["format"] = "csv"

    def rule(df: pd.DataFrame) -> pd.DataFrame:
        refuse(df, "self", ~is_number(df["self"]), "must be a number")
        return df

    result, faults = sift(rule, plain_numbers.read_cells(df, ["self"]), ["self"])
    assert (result["self"].tolist(), [*faults]) == ([1], [1])

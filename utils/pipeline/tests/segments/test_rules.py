"""Every faulty record is found, named for the first rule that it breaks, and can be left out."""

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from pipeline.errors.lines import LINES, gathered, message
from pipeline.segments.rules import (
    COLUMNS,
    LISTED,
    InvalidMask,
    InvalidMember,
    InvalidResult,
    MissingColumn,
    RepeatedColumn,
    is_number,
    refuse,
    refused,
    rejects,
    sift,
)

RANK = "会員ランク must be 1 to 5; found "


def table(ranks: list[Any], points: list[Any] | None = None) -> pd.DataFrame:
    df = pd.DataFrame(
        {
            "会員ランク": pd.Series(ranks, dtype=object),
            "ポイント": pd.Series(points or [50] * len(ranks), dtype=object),
            "印": [f"{n:03d}" for n in range(len(ranks))],
        }
    )
    df.index = pd.RangeIndex(70, 70 + len(df))
    df.attrs["source"] = "members.json"
    return df


def process(df: pd.DataFrame) -> pd.DataFrame:
    """An ETL of two rules that changes its frame before it refuses."""
    df["ポイント"] = df["ポイント"] * 2
    refuse(df, "会員ランク", ~df["会員ランク"].isin(range(1, 6)), "must be 1 to 5")
    refuse(df, "ポイント", ~df["ポイント"].map(type).isin([int, float]), "must be a number")
    return df.assign(和=df["会員ランク"] + df["ポイント"])


@pytest.mark.parametrize("faulty", [0, 1, LINES, LINES + 1, 100])
def test_each_faulty_record_is_found_and_the_others_are_processed(faulty: int) -> None:
    df = table([9] * faulty + [4] * (100 - faulty)).sample(frac=1, random_state=1).sort_index()
    result, faults = sift(process, df)
    wrong = [number for number, rank in df["会員ランク"].items() if rank == 9]
    assert sorted(faults) == wrong
    assert result.index.tolist() == [number for number in df.index if number not in wrong]
    assert (result["和"] == 104).all()  # doubled once
    assert result.attrs == df.attrs
    if faulty:
        lines = str(refused(df, faults)).splitlines()
        first = wrong[:LINES]
        assert lines[: len(first)] == [
            f"members.json record {number}: {RANK}the number 9" for number in first
        ]
        assert gathered(["\n".join(lines)]) == (lines[: len(first)], faulty)


MASKS: dict[str, tuple[Any, list[int]]] = {
    "a nullable one": (lambda df: df["ポイント"].astype("Int64") > 50, [71, 73]),
    "objects": (lambda df: df["ポイント"].map({60: True, 40: False}), [71, 73]),
    "texts": (lambda df: df["ポイント"].map({60: "", 40: "no"}).astype("str"), [70, 71, 72, 73]),
    "numbers": (lambda df: df["ポイント"].astype(float), [70, 71, 72, 73]),
    "some texts": (lambda df: df["ポイント"].map({60: True, 40: "no"}), [71, 72, 73]),
    "categories": (lambda df: pd.Categorical([True, None, "no", False]), [71, 72]),
    "of some rows": (lambda df: df["ポイント"].dropna() > 50, [71, 73]),
    "of other rows": (lambda df: (df["ポイント"] > 50).reset_index(drop=True), [70, 71, 72, 73]),
}


@pytest.mark.parametrize(("mask", "records"), MASKS.values(), ids=MASKS)
def test_a_rule_that_does_not_tell_of_a_row_is_named_with_column_and_rows(
    mask: Any, records: list[int]
) -> None:
    df = table([1, 2, 3, 4], [60, None, 40, None])
    rule = "what refuse is told of ポイント must be true or false; found neither"
    with pytest.raises(InvalidMask) as raised:
        refuse(df, "ポイント", mask(df), "must be few")
    *lines, count = str(raised.value).splitlines()
    assert lines == [f"members.json record {each}: {rule}" for each in records]
    assert count == f"in this segment: {len(records)} faulty records"


@pytest.mark.parametrize("dtype", ["bool", "boolean", "object", "category", "Sparse[bool]"])
def test_a_rule_tells_of_rows_by_their_index(dtype: str) -> None:
    df = table([1, 9, 5])
    told: Any = pd.Series([False, True, False], df.index, dtype)
    for each in (told, told.iloc[::-1], told.to_numpy()):
        with pytest.raises(InvalidMember, match=f"^members.json record 71: {RANK}the number 9$"):
            refuse(df, "会員ランク", each, "must be 1 to 5")


RULES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "refuse": lambda df: refuse(df, "印", df["会員ランク"] == 1, "must be given"),
    "is_number": lambda df: is_number(df["印"]),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_column_that_stands_twice_is_named(rule: Callable[[pd.DataFrame], Any]) -> None:
    df = table([1, 2])
    twice = pd.concat([df, df[["印"]]], axis=1)
    twice.attrs = df.attrs
    with pytest.raises(RepeatedColumn) as raised:
        rule(twice)
    assert str(raised.value) == "members.json: a rule is of one column; found 印, 印"


def test_rejects_are_the_records_as_they_were_with_the_first_rule_that_each_breaks() -> None:
    df = table([4, "x", 4, None], [1, [2], "z", 1]).rename(columns={"印": "rule"})
    _, faults = sift(process, df)
    left_out = rejects(df, faults)
    assert left_out.columns.tolist() == [*COLUMNS, "会員ランク", "ポイント", "rule"]
    assert left_out.values.tolist() == [
        [71, "会員ランク", "must be 1 to 5", 'the text "x"', "x", [2], "001"],
        [72, "ポイント", "must be a number", 'the text "zz"', 4, "z", "002"],
        [73, "会員ランク", "must be 1 to 5", "nothing", None, 1, "003"],
    ]


def identity(df: pd.DataFrame) -> pd.DataFrame:
    refuse(df, "a", df["印"] == "faulty", "must be right")
    return df


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], "int64"),
        ([1, None], "float64"),
        ([0.5, 1], "float64"),
        ([10**16 + 1, 0.5], "object"),
        ([10**16 + 1, 1], "int64"),
        (["a", None], "str"),
        ([True, False], "bool"),
        ([True, 1], "object"),
        ([[1], {}], "object"),
        ([None, None], "object"),
    ],
)
def test_a_faulty_value_leaves_no_trace_in_the_type_of_its_column(
    values: list[Any], dtype: str
) -> None:
    df = pd.DataFrame({"a": pd.Series([*values, object()], dtype=object), "印": ["", "", "faulty"]})
    result, _ = sift(identity, df)
    kept = result["a"].astype(object).where(result["a"].notna(), None).tolist()
    assert (str(result["a"].dtype), kept) == (dtype, values)


@pytest.mark.parametrize("faulty", ["x", 5, 0.5], ids=repr)
def test_texts_are_cut_where_the_only_value_of_a_column_is_refused(faulty: object) -> None:
    df = pd.DataFrame({"a": [None, None, faulty], "印": ["", "", "faulty"]})
    result, _ = sift(lambda df: identity(df).assign(月=df["a"].str[:7]), df)
    assert result["a"].tolist() == result["月"].tolist() == [None, None]
    assert sift(identity, df, ["a"])[0]["a"].dtype == float


def test_errors_of_several_segments_are_one_story() -> None:
    errors = [
        message({"source": "m.json"}, {number: f"{RANK}9" for number in numbers})
        for numbers in (range(100, 170), [7], range(30, 40))
    ]
    lines, count = gathered(errors)
    numbers = [7, *range(30, 40), *range(100, 109)]
    assert lines == [f"m.json record {number}: {RANK}9" for number in numbers]
    assert count == 81


def test_a_record_of_a_reference_that_each_segment_names_is_one() -> None:
    error = message({"source": "reference/rates.csv"}, {3: "rate must be above 0; found 0"})
    assert gathered([error] * 7) == ([error], 1)


def test_an_error_fits_into_what_an_execution_keeps_of_it() -> None:
    text = message(
        {"source": "漢" * 341 + ".json"}, {number: RANK + "漢" * 200 for number in range(1000)}
    )
    assert len(json.dumps(text)) < 20_000
    assert gathered([text])[1] == 1000


HAS = "members.json has the columns (index, )?会員ランク, ポイント, 印"
LOOK_UPS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "a column": lambda df: df["日付"],
    "columns": lambda df: df[["印", "日付"]],
    "groups": lambda df: df.groupby("日付"),
    "an order": lambda df: df.sort_values("日付"),
    "an index": lambda df: df.set_index(["印", "日付"]),
    "a merge": lambda df: df.merge(df, on="日付"),
    "of a part": lambda df: df[df["印"] != ""].reset_index()["日付"],
    "refuse": lambda df: refuse(df, "日付", df["印"] == "", "must be given"),
    "of a frame made of it": lambda df: pd.DataFrame({"印": df["印"]})["日付"],
}


@pytest.mark.parametrize("look_up", LOOK_UPS.values(), ids=LOOK_UPS)
def test_a_column_that_is_not_there_is_named_with_those_that_are(
    look_up: Callable[[pd.DataFrame], Any],
) -> None:
    with pytest.raises(MissingColumn, match=f"^{HAS}; found no 日付$"):
        sift(look_up, table([1, 2]))


def blame_no_record(df: pd.DataFrame) -> None:
    raise InvalidMember("members: no column")


OTHERS: dict[str, tuple[Callable[[pd.DataFrame], Any], type[Exception]]] = {
    "a key of a dictionary": (lambda df: {"a": 1}["日付"], KeyError),
    "a key of a row": (lambda df: df.set_index("印").loc["日付"], KeyError),
    "a column of the input that a frame lost": (
        lambda df: pd.DataFrame({"a": [1]})["印"],
        KeyError,
    ),
    "a key raised by hand": (lambda df: df.pipe(lambda _: {}.popitem()), KeyError),
    "a key of each cell's": (lambda df: df["印"].map(lambda cell: {}[cell]), KeyError),
    "no record": (blame_no_record, InvalidMember),
    "a record of a new index": (
        lambda df: refuse(df.reset_index(), "印", df.reset_index()["印"] != "", "x"),
        InvalidMember,
    ),
}


@pytest.mark.parametrize(("rule", "error"), OTHERS.values(), ids=OTHERS)
def test_what_is_neither_a_missing_column_nor_a_faulty_record_rises_as_it_is(
    rule: Callable[[pd.DataFrame], Any], error: type[Exception]
) -> None:
    with pytest.raises(error) as alone:
        rule(table([1, 2]))
    with pytest.raises(error) as sifted:
        sift(rule, table([1, 2]))
    assert (sifted.type, str(sifted.value)) == (alone.type, str(alone.value))


def test_a_wide_table_is_not_listed_whole() -> None:
    def look_up(df: pd.DataFrame) -> Any:
        return df["日付"]

    df = pd.DataFrame({f"c{n}": [n] for n in range(100)})
    with pytest.raises(MissingColumn, match=rf", c{LISTED - 1}, … \(100\); found no 日付$"):
        sift(look_up, df)


@pytest.mark.parametrize(
    ("returned", "found"),
    [(None, "nothing"), (5, "int"), (pd.Series([1]), "Series")],
    ids=["nothing", "a number", "a column"],
)
def test_a_rule_that_returns_no_table_is_told_so(returned: Any, found: str) -> None:
    with pytest.raises(InvalidResult, match=f"^process: must return a DataFrame; found {found}$"):
        sift(lambda df: returned, table([1, 2]))

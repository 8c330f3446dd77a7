"""An ETL may bring pyarrow, with which pandas keeps text in Arrow's memory."""

import pickle
from typing import Any

import pandas as pd
import pytest

from pipeline.segments import frames
from pipeline.sheet.sheet_xml import render_rows

KEY = "gather/job_000.pkl"
ARROW = pd.StringDtype("pyarrow", na_value=float("nan"))
PYTHON = pd.StringDtype("python", na_value=float("nan"))
MEMBERS = pd.DataFrame(
    [["000", "長野原 ひろし", 4, 58, "2021-05-16"], ["001", None, 2, 75, ""]],
    columns=["会員番号", "名前", "会員ランク", "ポイント", "タイムスタンプ"],
)


def members(dtype: "pd.StringDtype[Any]") -> pd.DataFrame:
    """Text in columns, categories, the header and the index."""
    df = MEMBERS.astype({"会員番号": dtype, "名前": dtype, "タイムスタンプ": dtype})
    df["区分"] = pd.Categorical.from_codes([0, -1], pd.Index(["正", "準"], dtype=dtype))
    df["nullable"] = df["名前"].astype(pd.StringDtype(dtype.storage))
    df.columns = df.columns.astype(dtype)
    df.index = pd.Index(["a", "b"], dtype=dtype)
    return df


def test_text_in_arrow_is_loaded_as_pythons() -> None:
    assert members(ARROW)["名前"].dtype.storage == "pyarrow"  # type: ignore[union-attr]
    read = frames.load(frames.dump(members(ARROW)), KEY)
    pd.testing.assert_frame_equal(read, members(PYTHON))
    assert read["名前"].dtype.storage == "python"  # type: ignore[union-attr]
    assert read["nullable"].isna().tolist() == [False, True]


def test_whoever_loads_text_in_arrow_needs_no_pyarrow() -> None:
    assert b"arrow" not in frames.dump(members(ARROW)).lower()


def test_rows_of_text_in_arrow_are_those_of_text_in_python() -> None:
    assert render_rows(members(ARROW), 0, KEY) == render_rows(members(PYTHON), 0, KEY)


def test_arrow_text_that_another_program_pickled_is_refused_by_name() -> None:
    with pytest.raises(frames.InvalidSegment, match="found pandas.arrays.ArrowStringArray$"):
        frames.load(pickle.dumps(members(ARROW)), KEY)

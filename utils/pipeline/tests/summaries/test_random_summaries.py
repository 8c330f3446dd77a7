"""Summaries of random tables, gathered in two cuts: one workbook, and what the model has."""

import json
from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from random import Random
from typing import Any

import pandas as pd
import pytest
from python_calamine import CalamineWorkbook

from pipeline.sheet.workbook import Workbook
from pipeline.summaries import combine, merge, partials
from pipeline.summaries.contribution import carried
from pipeline.summaries.summary import Summary
from pipeline.tests.summaries import model
from pipeline.tests.summaries.random_summaries import random_summary, random_table

FORMATS = {"x sum": "#,##0.0"}


def gathered(df: pd.DataFrame, summary: Summary, cuts: list[int]) -> bytes:
    """The workbook."""
    made = combine.Summaries(lambda key: pd.DataFrame())
    for start, stop in pairwise([0, *cuts, len(df)]):
        fields, data = carried([summary], as_segment(df.iloc[start:stop]), "table")
        made.add("gather/x.pkl", json.loads(json.dumps(fields)), data)
    (table,) = made.tables(FORMATS)
    json.dumps([vars(table.facts())])
    return b"".join(Workbook("x.xlsx", [table], FORMATS).chunks())


def as_segment(piece: pd.DataFrame) -> pd.DataFrame:
    """With dtypes of its own, where no value would change."""
    made = {}
    for name, column in piece.items():
        typed = column.infer_objects()
        same = [*map(repr, typed.astype(object))] == [*map(repr, column)]
        made[name] = typed if same else column
    return pd.DataFrame(made, index=piece.index)


def check(seed: int, patch: Callable[[Any, str, Any], None]) -> None:
    """Raise AssertionError unless a table of this seed is summarized as the model has it.

    Args:
        patch: sets an attribute.
    """
    random = Random(seed)
    df = random_table(random)
    summary, formulas = random_summary(random, df)
    cuts = sorted(random.randint(0, len(df)) for _ in range(random.randint(0, 4)))
    block, size = random.choice([(1, 200), (200, 2_000), (9_999, 9_999)])
    patch(partials, "BLOCK_BYTES", block)
    patch(merge, "RANGE_BYTES", size)
    patch(merge, "RANGES", random.choice([1, 8]))
    patch(merge, "vcpus", lambda: 1 + (seed % 10 == 0))
    patch(combine, "INLINE_BYTES", random.choice([0, 8_192]))
    patch(combine, "AT_ONCE", random.choice([1, 2, 64]))
    workbook = gathered(df, summary, cuts)
    assert workbook == gathered(df, summary, [len(df) // 2]), "two cuts, two workbooks"
    rows: list[Any] = df.to_dict("records")
    wanted = model.sheet(rows, summary, formulas)
    headers = 2 if summary.declared.across is not None and len(summary.named) > 1 else 1
    sheet = CalamineWorkbook.from_filelike(BytesIO(workbook)).get_sheet_by_name("fuzz")
    found = sheet.to_python(skip_empty_area=False)[headers:]
    assert len(found) <= len(wanted), f"{len(wanted)} rows; found {len(found)}"
    found += [[]] * (len(wanted) - len(found))  # of empty cells alone
    for number, (cells, row) in enumerate(zip(found, wanted)):
        cells = [*cells, *[""] * (len(row) - len(cells))]
        for column, (cell, values) in enumerate(zip(cells, row, strict=True)):
            where = f"row {number}, column {column}"
            assert model.matches(cell, values), f"{where}: {values[:3]}; found {cell}"


@pytest.mark.parametrize("seed", range(60))
def test_a_random_table_is_summarized_as_the_model_has_it(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(seed, monkeypatch.setattr)

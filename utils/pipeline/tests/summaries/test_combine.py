"""What segments contribute makes the same sheets however it comes."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pandas as pd
import pytest

from pipeline.sheet.table import Table
from pipeline.summaries import combine as summaries_module
from pipeline.summaries import merge as merged
from pipeline.summaries.combine import MissingPartials, Summaries
from pipeline.summaries.contribution import carried
from pipeline.summaries.summary import Summary

RANKS = Summary(
    "ranks", by="rank", total="all", n=("id", "size"), points=("points", "sum"), u=("id", "nunique")
)
MONTHS = Summary("months", by={"month": lambda df: df["day"].str[:7]}, n=("id", "count"))
MEMBERS = pd.DataFrame(
    {
        "id": [f"{n:04}" for n in range(1000)],
        "rank": [n * 7 % 5 for n in range(1000)],
        "points": [n * 0.1 for n in range(1000)],
        "day": [f"2024-{n % 12 + 1:02}-01" for n in range(1000)],
    }
)


def no_pickle(key: str) -> pd.DataFrame:
    raise AssertionError(f"{key} was read")


def contributed(declared: list[Summary], df: pd.DataFrame) -> tuple[list[Any], bytes]:
    fields, data = carried(declared, df, "table")
    return json.loads(json.dumps(fields)), data


def sheets(tables: list[Table]) -> list[Any]:
    return [
        (each.name, each.columns, b"".join(each.bodies), each.first_rows, each.total)
        for each in tables
    ]


def gathered(
    ends: list[int],
    declared: Callable[[int], list[Summary]] = lambda _: [RANKS],
    load: Callable[[str], pd.DataFrame] = no_pickle,
) -> list[Any]:
    """The sheets of MEMBERS cut there; each segment contributes to what it declares."""
    summaries = Summaries(load)
    for number, (start, stop) in enumerate(pairwise([0, *ends, 1000])):
        contribution = contributed(declared(number), MEMBERS.iloc[start:stop])
        summaries.add(f"gather/job_{start}_{stop}.pkl", *contribution)
    return sheets([*summaries.tables({})])


def segment_at(key: str) -> pd.DataFrame:
    start, stop = key.removesuffix(".pkl").split("_")[1:]
    return MEMBERS.iloc[int(start) : int(stop)]


@pytest.mark.parametrize(
    ("rows", "found", "total"),
    [(0, [], ["all", 0, 0, 0]), (1, [[0, 1, 0, 1]], ["all", 1, 0, 1])],
)
def test_a_table_of_no_rows_or_one_has_its_header_and_its_total(
    rows: int, found: list[Any], total: list[Any]
) -> None:
    summaries = Summaries(no_pickle)
    summaries.add("gather/x.pkl", *contributed([RANKS], MEMBERS.head(rows)))
    (table,) = summaries.tables({})
    assert (table.columns, table.first_rows) == (["rank", "n", "points", "u"], found)
    assert table.total == total


def test_sorted_segments_with_a_group_for_each_record_make_one_sheet_and_are_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Most of their blocks have no group in a range."""
    starts: list[int] = []
    read = merged.Spool.read

    def noted(spool: merged.Spool, start: int, size: int) -> bytes:
        starts.append(start)
        return read(spool, start, size)

    ids = Summary("ids", by="id", first=("day", "first"), median=("points", "median"))
    whole = gathered([], lambda _: [ids])
    assert whole[0][3] == [[*each] for each in MEMBERS[["id", "day", "points"]].values[:200]]
    monkeypatch.setattr(summaries_module, "INLINE_BYTES", 0)
    monkeypatch.setattr(merged, "RANGE_BYTES", 1_000)
    monkeypatch.setattr(merged, "vcpus", lambda: 1)
    monkeypatch.setattr(merged.Spool, "read", noted)
    assert gathered([*range(100, 1000, 100)], lambda _: [ids]) == whole
    assert sorted(starts) == sorted({*starts})


@pytest.mark.fault(
    tried=("a result without its partial results", "部分集計のない結果"),
    happened=("counted from its pickle", "その pickle から数える"),
)
def test_a_result_without_a_contribution_is_counted_from_its_pickle() -> None:
    other = Summary("ranks", by="rank", n=("id", "size"))
    for stranger in ([], [other], [RANKS, other]):
        declared = dict(enumerate([[RANKS], stranger, [RANKS]])).__getitem__
        assert gathered([300, 600], declared, segment_at) == gathered([])
    assert gathered([300], lambda n: [RANKS] if n else [], segment_at) == gathered([])


def test_no_contribution_makes_no_sheet() -> None:
    assert gathered([300], lambda _: []) == []


def test_a_group_that_a_function_makes_needs_its_segment() -> None:
    with pytest.raises(
        MissingPartials, match="^gather/job_300_1000.pkl: .* whose month a function makes"
    ):
        gathered([300], lambda n: [] if n else [MONTHS], segment_at)

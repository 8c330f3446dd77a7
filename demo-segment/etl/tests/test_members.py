from typing import Any

import pandas as pd
import pytest

from etl.members import COLUMNS, SUMMARIES, process
from pipeline.etl import InvalidMember, summarize

MEMBERS = pd.DataFrame(
    [
        ["000", "長野原 ひろし", 4, 58, "2021-05-16"],
        ["001", "般若 竜門", 2, 75, "2021-07-19"],
        ["002", "十河 アンナ", 2, 57, "2021-09-06"],
    ],
    columns=COLUMNS,
)


def test_ranks_4_and_5_earn_a_quarter_more() -> None:
    df = process(MEMBERS)
    assert list(df.columns) == [*COLUMNS, "ボーナスポイント"]
    assert df["ボーナスポイント"].tolist() == [72.5, 75, 57]


@pytest.mark.parametrize("rank", [1, 2, 3, 4, 5])
def test_the_bonus_is_integer_unless_a_rank_exceeds_3(rank: int) -> None:
    bonus = process(MEMBERS.assign(会員ランク=rank))["ボーナスポイント"]
    assert bonus.dtype == ("float64" if rank > 3 else "int64")
    assert bonus.tolist() == [points * (1.25 if rank > 3 else 1) for points in (58, 75, 57)]


FAULTS: dict[str, tuple[str, Any, str]] = {
    "rank 0": ("会員ランク", 0, "must be 1 to 5; found the number 0"),
    "rank 6": ("会員ランク", 6, "must be 1 to 5; found the number 6"),
    "rank 4.5": ("会員ランク", 4.5, "must be 1 to 5; found the number 4.5"),
    "rank as text": ("会員ランク", "4", 'must be 1 to 5; found the text "4"'),
    "rank true": ("会員ランク", True, "must be 1 to 5; found true"),
    "rank in a list": ("会員ランク", [4], "must be 1 to 5; found an array"),
    "no rank": ("会員ランク", None, "must be given; found nothing"),
    "no name": ("名前", None, "must be given; found nothing"),
    "points as text": ("ポイント", "58", 'must be a number; found the text "58"'),
    "points in a list": ("ポイント", [58], "must be a number; found an array"),
}


@pytest.mark.parametrize(("column", "value", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_record_is_named(column: str, value: Any, fault: str) -> None:
    df = MEMBERS.set_axis(pd.RangeIndex(20, 23)).astype({column: object})
    df.at[21, column] = value
    with pytest.raises(InvalidMember, match=f"^members record 21: {column} {fault}$"):
        process(df)


def test_ranks_are_counted_and_added_up() -> None:
    summary = summarize(process(MEMBERS), SUMMARIES[0])
    assert list(summary.columns) == ["会員ランク", "人数", "ポイント", "平均"]
    assert summary.values.tolist() == [
        [2, 2, 75 + 57, 66.0],
        [4, 1, 58, 72.5],
        ["合計", 3, 58 + 75 + 57, 204.5 / 3],
    ]

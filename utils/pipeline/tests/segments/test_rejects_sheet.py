"""How many records may be faulty."""

import pandas as pd
import pytest

from pipeline.segments.figures import Rejects
from pipeline.segments.rejects_sheet import Rejected, TooManyRejects


@pytest.mark.parametrize("most", [3, 4, None])
def test_as_many_as_the_input_allows_are_left_out(most: int | None) -> None:
    found = left_out(most)
    found.check()
    assert found.told == 3


def test_one_more_than_the_input_allows_fails_the_execution() -> None:
    with pytest.raises(TooManyRejects, match="^a: the first of 3 faulty .*; max_rejects is 2$"):
        left_out(2).check()


def left_out(most: int | None) -> Rejected:
    """By two segments, three records."""
    found = Rejected(no_frame)
    for key, count in (("gather/job_000.pkl", 1), ("gather/job_001.pkl", 2)):
        found.add(key, Rejects(count, ["record"], most, "etag", "a"))
    return found


def no_frame(key: str, etag: str) -> pd.DataFrame:
    raise AssertionError(f"{key} was read")

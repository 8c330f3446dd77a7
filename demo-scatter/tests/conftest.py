import pytest

from pipeline.reading import cuts
from pipeline.tests.own_bucket import bucket as bucket
from pipeline.tests.own_bucket import s3 as s3


@pytest.fixture
def small_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of a thousandth of their bytes."""
    monkeypatch.setattr(cuts, "SEGMENT_BYTES", 6_900)
    monkeypatch.setattr(cuts, "BLOCK_BYTES", 960)
    monkeypatch.setattr(cuts, "SMALL_TABLE_BYTES", 200)

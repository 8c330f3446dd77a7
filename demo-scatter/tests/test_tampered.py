"""A deployment with a key reads back no segment file that it did not write itself."""

import importlib
from typing import TYPE_CHECKING

import pandas as pd
import pytest

import frames
from facts import SegmentCut
from scatter import ScatterHandler
from signed import InvalidSigningKey, Objects
from tampering import SECRET, TAMPERED, assert_refused

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SEGMENT = "scatter/x/job_001.pkl"


@pytest.mark.fault(
    tried=(
        "a segment file changed, cut off, unsigned, signed by another key or moved before columns are added",
        "列の追加前のセグメントファイルの改変・途中切れ・署名なし・別の鍵の署名・移動",
    ),
    happened=(
        "refused as InvalidSignature by its key",
        "InvalidSignature としてキーを示して拒否",
    ),
)
@pytest.mark.parametrize("tampered", TAMPERED)
def test_columns_are_added_only_to_what_the_scatter_wrote(
    tampered: str, s3: "S3Client", bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNING_KEY", SECRET.hex())
    pickled = frames.dump(pd.DataFrame({"ポイント": [1, 2]}))
    Objects(s3, bucket, SECRET).put(SEGMENT, pickled)
    cut, handler = SegmentCut(SEGMENT, 2, len(pickled)), ScatterHandler({}, None, s3)
    columns = ["ポイント", "備考"]
    assert_refused(s3, bucket, SEGMENT, tampered, lambda: handler.widen(cut, columns))
    Objects(s3, bucket, SECRET).put(SEGMENT, pickled)
    handler.widen(cut, columns)
    widened = frames.load(Objects(s3, bucket, SECRET).get(SEGMENT), SEGMENT)
    assert list(widened.columns) == columns


def test_a_function_with_an_empty_key_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNING_KEY", "")
    with pytest.raises(InvalidSigningKey, match="^SIGNING_KEY: must be 64 hex digits; "):
        importlib.import_module("lambda")

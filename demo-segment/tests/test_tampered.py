"""A deployment with a key makes no result of what it did not write itself."""

import importlib
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from pipeline.reading.references import References, pin
from pipeline.s3.signed import InvalidSigningKey, Objects
from pipeline.segments import frames
from pipeline.segments.result import read_segment
from pipeline.tests.tampering import SECRET, TAMPERED, assert_refused

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SEGMENT, PIN, RATES = "scatter/x/job_001.pkl", "scatter/x/references.json", "reference/rates.csv"


@pytest.mark.fault(
    tried=(
        "what a segment reads changed, cut off, unsigned, signed by another key or moved",
        "segment が読むものの改変・途中切れ・署名なし・別の鍵の署名・移動",
    ),
    happened=(
        "refused as InvalidSignature by its key",
        "InvalidSignature としてキーを示して拒否",
    ),
)
@pytest.mark.parametrize("key", [SEGMENT, PIN], ids=["segment file", "pin of references"])
def test_what_the_deployment_did_not_write_there_is_refused_by_its_key(
    key: str, s3: "S3Client", bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGNING_KEY", SECRET.hex())
    s3.put_object(Bucket=bucket, Key=RATES, Body=b"rank,rate\n1,10\n")
    objects = Objects(s3, bucket, SECRET)
    objects.put(SEGMENT, frames.dump(pd.DataFrame({"ポイント": [1, 2]})))
    pin(objects, SEGMENT)

    def read() -> list[int]:
        rates = References({"料率": RATES}, s3, bucket, SEGMENT)["料率"]
        return [*read_segment(s3, bucket, SEGMENT)["ポイント"], *rates["rate"]]

    assert read() == [1, 2, 10]
    for tampered in TAMPERED:
        assert_refused(s3, bucket, key, tampered, read)


def test_a_function_with_an_empty_key_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNING_KEY", "")
    with pytest.raises(InvalidSigningKey, match="^SIGNING_KEY: must be 64 hex digits; "):
        importlib.import_module("lambda")

"""A deployment with a key makes no workbook of what it did not write itself."""

import importlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from gather import GatherHandler
from pipeline.events.gather import MissingSegment
from pipeline.keys import partials_key, rejects_key, xml_key
from pipeline.s3.signed import InvalidSigningKey, Objects
from pipeline.segments import figures as rendered
from pipeline.segments import result
from pipeline.segments.rules import Fault
from pipeline.sheet.layout import Layout
from pipeline.summaries.summary import Summary
from pipeline.tests.tampering import SECRET, TAMPERED, assert_refused

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TABLE = pd.DataFrame({"会員番号": [f"{n:03d}" for n in range(6)], "ポイント": range(6)})
POINTS = Summary("all", n=("会員番号", "count"), points=("ポイント", "sum"))
DEFINITIONS = [f"scatter/x/job_{number:03d}.pkl" for number in range(2)]
RESULT = "gather/x/job_001.pkl"
MANIFEST = "scatter/x/manifest.json"
KINDS = {
    "result": RESULT,
    "figures": "gather/x/job_001.json",
    "rows": xml_key(RESULT),
    "partial results": partials_key(RESULT),
    "rejects": rejects_key(RESULT, 1),
    "manifest": MANIFEST,
}
BEFORE = b"the previous workbook"


class Execution:
    """What an execution has written before its gather begins."""

    def __init__(self, s3: "S3Client", bucket: str) -> None:
        self.s3 = s3
        self.objects = Objects(s3, bucket, SECRET)
        self.objects.put(MANIFEST, json.dumps(DEFINITIONS).encode())
        for number, segment in enumerate(DEFINITIONS):
            self.put(segment.replace("scatter", "gather"), number, {})
        s3.put_object(Bucket=bucket, Key="test.xlsx", Body=BEFORE)

    def put(self, key: str, number: int, formats: dict[str, str]) -> None:
        """A result of two rows, with one reject and with an object of partial results."""
        first = number * 3
        own = TABLE[first : first + 3].copy()
        own.attrs["rejects"] = "sheet"
        faults = {first: Fault("ポイント", "must be odd", f"the number {first}")}
        df = own.drop(index=first)
        result.send(self.s3, self.objects.bucket, key, df, own, faults, [POINTS], formats, Layout())

    def gather(self) -> bytes:
        GatherHandler({"manifest": MANIFEST}, None, self.s3).main()
        return self.workbook()

    def workbook(self) -> bytes:
        answer = self.s3.get_object(Bucket=self.objects.bucket, Key="test.xlsx")
        return answer["Body"].read()


@pytest.fixture
def execution(s3: "S3Client", bucket: str, monkeypatch: pytest.MonkeyPatch) -> Execution:
    monkeypatch.setenv("SIGNING_KEY", SECRET.hex())
    monkeypatch.setattr(rendered, "INLINE_BYTES", 0)
    return Execution(s3, bucket)


def test_a_deployment_with_a_key_makes_the_workbook_of_one_without(
    execution: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = execution.gather()
    monkeypatch.delenv("SIGNING_KEY")
    assert execution.gather() == signed != BEFORE


@pytest.mark.fault(
    tried=(
        "what the gather reads changed, cut off, unsigned, signed by another key or moved",
        "gather が読むものの改変・途中切れ・署名なし・別の鍵の署名・移動",
    ),
    happened=(
        "refused as InvalidSignature by its key; the previous workbook stays",
        "InvalidSignature としてキーを示して拒否。前のワークブックは残る",
    ),
)
@pytest.mark.parametrize(
    ("kind", "tampered"),
    [
        (kind, tampered)
        for kind in KINDS
        for tampered in (TAMPERED if kind == "figures" else ["cut off", "unsigned"])
    ],
)
def test_what_the_deployment_did_not_write_there_is_refused_by_its_key(
    execution: Execution, kind: str, tampered: str
) -> None:
    if kind == "result":  # which is read where its rows must be rendered again
        execution.put(RESULT, 1, {"ポイント": "0.0"})
    bucket = execution.objects.bucket
    assert_refused(execution.s3, bucket, KINDS[kind], tampered, execution.gather)
    assert execution.workbook() == BEFORE


def delete(execution: Execution, key: str) -> None:
    execution.s3.delete_object(Bucket=execution.objects.bucket, Key=key)


def put_earlier(execution: Execution, key: str) -> None:
    execution.objects.put(key, b"of an earlier pass")


@pytest.mark.fault(
    tried=(
        "an object of a segment deleted, or an earlier one of its key put back",
        "セグメントのオブジェクトの削除、または同じキーの以前のものへの差し戻し",
    ),
    happened=(
        "refused as MissingSegment by its key; the previous workbook stays",
        "MissingSegment としてキーを示して拒否。前のワークブックは残る",
    ),
)
@pytest.mark.parametrize(
    ("change", "found"), [(delete, "nothing"), (put_earlier, "another")], ids=["deleted", "earlier"]
)
@pytest.mark.parametrize("kind", ["rows", "partial results", "rejects"])
def test_what_figures_name_must_be_there(
    execution: Execution, kind: str, change: Callable[[Execution, str], None], found: str
) -> None:
    change(execution, KINDS[kind])
    with pytest.raises(MissingSegment, match=f"^{KINDS[kind]}: must be what .*; found {found}$"):
        execution.gather()
    assert execution.workbook() == BEFORE


@pytest.mark.parametrize(
    ("change", "key", "rule"),
    [
        (delete, RESULT, f"{RESULT}: each segment must have a result; found none for 1 of 2"),
        (delete, KINDS["figures"], "must be the figures of the result .*; found none"),
        (put_earlier, RESULT, "must be the figures of the result .*; found those of another"),
    ],
    ids=["result deleted", "figures deleted", "earlier result"],
)
def test_a_result_needs_its_figures(
    execution: Execution, change: Callable[[Execution, str], None], key: str, rule: str
) -> None:
    """They say what else belongs to it, such as rejects and their limit."""
    change(execution, key)
    with pytest.raises(MissingSegment, match=f"{rule}$"):
        execution.gather()
    assert execution.workbook() == BEFORE


def test_a_function_with_an_empty_key_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNING_KEY", "")
    with pytest.raises(InvalidSigningKey, match="^SIGNING_KEY: must be 64 hex digits; "):
        importlib.import_module("lambda")

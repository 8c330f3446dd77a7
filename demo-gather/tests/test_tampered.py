"""A deployment with a key makes no workbook of what it did not write itself."""

import importlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from gather import GatherHandler
from pipeline.events.gather import MissingSegment
from pipeline.keys import partials_key, rejects_key, xml_key
from pipeline.s3.signed import InvalidSigningKey
from pipeline.segments import figures as rendered
from pipeline.tests.tampering import SECRET, TAMPERED, assert_refused
from tests.test_gather import POINTS, TABLE, Store

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

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


@pytest.fixture
def store(s3: "S3Client", bucket: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """What an execution has written before its gather begins."""
    monkeypatch.setenv("SIGNING_KEY", SECRET.hex())
    monkeypatch.setattr(rendered, "INLINE_BYTES", 0)
    store = Store(s3, bucket, "gather/x/")
    store.put(MANIFEST, json.dumps(DEFINITIONS).encode())
    for number in range(len(DEFINITIONS)):
        send(store, number)
    s3.put_object(Bucket=bucket, Key="test.xlsx", Body=BEFORE)
    return store


def send(store: Store, number: int, **formats: str) -> None:
    """A result of two rows, with one reject and with an object of partial results."""
    first = number * 3
    df = TABLE[first : first + 3]
    store.send(number, df, None, [first], [POINTS], formats, rejects="sheet")


def gather(store: Store) -> bytes:
    GatherHandler({"manifest": MANIFEST}, None, store.s3).main()
    return store.get()


def test_a_deployment_with_a_key_makes_the_workbook_of_one_without(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = gather(store)
    monkeypatch.delenv("SIGNING_KEY")
    assert gather(store) == signed != BEFORE


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
    store: Store, kind: str, tampered: str
) -> None:
    if kind == "result":  # which is read where its rows must be rendered again
        send(store, 1, ポイント="0.0")
    assert_refused(store.s3, store.bucket, KINDS[kind], tampered, lambda: gather(store))
    assert store.get() == BEFORE


def delete(store: Store, key: str) -> None:
    store.s3.delete_object(Bucket=store.bucket, Key=key)


def put_earlier(store: Store, key: str) -> None:
    store.put(key, b"of an earlier pass")


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
    store: Store, kind: str, change: Callable[[Store, str], None], found: str
) -> None:
    change(store, KINDS[kind])
    with pytest.raises(MissingSegment, match=f"^{KINDS[kind]}: must be what .*; found {found}$"):
        gather(store)
    assert store.get() == BEFORE


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
    store: Store, change: Callable[[Store, str], None], key: str, rule: str
) -> None:
    """They say what else belongs to it, such as rejects and their limit."""
    change(store, key)
    with pytest.raises(MissingSegment, match=f"{rule}$"):
        gather(store)
    assert store.get() == BEFORE


def test_a_function_with_an_empty_key_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNING_KEY", "")
    with pytest.raises(InvalidSigningKey, match="^SIGNING_KEY: must be 64 hex digits; "):
        importlib.import_module("lambda")

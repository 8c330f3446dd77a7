import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pandas as pd
import pytest

from pipeline.reading import references
from pipeline.reading.references import (
    InvalidReference,
    MissingReference,
    ReferenceChanged,
    References,
    check_references,
    pin,
    read,
)
from pipeline.s3.signed import Objects

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY = "reference/rates.csv"
OLD, NEW = b"rank,rate\n1,10\n", b"rank,rate\n1,25\n"
RATES = [{"code": "001", "名": 'a "b"\nc', "rate": rate, "n": 3} for rate in (0.5, 12)]


FORMS = {
    "json": json.dumps(RATES).encode(),
    "jsonl": b"\n".join(json.dumps(record).encode() for record in RATES),
    "csv": pd.DataFrame(RATES).to_csv(index=False).encode("utf-8-sig"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("form", FORMS)
def test_a_table_is_the_same_in_every_format(form: str, packed: bool) -> None:
    data, end = (gzip.compress(FORMS[form]), ".gz") if packed else (FORMS[form], "")
    pd.testing.assert_frame_equal(read(data, f"reference/x.{form}{end}"), pd.DataFrame(RATES))


def test_a_column_of_csv_is_numbers_only_if_all_its_cells_are_however_late_another_comes() -> None:
    lines = b"".join(b"%d,%d,\n" % (n, n) for n in range(50_000))
    df = read(b"a,b,c\n" + lines + b"7,x,\n", KEY)
    assert df["a"].tolist() == [*range(50_000), 7]
    assert df["b"].tolist() == [*map(str, range(50_000)), "x"]
    assert df["c"].isna().all()


def test_a_table_without_rows_has_its_columns() -> None:
    assert list(read(b"rank,rate\n", KEY).columns) == ["rank", "rate"]


FAULTS = {
    "a key twice": ("x.json", b'[{"a": 1, "a": 2}]', 'record 0, byte 1: .*; found "a" again'),
    "a ragged row": ("x.csv", b"a,b\n1,2\n3\n", "record 1, line 3: .* header, 2; found 1"),
    "cut off": ("x.csv.gz", gzip.compress(OLD)[:-9], r"byte \d+: must be gzip to its end; .*"),
    "too large": ("x.csv", b"a\n" + b"1\n" * 2000, "at most 1000 bytes, .*; found 4002"),
    "a bomb": ("x.csv.gz", gzip.compress(b"a\n" * 2000), "at most 1000 bytes, .*; found 4000"),
}


@pytest.mark.parametrize(("name", "data", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_table_is_refused_by_name_and_place(
    name: str, data: bytes, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "MOST_BYTES", 1000)
    with pytest.raises(InvalidReference, match=rf"^reference/{name}:? .*{fault}$"):
        read(data, f"reference/{name}")


@pytest.mark.parametrize("key", ["rates.csv", "references/x.csv", "reference/", "", None])
def test_a_key_that_the_role_may_not_read_is_refused_when_the_module_is_loaded(key: Any) -> None:
    with pytest.raises(InvalidReference, match="^REFERENCES: 料率 must .* below reference/, "):
        check_references({"料率": key})


def test_a_key_with_an_ending_that_is_no_format_is_refused_with_the_list() -> None:
    rule = r"^REFERENCES: 料率 must end in \.json, \.jsonl, \.ndjson, \.csv, .*; found .*x\.txt\"$"
    with pytest.raises(InvalidReference, match=rule):
        check_references({"料率": "reference/x.txt"})


def test_tests_find_their_tables_on_disk(tmp_path: Path) -> None:
    rates = References({"料率": KEY}, None, "", "", tmp_path)  # type: ignore[arg-type]
    with pytest.raises(MissingReference, match=f"^{KEY}: must be there, as 料率 of REFERENCES; "):
        rates["料率"]
    (tmp_path / "reference").mkdir()
    (tmp_path / KEY).write_bytes(OLD)
    assert rates["料率"]["rate"].tolist() == [10]
    with pytest.raises(MissingReference, match="^REFERENCES: names 料率; found no 税率$"):
        rates["税率"]


type Rates = Callable[[str], References]
type Begin = Callable[[str], None]


@pytest.fixture
def calls(s3: "S3Client") -> list[str]:
    made: list[str] = []
    s3.meta.events.register("before-call.s3", lambda model, **_: made.append(model.name))
    return made


@pytest.fixture
def rates(s3: "S3Client", bucket: str) -> Rates:
    s3.put_object(Bucket=bucket, Key=KEY, Body=OLD)
    return lambda segment: References({"料率": KEY}, s3, bucket, f"scatter/{segment}.pkl")


def rate(seen: References) -> int:
    [found] = seen["料率"]["rate"]
    return int(found)


@pytest.fixture
def begin(s3: "S3Client", bucket: str, rates: Rates) -> Begin:
    """Begin an execution, as the scatter does, once the table is there."""
    return lambda execution: pin(Objects(s3, bucket, None), f"scatter/{execution}/job_000.pkl")


def test_an_execution_never_sees_two_versions(
    rates: Rates, begin: Begin, s3: "S3Client", bucket: str
) -> None:
    begin("run")
    assert rate(rates("run/job_000")) == 10
    s3.put_object(Bucket=bucket, Key=KEY, Body=NEW)
    assert rate(rates("run/job_001")) == 10
    references._last.clear()  # as another worker begins
    with pytest.raises(ReferenceChanged, match=f'^{KEY}: .* one version, ".*"; found another$'):
        rates("run/job_002")["料率"]
    begin("next")
    assert rate(rates("next/job_000")) == 25
    s3.delete_object(Bucket=bucket, Key=KEY)
    assert rate(rates("next/job_001")) == 25
    references._last.clear()
    with pytest.raises(ReferenceChanged, match="; found nothing$"):
        rates("next/job_002")["料率"]


def test_a_table_that_comes_after_the_execution_began_is_not_there(
    rates: Rates, begin: Begin, s3: "S3Client", bucket: str
) -> None:
    rule = "must be there, as 料率 of REFERENCES; found nothing when the execution began$"
    for before in ([], ["reference/other.csv"]):
        s3.delete_object(Bucket=bucket, Key=KEY)
        for key in before:
            s3.put_object(Bucket=bucket, Key=key, Body=OLD)
        begin(f"run-{len(before)}")
        s3.put_object(Bucket=bucket, Key=KEY, Body=OLD)
        with pytest.raises(MissingReference, match=f"^{KEY}: {rule}"):
            rates(f"run-{len(before)}/job_000")["料率"]


def test_versions_of_more_tables_than_a_page_lists_are_pinned(rates: Rates, bucket: str) -> None:
    s3 = boto3.client("s3")
    s3.put_object(Bucket=bucket, Key="reference/a.csv", Body=NEW)
    s3.meta.events.register(
        "before-parameter-build.s3.ListObjectsV2", lambda params, **_: params.update(MaxKeys=1)
    )
    pin(Objects(s3, bucket, None), "scatter/run/job_000.pkl")
    assert rate(rates("run/job_000")) == 10


def test_a_segment_called_by_hand_sees_the_present_version_or_names_what_is_not_there(
    rates: Rates, s3: "S3Client", bucket: str
) -> None:
    assert rate(rates("job_000")) == 10
    s3.put_object(Bucket=bucket, Key=KEY, Body=NEW)
    assert rate(rates("job_000")) == 25
    assert s3.list_objects_v2(Bucket=bucket, Prefix="scatter/")["KeyCount"] == 0
    s3.delete_object(Bucket=bucket, Key=KEY)
    with pytest.raises(MissingReference, match=f"^{KEY}: .* 料率 of REFERENCES; found nothing$"):
        rates("job_000")["料率"]


def test_a_worker_reads_a_version_once_and_only_if_an_etl_looks(
    rates: Rates, begin: Begin, calls: list[str]
) -> None:
    begin("run")
    calls.clear()
    first = rates("run/job_000")
    assert calls == []
    assert [rate(first), rate(first)] == [10, 10]
    assert calls == ["GetObject", "GetObject"]
    calls.clear()
    assert rate(rates("run/job_001")) == 10
    assert calls == ["GetObject"]  # what was pinned


def test_what_an_etl_does_to_a_table_stays_in_its_segment(rates: Rates, begin: Begin) -> None:
    begin("run")
    table = rates("run/job_000")["料率"]
    table["rate"] *= 2
    table.loc[0, "rank"] = 9
    assert rates("run/job_001")["料率"].iloc[0].tolist() == [1, 10]

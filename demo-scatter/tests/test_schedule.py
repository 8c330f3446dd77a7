"""Executions of a schedule: whose date stands in a key, and which one makes the workbook."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.events.scatter import Job
from pipeline.keys import InvalidEvent
from pipeline.reading.objects import NoObjects
from pipeline.s3.client import client
from pipeline.s3.signed import InvalidSignature
from scatter import ScatterHandler, ScheduledTwice
from tests.scattering import facts

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TIME = "2026-11-27T21:00:00Z"  # in Tokyo 06:00 of the day after
DAY = {"input_obj": "sales/{yesterday:%Y-%m-%d}/", "zone": "Asia/Tokyo"}


def scatter(s3: "S3Client", execution: str | None, **given: Any) -> dict[str, Any]:
    overrides = {"scheduled_time": TIME, **DAY, **given}
    event = {"input_obj": "test.json", "execution": execution, "overrides": overrides}
    return ScatterHandler(event, None, s3).main()


@pytest.fixture
def sales(s3: "S3Client", bucket: str) -> str:
    for day in (26, 27, 28):
        s3.put_object(Bucket=bucket, Key=f"sales/2026-11-{day}/a.json", Body=b'[{"n": 1}]')
    return bucket


def test_dates_are_those_of_the_scheduled_time_in_the_zone(s3: "S3Client", sales: str) -> None:
    assert scatter(s3, "first")["workbook"] == "sales/2026-11-27.xlsx"
    [read] = facts(s3, sales, "scatter/first").objects
    assert read.key == "sales/2026-11-27/a.json"


@pytest.mark.parametrize(
    ("fields", "workbook"),
    [
        ({"started": "2026-11-27T14:59:59.999Z"}, "sales/2026-11-26.xlsx"),
        ({"started": "2026-11-27T15:00:00.000Z"}, "sales/2026-11-27.xlsx"),
        ({"started": "2026-12-31T00:00:00Z", "scheduled_time": TIME}, "sales/2026-11-27.xlsx"),
        ({"started": TIME, "zone": "UTC"}, "sales/2026-11-26.xlsx"),
        ({"started": TIME, "workbook": "{last_month:%Y}/{last_month:%m}.xlsx"}, "2026/10.xlsx"),
    ],
)
def test_without_a_scheduled_time_dates_are_those_of_the_executions_start(
    fields: dict[str, str], workbook: str
) -> None:
    assert Job.from_event({**DAY, **fields}).workbook == workbook


LIKE = "scheduled_time: must be like 2026-11-27T21:00:00Z, and zone like Asia/Tokyo; found "


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"scheduled_time": "yesterday"}, 'the text "yesterday", the text "UTC"'),
        ({"scheduled_time": "2026-13-01T00:00:00Z"}, 'the text "2026-13-01T00:00:00Z", '),
        ({"scheduled_time": "2026-11-27T21:00:00"}, 'the text "2026-11-27T21:00:00", '),
        ({"scheduled_time": None}, "null, "),
        ({"scheduled_time": "0001-01-01T00:00:00Z"}, 'the text "0001-01-01T00:00:00Z", '),
        ({"scheduled_time": "9999-12-31T23:00:00-09:00"}, 'the text "9999-12-31T23:00:00-09:00", '),
        ({"scheduled_time": TIME, "zone": "Asia/Edo"}, f'the text "{TIME}", the text "Asia/Edo"'),
        ({"scheduled_time": TIME, "zone": "../etc"}, f'the text "{TIME}", the text "../etc"'),
        ({"scheduled_time": TIME, "zone": 9}, f'the text "{TIME}", the number 9'),
    ],
)
def test_a_time_or_a_zone_that_is_none_is_named(fields: dict[str, Any], found: str) -> None:
    with pytest.raises(InvalidEvent) as raised:
        Job.from_event({"input_obj": "test.json", "overrides": fields})
    assert str(raised.value).startswith(LIKE + found)


@pytest.mark.parametrize("key", ["a{today:/../}b.csv", "{today:/}/a.csv", "a{today:\n}.csv"])
def test_a_filled_key_is_a_key(key: str) -> None:
    with pytest.raises(InvalidEvent, match="input_obj: "):
        Job.from_event({"input_obj": key, "started": TIME})


def test_an_object_whose_own_key_holds_braces_is_read(s3: "S3Client", bucket: str) -> None:
    key = "{3F2504E0-4F89-11D3}.json"
    s3.put_object(Bucket=bucket, Key=key, Body=b'[{"n": 1}]')
    made = ScatterHandler({"input_obj": key, "execution": "x"}, None, s3).main()
    assert made["workbook"] == "{3F2504E0-4F89-11D3}.xlsx"


@pytest.mark.parametrize("time", [TIME, "2026-11-28T06:00:00+09:00"])
def test_an_execution_may_claim_its_time_again_and_no_other_may(
    s3: "S3Client", sales: str, time: str
) -> None:
    first = scatter(s3, "first")
    assert scatter(s3, "first") == first
    with pytest.raises(ScheduledTwice) as raised:
        scatter(s3, "second", scheduled_time=time)
    assert str(raised.value) == (
        f'sales/2026-11-27.xlsx: one execution makes it for {TIME}; found "first"'
    )
    assert "Contents" not in s3.list_objects_v2(Bucket=sales, Prefix="scatter/second/")


def test_of_executions_that_start_together_one_goes_on(s3: "S3Client", sales: str) -> None:
    def outcome(name: str) -> str:
        try:
            return str(scatter(client(), name)["workbook"])
        except ScheduledTwice:
            return "twice"

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(outcome, map(str, range(8))))
    assert sorted(outcomes) == ["sales/2026-11-27.xlsx", *["twice"] * 7]


def test_other_times_other_workbooks_and_runs_by_hand_are_free(s3: "S3Client", sales: str) -> None:
    scatter(s3, "first")
    scatter(s3, "the next hour", scheduled_time="2026-11-27T22:00:00Z")
    scatter(s3, "another table", workbook="others.xlsx")
    by_hand = {"input_obj": "sales/2026-11-27/", "execution": "by hand"}
    made = ScatterHandler(by_hand, None, s3).main()
    assert made["workbook"] == "sales/2026-11-27.xlsx"


@pytest.mark.parametrize("given", [{"input_obj": "none/"}, {"input_obj": "none.json"}])
def test_a_time_that_found_no_input_is_free_for_another_execution(
    s3: "S3Client", sales: str, given: dict[str, str]
) -> None:
    with pytest.raises((NoObjects, s3.exceptions.NoSuchKey)):
        scatter(s3, "first", **given)
    key = given["input_obj"].replace("/", "/a.json")
    s3.put_object(Bucket=sales, Key=key, Body=b'[{"n": 1}]')
    assert scatter(s3, "second", **given)["workbook"] == "none.xlsx"


def test_a_claim_that_somebody_else_wrote_is_refused(
    s3: "S3Client", sales: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "SIGNING_KEY", "0f" * 32)
    scatter(s3, "first")
    [claim] = [
        each["Key"]
        for each in s3.list_objects_v2(Bucket=sales, Prefix=f"scatter/{TIME}/")["Contents"]
    ]
    s3.put_object(Bucket=sales, Key=claim, Body=json.dumps("second").encode())
    with pytest.raises(InvalidSignature):
        scatter(s3, "second")

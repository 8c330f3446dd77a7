"""What an execution asks for is a job, or named as what it cannot be; no object is read for it."""

import json
from typing import Any

import pytest

from pipeline.errors.wording import found
from pipeline.events import scatter as events
from pipeline.events.scatter import Job, NotATable, TooManySegments
from pipeline.keys import InvalidEvent, gathered

KEY = "members.json"


@pytest.fixture
def inbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOX", "inbox/")


@pytest.mark.parametrize(
    ("inbox", "key", "workbook"),
    [
        ("", "2026/members.json", "2026/members.xlsx"),
        ("", "data.2024.01", "data.2024.01.xlsx"),
        ("", "data.2024.02.json", "data.2024.02.xlsx"),
        ("", "orders.csv.gz", "orders.xlsx"),
        ("", "2026/ORDERS.CSV", "2026/ORDERS.xlsx"),
        ("", "a.json.jsonl", "a.json.xlsx"),
        ("", "inbox/members.json", "inbox/members.xlsx"),
        ("inbox/", "inbox/a/members.json", "outbox/a/members.xlsx"),
        ("in/new/", "in/new/members.json", "outbox/members.xlsx"),
        ("inbox/", "members.json", "members.xlsx"),
        ("inbox/", "a/inbox/members.json", "a/inbox/members.xlsx"),
    ],
)
def test_the_workbook_is_named_after_the_input_and_out_of_the_inbox(
    inbox: str, key: str, workbook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INBOX", inbox)
    assert Job(key, None, "run-1").workbook == workbook


def test_what_others_write_into_an_input_is_no_fault() -> None:
    event = {"version": "0", "id": "1", "detail-type": "x", "source": "aws.s3", "detail": {}}
    event |= {"account": "1", "time": "t", "region": "r", "resources": [], "Comment": "c"}
    event |= {"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "arn:aws:states:…"}
    assert Job.from_event({"overrides": {**event, "input_obj": KEY}}) == Job(KEY, None, None)


ENDS = ".json, .jsonl, .ndjson, .csv, .tsv, .xlsx"
WRONG: dict[tuple[str, str], list[Any]] = {
    ("input_obj", "must be the key of an object, a folder/, a pattern or a list of keys"): [
        *(None, 7, "", "/", [], "a/../b", "/a.json", "a\nb", "a\ud83d", "漢" * 342)
    ],
    ("input_obj", "must be short enough for its workbook, whose key has at most 1,024 bytes"): [
        *("漢" * 340, "漢" * 340 + ".csv")
    ],
    ("input_obj", f"must end in {ENDS} or one of these with .gz, or have no ending"): [
        *("a.xls", "b/a.csv.zip")
    ],
    ("input_bucket", "must be a bucket's name"): ["A_b"],
    ("workbook", "must be a key that ends in .xlsx"): ["a.csv", ["a.xlsx"]],
    ("workbook", "must lie outside scatter/, gather/, reference/ and the inbox"): ["gather/a.xlsx"],
    ("source_column", "must be a column's name"): [""],
    ("division_number", "must be a whole number from 1"): [0, float("inf"), 2.5, True, "9"],
    ("execution", "must be an execution's name"): ["..", "a/b", 5, "漢" * 81, ""],
    ("encoding", "must be utf-8 or cp932"): ["sjis", ["utf-8"]],
    ("delimiter", "must be one character, no quote and no line's end"): [";;", '"'],
    ("sheet", "must be a sheet's name"): [""],
    ("etl", "must be the name of an ETL"): ["", 5],
    ("rejects", 'must be "sheet"'): [None, "file"],
    ("max_rejects", "must be a whole number from 0"): [-1, True],
    ("sheets", 'must be "summaries"'): [None, "table"],
}


def fault_of(event: dict[str, Any], key: str = KEY) -> str:
    """Of an event that asks for the object of that key, or for what it says itself."""
    with pytest.raises(InvalidEvent) as raised:
        Job.from_event({"input_obj": key, **event}).of([key], written=True)
    return str(raised.value)


@pytest.mark.parametrize(
    ("name", "rule", "value"),
    [(*field, value) for field, values in WRONG.items() for value in values],
    ids=lambda each: ascii(each)[:30],
)
def test_a_field_that_breaks_its_rule_is_named(
    name: str, rule: str, value: Any, inbox: None
) -> None:
    assert fault_of({name: value}) == f"{name}: {rule}; found {found(value)}"


KNOWN = (
    "input_obj, input_bucket, workbook, source_column, division_number, scheduled_time, zone, "
    "encoding, delimiter, sheet, etl, rejects, max_rejects, sheets"
)
LIST = "input_obj: a list "
EVENTS: list[tuple[dict[str, Any], str]] = [
    ({"input_obj": ["a.csv", "a/"]}, LIST + 'holds keys of objects; found the text "a/"'),
    ({"input_obj": ["a", "b", "a"]}, LIST + 'names a key once; found the text "a" again'),
    (
        {"encoding": "cp932"},
        'encoding: only CSV has another than UTF-8; found the text "cp932" of members.json',
    ),
    ({"overrides": {"division": 9}}, f"overrides: knows {KNOWN}; found division"),
    ({"overrides": {"etl": 5}}, "etl: must be the name of an ETL; found the number 5"),
    ({"overrides": [1]}, "overrides: must be an object; found an array"),
    ({"max_rejects": 3}, 'rejects: must be "sheet"; found max_rejects alone'),
]


@pytest.mark.parametrize(("event", "fault"), EVENTS, ids=[str(event) for event, _ in EVENTS])
def test_fields_that_do_not_go_together_are_named(event: dict[str, Any], fault: str) -> None:
    assert fault_of(event) == fault


@pytest.mark.parametrize("event", [{}, {"workbook": "a.xlsx"}, {"input_bucket": "own"}], ids=str)
def test_a_workbook_takes_the_place_of_no_object_that_is_read(
    event: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKET", "own")
    rule = "must be no object that is read"
    assert fault_of(event, "a.xlsx") == f'workbook: {rule}; found the text "a.xlsx"'
    other = Job.from_event({"input_obj": "a.xlsx", "input_bucket": "others"})
    assert other.of(["a.xlsx"], written=True).workbook == "a.xlsx"


@pytest.mark.parametrize("key", ["notes.txt", "a/_SUCCESS", "x.gz", "x.json.part", "2026/", ""])
def test_of_the_inbox_is_passed_over_what_does_not_end_as_a_table(key: str, inbox: None) -> None:
    with pytest.raises(NotATable) as raised:
        Job.from_event({"input_obj": "test.json", "overrides": {"input_obj": f"inbox/{key}"}})
    assert str(raised.value) == (
        f"input_obj: a table of the inbox must end in {ENDS}, or one of these with .gz; "
        f'found the text "inbox/{key}", which is passed over'
    )


@pytest.mark.parametrize("key", ["x.json", "a/x.CSV", "x.jsonl.gz"])
def test_a_table_of_the_inbox_is_a_job_and_so_is_one_beside_it_without_an_ending(
    key: str, inbox: None
) -> None:
    for each in (f"inbox/{key}", "other/inbox/x"):
        assert Job.from_event({"input_obj": each}).input_obj == each


def test_an_inbox_of_another_bucket_is_not_ours(
    monkeypatch: pytest.MonkeyPatch, inbox: None
) -> None:
    monkeypatch.setenv("BUCKET", "own")
    monkeypatch.setenv("INBOX_INPUT", json.dumps(INBOX_INPUT))

    def job_of(key: str, bucket: str) -> Job:
        return Job.from_event({"overrides": {"input_obj": key, "input_bucket": bucket}})

    assert job_of("inbox/orders/x", "others").input_obj == "inbox/orders/x"
    assert job_of("inbox/orders/a.csv", "others").told == {}
    with pytest.raises(NotATable):
        job_of("inbox/orders/x", "own")
    assert job_of("inbox/orders/a.csv", "own").told == {"folder": "orders", **SHEET}


@pytest.mark.parametrize("execution", [None, "e" * 73, "漢" * 80], ids=["none", "long", "kanji"])
@pytest.mark.parametrize("key", ["members.json", "漢" * 330 + ".json"], ids=["short", "kanji"])
def test_the_state_of_every_division_that_is_allowed_is_at_most_256_kib(
    execution: str | None, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the Map leaves it, whichever way its texts are written."""
    monkeypatch.setattr(events, "ITERATIONS", 10**6)
    job = Job.from_event({"input_obj": key, "execution": execution})

    def state(segments: int) -> int:
        keys = [job.segment_key(number) for number in range(segments)]
        whole = {
            "segment_definitions": keys,
            "workbook": job.workbook,
            "segment_results": [gathered(each) for each in keys],
        }
        return max(len(json.dumps(whole)), len(json.dumps(whole, ensure_ascii=False).encode()))

    refused = next(n for n in range(1, 10**6) if not fits(n, job))
    # Keys of later segments are longer: not much is refused that would fit.
    assert state(refused - 1) <= 256 * 1024 < state(refused + refused // 30)


def fits(segments: int, job: Job) -> bool:
    try:
        events.check_fits_execution(segments, job.segment_key(segments - 1), job)
    except TooManySegments:
        return False
    return True


def test_a_thousand_segments_fit_an_execution() -> None:
    job = Job(KEY, 10, "e" * 36)
    events.check_fits_execution(1000, job.segment_key(999), job)


INBOX_INPUT = {"encoding": "cp932", "orders": {"rejects": "sheet", "encoding": "utf-8"}}
SHEET, CP932 = {"rejects": "sheet"}, {"encoding": "cp932"}
FOLDERS: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, str]]] = [
    ("inbox/orders/2026/a.csv", {}, {"folder": "orders", **SHEET}, {"encoding": "utf-8"}),
    ("inbox/x/a.csv", {}, {"folder": "x"}, CP932),
    ("inbox/orders.csv", {}, {}, CP932),
    ("inbox/orders/a.csv", {"etl": "sales", **CP932}, {"etl": "sales", **SHEET}, CP932),
    ("orders/a.csv", {}, {}, {}),
]


@pytest.mark.parametrize(("key", "given", "told", "reading"), FOLDERS)
def test_a_table_of_the_inbox_has_the_etl_and_the_input_of_its_folder(
    key: str,
    given: dict[str, Any],
    told: dict[str, Any],
    reading: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    inbox: None,
) -> None:
    monkeypatch.setenv("INBOX_INPUT", json.dumps(INBOX_INPUT))
    job = Job.from_event({"input_obj": "test.json", "overrides": {"input_obj": key, **given}})
    assert (job.told, job.reading) == (told, reading)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[1]", "InboxInput: must be a JSON object; found the text "),
        ('{"orders": {"etls": 1}}', "InboxInput: knows input_obj, .*; found etls"),
        ('{"orders": 1}', "InboxInput: knows input_obj, .*; found orders"),
        ('{"encoding": 1}', "encoding: must be utf-8 or cp932; found the number 1"),
    ],
)
def test_an_inbox_input_that_is_none_is_named(
    text: str, fault: str, monkeypatch: pytest.MonkeyPatch, inbox: None
) -> None:
    monkeypatch.setenv("INBOX_INPUT", text)
    with pytest.raises(InvalidEvent, match=f"^{fault}"):
        Job.from_event({"overrides": {"input_obj": "inbox/orders/a.csv"}})

"""Which calls in a log are an execution's own, and how long they are waited for."""

import io
import json
from collections.abc import Iterator
from typing import Any

import botocore.endpoint
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config

from harness import calls, cost, logs
from harness.facts import read as read_facts
from harness.target import Target
from replay import SESSION, Replay, paged

OWN, OTHER = "distributed-failed", "another"


def named(replay: Replay, keys: list[str]) -> None:
    """Let the calls of the segments, in the order of their starts, log the keys that they were given."""
    lines = replay.recorded["logs"]["segment-lambda"]
    starts = sorted(
        (line for line in lines if line["message"].startswith("START ")),
        key=lambda line: (line["timestamp"], line["logStreamName"]),
    )
    for line, key in zip(starts, keys, strict=True):
        request = line["message"].split()[2]
        told = f"SEGMENT RequestId: {request} Key: {json.dumps(key)}\n"
        lines.insert(lines.index(line) + 1, {**line, "message": told})


def key(execution: str, number: int) -> str:
    return f"scatter/{execution}/job_{number:03d}.pkl"


def test_calls_of_an_execution_that_overlaps_are_not_taken() -> None:
    """Four calls logged at once: by their keys two are another's, the one that failed among them."""
    replay = Replay(OWN)
    named(replay, [key(OWN, 7), key(OTHER, 0), key(OWN, 2), key(OTHER, 1)])
    run = replay.run()
    assert [(task.index, task.key) for task in run.iterations] == [
        (2, key(OWN, 2)),
        (7, key(OWN, 7)),
    ]
    assert len([report for task in run.iterations for report in task.reports]) == 2
    assert run.failure and run.failure.error == "MissingSegment"


def test_calls_of_one_key_are_the_attempts_of_one_segment() -> None:
    replay = Replay("distributed")
    replay.recorded["described"]["name"] = OWN
    named(replay, [key(OWN, 1), key(OWN, 0), key(OWN, 1)])
    run = replay.run()
    assert [(task.index, len(task.attempts)) for task in run.iterations] == [(0, 1), (1, 2)]
    assert (run.retries, run.transitions) == (1, 3 + 2 + 1)


def test_a_call_that_died_before_it_named_its_segment_is_one_of_its_own() -> None:
    replay = Replay("distributed")
    replay.recorded["described"]["name"] = OWN
    lines = replay.recorded["logs"]["segment-lambda"]
    named(replay, [key(OWN, 1), key(OWN, 0), key(OTHER, 0)])
    [last] = [line for line in lines if key(OTHER, 0) in line["message"]]
    lines.remove(last)
    assert [task.key for task in replay.run().iterations].count("") == 1


def test_calls_of_an_inline_map_find_the_report_lines_of_their_own_segments() -> None:
    """Two segments ended in one order and logged in the other."""
    replay = Replay("succeeded")
    run = replay.run()
    own = [attempt for task in run.iterations for attempt in task.attempts]
    keys = [logs.json_text(attempt.input) for attempt in own]
    reports = [report for task in run.iterations for report in task.reports]
    found = [
        logs.Call(report.request_id, key, report=report)
        for key, report in zip(reversed(keys), reports, strict=True)
    ]
    assert len(own) > 1 and calls.match_reports(own, found) == len(own)
    assert [attempt.report for attempt in own] == reports[::-1]


class Clock:
    """A clock that moves when somebody sleeps."""

    def __init__(self, now_s: float) -> None:
        self.now_s = self.began_s = now_s

    def time(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Late(Replay):
    """An execution on AWS whose segments' REPORT lines come so late."""

    def __init__(self, late_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__("succeeded")
        self.clock = Clock(self.recorded["events"][-1]["timestamp"])
        self.late_s = late_s
        self.target = Target("aws", "123456789012", "us-east-1", self.make_client, "nightly")
        vars(self.target)["outputs"] = {"BucketName": "test-bucket"}
        monkeypatch.setattr(calls, "time", self.clock)

    def FilterLogEvents(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self.clock.now_s - self.clock.began_s < self.late_s:
            return paged([], asked)
        return super().FilterLogEvents(asked)


def test_lines_that_come_within_a_minute_are_waited_for_by_asking_once_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = Late(50, monkeypatch)
    run = late.run()
    asked = [operation for operation, _ in late.asked].count("FilterLogEvents")
    assert (run.unreported, asked) == (0, 1 + 50 + 2)


def test_lines_that_never_come_are_given_up_after_a_minute_and_the_bill_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    late = Late(1000, monkeypatch)
    run = late.run()
    assert 60 <= late.clock.now_s - late.clock.began_s < 62
    cost.show(run, cost.bill(run, read_facts(late.target, run), "us-east-1"))
    assert f"have not come: {len(run.attempts)}" in capsys.readouterr().out


class Raw(io.BytesIO):
    def stream(self) -> Iterator[bytes]:
        yield self.read()


def test_a_busy_log_service_is_asked_again_until_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FilterLogEvents allows an account five requests a second, others' included."""
    replay, clock, left = Replay("succeeded"), Clock(0), [400] * 7 + [200]
    run = replay.run()
    monkeypatch.setattr(botocore.endpoint, "time", clock)
    throttled = {"__type": "ThrottlingException", "message": "Rate exceeded"}

    def answer(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        status = left.pop(0)
        body = json.dumps({"events": []} if status == 200 else throttled)
        return AWSResponse(request.url, status, HTTPHeaders(), Raw(body.encode()))

    def client(service: Any, **config: Any) -> Any:
        made = SESSION.client(service, config=Config(**config))
        made.meta.events.register("before-send", answer)
        return made

    target = Target("aws", "123456789012", "us-east-1", client, "nightly")
    assert list(calls.read_events(target, run, "segment-lambda")) == []
    assert left == [] and clock.now_s > 0

"""What `make stepfunctions` says of an execution that did not succeed."""

import pytest

from harness import run
from replay import Replay


def screen(name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    replay = Replay(name)
    run.explain(replay.target, replay.run())
    return capsys.readouterr().out.splitlines()


def named(lines: list[str]) -> dict[str, str]:
    """The first line of each kind."""
    found: dict[str, str] = {}
    for line in lines:
        name, _, text = line.partition(" ")
        found.setdefault(name, text.strip())
    return found


def test_a_failure_is_one_story(capsys: pytest.CaptureFixture[str]) -> None:
    lines = screen("two-faulty", capsys)
    said = named(lines)
    assert said["stage"] == "segment (segment-lambda)"
    assert said["segment"] == "number 1, counted from 0; 2 of 4 failed"
    assert said["input"] == '"scatter/two-broken/job_001.pkl"'
    assert said["error"] == "InvalidMember"
    assert said["cause"] == "two-broken.json record 17: 会員ランク must be 1 to 5; found 9"
    assert lines[6:8] == [
        "cause    two-broken.json record 37: 会員ランク must be 1 to 5; found 8",
        "faulty   2 records in the segments that had finished",
    ]
    assert lines[9] == f"log      [ERROR] InvalidMember: {said['cause']}"
    assert said["to"].startswith("do    correct that record in the input object, and start again")
    assert len(lines) < 40


def test_a_segment_left_out_is_the_story_of_its_gather(capsys: pytest.CaptureFixture[str]) -> None:
    said = named(screen("distributed-failed", capsys))
    assert said["stage"] == "segment (segment-lambda)"
    assert said["segment"] == "number 3, counted from 0; 1 of 4 failed"
    assert said["error"] == "InvalidMember"
    assert said["then"].startswith("MissingSegment: gather/distributed-failed/job_003.pkl")


@pytest.mark.parametrize("name", ["stopped", "stopped-in-map"])
def test_an_execution_stopped_by_hand_is_said_to_be_stopped(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    [line] = screen(name, capsys)
    assert line.startswith("STOPPED after 4.") and "execution aborted" in line


def test_an_emulator_without_predecessors_has_its_failures_explained(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = named(screen("ministack-failed", capsys))
    assert said["stage"] == "segment (segment-lambda)"
    assert said["segment"] == "2 of 4 failed"
    assert said["cause"].startswith("mini-bad.json record 17")
    assert "log" not in said and "above" not in said["to"]

"""What AWS refuses or limits and LocalStack does not, checked on definitions and on real runs.

https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
Whether a definition is valid States Language at all, test_template.py asks statelint.
"""

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, Pipeline, fault
from harness.machines import read_definition
from harness.target import MACHINES, emulator
from test_pipeline import EXAMPLE

DEFINITION_BYTES = 1024 * 1024
NAME_CHARACTERS = 80
NAME = re.compile(r"[0-9A-Za-z_-]+")
STATE_BYTES = 256 * 1024
EVENTS = 25_000
EVENTS_PER_ITERATION = 7
INLINE_WIDTH = 40
SEGMENTS = 200  # at most, where the scatter chooses
ITERATIONS = 1_500  # that the scatter allows, see scatter.py

State = dict[str, Any]


def states_of(definition: State) -> Iterator[tuple[str, State]]:
    """All states with their names, those within Maps included."""
    for name, state in definition["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from states_of(state["ItemProcessor"])


def definition_problems(name: str, text: str) -> list[str]:
    found = []
    if len(text.encode()) > DEFINITION_BYTES:
        found.append(f"{name}: a definition has at most {DEFINITION_BYTES} bytes")
    if not NAME.fullmatch(name) or len(name) > NAME_CHARACTERS:
        found.append(f"{name}: a name has at most {NAME_CHARACTERS} letters, digits, - and _")
    for state_name, state in states_of(json.loads(text)):
        found += [f"{state_name}: {problem}" for problem in state_problems(state_name, state)]
    return found


def state_problems(name: str, state: State) -> Iterator[str]:
    if len(name) > NAME_CHARACTERS:
        yield f"a name has at most {NAME_CHARACTERS} characters"
    if state["Type"] == "Task" and "TimeoutSeconds" not in state:
        yield "a Task without TimeoutSeconds may hang for a year"
    mode = state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode", "INLINE")
    width = state.get("MaxConcurrency", 0) or INLINE_WIDTH + 1
    told = width <= INLINE_WIDTH or str(INLINE_WIDTH) in state.get("Comment", "")
    if state["Type"] == "Map" and mode == "INLINE" and not told:
        yield f"an inline Map runs {INLINE_WIDTH} at once; found {width}, and no word of it"


@pytest.mark.parametrize("definition", MACHINES)
def test_a_definition_is_within_aws_limits(definition: str) -> None:
    assert definition_problems(MACHINES[definition], read_definition(definition)) == []


PARALLEL = read_definition("parallel")


@fault(
    "a definition beyond AWS's limits: names, sizes, 40-wide Map",
    "AWS の上限を超える定義: 名前、サイズ、40並列",
    "seen before AWS would",
    "AWS より先に見つかる",
)
@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("Aggregate", PARALLEL + " " * DEFINITION_BYTES, "at most 1048576 bytes"),
        ("集" * 81, PARALLEL, "at most 80 letters"),
        ("Aggregate", PARALLEL.replace("SegmentLambda", "S" * 81), "at most 80 characters"),
        (
            "Aggregate",
            PARALLEL.replace("40 at once", "many at once"),
            "an inline Map runs 40 at once; found 200",
        ),
        ("Aggregate", PARALLEL.replace('"TimeoutSeconds": 3600,', ""), "without TimeoutSeconds"),
    ],
    ids=["size", "name", "name of a state", "40 wide", "timeout"],
)
def test_a_definition_beyond_a_limit_is_seen(name: str, text: str, problem: str) -> None:
    assert any(problem in found for found in definition_problems(name, text))


def test_the_most_segments_that_the_scatter_allows_fit_the_history() -> None:
    scatter = (ROOT / "utils" / "pipeline" / "events" / "scatter.py").read_text()
    assert f"ITERATIONS = {ITERATIONS:_}" in scatter
    # Each further attempt leaves three events, and each segment may take three.
    assert (EVENTS_PER_ITERATION + 3 * 3) * ITERATIONS + 20 <= EVENTS


@fault(
    "more segments than an execution's history or state holds",
    "実行の履歴や状態に収まらないセグメント数",
    "refused before any segment runs",
    "セグメントの実行前に拒否",
)
def test_a_division_beyond_the_limits_fails_before_any_segment_runs(pipeline: Pipeline) -> None:
    """The scatter keeps the limits that the emulator does not; a long name fills the state soon."""
    key = pipeline.put([EXAMPLE[0]] * 300)
    arn = pipeline.states.start_execution(
        stateMachineArn=emulator().machine(),
        name=uuid.uuid4().hex[:8].ljust(NAME_CHARACTERS, "長"),
        input=json.dumps({"input_obj": key, "division_number": 1}),
    )["executionArn"]
    execution = pipeline.wait(arn)
    assert (execution["status"], execution["error"]) == ("FAILED", "TooManySegments")
    assert f"{key}: an execution holds at most {ITERATIONS} segments" in execution["cause"]
    assert "MapStateStarted" not in {event["type"] for event in pipeline.history(arn)}


def test_segments_of_ten_seconds_may_wait_for_their_turn() -> None:
    """LocalStack counts TimeoutSeconds while a segment waits for one of two workers, AWS does not."""
    [map_] = [
        state
        for _, state in states_of(json.loads(read_definition("parallel")))
        if state["Type"] == "Map"
    ]
    [task] = map_["ItemProcessor"]["States"].values()
    assert task["TimeoutSeconds"] >= SEGMENTS * 10 / 2


@fault(
    "more than 256 KiB of state",
    "256 KiB を超える状態",
    "refused by the emulator, too",
    "エミュレーターでも拒否される",
)
def test_more_state_than_aws_allows_is_refused_by_the_emulator_too(pipeline: Pipeline) -> None:
    half = "x" * (STATE_BYTES // 2)
    name = f"TooMuchState-{uuid.uuid4()}"
    machine = pipeline.states.create_state_machine(
        name=name,
        roleArn=emulator().role,
        definition=json.dumps(
            {
                "StartAt": "First",
                "States": {
                    "First": {
                        "Type": "Pass",
                        "Result": half,
                        "ResultPath": "$.a",
                        "Next": "Second",
                    },
                    "Second": {"Type": "Pass", "Result": half, "ResultPath": "$.b", "End": True},
                },
            }
        ),
    )["stateMachineArn"]
    started = pipeline.states.start_execution(stateMachineArn=machine)["executionArn"]
    assert pipeline.wait(started)["error"] == "States.DataLimitExceeded"
    pipeline.states.delete_state_machine(stateMachineArn=machine)


def test_every_name_that_aws_limits_is_short_enough() -> None:
    """Function names 64, S3 keys 1,024 bytes with the longest execution name."""
    makefiles = sorted(Path(ROOT).glob("demo-*/Makefile"))
    assert all(len(f"{path.parent.name}-lambda") <= 64 for path in makefiles)
    longest = f"gather/{'e' * NAME_CHARACTERS}/job_{ITERATIONS}.xml.deflate"
    assert len(longest.encode()) <= 1024

"""What AWS refuses or limits and LocalStack does not, checked on definitions and on real runs.

https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
Whether a definition is valid States Language at all, test_template.py asks statelint.
"""

import io
import json
import re
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, Pipeline
from harness import machines
from harness.target import MACHINES, emulator
from utils import members

DEFINITION_BYTES = 1024 * 1024
NAME_CHARACTERS = 80
NAME = re.compile(r"[0-9A-Za-z_-]+")
STATE_BYTES = 256 * 1024
EVENTS = 25_000
EVENTS_PER_ITERATION = 7
CAUSE_CHARACTERS = 32_768
ERROR_CHARACTERS = 256
INLINE_WIDTH = 40
DISTRIBUTED_WIDTH = 10_000
WAIT_S = 99_999_999
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
    if not 0 < state.get("TimeoutSeconds", 1) <= WAIT_S:
        yield f"TimeoutSeconds is 1 to {WAIT_S}"
    if state["Type"] == "Task" and "TimeoutSeconds" not in state:
        yield "a Task without TimeoutSeconds may hang for a year"
    width = state.get("MaxConcurrency", 0) or INLINE_WIDTH + 1
    if state["Type"] == "Map" and is_inline(state):
        if width > INLINE_WIDTH and f"{INLINE_WIDTH}" not in state.get("Comment", ""):
            yield f"an inline Map runs {INLINE_WIDTH} at once; found {width}, and no word of it"
    elif width > DISTRIBUTED_WIDTH:
        yield f"a distributed Map runs {DISTRIBUTED_WIDTH} at once; found {width}"


def is_inline(state: State) -> bool:
    mode: str = state["ItemProcessor"].get("ProcessorConfig", {}).get("Mode", "INLINE")
    return mode == "INLINE"


def run_problems(events: list[dict[str, Any]]) -> list[str]:
    """What of an execution's history AWS would not have let happen."""
    found = [f"an execution has at most {EVENTS} events; found {len(events)}"] * (
        len(events) > EVENTS
    )
    for event in events:
        for details in (value for key, value in event.items() if key.endswith("EventDetails")):
            for field, limit in (
                *(("input", STATE_BYTES), ("output", STATE_BYTES)),
                *(("cause", CAUSE_CHARACTERS), ("error", ERROR_CHARACTERS)),
            ):
                size = len(str(details.get(field, "")).encode())
                if size > limit:
                    found.append(
                        f"{event['type']}: {field} has at most {limit} bytes; found {size}"
                    )
    return found


each_definition = pytest.mark.parametrize("definition", MACHINES)


def read(definition: str) -> str:
    return (machines.DEFINITIONS / f"{definition}.json").read_text()


@each_definition
def test_a_definition_is_within_aws_limits(definition: str) -> None:
    assert definition_problems(MACHINES[definition], read(definition)) == []


def changed(definition: str, **fields: Any) -> str:
    """A definition with other fields in its Map."""
    parsed = json.loads(read(definition))
    [processing] = [state for state in parsed["States"].values() if state["Type"] == "Map"]
    processing.update(fields)
    return json.dumps(parsed)


@pytest.mark.fault(
    tried=(
        "a definition beyond AWS's limits: names, sizes, 40-wide Map",
        "AWS の上限を超える定義: 名前、サイズ、40並列",
    ),
    happened=("seen before AWS would", "AWS より先に見つかる"),
)
@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("Aggregate", read("parallel") + " " * DEFINITION_BYTES, "at most 1048576 bytes"),
        ("A" * 81, read("parallel"), "at most 80 letters"),
        ("集計", read("parallel"), "at most 80 letters"),
        ("Aggregate", read("parallel").replace("SegmentLambda", "S" * 81), "at most 80 characters"),
        ("Aggregate", changed("parallel", Comment=""), "an inline Map runs 40 at once; found 200"),
        ("Aggregate", changed("parallel", Comment="", MaxConcurrency=0), "40 at once; found 41"),
        ("Aggregate", changed("distributed", MaxConcurrency=10_001), "10000 at once; found 10001"),
        (
            "Aggregate",
            read("parallel").replace('"TimeoutSeconds": 3600,', ""),
            "without TimeoutSeconds",
        ),
        (
            "Aggregate",
            read("parallel").replace(": 3600,", ": 100000000,"),
            "TimeoutSeconds is 1 to",
        ),
    ],
    ids=lambda value: str(value)[:30] if len(str(value)) < 60 else "definition",
)
def test_a_definition_beyond_a_limit_is_seen(name: str, text: str, problem: str) -> None:
    assert any(problem in found for found in definition_problems(name, text))


@each_definition
def test_a_run_of_a_thousand_members_is_within_aws_limits(
    pipeline: Pipeline, definition: str
) -> None:
    key = pipeline.put(list(members(1000, seed=4)))
    execution = pipeline.run(definition, input_obj=key, division_number=20)
    assert execution["status"] == "SUCCEEDED"
    events = pipeline.history(execution["executionArn"])
    assert run_problems(events) == []
    iterations = sum(event["type"] == "MapIterationStarted" for event in events)
    assert iterations == (50 if definition == "parallel" else 0)
    assert len(events) <= EVENTS_PER_ITERATION * iterations + 20


def test_the_most_segments_that_the_scatter_allows_fit_the_history() -> None:
    scatter = (ROOT / "demo-scatter" / "scatter.py").read_text()
    assert f"ITERATIONS = {ITERATIONS:_}" in scatter
    # Each further attempt leaves three events, and each segment may take three.
    assert (EVENTS_PER_ITERATION + 3 * 3) * ITERATIONS + 20 <= EVENTS


@pytest.mark.fault(
    tried=(
        "more segments than 25,000 events of history hold",
        "履歴の 25,000 イベントに収まらないセグメント数",
    ),
    happened=("refused before any segment runs", "セグメントの実行前に拒否"),
)
def test_a_division_beyond_the_limits_fails_before_any_segment_runs(pipeline: Pipeline) -> None:
    """The scatter keeps the limits that the emulator does not."""
    key = pipeline.put(list(members(2500, seed=4)))
    execution = pipeline.run(input_obj=key, division_number=1)
    assert (execution["status"], execution["error"]) == ("FAILED", "TooManySegments")
    assert f"{key}: an execution holds at most" in execution["cause"]
    assert not any(
        event["type"] == "MapStateStarted" for event in pipeline.history(execution["executionArn"])
    )


WORK = """
import time


def lambda_handler(event, context):
    time.sleep({seconds})
"""


@pytest.fixture
def working() -> Iterator[str]:
    """The ARN of a function that takes a tenth of a second, and may take nine."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("lambda.py", WORK.format(seconds=10 / SHORTENED))
    functions, name = emulator().client("lambda"), f"working-{uuid.uuid4()}"
    created = functions.create_function(
        FunctionName=name,
        Role=emulator().role,
        Runtime="python3.13",
        Handler="lambda.lambda_handler",
        Timeout=900 // SHORTENED,
        Code={"ZipFile": archive.getvalue()},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=name)
    yield created["FunctionArn"]
    functions.delete_function(FunctionName=name)


SHORTENED = 100


def test_segments_of_ten_seconds_may_wait_for_their_turn(pipeline: Pipeline, working: str) -> None:
    """200 of them, 1,000 s on two workers, with every number a hundredth.

    LocalStack counts TimeoutSeconds while a segment waits, AWS only while it runs.
    """
    states = json.loads(read("parallel"))["States"]
    processing = states["ProcessAllSegments"]
    processing |= {"InputPath": "$", "ResultPath": "$", "End": True}
    del processing["Next"]
    [task] = processing["ItemProcessor"]["States"].values()
    timeout_s = task["TimeoutSeconds"] // SHORTENED
    task |= {"Resource": working, "TimeoutSeconds": timeout_s, "Retry": []}
    name = f"Waiting-{uuid.uuid4()}"
    machine = pipeline.states.create_state_machine(
        name=name,
        roleArn=emulator().role,
        definition=json.dumps({"StartAt": "Process", "States": {"Process": processing}}),
    )["stateMachineArn"]
    started = pipeline.states.start_execution(
        stateMachineArn=machine, input=json.dumps(list(range(200)))
    )["executionArn"]
    execution = pipeline.wait(started)
    assert execution["status"] == "SUCCEEDED", execution.get("cause")
    pipeline.states.delete_state_machine(stateMachineArn=machine)


@pytest.mark.fault(
    tried=("more than 256 KiB of state", "256 KiB を超える状態"),
    happened=("refused by the emulator, too", "エミュレーターでも拒否される"),
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


@pytest.mark.parametrize(("field", "limit"), [("output", STATE_BYTES), ("cause", CAUSE_CHARACTERS)])
def test_a_run_with_more_data_than_aws_allows_is_seen(field: str, limit: int) -> None:
    events = [{"type": "TaskStateExited", "stateExitedEventDetails": {field: "x" * (limit + 1)}}]
    problem = f"TaskStateExited: {field} has at most {limit} bytes; found {limit + 1}"
    assert run_problems(events) == [problem]


def test_a_history_beyond_its_length_is_seen() -> None:
    events: list[dict[str, Any]] = [{"type": "MapIterationStarted"}] * (EVENTS + 1)
    assert run_problems(events) == ["an execution has at most 25000 events; found 25001"]


def test_every_name_that_aws_limits_is_short_enough() -> None:
    """Function names 64, S3 keys 1,024 bytes with the longest execution name."""
    makefiles = sorted(Path(ROOT).glob("demo-*/Makefile"))
    assert all(len(f"{path.parent.name}-lambda") <= 64 for path in makefiles)
    longest = f"gather/{'e' * NAME_CHARACTERS}/job_{ITERATIONS}.xml.deflate"
    assert len(longest.encode()) <= 1024

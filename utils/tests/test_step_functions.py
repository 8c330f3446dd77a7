"""What the emulator's Step Functions answers as AWS's does."""

import ast
import io
import json
import ssl
from pathlib import Path
from typing import IO, Any, cast

import pytest
from botocore.response import StreamingBody
from urllib3 import HTTPResponse

from conftest import Pipeline
from harness.machines import DEFINITIONS
from harness.target import STAGES, emulator
from harness.watch import code_of
from test_limits import states_of


@pytest.mark.parametrize(
    ("given", "found"),
    [({}, []), ([], []), ([1, 2], [1, 2])],
    ids=["an empty object", "an empty list", "a list"],
)
def test_a_wildcard_finds_every_element_and_none_in_nothing(
    pipeline: Pipeline, given: object, found: object
) -> None:
    state = {"Type": "Pass", "InputPath": "$[*]", "End": True}
    machine = pipeline.states.create_state_machine(
        name="Wildcard",
        definition=json.dumps({"StartAt": "Values", "States": {"Values": state}}),
        roleArn=emulator().role,
    )["stateMachineArn"]
    started = pipeline.states.start_execution(stateMachineArn=machine, input=json.dumps(given))
    assert json.loads(pipeline.wait(started["executionArn"])["output"]) == found


def own_errors() -> set[str]:
    """The exceptions that the functions' sources define."""
    files = {path for stage in STAGES for path in code_of(stage).values()}
    classes = [
        node
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    return {each.name for each in classes if any(is_error(base) for base in each.bases)}


def is_error(base: ast.expr) -> bool:
    return isinstance(base, ast.Name) and base.id.endswith(("Error", "Exception"))


def retriers(path: Path) -> list[dict[str, Any]]:
    """All of a state machine, those of its Map's states too."""
    states = states_of(json.loads(path.read_text()))
    return [retrier for _, state in states for retrier in state.get("Retry", [])]


@pytest.mark.parametrize("path", DEFINITIONS.glob("*.json"), ids=lambda path: path.stem)
def test_no_error_of_the_functions_own_is_retried_and_a_crash_is_once(path: Path) -> None:
    found = retriers(path)
    retried = {name for each in found for name in each["ErrorEquals"]}
    assert {"InvalidCell", "InvalidMember", "InvalidEvent"} <= own_errors()
    crashes = {"Runtime.ExitError", "WorkerDied"}
    assert not retried & {
        *own_errors() - crashes,
        "States.ALL",
        "States.TaskFailed",
        "Sandbox.Dropped",
    }
    attempts = [each["MaxAttempts"] for each in found if crashes <= {*each["ErrorEquals"]}]
    assert attempts == [1, 1, 1]


class Torn(io.RawIOBase):
    """A connection that breaks while an object's bytes come."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def readable(self) -> bool:
        return True

    def readinto(self, _: Any) -> int:
        if self.error:
            raise self.error
        return 0


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ssl.SSLError(1, "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"), id="TLS"),
        pytest.param(ConnectionResetError(104, "reset"), id="reset"),
        pytest.param(TimeoutError("timed out"), id="timeout"),
        pytest.param(None, id="end"),
    ],
)
@pytest.mark.parametrize("path", DEFINITIONS.glob("*.json"), ids=lambda path: path.stem)
def test_whatever_breaks_within_an_object_each_task_retries(
    path: Path, error: Exception | None
) -> None:
    answer = HTTPResponse(Torn(error), preload_content=False)
    with pytest.raises(Exception) as broken:
        StreamingBody(cast(IO[bytes], answer), 10).read()
    # Lambda tells an error by the name of its class.
    retried = [each for each in retriers(path) if broken.typename in each["ErrorEquals"]]
    assert len(retried) == len(STAGES)

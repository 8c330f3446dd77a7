"""What the emulator's Step Functions answers as AWS's does."""

import json

import pytest

from conftest import Pipeline
from harness.target import emulator


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

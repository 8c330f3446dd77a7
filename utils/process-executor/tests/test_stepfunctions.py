"""What the hook does to LocalStack's Step Functions, in a process of its own."""

import os
import subprocess
import sys

import pytest

HOOKED = """
from types import SimpleNamespace
from localstack.runtime import hooks

hooks.on_infra_start.manager.load("reuse_what_is_parsed_and_assumed")()

from localstack.aws.connect import ClientFactory
from localstack.services.stepfunctions.asl.component.common.path import result_path
from localstack.services.stepfunctions.asl.utils import json_path

for module in (result_path, json_path):
    assert module.parse("$.a") is module.parse("$.a")
    assert module.parse("$.a") is not module.parse("$.b")
assert json_path.extract_json("$.a[1]", {"a": [1, 2]}) == 2

from localstack.services.stepfunctions.asl.parse.asl_parser import (
    AmazonStateLanguageParser, ASLParserException
)

definition = '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}'
(program, tree), (other, again) = map(AmazonStateLanguageParser.parse, [definition] * 2)
assert tree is again
assert program is not other
for _ in range(2):
    try:
        AmazonStateLanguageParser.parse("{")
    except ASLParserException:
        continue
    raise AssertionError("a definition that is cut off was parsed")

from localstack.services.stepfunctions.provider import StepFunctionsProvider

arn = "arn:aws:states:us-east-1:000000000000:execution:Aggregate:夜間集計"
StepFunctionsProvider._validate_state_machine_execution_arn(arn)

class Factory:
    assumed = []

    def __call__(self, **given):
        return SimpleNamespace(sts=self, given=given)

    def request_metadata(self):
        return self

    def assume_role(self, RoleArn, RoleSessionName):
        self.assumed.append(RoleArn)
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        return {"Credentials": {name: f"{name} of {RoleArn}" for name in names}}

factory = Factory()
clients = [
    ClientFactory.with_assumed_role(factory, role_arn=role, region_name=region)
    for role, region in [("a", "x"), ("a", "x"), ("b", "x"), ("a", "y")]
]
assert factory.assumed == ["a", "b", "a"]
assert clients[0] is clients[1]
assert clients[2].given["aws_access_key_id"] == "AccessKeyId of b"
"""


def test_paths_and_definitions_are_parsed_and_roles_assumed_once() -> None:
    env = {**os.environ, "LAMBDA_RUNTIME_EXECUTOR": "process"}
    subprocess.run([sys.executable, "-c", HOOKED], env=env, check=True)


@pytest.mark.parametrize(
    "hook",
    [
        "reuse_what_is_parsed_and_assumed",
        "keep_to_itself",
        "move_large_pieces",
        "mend_environments",
    ],
)
def test_the_docker_executor_is_left_alone(hook: str) -> None:
    script = f"""
from localstack.runtime import hooks
assert not hooks.on_infra_start.manager.is_loaded("{hook}")
hooks.on_infra_start.manager.load("{hook}")
"""
    env = {**os.environ, "LAMBDA_RUNTIME_EXECUTOR": "docker"}
    found = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert "PluginDisabled" in found.stderr

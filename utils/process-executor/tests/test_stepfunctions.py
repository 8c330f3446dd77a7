"""What the hook does to LocalStack's Step Functions, in a process of its own."""

import os
import subprocess
import sys

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


LEFT_ALONE = """
import importlib.metadata
from localstack.runtime import hooks
from plux import PluginDisabled

own = importlib.metadata.distribution("localstack-process-executor").entry_points
names = [each.name for each in own if each.group == "localstack.hooks.on_infra_start"]
assert len(names) == 4
for name in names:
    try:
        hooks.on_infra_start.manager.load(name)
    except PluginDisabled:
        continue
    raise AssertionError(name)
"""


def test_the_docker_executor_is_left_alone() -> None:
    env = {**os.environ, "LAMBDA_RUNTIME_EXECUTOR": "docker"}
    subprocess.run([sys.executable, "-c", LEFT_ALONE], env=env, check=True)

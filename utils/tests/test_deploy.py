import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from openpyxl import load_workbook

from conftest import ROOT, Make, checked, follow, pack, refused
from harness import artifacts, facts, history, machines
from harness.deploy import given_parameters, warnings
from harness.fault import Fault
from harness.run import is_as_deployed, start
from harness.stack import Stack
from harness.target import STAGES, connect, emulator, endpoint
from test_pipeline import EXAMPLE, expected
from utils import members

Deploy = Callable[..., subprocess.CompletedProcess[str]]
Repack = Callable[[str, str, str], None]


@pytest.fixture(scope="module")
def checkout(zips: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What deploying reads, in a folder where a test may change it."""
    folder = tmp_path_factory.mktemp("checkout")
    for part in ("state-machine", "utils/harness"):
        shutil.copytree(
            ROOT / part, folder / part, ignore=shutil.ignore_patterns(".*", "__pycache__")
        )
    for archive in zips.values():
        copy = folder / archive.relative_to(ROOT)
        copy.parent.mkdir(parents=True)
        shutil.copy(archive, copy)
    return folder


@pytest.fixture
def repack(checkout: Path, zips: dict[str, Path]) -> Iterator[Repack]:
    """Put more code into a file of a stage's zip, until the test's end."""
    copies = {stage: checkout / archive.relative_to(ROOT) for stage, archive in zips.items()}

    def run(stage: str, name: str, more: str) -> None:
        text = (ROOT / f"demo-{stage}" / name).read_text()
        pack(stage, copies[stage], {name: text + more})

    yield run
    for stage, archive in zips.items():
        shutil.copy(archive, copies[stage])


@pytest.fixture(scope="module")
def deploy(checkout: Path) -> Deploy:
    """Run the command line as make does, with the user's AWS settings given or none."""

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(**commanded(checkout, *arguments, **settings), capture_output=True)

    return run


def commanded(checkout: Path, *arguments: str, **settings: str) -> dict[str, Any]:
    """What starts the command line."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    clean |= {"HOME": str(checkout), "AWS_EC2_METADATA_DISABLED": "true"}
    command = [sys.executable, "-m", "harness", *arguments]
    return {"args": command, "cwd": checkout / "utils", "env": clean | settings, "text": True}


@pytest.fixture(scope="module")
def stack(deploy: Deploy) -> Iterator[str]:
    """The name of a stack that is there."""
    name = stack_name()
    checked(deploy(*at(name), "deploy"))
    yield name
    deploy(*at(name), "destroy", "--empty", "--yes")


def stack_name() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


def at(stack: str, target: str = "stack") -> list[str]:
    return ["--target", target, "--stack", stack]


def described(stack: str) -> dict[str, Any]:
    [found] = emulator().client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return dict(found)


def outputs(stack: str) -> dict[str, str]:
    return {each["OutputKey"]: each["OutputValue"] for each in described(stack)["Outputs"]}


def parameters(stack: str) -> dict[str, str]:
    return {each["ParameterKey"]: each["ParameterValue"] for each in described(stack)["Parameters"]}


def code_of(stack: str) -> dict[str, str]:
    functions = emulator().client("lambda")
    return {
        stage: functions.get_function_configuration(FunctionName=f"{stack}-{stage}")["RevisionId"]
        for stage in STAGES
    }


def run(stack: str, key: str) -> dict[str, Any]:
    states = emulator().client("stepfunctions")
    arn = states.start_execution(
        stateMachineArn=outputs(stack)["StateMachineArn"], input=f'{{"input_obj": "{key}"}}'
    )["executionArn"]
    return follow(emulator(), arn)


# What lists each service's things, and where the answer has their names.
LISTS = (
    ("s3", "list_buckets", "Buckets", "Name"),
    ("lambda", "list_functions", "Functions", "FunctionName"),
    ("iam", "list_roles", "Roles", "RoleName"),
    ("stepfunctions", "list_state_machines", "stateMachines", "name"),
    ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    ("scheduler", "list_schedules", "Schedules", "Name"),
)


def leftovers(stack: str) -> list[str]:
    """Everything of any service that bears the stack's name."""
    names = []
    for service, operation, field, name in LISTS:
        listed = getattr(emulator().client(service), operation)()
        names += [each[name] for each in listed[field]]
    return [name for name in names if stack in name]


def test_a_stack_chooses_its_segments_by_size(stack: str, deploy: Deploy) -> None:
    """And not by the ten rows that show the emulator's functions at work, unless it is told to."""
    s3, bucket = emulator().client("s3"), outputs(stack)["BucketName"]
    table = json.dumps(list(members(100, seed=7))).encode()
    s3.put_object(Bucket=bucket, Key="100.json", Body=table)
    assert segments_of(run(stack, "100.json")) == 1
    checked(deploy(*at(stack), "deploy", "--parameters", "DivisionNumber=30"))
    assert segments_of(run(stack, "100.json")) == 4


def segments_of(execution: dict[str, Any]) -> int:
    assert execution["status"] == "SUCCEEDED", execution["cause"]
    run = history.read(emulator().client("stepfunctions"), execution["executionArn"])
    return run.segments


def test_a_changed_segment_updates_that_function_and_keeps_the_zip_before_it(
    stack: str, deploy: Deploy, repack: Repack
) -> None:
    before = code_of(stack)
    zips = []
    for number in range(2):
        repack("segment", "segment.py", f"\n# {number}\n")
        checked(deploy(*at(stack), "deploy"))
        zips.append(parameters(stack)["SegmentZip"])
    after = code_of(stack)
    assert [stage for stage in STAGES if before[stage] != after[stage]] == ["segment"]
    found = emulator().client("s3").list_objects_v2(Bucket=zips_of(stack), Prefix="SegmentZip/")
    assert sorted(each["Key"] for each in found["Contents"]) == sorted(zips)


def test_a_stack_beside_another_is_destroyed_whole_and_its_tables_only_when_asked(
    stack: str, make: Make
) -> None:
    name = stack_name()
    made = checked(make("deploy", f"STACK={name}"))
    assert f"make stepfunctions TARGET=stack STACK={name} FILE=…" in made
    bucket, s3 = outputs(name)["BucketName"], emulator().client("s3")
    assert bucket != outputs(stack)["BucketName"]
    s3.put_object(Bucket=bucket, Key="test.json", Body=b"[]")
    kept = refused(make("destroy", f"STACK={name}", "YES=1"))
    assert f"s3://{bucket} holds objects" in kept and "EMPTY=1" in kept
    s3.head_object(Bucket=bucket, Key="test.json")
    checked(make("destroy", f"STACK={name}", "YES=1", "EMPTY=1"))
    assert leftovers(name) == []
    assert len(leftovers(stack)) > 10


def test_the_smoke_test_passes_and_leaves_nothing(make: Make) -> None:
    assert "2,000 rows, distributed" in checked(make("smoke", "SMOKE_ROWS=2000"))
    assert leftovers("smoke-") == []


def test_a_failed_creation_is_explained_until_it_is_destroyed(deploy: Deploy) -> None:
    name = stack_name()
    group = f"/aws/lambda/{name}-gather"  # of someone else, and in the way
    emulator().client("logs").create_log_group(logGroupName=group)
    assert "GatherLogs" in refused(deploy(*at(name), "deploy"))
    again = refused(deploy(*at(name), "deploy"))
    assert f"to do: its creation failed: make destroy TARGET=stack STACK={name}" in again
    assert "GatherLogs" in again
    checked(deploy(*at(name), "destroy", "--yes"))
    # AWS leaves a stranger's log group alone, and LocalStack deletes it.
    assert set(leftovers(name)) <= {group}


SOMEBODYS = json.dumps(
    {"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}, "Logs": {"Type": "AWS::Logs::LogGroup"}}}
)


def test_a_stack_of_somebody_else_is_neither_changed_nor_deleted(deploy: Deploy) -> None:
    cfn, name = emulator().client("cloudformation"), stack_name()
    cfn.create_stack(StackName=name, TemplateBody=SOMEBODYS)
    cfn.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    before = cfn.describe_stack_resources(StackName=name)["StackResources"]
    for command in (["deploy"], ["deploy", "--plan"], ["destroy", "--yes", "--empty"]):
        said = refused(deploy(*at(name), *command))
        assert f"the stack {name} is not of this project" in said
    assert cfn.describe_stack_resources(StackName=name)["StackResources"] == before
    assert leftovers(f"{name}-zips") == []
    cfn.delete_stack(StackName=name)


SET = {
    "Architecture": "arm64",
    "Definition": "distributed",
    "SegmentMemory": "3008",
    "AlarmTopic": "arn:aws:sns:us-east-1:000000000000:operators",
}


def test_what_was_set_stays_set(deploy: Deploy) -> None:
    name = stack_name()
    given = ",".join(f"{key}={SET[key]}" for key in ("SegmentMemory", "AlarmTopic"))
    how = ["--arch", "arm64", "--definition", "distributed", "--parameters", given]
    checked(deploy(*at(name), "deploy", *how, "--tags", "team=data"))
    before = parameters(name)
    assert before.items() >= SET.items()
    for plan in ([], ["--plan"]):
        assert ": up to date" in checked(deploy(*at(name), "deploy", *plan))
    checked(deploy(*at(name), "deploy", "--parameters", "GatherTimeout=600"))
    assert parameters(name) == before | {"GatherTimeout": "600"}
    assert {"Key": "team", "Value": "data"} in described(name)["Tags"]
    checked(deploy(*at(name), "destroy", "--yes"))


def test_a_plan_says_what_would_change_and_changes_nothing(deploy: Deploy) -> None:
    name = stack_name()
    planned = checked(deploy(*at(name), "deploy", "--plan"))
    assert "none is made" in planned
    assert "Add SegmentFunction" in planned
    assert leftovers(name) == []
    assert deploy(*at(name), "destroy").stdout.endswith("not there\n")


def test_a_bucket_with_tables_is_replaced_only_when_told(
    stack: str, deploy: Deploy, checkout: Path
) -> None:
    template = checkout / "state-machine" / "template.yaml"
    as_it_was = template.read_text()
    bucket = outputs(stack)["BucketName"]
    first = "      BucketEncryption:"
    template.write_text(as_it_was.replace(first, f"      BucketName: {stack}-own\n{first}"))
    untold, planned = deploy(*at(stack), "deploy"), deploy(*at(stack), "deploy", "--plan")
    template.write_text(as_it_was)
    assert "Modify Bucket (replaced)" in refused(untold)
    assert "REPLACE_BUCKET=1" in refused(untold)
    assert "Modify Bucket (replaced)" in checked(planned)
    assert outputs(stack)["BucketName"] == bucket


def test_nothing_is_deleted_without_a_yes(stack: str, deploy: Deploy) -> None:
    unasked = deploy(*at(stack), "destroy", "--empty")
    assert outputs(stack)["BucketName"] in unasked.stdout
    assert "nothing is deleted" in refused(unasked) and "YES=1" in refused(unasked)
    assert code_of(stack)


def zips_of(stack: str) -> str:
    return f"{stack}-zips-000000000000-us-east-1-an"


def test_a_bucket_planted_by_another_account_is_refused(deploy: Deploy) -> None:
    name = stack_name()
    other = boto3.client(
        "s3",
        endpoint_url=endpoint(),
        region_name="us-east-1",
        aws_access_key_id="111111111111",
        aws_secret_access_key="test",
    )
    other.create_bucket(Bucket=zips_of(name))
    for command in (["deploy"], ["destroy", "--yes"]):
        said = refused(deploy(*at(name), *command))
        assert f"S3 refuses s3://{zips_of(name)} to the account 000000000000" in said
    other.delete_bucket(Bucket=zips_of(name))
    assert leftovers(name) == []


def test_a_planted_zip_never_runs(deploy: Deploy, zips: dict[str, Path]) -> None:
    """Lambda publishes no version of other code than the zip's."""
    name = stack_name()
    s3 = emulator().client("s3")
    s3.create_bucket(Bucket=zips_of(name))
    key = artifacts.key_of("SegmentZip", zips["segment"].read_bytes())
    s3.put_object(Bucket=zips_of(name), Key=key, Body=zips["gather"].read_bytes())
    assert "SegmentVersion" in refused(deploy(*at(name), "deploy"))
    checked(deploy(*at(name), "destroy", "--yes"))


HELD = """
def lambda_handler(event: str, context: Any) -> str:
    import os

    bucket = {"Bucket": os.environ["BUCKET"]}
    patient = {"Delay": 1, "MaxAttempts": 300}
    s3.put_object(**bucket, Key="gather/held", Body=b"")
    s3.get_waiter("object_exists").wait(**bucket, Key="scatter/go", WaiterConfig=patient)
    return SegmentHandler(event, context, s3).main()
"""
BROKEN = """
def lambda_handler(event: Any, context: Any) -> str:
    raise RuntimeError("the new code")
"""


def start_held(deploy: Deploy, repack: Repack) -> tuple[str, str, str]:
    """A stack, its bucket, and an execution whose segment waits for the key scatter/go."""
    name, s3, states = stack_name(), emulator().client("s3"), emulator().client("stepfunctions")
    repack("segment", "lambda.py", HELD)
    checked(deploy(*at(name), "deploy"))
    bucket, arn = (outputs(name)[each] for each in ("BucketName", "StateMachineArn"))
    s3.put_object(Bucket=bucket, Key="test.json", Body=json.dumps(EXAMPLE).encode())
    started = states.start_execution(stateMachineArn=arn)["executionArn"]
    patient = {"Delay": 1, "MaxAttempts": 300}
    s3.get_waiter("object_exists").wait(Bucket=bucket, Key="gather/held", WaiterConfig=patient)
    return name, bucket, started


def test_a_deploy_leaves_an_execution_on_its_old_code(deploy: Deploy, repack: Repack) -> None:
    """Its gather starts after the deploy that breaks the gather."""
    name, bucket, started = start_held(deploy, repack)
    s3, states = emulator().client("s3"), emulator().client("stepfunctions")
    repack("gather", "lambda.py", BROKEN)
    checked(deploy(*at(name), "deploy"))
    s3.put_object(Bucket=bucket, Key="scatter/go", Body=b"")
    execution = follow(emulator(), started)
    assert execution["status"] == "SUCCEEDED", execution["cause"]
    after = follow(
        emulator(),
        states.start_execution(stateMachineArn=outputs(name)["StateMachineArn"])["executionArn"],
    )
    assert after["status"] == "FAILED"
    assert "the new code" in after["cause"]
    checked(deploy(*at(name), "destroy", "--empty", "--yes"))


def test_an_execution_that_has_the_definition_of_before_the_deploy_is_started_anew(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Step Functions may start it for a moment."""
    name, states = stack_name(), emulator().client("stepfunctions")
    target = replace(emulator(), name="stack", stack=name)
    started = []
    for given in ("parallel", "--parameters", "MaxConcurrency=3"), ("distributed",):
        checked(deploy(*at(name), "deploy", "--definition", *given))
        arn = outputs(name)["StateMachineArn"]
        started.append(states.start_execution(stateMachineArn=arn)["executionArn"])
        assert is_as_deployed(target, started[-1])
    assert not is_as_deployed(target, started[0])
    present = states.describe_state_machine(stateMachineArn=arn)["definition"]
    assert json.loads(present)["States"]["ProcessAllSegments"]["MaxConcurrency"] == 3
    # And one is started anew until it has the present one.
    states.update_state_machine(stateMachineArn=arn, definition=definition_of_before(present))

    def settle(**_: Any) -> None:
        states.update_state_machine(stateMachineArn=arn, definition=present)

    def client(service: str, **config: Any) -> Any:
        made = emulator().client(service, **config)
        made.meta.events.register("after-call.stepfunctions.StopExecution", settle)
        return made

    monkeypatch.setattr("harness.run.POLL_S", 0)
    last = start(replace(target, client=client), arn, {})
    assert is_as_deployed(target, last)
    listed = states.list_executions(stateMachineArn=arn)["executions"]
    assert len(listed) == len(started) + 2
    for each in (*started, last):
        follow(emulator(), each)
    checked(deploy(*at(name), "destroy", "--empty", "--yes"))


def definition_of_before(present: str) -> str:
    return json.dumps({**json.loads(present), "Comment": "of before"})


def test_a_stack_is_emptied_and_deleted_after_what_runs_in_it_is_stopped(
    deploy: Deploy, checkout: Path, repack: Repack
) -> None:
    name, bucket, started = start_held(deploy, repack)
    s3, states = emulator().client("s3"), emulator().client("stepfunctions")
    command = commanded(checkout, *at(name), "destroy", "--empty", "--yes")
    with subprocess.Popen(**command, stdout=subprocess.PIPE) as destroying:
        assert destroying.stdout
        for line in destroying.stdout:
            if line == f"  stopped {started}\n":
                # LocalStack ends an execution when its call returns, which still writes.
                s3.put_object(Bucket=bucket, Key="scatter/go", Body=b"")
    assert destroying.returncode == 0
    assert history.read(states, started).status == "ABORTED"
    assert leftovers(name) == []


LOGS = json.dumps({"Resources": {"Logs": {"Type": "AWS::Logs::LogGroup"}}})
ROLE = "arn:aws:iam::000000000000:role/deployer"


def test_cloudformation_acts_with_the_role_that_is_given_and_else_with_the_one_before(
    deploy: Deploy,
) -> None:
    cfn, name = emulator().client("cloudformation"), stack_name()
    sent: list[Any] = []

    def keep(params: dict[str, Any], **_: Any) -> None:
        sent.append(params.get("RoleARN"))

    cfn.meta.events.register("provide-client-params.cloudformation.CreateChangeSet", keep)
    made = Stack(cfn, name, "")
    made.change(LOGS, {}, {}, lambda _: True, ROLE)
    made.change(LOGS.replace("Logs", "Others", 1), {}, {}, lambda _: True)
    assert sent == [ROLE, None]
    made.delete()
    # What is typed reaches CloudFormation, which says that it is no role's name.
    assert "RoleARN, value: 8" in refused(deploy(*at(name), "deploy", "--role", "deployer"))


class Stale:
    """CloudFormation as it answers when a description is older than the events beside it."""

    def __init__(self, answers: list[tuple[str, list[tuple[str, str]]]]) -> None:
        """
        Args:
            answers: the stack's state, and the events since: physical name and status.
        """
        self.answers = iter(answers)
        self.exceptions = emulator().client("cloudformation").exceptions

    def describe_stacks(self, StackName: str) -> dict[str, Any]:
        status, self.events = next(self.answers)
        return {"Stacks": [{"StackId": "arn:own", "StackStatus": status}]}

    def get_paginator(self, _: str) -> "Stale":
        return self

    def paginate(self, StackName: str) -> list[dict[str, Any]]:
        found = [
            {
                "EventId": str(number),
                "ResourceType": "AWS::CloudFormation::Stack",
                "LogicalResourceId": name,
                "PhysicalResourceId": name,
                "ResourceStatus": status,
            }
            for number, (name, status) in enumerate(self.events)
        ]
        return [{"StackEvents": found[::-1]}]


BEGUN, INNER, DONE = (
    ("arn:own", "UPDATE_IN_PROGRESS"),
    ("arn:inner", "UPDATE_COMPLETE"),
    ("arn:own", "UPDATE_COMPLETE"),
)


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([("UPDATE_COMPLETE", [BEGUN])], id="the state of the update before"),
        pytest.param([("UPDATE_COMPLETE", [BEGUN, INNER])], id="a stack within"),
    ],
)
def test_an_update_is_done_when_the_stacks_own_event_says_so(
    answers: list[tuple[str, list[tuple[str, str]]]],
) -> None:
    last = [("UPDATE_IN_PROGRESS", [BEGUN]), ("UPDATE_COMPLETE", [BEGUN, INNER, DONE])]
    cfn = Stale([*answers, *last])
    Stack(cfn, "own", "").follow("UPDATE_COMPLETE", "")
    assert cfn.events[-1] == DONE


def keys_of(made: dict[str, str]) -> set[str]:
    """What the functions of a stack's outputs sign with."""
    functions = emulator().client("lambda")
    found = [
        functions.get_function_configuration(FunctionName=made[f"{stage.title()}Function"])
        for stage in STAGES
    ]
    return {each["Environment"]["Variables"]["SIGNING_KEY"] for each in found}


def test_a_deploy_keeps_the_key_and_rotates_it_when_told(deploy: Deploy) -> None:
    name, said = stack_name(), []

    def deployed(*more: str) -> tuple[str, str]:
        done = deploy(*at(name), "deploy", *more)
        said.append(checked(done) + done.stderr + json.dumps(described(name), default=str))
        [key] = keys_of(outputs(name))
        return key, parameters(name)["SigningKeyNumber"]

    key, number = deployed()
    assert re.fullmatch("[0-9a-f]{64}", key) and number == "1"
    assert deployed() == (key, "1")
    assert ": up to date" in said[-1]
    assert deployed("--parameters", "GatherTimeout=600", "--definition", "distributed") == (
        key,
        "1",
    )
    first = outputs(name)
    assert deployed("--rotate-key", "--plan") == (key, "1")
    another, number = deployed("--rotate-key")
    assert another != key and number == "2"
    assert deployed("--parameters", "GatherTimeout=700") == (another, "2")
    assert keys_of(first) == {key}, "an execution, or its redrive, goes on with these versions"
    assert not [text for text in said if key in text or another in text]
    for given in ("SigningKey", "SigningKeyNumber"):
        refusal = refused(deploy(*at(name), "deploy", "--parameters", f"{given}=7"))
        assert f"PARAMETERS: must not hold the key; found {given}\nto do: ROTATE_KEY=1" in refusal
    checked(deploy(*at(name), "destroy", "--yes"))


def test_an_execution_goes_on_with_the_key_that_it_began_with(
    deploy: Deploy, repack: Repack
) -> None:
    """Its segment and its gather start after the deploy that gives the functions another key."""
    name, s3, states = stack_name(), emulator().client("s3"), emulator().client("stepfunctions")
    subscriber = Subscriber(name)
    repack("segment", "lambda.py", HELD)
    checked(deploy(*at(name), "deploy", "--parameters", f"NotifyTopic={subscriber.topic}"))
    bucket, arn = (outputs(name)[each] for each in ("BucketName", "StateMachineArn"))
    s3.put_object(Bucket=bucket, Key="test.json", Body=json.dumps(EXAMPLE).encode())
    started = states.start_execution(stateMachineArn=arn)["executionArn"]
    patient = {"Delay": 1, "MaxAttempts": 300}
    s3.get_waiter("object_exists").wait(Bucket=bucket, Key="gather/held", WaiterConfig=patient)
    [before] = keys_of(outputs(name))
    checked(deploy(*at(name), "deploy", "--rotate-key"))
    s3.put_object(Bucket=bucket, Key="scatter/go", Body=b"")
    after = states.start_execution(stateMachineArn=arn)["executionArn"]
    for execution in (follow(emulator(), started), follow(emulator(), after)):
        assert execution["status"] == "SUCCEEDED", execution["cause"]
    assert keys_of(outputs(name)) != {before}
    target = replace(emulator(), name="stack", stack=name)
    for execution in (started, after):
        found = facts.read(target, history.read(states, execution))
        assert found.workbook and found.workbook.rows == len(EXAMPLE)
        assert found.doubts == []
    # The function that notifies has the new key alone.
    told = {each["execution"]: each for each in subscriber.told(2)}
    assert told[started.split(":")[-1]]["rows"].startswith("not told: ")
    assert told[after.split(":")[-1]]["rows"] == str(len(EXAMPLE))
    checked(deploy(*at(name), "destroy", "--empty", "--yes"))


@pytest.mark.parametrize(
    ("at_once", "memory", "words"),
    [
        pytest.param(1000, "10240", [], id="an account of some age"),
        pytest.param(10, "1769", ["runs 10 functions at once"], id="a new account"),
        pytest.param(
            10,
            "3538",
            ["runs 10 functions at once", "ScatterMemory=3538: a new account's"],
            id="and memory",
        ),
    ],
)
def test_an_accounts_own_limits_are_told_before_they_are_met(
    at_once: int, memory: str, words: list[str]
) -> None:
    found = warnings(at_once, {"ScatterMemory": memory, "Definition": "parallel"})
    assert len(found) == len(words)
    assert all(part in warning for part, warning in zip(words, found, strict=True))


def test_aws_own_words_for_too_much_memory_get_a_remedy() -> None:
    said = (
        "  ScatterFunction: Resource handler returned message: \"'MemorySize' value failed to "
        'satisfy constraint: Member must have value less than or equal to 3008 (Service: Lambda)"'
    )
    failed = str(Stack(None, "x", "aws").failed("CREATE_FAILED", [said]))
    assert "PARAMETERS=ScatterMemory=3008" in failed


KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param(
            {"AWS_REGION": "us-east-1"},
            ["Unable to locate credentials", "to do: log in"],
            id="no credentials",
        ),
        pytest.param(KEYS, ["You must specify a region", "REGION=us-east-1"], id="no region"),
        pytest.param(
            {**KEYS, "AWS_DEFAULT_REGION": "us-est-1"},
            ["REGION: must be a region of AWS that has Lambda; found us-est-1"],
            id="a region that is none",
        ),
        pytest.param(
            {**KEYS, "AWS_REGION": "tokyo"},
            ["Unknown region", "REGION=us-east-1"],
            id="no region's name",
        ),
        pytest.param(
            {"AWS_PROFILE": "none", "AWS_REGION": "us-east-1"},
            ["The config profile (none) could not be found", "list-profiles"],
            id="no such profile",
        ),
    ],
)
def test_without_an_account_it_says_what_to_do(
    deploy: Deploy, settings: dict[str, str], said: list[str]
) -> None:
    message = refused(deploy(*at("test", "aws"), "deploy", **settings))
    assert [words for words in said if words not in message] == []


@pytest.mark.parametrize("name", ["", "Upper", "9lives", "a" * 25, "under_score"])
def test_a_stack_name_must_fit_into_a_bucket_name(name: str) -> None:
    with pytest.raises(Fault, match=f"STACK: must be .*; found {name}"):
        connect("stack", name)


def test_every_verb_works_on_a_stack_and_nowhere_else(
    stack: str, make: Make, tmp_path: Path
) -> None:
    table = tmp_path / f"{stack}.json"
    table.write_text(json.dumps(EXAMPLE))
    bucket, elsewhere = outputs(stack)["BucketName"], f"elsewhere-{stack}"

    def said(*typed: str) -> str:
        return checked(make(*typed, "TARGET=stack", f"STACK={stack}", f"BUCKET={elsewhere}"))

    assert f"s3://{bucket}/test.json" in said("json", "ROWS=10")
    assert f"s3://{bucket}/a/b.json" in said("upload", f"FILE={table}", "KEY=a/b.json")
    assert f"s3://{bucket}/a/b.xlsx" in said("stepfunctions", 'INPUT={"input_obj": "a/b.json"}')
    ran = said("stepfunctions", f"FILE={table}", 'INPUT={"division_number": 1}')
    assert "SUCCEEDED in" in ran and ran.endswith(f"result/{stack}.xlsx\n")
    workbook = ROOT / "result" / f"{stack}.xlsx"
    assert list(load_workbook(workbook)["Sheet1"].values) == expected(EXAMPLE)
    assert said("download", f"WORKBOOK={stack}.xlsx") == f"result/{stack}.xlsx\n"
    workbook.unlink()
    assert '"invoke.xlsx"' in said("invoke")
    assert f"── {stack}-gather" in said("log")
    last = machines.find(replace(emulator(), name="stack", stack=stack))
    assert last
    page = said("report", f"EXECUTION={last}").strip()
    assert page == f"result/{last.split(':')[-1]}.html"
    assert f"s3://{bucket}/{stack}.xlsx" in (ROOT / page).read_text()
    assert last.split(":")[-1] in said("cost")
    assert said("stop") == "nothing runs\n"
    assert elsewhere not in leftovers(stack)


@pytest.mark.parametrize("verb", ["zip", "create", "delete", "bucket", "watch", "up", "down"])
def test_a_stack_is_not_for_the_emulators_own_verbs(verb: str, make: Make) -> None:
    said = refused(make(verb, "TARGET=aws"))
    assert "a stack has deploy and destroy for all of it; found aws" in said


def test_a_stack_that_is_not_there_is_named_with_what_to_do(deploy: Deploy) -> None:
    said = refused(deploy(*at("gone"), "stepfunctions"))
    assert "the stack gone does not exist: make deploy TARGET=stack STACK=gone" in said


class Subscriber:
    """A queue that gets what a topic of its own is told."""

    def __init__(self, name: str) -> None:
        sns, self.sqs = emulator().client("sns"), emulator().client("sqs")
        self.topic = sns.create_topic(Name=name)["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        of_queue = {"QueueUrl": self.queue, "AttributeNames": ["QueueArn"]}
        arn = self.sqs.get_queue_attributes(**of_queue)["Attributes"]["QueueArn"]
        raw = {"RawMessageDelivery": "true"}
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn, Attributes=raw)

    def told(self, count: int) -> list[dict[str, str]]:
        """The next messages, as what stands in their lines."""
        messages: list[str] = []
        while len(messages) < count:
            got = self.sqs.receive_message(QueueUrl=self.queue, WaitTimeSeconds=20)
            assert got.get("Messages"), f"{len(messages)} of {count} messages: {messages}"
            for each in got["Messages"]:
                messages.append(each["Body"])
                handle = each["ReceiptHandle"]
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=handle)
        lines = [[(line[:10].strip(), line[10:]) for line in m.splitlines()] for m in messages]
        return [dict(each) for each in lines]


def test_a_table_in_the_inbox_becomes_a_workbook_in_the_outbox(
    deploy: Deploy, make: Make, tmp_path: Path
) -> None:
    name = stack_name()
    subscriber = Subscriber(name)
    for given in ("", f"Inbox=inbox/,NotifyTopic={subscriber.topic}"):
        checked(deploy(*at(name), "deploy", "--parameters", given))
    s3, bucket = emulator().client("s3"), outputs(name)["BucketName"]
    tables = {
        f"{folder}x": list(members(20, seed=seed)) for seed, folder in enumerate(("", "a/", "a/b/"))
    }

    def put(item: tuple[str, Any]) -> None:
        s3.put_object(Bucket=bucket, Key=f"inbox/{item[0]}.json", Body=json.dumps(item[1]).encode())

    s3.put_object(Bucket=bucket, Key="inbox/notes.txt", Body=b"[]")
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(put, tables.items()))
    *told, passed_over = sorted(subscriber.told(4), key=lambda each: "no table" in each)
    workbooks = {f"s3://{bucket}/outbox/{key}.xlsx" for key in tables}
    assert {each["workbook"] for each in told} == workbooks
    assert {each["rows"] for each in told} == {"20"}
    assert passed_over.keys() == {"execution", "time", "no table"}
    assert passed_over["no table"].endswith(
        'found the text "inbox/notes.txt", which is passed over'
    )
    for key, table in tables.items():
        s3.download_file(bucket, f"outbox/{key}.xlsx", str(tmp_path / "x.xlsx"))
        assert list(load_workbook(tmp_path / "x.xlsx")["Sheet1"].values) == expected(table)

    # The same once more makes the same once more, and what is faulty is told, too.
    put(("x", tables["x"]))
    put(("faulty", [{**EXAMPLE[0], "会員ランク": 9}]))
    failed, again = sorted(subscriber.told(2), key=lambda each: "workbook" in each)
    assert again["workbook"] == f"s3://{bucket}/outbox/x.xlsx"
    assert failed["stage"] == "SegmentLambda"
    assert failed["error"] == "InvalidMember"
    assert failed["cause"].startswith("inbox/faulty.json record 0: 会員ランク must be 1 to 5")
    assert f"EXECUTION={failed['execution']}" in failed["to do"]
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="outbox/")["Contents"]
    assert {f"s3://{bucket}/{each['Key']}" for each in listed} == workbooks
    machine = outputs(name)["StateMachineArn"]
    started = emulator().client("stepfunctions").list_executions(stateMachineArn=machine)
    ends = sorted(each["status"] for each in started["executions"])
    assert ends == ["FAILED", *5 * ["SUCCEEDED"]]
    asked = ("TARGET=stack", f"STACK={name}", 'INPUT={"input_obj": "inbox/notes.txt"}')
    said = checked(make("stepfunctions", *asked))
    assert re.search("SUCCEEDED in .* s: input_obj: a table of the inbox must end in", said)
    checked(deploy(*at(name), "destroy", "--empty", "--yes"))
    assert leftovers(name) == []


ORDERS = """
def process(df):
    return df.assign(金額=df["単価"] * df["数量"])
"""


def test_one_stack_serves_an_inbox_another_bucket_and_a_schedule_with_two_etls(
    deploy: Deploy, checkout: Path, zips: dict[str, Path], tmp_path: Path
) -> None:
    """LocalStack starts nothing on schedule: what Scheduler would start is started in its place."""
    name, other = stack_name(), f"other-{uuid.uuid4()}"
    subscriber, s3 = Subscriber(name), emulator().client("s3")
    s3.create_bucket(Bucket=other)
    s3.put_object(Bucket=other, Key="sales/2026-11-26/1.csv", Body="単価,数量\n2,3\n".encode())
    scheduled = {"input_obj": "sales/{yesterday:%Y-%m-%d}/", "etl": "orders", "input_bucket": other}
    given = {
        "Inbox": "inbox/",
        "InboxInput": json.dumps({"source_column": "ファイル", "orders": {"delimiter": ";"}}),
        "InputBucket": other,
        "NotifyTopic": subscriber.topic,
        "Schedule": "cron(0 6 * * ? *)",
        "ScheduleZone": "Asia/Tokyo",
        "ScheduleInput": json.dumps(scheduled),
    }
    segment = checkout / zips["segment"].relative_to(ROOT)
    pack("segment", segment, {"etl/orders.py": ORDERS})
    try:
        typed = ",".join(f"{key}={value}" for key, value in given.items())
        checked(deploy(*at(name), "deploy", "--parameters", typed))
    finally:
        shutil.copy(zips["segment"], segment)
    bucket = outputs(name)["BucketName"]

    def rows(key: str) -> list[Any]:
        s3.download_file(bucket, key, str(tmp_path / "x.xlsx"))
        return list(load_workbook(tmp_path / "x.xlsx")["Sheet1"].values)

    s3.put_object(Bucket=bucket, Key="inbox/orders/1.csv", Body="単価;数量\n1;2\n".encode())
    s3.put_object(Bucket=bucket, Key="inbox/2.json", Body=json.dumps(EXAMPLE).encode())
    workbooks = {f"s3://{bucket}/outbox/{key}.xlsx" for key in ("orders/1", "2")}
    assert {each["workbook"] for each in subscriber.told(2)} == workbooks
    made = [("ファイル", "単価", "数量", "金額"), ("inbox/orders/1.csv", 1, 2, 2)]
    assert rows("outbox/orders/1.xlsx") == made
    assert [row[1:] for row in rows("outbox/2.xlsx")] == expected(EXAMPLE)

    target = emulator().client("scheduler").get_schedule(Name=name)["Target"]
    text = target["Input"].replace("<aws.scheduler.scheduled-time>", "2026-11-26T21:00:00Z")
    started = (
        emulator()
        .client("stepfunctions")
        .start_execution(stateMachineArn=target["Arn"], input=text)
    )
    assert follow(emulator(), started["executionArn"])["status"] == "SUCCEEDED"
    assert rows("sales/2026-11-26.xlsx") == [("単価", "数量", "金額"), (2, 3, 6)]
    checked(deploy(*at(name), "destroy", "--empty", "--yes"))
    assert leftovers(name) == []


@pytest.mark.parametrize("given", ["[1]", "inbox", '{"a": 1'])
def test_an_inbox_input_that_is_no_object_is_refused_before_anything_changes(given: str) -> None:
    fault = f"PARAMETERS: InboxInput must be a JSON object; found {given}"
    with pytest.raises(Fault, match=f"^{re.escape(fault)}$"):
        given_parameters(f"InboxInput={given}")


def test_a_schedule_starts_executions_for_its_times_and_each_workbook_is_made_once(
    deploy: Deploy, tmp_path: Path
) -> None:
    """LocalStack keeps the schedule and never fires: the test starts what it would."""
    name, states = stack_name(), emulator().client("stepfunctions")
    own = '{"input_obj": "sales/{yesterday:%Y-%m-%d}/", "max_rejects": 0, "rejects": "sheet"}'
    wanted = f"Schedule=cron(0 6 ? * MON-FRI,SUN *),ScheduleZone=Asia/Tokyo,ScheduleInput={own}"
    checked(deploy(*at(name), "deploy", "--parameters", wanted))
    made = outputs(name)
    schedule = emulator().client("scheduler").get_schedule(Name=name)
    assert schedule["ScheduleExpression"] == "cron(0 6 ? * MON-FRI,SUN *)"
    assert schedule["ScheduleExpressionTimezone"] == "Asia/Tokyo"
    assert schedule["Target"]["Arn"] == made["StateMachineArn"]
    given = schedule["Target"]["Input"].replace(
        "<aws.scheduler.scheduled-time>", "2026-11-26T21:00:00Z"
    )
    s3, bucket = emulator().client("s3"), made["BucketName"]
    table = json.dumps(EXAMPLE).encode()
    s3.put_object(Bucket=bucket, Key="sales/2026-11-26/till.json", Body=table)
    for expected_end in ("SUCCEEDED", "FAILED"):
        started = states.start_execution(stateMachineArn=made["StateMachineArn"], input=given)
        ended = follow(emulator(), started["executionArn"])
        assert ended["status"] == expected_end, ended
    assert ended["error"] == "ScheduledTwice"
    rule = "sales/2026-11-26.xlsx: one execution makes it for 2026-11-26T21:00:00Z; found "
    assert json.loads(ended["cause"])["errorMessage"].startswith(rule)
    s3.download_file(bucket, "sales/2026-11-26.xlsx", str(tmp_path / "x.xlsx"))
    assert list(load_workbook(tmp_path / "x.xlsx")["Sheet1"].values) == expected(EXAMPLE)

    kept = described(name)
    said = refused(deploy(*at(name), "deploy", "--parameters", "Schedule=cron(0 6 * * * *)"))
    assert "Schedule: must be rate(2 hours), or cron(" in said
    assert "found cron(0 6 * * * *)" in said
    assert described(name) == kept
    checked(deploy(*at(name), "deploy", "--parameters", "Schedule="))
    with pytest.raises(emulator().client("scheduler").exceptions.ResourceNotFoundException):
        emulator().client("scheduler").get_schedule(Name=name)
    checked(deploy(*at(name), "destroy", "--empty", "--yes"))
    assert leftovers(name) == []


def test_the_way_to_aws_is_the_same_with_the_users_own_credentials(
    deploy: Deploy, checkout: Path
) -> None:
    name = stack_name()
    (checkout / "result").mkdir()
    table = checkout / "members.json"
    table.write_text(json.dumps(EXAMPLE))
    settings = {
        "AWS_ENDPOINT_URL": endpoint(),
        "AWS_REGION": "ap-northeast-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    made = checked(deploy(*at(name, "aws"), "deploy", **settings))
    where = f"TARGET=aws STACK={name} REGION=ap-northeast-1"
    assert f"make stepfunctions {where} FILE=…" in made
    checked(deploy(*at(name, "aws"), "stepfunctions", f"--file={table}", **settings))
    found = load_workbook(checkout / "result" / "members.xlsx")["Sheet1"]
    assert list(found.values) == expected(EXAMPLE)
    for verb in (["invoke", "scatter"], ["log", "scatter"], ["report"], ["cost"], ["stop"]):
        done = deploy(*at(name, "aws"), *verb, **settings)
        assert done.returncode == (verb[0] == "invoke"), done.stdout + done.stderr
    checked(deploy(*at(name, "aws"), "destroy", "--yes", "--empty", **settings))

import json
import os
import shutil
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from openpyxl import load_workbook

from conftest import ROOT, Make
from harness import artifacts
from harness.deploy import warnings
from harness.emulator import MiniStack, free_port
from harness.progress import follow
from harness.stack import Stack
from harness.target import emulator, endpoint
from test_pipeline import EXAMPLE, expected
from utils import members

Deploy = Callable[..., subprocess.CompletedProcess[str]]
Repack = Callable[[str, str, str], None]

STAGES = ("scatter", "segment", "gather")


@pytest.fixture(scope="module")
def checkout(make: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What deploying reads, in a folder where a test may change it."""
    made = make("zip")
    assert made.returncode == 0, made.stdout + made.stderr
    folder = tmp_path_factory.mktemp("checkout")
    for part in ("state-machine", "utils/harness"):
        shutil.copytree(
            ROOT / part, folder / part, ignore=shutil.ignore_patterns(".*", "__pycache__")
        )
    for stage in STAGES:
        archive = Path(f"demo-{stage}/bin/lambda.zip")
        (folder / archive.parent).mkdir(parents=True)
        shutil.copy(ROOT / archive, folder / archive)
    return folder


@pytest.fixture
def repack(checkout: Path) -> Iterator[Repack]:
    """Put more code into a file of a stage's zip, until the test's end."""
    zips = [Path(f"demo-{stage}/bin/lambda.zip") for stage in STAGES]

    def run(stage: str, name: str, more: str) -> None:
        archive = Path(f"demo-{stage}/bin/lambda.zip")
        compiled = f"__pycache__/{Path(name).stem}.cpython-313.pyc"
        with (
            zipfile.ZipFile(ROOT / archive) as old,
            zipfile.ZipFile(checkout / archive, "w") as new,
        ):
            for entry in old.infolist():
                if entry.filename != compiled:
                    body = old.read(entry)
                    new.writestr(entry.filename, body + more.encode() * (entry.filename == name))

    yield run
    for archive in zips:
        shutil.copy(ROOT / archive, checkout / archive)


@pytest.fixture(scope="module")
def deploy(checkout: Path) -> Deploy:
    """Run the command line as make does, with the user's AWS settings given or none."""

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        clean |= {"HOME": str(checkout), "AWS_EC2_METADATA_DISABLED": "true"}
        return subprocess.run(
            [sys.executable, "-m", "harness", *arguments],
            cwd=checkout / "utils",
            env=clean | settings,
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture(scope="module")
def stack(deploy: Deploy) -> Iterator[str]:
    """The name of a stack that is there."""
    name = stack_name()
    made = deploy("deploy", *at(name))
    assert made.returncode == 0, made.stdout + made.stderr
    yield name
    deploy("destroy", *at(name), "--empty", "--yes")


@pytest.fixture(params=["LocalStack", "MiniStack"])
def each_emulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything of the test happens on one of the two."""
    if request.param == "MiniStack":
        monkeypatch.setenv("ENDPOINT", request.getfixturevalue("mini").endpoint)
    return str(request.param)


def stack_name() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


def at(stack: str, target: str = "localstack") -> list[str]:
    return ["--target", target, "--stack", stack]


def outputs(stack: str) -> dict[str, str]:
    [found] = emulator().client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}


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
    return follow(states, arn)


def leftovers(stack: str) -> list[str]:
    """Everything of any service that bears the stack's name."""
    names = [each["Name"] for each in emulator().client("s3").list_buckets()["Buckets"]]
    names += [
        each["FunctionName"] for each in emulator().client("lambda").list_functions()["Functions"]
    ]
    names += [each["RoleName"] for each in emulator().client("iam").list_roles()["Roles"]]
    names += [
        each["name"]
        for each in emulator().client("stepfunctions").list_state_machines()["stateMachines"]
    ]
    names += [
        each["logGroupName"]
        for each in emulator().client("logs").describe_log_groups()["logGroups"]
    ]
    names += [
        each["AlarmName"]
        for each in emulator().client("cloudwatch").describe_alarms()["MetricAlarms"]
    ]
    return [name for name in names if stack in name]


def test_a_stack_makes_the_workbook(stack: str, tmp_path: Path) -> None:
    s3, bucket = emulator().client("s3"), outputs(stack)["BucketName"]
    s3.put_object(Bucket=bucket, Key="members.json", Body=json.dumps(EXAMPLE).encode())
    execution = run(stack, "members.json")
    assert execution["status"] == "SUCCEEDED", execution
    assert execution["output"] == '"members.xlsx"'
    s3.download_file(bucket, "members.xlsx", str(tmp_path / "members.xlsx"))
    assert list(load_workbook(tmp_path / "members.xlsx")["Sheet1"].values) == expected(EXAMPLE)


def test_a_stack_chooses_its_segments_by_size(stack: str, deploy: Deploy) -> None:
    """And not by the ten rows that show the emulator's functions at work, unless it is told to."""
    s3, bucket = emulator().client("s3"), outputs(stack)["BucketName"]
    table = json.dumps(list(members(100, seed=7))).encode()
    s3.put_object(Bucket=bucket, Key="100.json", Body=table)
    assert segments_of(run(stack, "100.json")) == 1
    made = deploy("deploy", *at(stack), "--parameters", "DivisionNumber=30")
    assert made.returncode == 0, made.stdout + made.stderr
    assert segments_of(run(stack, "100.json")) == 4


def segments_of(execution: dict[str, Any]) -> int:
    assert execution["status"] == "SUCCEEDED", execution["cause"]
    history = (
        emulator()
        .client("stepfunctions")
        .get_execution_history(executionArn=execution["executionArn"])
    )
    return sum(event["type"] == "MapIterationStarted" for event in history["events"])


def test_deploying_twice_changes_nothing(stack: str, deploy: Deploy) -> None:
    before = code_of(stack)
    made = deploy("deploy", *at(stack))
    assert "up to date" in made.stdout
    assert code_of(stack) == before


def test_a_changed_segment_updates_that_function_alone(
    stack: str, deploy: Deploy, repack: Repack
) -> None:
    before = code_of(stack)
    repack("segment", "segment.py", "\n# changed\n")
    made = deploy("deploy", *at(stack))
    assert made.returncode == 0, made.stdout + made.stderr
    after = code_of(stack)
    assert [stage for stage in STAGES if before[stage] != after[stage]] == ["segment"]


def test_two_stacks_live_side_by_side(stack: str, deploy: Deploy) -> None:
    other = stack_name()
    made = deploy("deploy", *at(other))
    assert made.returncode == 0, made.stdout + made.stderr
    assert outputs(other)["BucketName"] != outputs(stack)["BucketName"]
    assert deploy("destroy", *at(other), "--yes").returncode == 0
    assert leftovers(other) == []
    assert len(leftovers(stack)) > 10


def test_a_bucket_with_content_is_deleted_only_when_asked(deploy: Deploy) -> None:
    name = stack_name()
    assert deploy("deploy", *at(name)).returncode == 0
    bucket = outputs(name)["BucketName"]
    emulator().client("s3").put_object(Bucket=bucket, Key="test.json", Body=b"[]")
    refused = deploy("destroy", *at(name))
    assert refused.returncode == 1
    assert f"s3://{bucket} holds objects" in refused.stderr
    assert "EMPTY=1" in refused.stderr
    emulator().client("s3").head_object(Bucket=bucket, Key="test.json")
    destroyed = deploy("destroy", *at(name), "--empty", "--yes")
    assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr
    assert leftovers(name) == []


def test_make_deploys_and_destroys(make: Make) -> None:
    name = stack_name()
    made = make("deploy", f"STACK={name}")
    assert made.returncode == 0, made.stdout + made.stderr
    arn = f"arn:aws:states:us-east-1:000000000000:stateMachine:{name}"
    assert f"start-execution --region us-east-1 --state-machine-arn {arn}" in made.stdout
    destroyed = make("destroy", f"STACK={name}", "YES=1")
    assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr
    assert leftovers(name) == []


def test_the_smoke_test_passes_and_leaves_nothing(make: Make) -> None:
    made = make("smoke", "SMOKE_ROWS=20000")
    assert made.returncode == 0, made.stdout + made.stderr
    assert "20,000 rows, distributed" in made.stdout
    assert leftovers("smoke-") == []


def test_destroying_what_is_not_there_is_no_fault(deploy: Deploy) -> None:
    destroyed = deploy("destroy", *at(stack_name()))
    assert destroyed.returncode == 0
    assert "not there" in destroyed.stdout


def test_a_failed_creation_is_explained_until_it_is_destroyed(deploy: Deploy) -> None:
    name = stack_name()
    group = f"/aws/lambda/{name}-gather"  # of someone else, and in the way
    emulator().client("logs").create_log_group(logGroupName=group)
    failed = deploy("deploy", *at(name))
    assert failed.returncode == 1
    assert "GatherLogs" in failed.stderr
    again = deploy("deploy", *at(name))
    assert (
        f"to do: its creation failed: make destroy TARGET=localstack STACK={name}" in again.stderr
    )
    assert "GatherLogs" in again.stderr
    assert deploy("destroy", *at(name), "--yes").returncode == 0
    # AWS leaves a stranger's log group alone, and LocalStack deletes it.
    assert set(leftovers(name)) <= {group}


SOMEBODYS = json.dumps(
    {"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}, "Logs": {"Type": "AWS::Logs::LogGroup"}}}
)


def test_a_stack_of_somebody_else_is_neither_changed_nor_deleted(
    deploy: Deploy, each_emulator: str
) -> None:
    cfn, name = emulator().client("cloudformation"), stack_name()
    cfn.create_stack(StackName=name, TemplateBody=SOMEBODYS)
    cfn.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    before = cfn.describe_stack_resources(StackName=name)["StackResources"]
    for command in (["deploy"], ["deploy", "--plan"], ["destroy", "--yes", "--empty"]):
        refused = deploy(*command, *at(name))
        assert refused.returncode == 1
        assert f"the stack {name} is not of this project" in refused.stderr
    assert cfn.describe_stack_resources(StackName=name)["StackResources"] == before
    assert leftovers(f"{name}-zips") == []
    cfn.delete_stack(StackName=name)


def parameters(stack: str) -> dict[str, str]:
    [found] = emulator().client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return {each["ParameterKey"]: each["ParameterValue"] for each in found["Parameters"]}


SET = {
    "Architecture": "arm64",
    "Definition": "distributed",
    "SegmentMemory": "3008",
    "AlarmTopic": "arn:aws:sns:us-east-1:000000000000:operators",
}


def test_what_was_set_stays_set(deploy: Deploy, each_emulator: str) -> None:
    name = stack_name()
    given = ",".join(f"{key}={SET[key]}" for key in ("SegmentMemory", "AlarmTopic"))
    how = ["--arch", "arm64", "--definition", "distributed", "--parameters", given]
    made = deploy("deploy", *at(name), *how, "--tags", "team=data")
    assert made.returncode == 0, made.stdout + made.stderr
    before = parameters(name)
    assert before.items() >= SET.items()
    for plan in ([], ["--plan"]):
        again = deploy("deploy", *at(name), *plan)
        assert again.returncode == 0, again.stdout + again.stderr
        assert ": up to date" in again.stdout
    changed = deploy("deploy", *at(name), "--parameters", "GatherTimeout=600")
    assert changed.returncode == 0, changed.stdout + changed.stderr
    assert parameters(name) == before | {"GatherTimeout": "600"}
    [found] = emulator().client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    assert {"Key": "team", "Value": "data"} in found["Tags"]
    assert deploy("destroy", *at(name), "--yes").returncode == 0


def test_a_plan_says_what_would_change_and_changes_nothing(
    deploy: Deploy, each_emulator: str
) -> None:
    name = stack_name()
    planned = deploy("deploy", *at(name), "--plan")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "none is made" in planned.stdout
    assert "Add SegmentFunction" in planned.stdout
    assert leftovers(name) == []
    assert deploy("destroy", *at(name)).stdout.endswith("not there\n")


def test_a_bucket_with_tables_is_replaced_only_when_told(
    stack: str, deploy: Deploy, checkout: Path
) -> None:
    template = checkout / "state-machine" / "template.yaml"
    as_it_was = template.read_text()
    bucket = outputs(stack)["BucketName"]
    first = "      BucketEncryption:"
    template.write_text(as_it_was.replace(first, f"      BucketName: {stack}-own\n{first}"))
    refused = deploy("deploy", *at(stack))
    told = deploy("deploy", *at(stack), "--plan")
    template.write_text(as_it_was)
    assert refused.returncode == 1
    assert "Modify Bucket (replaced)" in refused.stderr
    assert "REPLACE_BUCKET=1" in refused.stderr
    assert "Modify Bucket (replaced)" in told.stdout
    assert outputs(stack)["BucketName"] == bucket


def test_nothing_is_deleted_without_a_yes(stack: str, deploy: Deploy) -> None:
    refused = deploy("destroy", *at(stack), "--empty")
    assert refused.returncode == 1
    assert outputs(stack)["BucketName"] in refused.stdout
    assert "nothing is deleted" in refused.stderr
    assert "YES=1" in refused.stderr
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
    refused = deploy("deploy", *at(name))
    destroyed = deploy("destroy", *at(name), "--yes")
    assert refused.returncode == destroyed.returncode == 1
    for said in (refused.stderr, destroyed.stderr):
        assert f"S3 refuses s3://{zips_of(name)} to the account 000000000000" in said
    other.delete_bucket(Bucket=zips_of(name))
    assert leftovers(name) == []


def test_a_planted_zip_never_runs(deploy: Deploy, checkout: Path) -> None:
    """Lambda publishes no version of other code than the zip's."""
    name = stack_name()
    s3 = emulator().client("s3")
    s3.create_bucket(Bucket=zips_of(name))
    expected_zip, planted = (
        (checkout / f"demo-{stage}" / "bin" / "lambda.zip").read_bytes() for stage in STAGES[1:]
    )
    key = artifacts.key_of("SegmentZip", expected_zip)
    s3.put_object(Bucket=zips_of(name), Key=key, Body=planted)
    failed = deploy("deploy", *at(name))
    assert failed.returncode == 1
    assert "SegmentVersion" in failed.stderr
    assert deploy("destroy", *at(name), "--yes").returncode == 0


def test_the_zips_of_this_deploy_and_the_last_are_kept(deploy: Deploy, repack: Repack) -> None:
    name = stack_name()
    kept = []
    for number in range(3):
        repack("segment", "segment.py", f"\n# {number} of {name}\n")
        made = deploy("deploy", *at(name))
        assert made.returncode == 0, made.stdout + made.stderr
        kept.append(parameters(name)["SegmentZip"])
    found = emulator().client("s3").list_objects_v2(Bucket=zips_of(name), Prefix="SegmentZip/")
    assert sorted(each["Key"] for each in found["Contents"]) == sorted(kept[1:])
    assert deploy("destroy", *at(name), "--yes").returncode == 0


HELD = """
def lambda_handler(event: str, context: Any) -> str:
    bucket = {"Bucket": "%s"}
    s3.put_object(**bucket, Key="gather/held", Body=b"")
    s3.get_waiter("object_exists").wait(**bucket, Key="scatter/go", WaiterConfig=%s)
    return SegmentHandler(event, context, s3).main()
"""
BROKEN = """
def lambda_handler(event: Any, context: Any) -> str:
    raise RuntimeError("the new code")
"""
PATIENT = {"Delay": 1, "MaxAttempts": 300}


def test_a_deploy_leaves_an_execution_on_its_old_code(
    deploy: Deploy, repack: Repack, each_emulator: str
) -> None:
    """Its gather starts after the deploy that breaks the gather."""
    name, s3, states = stack_name(), emulator().client("s3"), emulator().client("stepfunctions")
    assert deploy("deploy", *at(name)).returncode == 0
    bucket, arn = (outputs(name)[each] for each in ("BucketName", "StateMachineArn"))
    repack("segment", "lambda.py", HELD % (bucket, PATIENT))
    assert deploy("deploy", *at(name)).returncode == 0
    s3.put_object(Bucket=bucket, Key="test.json", Body=json.dumps(EXAMPLE).encode())
    started = states.start_execution(stateMachineArn=arn)["executionArn"]
    s3.get_waiter("object_exists").wait(Bucket=bucket, Key="gather/held", WaiterConfig=PATIENT)
    repack("gather", "lambda.py", BROKEN)
    made = deploy("deploy", *at(name))
    assert made.returncode == 0, made.stdout + made.stderr
    s3.put_object(Bucket=bucket, Key="scatter/go", Body=b"")
    execution = follow(states, started)
    assert execution["status"] == "SUCCEEDED", execution["cause"]
    after = follow(states, states.start_execution(stateMachineArn=arn)["executionArn"])
    assert after["status"] == "FAILED"
    assert "the new code" in after["cause"]
    assert deploy("destroy", *at(name), "--empty", "--yes").returncode == 0


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
    refused = deploy("deploy", *at("test", "aws"), **settings)
    assert refused.returncode == 1
    for words in said:
        assert words in refused.stderr
    assert "Traceback" not in refused.stderr


def test_keys_of_no_user_are_refused_with_advice(deploy: Deploy) -> None:
    emulator = MiniStack(f"http://localhost:{free_port()}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTH", "true")
        emulator.up()
    settings = {**KEYS, "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": emulator.endpoint}
    refused = deploy("deploy", *at("test", "aws"), **settings)
    emulator.down()
    assert refused.returncode == 1
    assert "InvalidClientTokenId" in refused.stderr
    assert "to do: these keys are of no user" in refused.stderr


@pytest.mark.parametrize("name", ["", "Upper", "9lives", "a" * 25, "under_score"])
def test_a_stack_name_must_fit_into_a_bucket_name(deploy: Deploy, name: str) -> None:
    refused = deploy("deploy", *at(name))
    assert refused.returncode == 1
    assert "STACK: must be" in refused.stderr


def test_the_way_to_aws_is_the_same_with_the_users_own_credentials(deploy: Deploy) -> None:
    name = stack_name()
    settings = {
        "AWS_ENDPOINT_URL": endpoint(),
        "AWS_REGION": "ap-northeast-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    made = deploy("deploy", *at(name, "aws"), **settings)
    assert made.returncode == 0, made.stdout + made.stderr
    arn = f"arn:aws:states:ap-northeast-1:000000000000:stateMachine:{name}"
    given = """--input '{"input_obj": "test.json"}'"""
    line = f"aws stepfunctions start-execution --region ap-northeast-1 --state-machine-arn {arn} {given}"
    assert line in made.stdout
    destroyed = deploy("destroy", *at(name, "aws"), "--yes", **settings)
    assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from conftest import ROOT, Make
from harness.emulator import free_port
from harness.ministack import MiniStack
from harness.progress import follow
from harness.target import emulator, endpoint
from test_pipeline import EXAMPLE, expected

Deploy = Callable[..., subprocess.CompletedProcess[str]]

STAGES = ("scatter", "segment", "gather")


@pytest.fixture(scope="module")
def checkout(make: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What deploying reads, in a folder where a test may change it."""
    made = make("zip")
    assert made.returncode == 0, made.stdout + made.stderr
    folder = tmp_path_factory.mktemp("checkout")
    for part in ("state-machine", "utils/harness"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    for stage in STAGES:
        archive = Path(f"demo-{stage}/bin/lambda.zip")
        (folder / archive.parent).mkdir(parents=True)
        shutil.copy(ROOT / archive, folder / archive)
    return folder


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
    deploy("destroy", *at(name), "--empty")


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
    names += [each["FunctionName"] for each in emulator().client("lambda").list_functions()["Functions"]]
    names += [each["RoleName"] for each in emulator().client("iam").list_roles()["Roles"]]
    names += [each["name"] for each in emulator().client("stepfunctions").list_state_machines()["stateMachines"]]
    names += [each["logGroupName"] for each in emulator().client("logs").describe_log_groups()["logGroups"]]
    names += [each["AlarmName"] for each in emulator().client("cloudwatch").describe_alarms()["MetricAlarms"]]
    return [name for name in names if stack in name]


def test_a_stack_makes_the_workbook(stack: str, tmp_path: Path) -> None:
    s3, bucket = emulator().client("s3"), outputs(stack)["BucketName"]
    s3.put_object(Bucket=bucket, Key="members.json", Body=json.dumps(EXAMPLE).encode())
    execution = run(stack, "members.json")
    assert execution["status"] == "SUCCEEDED", execution
    assert execution["output"] == '"members.xlsx"'
    s3.download_file(bucket, "members.xlsx", str(tmp_path / "members.xlsx"))
    assert list(load_workbook(tmp_path / "members.xlsx")["Sheet1"].values) == expected(EXAMPLE)


def test_deploying_twice_changes_nothing(stack: str, deploy: Deploy) -> None:
    before = code_of(stack)
    made = deploy("deploy", *at(stack))
    assert "up to date" in made.stdout
    assert code_of(stack) == before


def test_a_changed_segment_updates_that_function_alone(
    stack: str, deploy: Deploy, checkout: Path
) -> None:
    before = code_of(stack)
    archive = checkout / "demo-segment" / "bin" / "lambda.zip"
    repack(archive, checkout / "demo-segment")
    made = deploy("deploy", *at(stack))
    assert made.returncode == 0, made.stdout + made.stderr
    after = code_of(stack)
    assert [stage for stage in STAGES if before[stage] != after[stage]] == ["segment"]


def repack(archive: Path, folder: Path) -> None:
    """Build the zip again with another segment.py, as `make zip` does."""
    source = ROOT / "demo-segment"
    changed = folder / "segment.py"
    changed.write_text((source / "segment.py").read_text() + "\n# changed\n")
    others = [source / "lambda.py", *(ROOT / "utils" / "shared").glob("*.py")]
    packed = [archive, source / "deploy-packages", changed, *others]
    subprocess.run(
        [sys.executable, ROOT / "utils/tools/make_zip.py", *packed],
        cwd=folder,
        check=True,
        capture_output=True,
    )


def test_two_stacks_live_side_by_side(stack: str, deploy: Deploy) -> None:
    other = stack_name()
    made = deploy("deploy", *at(other))
    assert made.returncode == 0, made.stdout + made.stderr
    assert outputs(other)["BucketName"] != outputs(stack)["BucketName"]
    assert deploy("destroy", *at(other)).returncode == 0
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
    destroyed = deploy("destroy", *at(name), "--empty")
    assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr
    assert leftovers(name) == []


def test_make_deploys_and_destroys(make: Make) -> None:
    name = stack_name()
    made = make("deploy", f"STACK={name}")
    assert made.returncode == 0, made.stdout + made.stderr
    arn = f"arn:aws:states:us-east-1:000000000000:stateMachine:{name}"
    assert f"start-execution --region us-east-1 --state-machine-arn {arn}" in made.stdout
    destroyed = make("destroy", f"STACK={name}")
    assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr
    assert leftovers(name) == []


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
    assert f"to do: its creation failed: make destroy TARGET=localstack STACK={name}" in again.stderr
    assert "GatherLogs" in again.stderr
    assert deploy("destroy", *at(name)).returncode == 0
    # AWS leaves a stranger's log group alone, and LocalStack deletes it.
    assert set(leftovers(name)) <= {group}


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
            {**KEYS, "AWS_REGION": "tokyo"}, ["Unknown region", "REGION=us-east-1"], id="no region's name"
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
    destroyed = deploy("destroy", *at(name, "aws"), **settings)
    assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr

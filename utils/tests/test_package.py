"""A stack as files, deployed from its folder alone, as its README says."""

import json
import os
import platform
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from conftest import ROOT, Make, checked
from harness.artifacts import TEMPLATE
from harness.fault import Fault
from harness.package import package as write_package
from harness.target import emulator, endpoint
from test_pipeline import EXAMPLE, expected

# A value of several words, as a shell would see it.
PARAMETERS = 'GatherTimeout=600,MaxConcurrency=3,ScheduleInput={"input_obj": "a b.csv"}'
# That of this machine, whose processes the emulator runs.
ARCH = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
# As the folder's README calls the stack.
STACK = "nightly"


@pytest.fixture(scope="module")
def folder(make: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("package") / "a b"
    checked(
        make("package", "TARGET=aws", f"OUT={made}", f"PARAMETERS={PARAMETERS}", f"ARCH={ARCH}")
    )
    return made


def files(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_another_package_has_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_package(str(tmp_path), ARCH, parameters=PARAMETERS)
    assert files(tmp_path) == files(folder)
    assert len(files(folder)) == 8


@pytest.fixture(scope="module")
def outputs(folder: Path) -> Iterator[dict[str, str]]:
    """A stack's, which was made as the folder's own README says, and of nothing else."""
    s3, cfn = emulator().client("s3"), emulator().client("cloudformation")
    s3.create_bucket(Bucket=f"{STACK}-artifacts")
    commands = "".join(
        re.findall(r"^```sh\n(.*?)^```", (folder / "README.md").read_text(), re.S | re.M)
    )
    # The CLI's own waiting for the end takes half a minute.
    script = commands.replace(
        "cloudformation deploy", "cloudformation deploy --no-execute-changeset"
    )
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder.parent),
    }
    env |= {
        "AWS_ENDPOINT_URL": endpoint().replace("localhost", "127.0.0.1"),
        "BUCKET": f"{STACK}-artifacts",
    }
    env |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    env |= {"AWS_DEFAULT_REGION": "us-east-1"}
    said = checked(
        subprocess.run(["sh", "-euc", script], cwd=folder, env=env, capture_output=True, text=True)
    )
    [change_set] = re.findall(r"arn:aws:cloudformation:\S+", said)
    cfn.execute_change_set(ChangeSetName=change_set)
    cfn.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1})
    [found] = cfn.describe_stacks(StackName=STACK)["Stacks"]
    yield {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}
    for each in s3.list_objects_v2(Bucket=f"{STACK}-artifacts")["Contents"]:
        s3.delete_object(Bucket=f"{STACK}-artifacts", Key=each["Key"])
    s3.delete_bucket(Bucket=f"{STACK}-artifacts")


def test_what_was_asked_for_is_what_executions_get(outputs: dict[str, str]) -> None:
    functions, states = (emulator().client(each) for each in ("lambda", "stepfunctions"))
    gather = functions.get_function_configuration(FunctionName=outputs["GatherFunction"])
    assert gather["Timeout"] == 600
    assert re.fullmatch("[0-9a-f]{64}", gather["Environment"]["Variables"]["SIGNING_KEY"])
    machine = states.describe_state_machine(stateMachineArn=outputs["StateMachineArn"])
    definition: dict[str, Any] = json.loads(machine["definition"])
    assert definition["States"]["ProcessAllSegments"]["MaxConcurrency"] == 3


def test_every_verb_knows_a_stack_made_from_the_folder(
    outputs: dict[str, str], make: Make, tmp_path: Path
) -> None:
    name = uuid.uuid4().hex  # no workbook of the user's
    table, workbook = tmp_path / f"{name}.json", ROOT / "result" / f"{name}.xlsx"
    table.write_text(json.dumps(EXAMPLE))
    given = (f"FILE={table}", "PARAMETERS=MaxConcurrency=4", "YES=1", "EMPTY=1")
    at = ("TARGET=stack", f"STACK={STACK}")
    said = checked(make("stepfunctions", "deploy", "destroy", *given, *at))
    ran, deployed, destroyed = re.split("^(?=stack )", said, flags=re.MULTILINE)
    assert "SUCCEEDED" in ran
    assert f"bucket   {outputs['BucketName']}" in deployed
    assert f"make stepfunctions TARGET=stack STACK={STACK} FILE=…" in deployed
    assert ": deleted" in destroyed
    assert list(load_workbook(workbook)["Sheet1"].values) == expected(EXAMPLE)
    workbook.unlink()


def test_the_folder_fits_into_a_request_and_holds_no_key(folder: Path) -> None:
    content = files(folder)
    assert len(content["template.json"]) < 51_200, "a template in a request"
    template = json.loads(content["template.json"])
    assert template["Parameters"]["SigningKey"]["NoEcho"] is True
    # Nobody's key: all 64 digits that it holds are digests of its own files.
    texts = b" ".join(each for name, each in content.items() if not name.startswith("artifacts/"))
    digests = {Path(name).name for name in content if name.startswith("artifacts/")}
    assert set(re.findall(r"\b[0-9a-f]{64}\b", texts.decode())) == digests
    left = set(template["Parameters"]) - set(json.loads(content["parameters.json"]))
    assert left == {"SigningKey", "ArtifactBucket"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({"out": ""}, "OUT: must be a new or an empty folder; found ''", id="nowhere"),
        pytest.param({"parameters": "SigningKey=7"}, "found SigningKey", id="the key"),
        pytest.param({"parameters": "ArtifactBucket=b"}, "found ArtifactBucket", id="the bucket"),
        pytest.param({"parameters": "Architecture=arm64"}, "beside ARCH and DEFINITION; found Architecture", id="not by ARCH"),
        pytest.param({"parameters": "GatherTimout=9"}, "found GatherTimout", id="a misspelt one"),
        pytest.param({"parameters": "LogRetentionDays=8"}, "LogRetentionDays: must be 1 or 3 or", id="no such value"),
        pytest.param({"arch": "arm"}, "ARCH: must be x86_64 or arm64; found arm", id="no architecture"),
        pytest.param({"definition": "serial"}, "DEFINITION: must be one of", id="no definition"),
    ],
)  # fmt: skip
def test_what_makes_no_package_is_refused_and_writes_nothing(
    given: dict[str, str], said: str, zips: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(Fault, match=re.escape(said)):
        write_package(**{"out": str(tmp_path), **given})
    assert files(tmp_path) == {}


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(Fault, match="OUT: must be a new or an empty folder"):
        write_package(str(tmp_path))
    assert files(tmp_path) == {"notes.txt": b"mine"}


def test_the_package_says_the_same_in_both_languages() -> None:
    texts = [TEMPLATE.with_name(name).read_text() for name in ("PACKAGE.md", "PACKAGE.ja.md")]
    code, ja_code = (re.findall(r"^```\w+\n.*?^```", text, re.DOTALL | re.M) for text in texts)
    assert len(code) == 5
    assert [re.sub(" # .*", "", each) for each in ja_code] == [
        re.sub(" # .*", "", each) for each in code
    ]

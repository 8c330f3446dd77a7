"""A stack as files, deployed from its folder alone with plain calls of CloudFormation."""

import json
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

from conftest import Make, checked, follow
from harness.artifacts import TEMPLATE
from harness.fault import Fault
from harness.package import package as write_package
from harness.target import emulator
from test_pipeline import EXAMPLE, expected

PARAMETERS = "GatherTimeout=600,MaxConcurrency=3"
# That of this machine, whose processes the emulator runs.
ARCH = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
KEY_LINE = re.compile(r"^python3 (-c) '(import secrets.*)'$", re.MULTILINE)


def package(make: Make, folder: Path) -> None:
    given = [f"OUT={folder}", f"PARAMETERS={PARAMETERS}", f"ARCH={ARCH}"]
    checked(make("package", "TARGET=aws", *given))


@pytest.fixture(scope="module")
def folder(make: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("package") / "a b"
    package(make, made)
    return made


def files(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_another_package_has_the_same_bytes(folder: Path, make: Make, tmp_path: Path) -> None:
    package(make, tmp_path)
    assert files(tmp_path) == files(folder)
    assert len(files(folder)) == 8


@pytest.fixture(scope="module")
def key(folder: Path) -> str:
    """As the folder's own README says that it is made."""
    [line] = KEY_LINE.findall((folder / "README.md").read_text())
    made = subprocess.run([sys.executable, *line], capture_output=True, text=True)
    return checked(made).strip()


@pytest.fixture(scope="module")
def outputs(folder: Path, key: str) -> Iterator[dict[str, str]]:
    """A stack's, which was made with what is in the folder and in no other place."""
    name = f"package-{uuid.uuid4().hex[:8]}"
    s3, cfn = emulator().client("s3"), emulator().client("cloudformation")
    s3.create_bucket(Bucket=f"{name}-artifacts")
    for path in (folder / "artifacts").rglob("*"):
        if path.is_file():
            at = str(path.relative_to(folder / "artifacts"))
            s3.put_object(Bucket=f"{name}-artifacts", Key=at, Body=path.read_bytes())
    parameters = json.loads((folder / "parameters.json").read_text())
    parameters |= {"ArtifactBucket": f"{name}-artifacts", "SigningKey": key}
    cfn.create_stack(
        StackName=name,
        TemplateBody=(folder / "template.json").read_text(),
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    cfn.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    [found] = cfn.describe_stacks(StackName=name)["Stacks"]
    made = {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}
    yield {**made, "name": name}
    for bucket in (made["BucketName"], f"{name}-artifacts"):
        for each in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=each["Key"])
    cfn.delete_stack(StackName=name)
    s3.delete_bucket(Bucket=f"{name}-artifacts")


def test_a_stack_made_from_the_folder_alone_makes_a_workbook(
    outputs: dict[str, str], tmp_path: Path
) -> None:
    s3, bucket = emulator().client("s3"), outputs["BucketName"]
    s3.put_object(Bucket=bucket, Key="test.json", Body=json.dumps(EXAMPLE).encode())
    states = emulator().client("stepfunctions")
    started = states.start_execution(stateMachineArn=outputs["StateMachineArn"])["executionArn"]
    execution = follow(emulator(), started)
    assert execution["status"] == "SUCCEEDED", execution["cause"]
    s3.download_file(bucket, "test.xlsx", str(tmp_path / "test.xlsx"))
    assert list(load_workbook(tmp_path / "test.xlsx")["Sheet1"].values) == expected(EXAMPLE)


def test_what_was_asked_for_is_what_executions_get(outputs: dict[str, str]) -> None:
    functions, states = (emulator().client(each) for each in ("lambda", "stepfunctions"))
    gather = functions.get_function_configuration(FunctionName=outputs["GatherFunction"])
    assert gather["Timeout"] == 600
    machine = states.describe_state_machine(stateMachineArn=outputs["StateMachineArn"])
    definition: dict[str, Any] = json.loads(machine["definition"])
    assert definition["States"]["ProcessAllSegments"]["MaxConcurrency"] == 3


def test_every_verb_knows_a_stack_made_from_the_folder(outputs: dict[str, str], make: Make) -> None:
    at = ("TARGET=stack", f"STACK={outputs['name']}")
    assert f"s3://{outputs['BucketName']}/test.json" in checked(make("json", "ROWS=3", *at))
    assert "SUCCEEDED" in checked(make("stepfunctions", *at))


def test_the_folder_fits_into_a_request_and_holds_no_key(folder: Path, key: str) -> None:
    content = files(folder)
    assert len(content["template.json"]) < 51_200, "a template in a request"
    template = json.loads(content["template.json"])
    assert template["Parameters"]["SigningKey"]["NoEcho"] is True
    assert re.fullmatch(template["Parameters"]["SigningKey"]["AllowedPattern"], key)
    # Nobody's key: all 64 digits that it holds are digests of its own files.
    texts = b" ".join(each for name, each in content.items() if not name.startswith("artifacts/"))
    digests = {Path(name).name for name in content if name.startswith("artifacts/")}
    assert set(re.findall(r"\b[0-9a-f]{64}\b", texts.decode())) == digests
    declared = set(template["Parameters"])
    assert set(json.loads(content["parameters.json"])) == declared - {
        "SigningKey",
        "ArtifactBucket",
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({"out": ""}, "OUT: must be a new or an empty folder; found ''", id="nowhere"),
        pytest.param({"parameters": "SigningKey=7"}, "found SigningKey", id="the key"),
        pytest.param({"parameters": "ArtifactBucket=b"}, "found ArtifactBucket", id="the bucket"),
        pytest.param({"parameters": "Architecture=arm64"}, "found Architecture", id="not by ARCH"),
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

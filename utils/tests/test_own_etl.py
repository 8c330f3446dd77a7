"""The README's example of an own ETL works as it is written there."""

import io
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from conftest import Make, Pipeline
from harness.target import EMULATED_ACCOUNT, emulator

ROOT = Path(__file__).resolve().parents[2]
SEGMENT = ROOT / "demo-segment"
ROLE = f"arn:aws:iam::{EMULATED_ACCOUNT}:role/DummyRole"
FUNCTION = "own-etl-lambda"
MACHINE = "OwnEtl"


def blocks(readme: str) -> dict[str, str]:
    """The code blocks that a comment before them names."""
    found = re.findall(r"<!-- own-etl: (\S+) -->\n```\w+\n(.*?)```", readme, re.DOTALL)
    return {name: code for name, code in found}


def table(readme: str) -> list[tuple[str, ...]]:
    """The workbook as the README shows it."""
    [shown] = re.findall(r"<!-- own-etl: orders.xlsx -->\n\n((?:\|.*\n)+)", readme)
    lines = [line.strip("| ").split(" | ") for line in shown.splitlines() if "---" not in line]
    return [tuple(line) for line in lines]


@pytest.fixture(scope="module")
def readme() -> str:
    return (SEGMENT / "README.md").read_text()


@pytest.fixture(scope="module")
def own(readme: str, make: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of demo-segment, changed as the README says."""
    root = tmp_path_factory.mktemp("own")
    ready = make("-C", "demo-segment", ".venv/.ready")
    assert ready.returncode == 0, ready.stdout + ready.stderr
    built = shutil.ignore_patterns(".venv", "bin", "deploy-packages", ".*_cache", "__pycache__")
    shutil.copytree(SEGMENT, root / "demo-segment", ignore=built)
    shutil.copytree(ROOT / "utils" / "shared", root / "utils" / "shared", ignore=built)
    folder = root / "demo-segment"
    source = (folder / "segment.py").read_text()
    method = re.compile(r"    def process\(.*?(?=\n    def )", re.DOTALL)
    source, replaced = method.subn(lambda _: blocks(readme)["process"], source)
    source, named = re.subn(r"NUMBERS = .*\n", blocks(readme)["numbers"], source)
    assert (replaced, named) == (1, 1)
    (folder / "segment.py").write_text(source)
    (folder / "tests" / "test_segment.py").write_text(blocks(readme)["tests"])
    return folder


def test_both_readmes_show_the_same_example(readme: str) -> None:
    japanese = (SEGMENT / "README.ja.md").read_text()
    assert blocks(japanese) == blocks(readme)
    assert table(japanese) == table(readme)


def test_the_examples_tests_and_types_pass(own: Path) -> None:
    tools = SEGMENT / ".venv" / "bin"
    # mypy has read pandas and its types for the function's own tests.
    typed = ["mypy", "--cache-dir", str(SEGMENT / ".mypy_cache"), "segment.py", "tests"]
    for program, *arguments in (["pytest", "-q", "tests"], typed):
        ran = subprocess.run([tools / program, *arguments], cwd=own, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_example_runs_through_the_pipeline(pipeline: Pipeline, readme: str, own: Path) -> None:
    create_function(package(own))
    definition = (ROOT / "state-machine" / "parallel.json").read_text()
    machine = pipeline.states.create_state_machine(
        name=MACHINE, definition=definition.replace("segment-lambda", FUNCTION), roleArn=ROLE
    )["stateMachineArn"]
    key = pipeline.put(blocks(readme)["orders.csv"].encode(), ".csv")
    arn = pipeline.states.start_execution(
        stateMachineArn=machine, input=f'{{"input_obj": "{key}"}}'
    )["executionArn"]
    rows = pipeline.rows(pipeline.wait(arn))
    assert [tuple(map(str, row)) for row in rows] == table(readme)


def package(own: Path) -> bytes:
    """segment-lambda's zip with the changed module in it."""
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(SEGMENT / "bin" / "lambda.zip") as built,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name in built.namelist():
            if name != "segment.py" and not name.startswith("__pycache__/segment."):
                archive.writestr(name, built.read(name))
        archive.write(own / "segment.py", "segment.py")
    return packed.getvalue()


def create_function(archive: bytes) -> None:
    functions = emulator().client("lambda")
    functions.create_function(
        FunctionName=FUNCTION,
        Runtime="python3.13",
        Role=ROLE,
        Handler="lambda.lambda_handler",
        Code={"ZipFile": archive},
        MemorySize=1769,
        Timeout=900,
        Environment={"Variables": {"BUCKET": emulator().bucket}},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=FUNCTION)

"""The README's example of an own ETL works as it is written there."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from conftest import ROOT, Make, Pipeline, checked, pack
from harness.functions import RUNTIME
from harness.target import emulator, function_name
from harness.watch import EMULATED

SEGMENT = ROOT / "demo-segment"
MACHINE = "OwnEtl"
ORIGINS = "reference/origins.csv"


def blocks(readme: str) -> dict[str, str]:
    """The code blocks that a comment before them names."""
    found = re.findall(r"<!-- own-etl: (\S+) -->\n```\w+\n(.*?)```", readme, re.DOTALL)
    return {name: code for name, code in found}


def table(readme: str, name: str) -> list[tuple[str, ...]]:
    """A sheet as the README shows it."""
    [shown] = re.findall(rf"<!-- own-etl: {name} -->\n\n((?:\|.*\n)+)", readme)
    lines = [line.strip("| ").split(" | ") for line in shown.splitlines() if "---" not in line]
    return [tuple(line) for line in lines]


@pytest.fixture(scope="module")
def readme() -> str:
    return (SEGMENT / "README.md").read_text()


@pytest.fixture(scope="module")
def own(readme: str, make: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of demo-segment, changed as the README says."""
    root = tmp_path_factory.mktemp("own")
    checked(make("-C", "demo-segment", ".venv/.ready"))
    built = shutil.ignore_patterns(".venv", "bin", "deploy-packages", ".*_cache", "__pycache__")
    shutil.copytree(SEGMENT, root / "demo-segment", ignore=built)
    shutil.copytree(ROOT / "utils" / "pipeline", root / "utils" / "pipeline", ignore=built)
    folder = root / "demo-segment"
    source = (folder / "segment.py").read_text()
    source = with_method(source, "process", blocks(readme)["process"])
    source, named = re.subn(r"NUMBERS = .*\n", blocks(readme)["numbers"], source)
    summaries = re.compile(r"^SUMMARIES = .*?^\]\n", re.DOTALL | re.MULTILINE)
    source, replaced = summaries.subn(lambda _: blocks(readme)["summaries"], source)
    source, referred = re.subn(r"REFERENCES: .*\n", blocks(readme)["references"], source)
    assert (named, replaced, referred) == (1, 1, 1)
    (folder / "segment.py").write_text(source)
    (folder / "tests" / "test_segment.py").write_text(blocks(readme)["tests"])
    (folder / "tests" / "reference").mkdir()
    (folder / "tests" / ORIGINS).write_text(blocks(readme)[ORIGINS])
    return folder


def with_method(source: str, name: str, method: str) -> str:
    found = re.compile(rf"    def {name}\(.*?(?=\n    def )", re.DOTALL)
    source, replaced = found.subn(lambda _: method, source)
    assert replaced == 1
    return source


def test_both_readmes_show_the_same_example(readme: str) -> None:
    japanese = (SEGMENT / "README.ja.md").read_text()
    assert blocks(japanese) == blocks(readme)
    for name in ("orders.xlsx", "商品別"):
        assert table(japanese, name) == table(readme, name)


def test_the_examples_tests_and_types_pass(own: Path) -> None:
    tools = SEGMENT / ".venv" / "bin"
    # mypy has read pandas and its types for the function's own tests.
    config = ["--config-file", str(ROOT / "utils" / "pyproject.toml")]
    typed = ["mypy", *config, "--cache-dir", str(SEGMENT / ".mypy_cache"), "segment.py", "tests"]
    for program, *arguments in (["pytest", "-q", "tests"], typed):
        command = [str(tools / program), *arguments]
        env = os.environ | EMULATED
        checked(subprocess.run(command, cwd=own, env=env, capture_output=True, text=True))


def test_the_example_runs_through_the_pipeline(
    pipeline: Pipeline, readme: str, own: Path, tmp_path: Path
) -> None:
    gather = (ROOT / "demo-gather" / "gather.py").read_text()
    gather = with_method(gather, "finish", blocks(readme)["finish"])
    segment = (own / "segment.py").read_text()
    for stage, name, text in (("segment", "etl", segment), ("gather", "gather", gather)):
        archive = tmp_path / f"{name}.zip"
        pack(stage, archive, {f"{stage}.py": text})
        create_function(f"own-{name}-lambda", archive.read_bytes())
    definition = (ROOT / "state-machine" / "parallel.json").read_text()
    machine = pipeline.states.create_state_machine(
        name=MACHINE,
        definition=definition.replace("segment-lambda", "own-etl-lambda").replace(
            "gather-lambda", "own-gather-lambda"
        ),
        roleArn=emulator().role,
    )["stateMachineArn"]
    pipeline.s3.put_object(Bucket=emulator().bucket, Key=ORIGINS, Body=blocks(readme)[ORIGINS])
    key = pipeline.put(blocks(readme)["orders.csv"].encode(), ".csv")
    arn = pipeline.states.start_execution(
        stateMachineArn=machine, input=f'{{"input_obj": "{key}", "division_number": 1}}'
    )["executionArn"]
    rows = pipeline.rows(pipeline.wait(arn))
    assert [tuple(map(str, row)) for row in rows] == table(readme, "orders.xlsx")
    book: Any = load_workbook(pipeline.folder / f"{Path(key).stem}.xlsx")
    header, *groups = book["商品別"].values
    assert header[-1] == "平均単価"
    assert [tuple(map(str, row[:-1])) for row in (header, *groups)] == table(readme, "商品別")
    assert [row[-1] for row in groups] == [row[-2] / row[-3] for row in groups]


def create_function(name: str, archive: bytes) -> None:
    functions = emulator().client("lambda")
    as_segment = functions.get_function_configuration(FunctionName=function_name("segment"))
    functions.create_function(
        FunctionName=name,
        Runtime=RUNTIME,
        Role=emulator().role,
        Handler="lambda.lambda_handler",
        Code={"ZipFile": archive},
        MemorySize=1769,
        Timeout=900,
        Environment={"Variables": as_segment["Environment"]["Variables"]},
    )
    functions.get_waiter("function_active").wait(FunctionName=name)

"""The README's ETLs of one's own work as they are written there, and chosen by the input."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from conftest import ROOT, Make, Pipeline, checked, follow, pack, refused
from harness.functions import RUNTIME
from harness.target import emulator, function_name
from harness.watch import EMULATED

SEGMENT = ROOT / "demo-segment"
MACHINE = "OwnEtl"
ORIGINS = "reference/origins.csv"
SALES = "日付,店,売上\n1/1,東京,1200\n1/2,大阪,800\n1/3,東京,50\n"
FAULTY = """from pipeline.etl import Summary

SUMMARIES = [Summary("商品別", 数=("点", "avg"))]


def process(df):
    return df
"""
THERE = "etl: must be one of faulty, members, orders, origins, sales"
SUMMARIES_SHOWN = ("商品別", "商品×数量")
FAULT = 'summary 商品別: 数 must be one of count, size, .*; found the text "avg"'


def blocks(readme: str) -> dict[str, str]:
    """The code blocks that a comment before them names."""
    found = re.findall(r"<!-- own-etl: (\S+) -->\n```\w+\n(.*?)```", readme, re.DOTALL)
    return {name: code for name, code in found}


def table(readme: str, name: str) -> list[tuple[str, ...]]:
    """A sheet as the README shows it."""
    [shown] = re.findall(rf"<!-- own-etl: {name} -->\n\n((?:\|.*\n)+)", readme)
    lines = [line.strip("|").split("|") for line in shown.splitlines() if "---" not in line]
    return [tuple(map(str.strip, line)) for line in lines]


@pytest.fixture(scope="module")
def readme() -> str:
    return (SEGMENT / "README.md").read_text()


@pytest.fixture(scope="module")
def own(readme: str, make: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fork: in place of the shipped ETLs, those of the README, and one that `make etl` wrote."""
    root = tmp_path_factory.mktemp("own")
    checked(make("-C", "demo-segment", ".venv/.ready"))
    built = shutil.ignore_patterns(
        ".venv", "bin", "deploy-packages", ".*_cache", "__pycache__", "etl"
    )
    shutil.copytree(SEGMENT, root / "demo-segment", ignore=built)
    shutil.copytree(ROOT / "utils" / "pipeline", root / "utils" / "pipeline", ignore=built)
    folder = root / "demo-segment"
    for name, code in blocks(readme).items():
        if name.endswith((".py", ".csv")):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code)
    (folder / "tests" / "reference").mkdir()
    shutil.copy(folder / ORIGINS, folder / "tests" / ORIGINS)
    (folder / "sales.csv").write_text(SALES)
    said = checked(make("etl", "NAME=sales", f"FILE={folder / 'sales.csv'}", etl_folder(folder)))
    assert said.endswith("3 columns, 1 of numbers; a summary by 店\n")
    return folder


def etl_folder(own: Path) -> str:
    return f"ETL_FOLDER={own / 'etl'}"


def test_both_readmes_show_the_same_example(readme: str) -> None:
    japanese = (SEGMENT / "README.ja.md").read_text()
    assert blocks(japanese) == blocks(readme)
    for name in ("orders.xlsx", *SUMMARIES_SHOWN):
        assert table(japanese, name) == table(readme, name)


def test_the_functions_tests_and_types_pass_with_any_etl(own: Path) -> None:
    tools = SEGMENT / ".venv" / "bin"
    # mypy has read pandas and its types for the function's own tests.
    config = ["--config-file", str(ROOT / "utils" / "pyproject.toml")]
    cache = ["--cache-dir", str(SEGMENT / ".mypy_cache")]
    typed = ["mypy", *config, *cache, *map(str, own.glob("*.py"))]
    for program, *arguments in (["pytest", "-q"], [*typed, "tests", "etl"]):
        command = [str(tools / program), *arguments]
        env = os.environ | EMULATED
        checked(subprocess.run(command, cwd=own, env=env, capture_output=True, text=True))


def test_what_make_etl_wrote_is_not_written_again(own: Path, make: Make) -> None:
    written = (own / "etl" / "sales.py").read_bytes()
    said = refused(make("etl", "NAME=sales", f"FILE={own / 'sales.csv'}", etl_folder(own)))
    assert "error: NAME: " in said and "etl/sales.py must not be there; found it" in said
    assert (own / "etl" / "sales.py").read_bytes() == written


@pytest.fixture(scope="module")
def machine(
    pipeline: Pipeline, readme: str, own: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A pipeline of its own: the fork's ETLs, and a faulty one."""
    archive = tmp_path_factory.mktemp("zips") / "segment.zip"
    etls = {f"etl/{path.name}": path.read_text() for path in (own / "etl").glob("*.py")}
    pack("segment", archive, etls | {"etl/faulty.py": FAULTY})
    create_function("own-segment-lambda", archive.read_bytes())
    definition = (ROOT / "state-machine" / "parallel.json").read_text()
    pipeline.s3.put_object(Bucket=emulator().bucket, Key=ORIGINS, Body=blocks(readme)[ORIGINS])
    yield pipeline.states.create_state_machine(
        name=MACHINE,
        definition=definition.replace("segment-lambda", "own-segment-lambda"),
        roleArn=emulator().role,
    )["stateMachineArn"]


def run(pipeline: Pipeline, machine: str, table: str, etl: str) -> tuple[dict[str, Any], str]:
    """An execution on a table, two records a segment; and its workbook."""
    key = pipeline.put(table.encode(), ".csv")
    given = {"input_obj": key, "division_number": 2, "etl": etl}
    arn = pipeline.states.start_execution(stateMachineArn=machine, input=json.dumps(given))
    return follow(emulator(), arn["executionArn"]), f"{Path(key).stem}.xlsx"


def test_the_example_runs_through_the_pipeline(
    pipeline: Pipeline, machine: str, readme: str
) -> None:
    done, workbook = run(pipeline, machine, blocks(readme)["orders.csv"], "orders")
    rows = pipeline.rows(done)
    assert [tuple(map(str, row)) for row in rows] == table(readme, "orders.xlsx")
    book: Any = load_workbook(pipeline.folder / workbook)
    for name in SUMMARIES_SHOWN:
        shown = [
            tuple("" if cell is None else str(cell) for cell in row) for row in book[name].values
        ]
        assert shown == table(readme, name)


def test_another_etl_of_the_same_functions_looks_something_up(
    pipeline: Pipeline, machine: str, readme: str
) -> None:
    done, _ = run(pipeline, machine, blocks(readme)["orders.csv"], "origins")
    header, *rows = pipeline.rows(done)
    assert header[-1] == "産地"
    assert [row[-1] for row in rows] == ["青森", "愛媛", "山梨", "青森"]


def test_what_make_etl_wrote_runs_through_the_pipeline(pipeline: Pipeline, machine: str) -> None:
    done, workbook = run(pipeline, machine, SALES, "sales")
    rows = [tuple(map(str, row)) for row in pipeline.rows(done)]
    assert rows == [tuple(line.split(",")) for line in SALES.splitlines()]
    assert [*load_workbook(pipeline.folder / workbook)["集計"].values] == [
        ("店", "件数", "売上"),
        ("大阪", 1, 800),
        ("東京", 2, 1250),
        ("合計", 3, 2050),
    ]


@pytest.mark.fault(
    tried=(
        "an ETL that is not there, or declares what can never be",
        "存在しない ETL、またはありえない宣言をする ETL",
    ),
    happened=(
        "its own tables fail by name, at once; those of other ETLs are made",
        "その表だけが、名前を示してすぐに失敗。ほかの ETL の表はできる",
    ),
)
@pytest.mark.parametrize(
    ("etl", "error", "fault"),
    [
        ("faulty", "InvalidSummary", FAULT),
        ("../segment", "UnknownEtl", f"{THERE}; found '../segment'"),
    ],
)
def test_a_faulty_or_unknown_etl_fails_by_name_at_once(
    pipeline: Pipeline, machine: str, etl: str, error: str, fault: str
) -> None:
    done, _ = run(pipeline, machine, SALES, etl)
    assert (done["status"], done["error"]) == ("FAILED", error)
    assert re.fullmatch(fault, json.loads(done["cause"])["errorMessage"])
    events = [event["type"] for event in pipeline.history(done["executionArn"])]
    assert events.count("LambdaFunctionFailed") <= 2  # once for each segment: none is retried
    assert events.count("LambdaFunctionScheduled") <= 1 + 2


def test_a_faulty_etl_is_not_packed(own: Path, make: Make) -> None:
    faulty = own / "etl" / "faulty.py"
    faulty.write_text(FAULTY)
    before = (SEGMENT / "bin" / "lambda.zip").read_bytes()
    said = refused(make("-C", "demo-segment", "zip", etl_folder(own)))
    faulty.unlink()
    assert re.search(f"etl/faulty.py: InvalidSummary: {FAULT}\n", said)
    assert (SEGMENT / "bin" / "lambda.zip").read_bytes() == before


def test_an_unknown_etl_is_named_before_anything_starts(pipeline: Pipeline, make: Make) -> None:
    pipeline.put([])
    said = refused(make("stepfunctions", "ETL=orders"))
    assert said.startswith("error: etl: must be one of members; found 'orders'\n")


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

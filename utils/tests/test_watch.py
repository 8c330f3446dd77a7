"""The folders that hot functions run hold what their zips do, and saves are noticed."""

import base64
import hashlib
import json
import signal
import subprocess
import sys
import uuid
import zipfile
from pathlib import Path

import pytest
from openpyxl import load_workbook

from conftest import ROOT, Pipeline
from harness import watch
from harness.fault import Fault
from harness.settings import RESULT, local_copy
from harness.target import STAGES, emulator, function_name
from harness.watch import (
    SAMPLE,
    changes,
    code_of,
    copy_references,
    hot_folder,
    link,
    put_sample,
    sources,
    stamp_of,
    unpack,
)
from utils import members


def watched_by(path: Path) -> list[str]:
    return [stage for stage, files in sources().items() if path in files]


def test_a_module_of_the_library_belongs_to_all_functions() -> None:
    assert watched_by(ROOT / "utils" / "pipeline" / "segments" / "frames.py") == list(STAGES)
    assert watched_by(ROOT / "demo-segment" / "segment.py") == ["segment"]


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of functions with hardly a package, where a test may write."""
    for stage in STAGES:
        packages = tmp_path / f"demo-{stage}" / "bin" / "packages.zip"
        packages.parent.mkdir(parents=True)
        with zipfile.ZipFile(packages, "w") as opened:
            opened.writestr("package/__init__.py", "")
    monkeypatch.setattr(watch, "folder", lambda stage: tmp_path / f"demo-{stage}")
    monkeypatch.setattr(watch, "TESTS", tmp_path / "demo-segment" / "tests")
    return tmp_path


def test_a_new_module_is_noticed_and_belongs_to_the_hot_folder(functions: Path) -> None:
    unpack("segment", {})
    module = functions / "demo-segment" / "just_written.py"
    saves, linked = changes(sources()), hot_folder("segment") / module.name
    module.write_text("NEW = True\n")
    assert next(saves) == ["segment"]
    link("segment")
    assert linked.resolve() == module
    module.unlink()
    assert next(saves) == ["segment"]
    link("segment")
    assert not linked.is_symlink()


def test_what_functions_share_is_unpacked_once(functions: Path) -> None:
    """Alike are files of one name and content."""
    with zipfile.ZipFile(functions / "demo-gather" / "bin" / "packages.zip", "w") as packages:
        packages.writestr("package/__init__.py", "ANOTHER = True")
    unpacked: dict[tuple[str, int, int], Path] = {}
    for stage in STAGES:
        unpack(stage, unpacked)
    scatter, segment, gather = (hot_folder(stage) / "package" / "__init__.py" for stage in STAGES)
    assert segment.samefile(scatter) and gather.read_text() == "ANOTHER = True"


def test_a_file_that_is_just_being_replaced_is_no_error(tmp_path: Path) -> None:
    assert stamp_of(tmp_path / "gone.py") == 0


def test_tables_on_disk_are_watched_and_copied_to_where_the_functions_look_them_up(
    pipeline: Pipeline, functions: Path
) -> None:
    table = functions / "demo-segment" / "tests" / "reference" / "a" / "watched.csv"
    table.parent.mkdir(parents=True)
    table.write_text("a\n1\n")
    assert watched_by(table) == ["segment"]
    copy_references()
    copied = pipeline.s3.get_object(Bucket=emulator().bucket, Key="reference/a/watched.csv")
    assert copied["Body"].read() == table.read_bytes()


def execution_on(key: str, pipeline: Pipeline) -> str:
    """The name of this emulator's newest execution, which is on that object."""
    machine = emulator().machine("parallel")
    newest = pipeline.states.list_executions(stateMachineArn=machine)["executions"][0]
    execution = pipeline.states.describe_execution(executionArn=newest["executionArn"])
    assert json.loads(execution["input"])["input_obj"] == key
    name: str = execution["name"]
    return name


def test_a_watch_runs_on_a_file_and_gives_the_zips_back_when_it_ends(
    pipeline: Pipeline, zips: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / f"{uuid.uuid4()}.csv"
    path.write_text("会員番号,名前,会員ランク,ポイント,タイムスタンプ\n1,a,4,58,x\n2,b,2,75,y\n")
    watching = subprocess.Popen(
        [sys.executable, "-m", "harness", "watch", "--file", path, "--", "{}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert watching.stdout
    said: list[str] = []
    while not (said and "Ctrl-C, SIGTERM or SIGHUP ends" in said[-1]):
        said.append(watching.stdout.readline())
        assert said[-1], said
    assert code_sha256("segment") != zip_sha256("segment")
    assert_holds_what_the_zip_does(hot_folder("segment"), zips["segment"])
    watching.send_signal(signal.SIGTERM)
    assert watching.stdout.read() == "the functions run their zips again\n"
    assert watching.wait() == 128 + signal.SIGTERM
    assert [code_sha256(stage) for stage in STAGES] == [zip_sha256(stage) for stage in STAGES]
    assert [versions(stage) for stage in STAGES] == [["$LATEST"]] * 3
    assert path.name in (RESULT / "watch.html").read_text()
    assert not (RESULT / f"{execution_on(path.name, pipeline)}.html").exists()
    assert not any(hot_folder(stage).exists() for stage in STAGES)
    assert f"s3://{emulator().bucket}/{path.name}\n" in said
    workbook = local_copy(f"{path.stem}.xlsx")
    rows = list(load_workbook(workbook)["Sheet1"].values)
    assert [row[-1] for row in rows] == ["ボーナスポイント", 72.5, 75]
    workbook.unlink()


def test_a_watch_of_a_file_that_is_not_there_ends_before_anything_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENDPOINT", "http://localhost:1")
    with pytest.raises(Fault, match="^FILE: must be a file, a folder .*; found '.*/gone.csv'$"):
        watch.watch(file=str(tmp_path / "gone.csv"))


def assert_holds_what_the_zip_does(hot: Path, archive: Path) -> None:
    names = zipfile.ZipFile(archive).namelist()
    assert [name for name in names if name.endswith(".py") and not (hot / name).exists()] == []
    for place, path in code_of("segment").items():
        assert (hot / place).resolve() == path.resolve()
    for cache in (hot / "__pycache__", hot / "etl" / "__pycache__"):
        compiled = {path.name.partition(".")[0] for path in cache.glob("*.pyc")}
        assert not compiled & {path.stem for path in code_of("segment").values()}


def test_a_watch_of_no_file_runs_on_the_first_members(pipeline: Pipeline) -> None:
    s3, bucket = pipeline.s3, emulator().bucket
    table = list(members(30, seed=1))
    s3.put_object(Bucket=bucket, Key="test.json", Body=json.dumps(table).encode())
    put_sample()
    assert json.load(s3.get_object(Bucket=bucket, Key=SAMPLE)["Body"]) == table[:10]


def code_sha256(stage: str) -> str:
    functions = emulator().client("lambda")
    found = functions.get_function_configuration(FunctionName=function_name(stage))
    return str(found["CodeSha256"])


def versions(stage: str) -> list[str]:
    functions = emulator().client("lambda")
    found = functions.list_versions_by_function(FunctionName=function_name(stage))
    return [each["Version"] for each in found["Versions"]]


def zip_sha256(stage: str) -> str:
    archive = ROOT / f"demo-{stage}" / "bin" / "lambda.zip"
    return base64.b64encode(hashlib.sha256(archive.read_bytes()).digest()).decode()

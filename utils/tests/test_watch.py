"""The folders that hot functions run hold what their zips do, and saves are noticed."""

import base64
import hashlib
import shutil
import signal
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from openpyxl import load_workbook

from conftest import ROOT, Make, Pipeline, checked
from harness.settings import local_copy
from harness.target import STAGES, emulator, function_name
from harness.watch import changes, code_of, hot_folder, hot_place, packed_as, sources, stamp_of


@pytest.fixture
def cooled() -> Iterator[None]:
    """No hot folder stays."""
    yield
    for stage in STAGES:
        shutil.rmtree(hot_place(stage), ignore_errors=True)


@pytest.mark.parametrize("stage", STAGES)
def test_a_hot_folder_holds_what_the_zip_does(
    zips: dict[str, Path], stage: str, cooled: None
) -> None:
    folder = hot_folder(stage)
    names = zipfile.ZipFile(zips[stage]).namelist()
    assert [name for name in names if name.endswith(".py") and not (folder / name).exists()] == []
    for path in code_of(stage):
        module = folder / packed_as(path)
        assert module.resolve() == path.resolve()
        assert not list((module.parent / "__pycache__").glob(f"{path.stem}.*"))


def watching(path: Path) -> list[str]:
    return [stage for stage, files in sources().items() if path in files]


def test_a_shared_module_belongs_to_all_functions_that_pack_it() -> None:
    assert watching(ROOT / "utils" / "shared" / "frames.py") == list(STAGES)
    assert watching(ROOT / "demo-segment" / "segment.py") == ["segment"]


@pytest.fixture
def module() -> Iterator[Path]:
    """A new module of the segment function."""
    path = ROOT / "demo-segment" / "just_written.py"
    yield path
    path.unlink(missing_ok=True)


def test_a_new_module_is_noticed_and_belongs_to_the_hot_folder(
    zips: dict[str, Path], module: Path, cooled: None
) -> None:
    saves = changes(sources())
    module.write_text("NEW = True\n")
    assert next(saves) == ["segment"]
    assert (hot_folder("segment") / module.name).resolve() == module
    module.unlink()
    assert next(saves) == ["segment"]
    assert not (hot_folder("segment") / module.name).is_symlink()


def test_a_file_that_is_just_being_replaced_is_no_error(tmp_path: Path) -> None:
    assert stamp_of(tmp_path / "gone.py") == 0


@pytest.fixture
def table() -> Iterator[Path]:
    """A reference table beside the segment function's tests."""
    path = ROOT / "demo-segment" / "tests" / "reference" / "a" / "watched.csv"
    path.parent.mkdir(parents=True)
    path.write_text("a\n1\n")
    yield path
    path.unlink()
    path.parent.rmdir()
    path.parent.parent.rmdir()


def test_the_functions_find_tables_on_disk_and_get_their_zips_back_when_the_watch_ends(
    pipeline: Pipeline, make: Make, table: Path
) -> None:
    assert watching(table) == ["segment"]
    checked(make("json", "ROWS=10"))
    pages = set((ROOT / "result").glob("*.html"))
    watch = subprocess.Popen(
        [sys.executable, "-m", "harness", "watch"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert watch.stdout
    said: list[str] = []
    while not (said and "Ctrl-C, SIGTERM or SIGHUP ends" in said[-1]):
        said.append(watch.stdout.readline())
        assert said[-1], said
    copied = pipeline.s3.get_object(Bucket=emulator().bucket, Key="reference/a/watched.csv")
    assert copied["Body"].read() == table.read_bytes()
    assert code_sha256("segment") != zip_sha256("segment")
    watch.send_signal(signal.SIGTERM)
    assert watch.stdout.read() == "the functions run their zips again\n"
    assert watch.wait() == 128 + signal.SIGTERM
    assert [code_sha256(stage) for stage in STAGES] == [zip_sha256(stage) for stage in STAGES]
    assert set((ROOT / "result").glob("*.html")) - pages <= {ROOT / "result" / "watch.html"}
    assert not any(hot_place(stage).exists() for stage in STAGES)


def test_a_watch_runs_the_pipeline_on_a_file_of_ones_own(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    path = tmp_path / f"{uuid.uuid4()}.csv"
    path.write_text("会員番号,名前,会員ランク,ポイント,タイムスタンプ\n1,a,4,58,x\n2,b,2,75,y\n")
    watch = subprocess.Popen(
        [sys.executable, "-m", "harness", "watch", "--file", path, "--", "{}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert watch.stdout
    said: list[str] = []
    while not (said and "Ctrl-C, SIGTERM or SIGHUP ends" in said[-1]):
        said.append(watch.stdout.readline())
        assert said[-1], said
    watch.send_signal(signal.SIGTERM)
    watch.communicate()
    assert f"s3://{emulator().bucket}/{path.name}\n" in said
    workbook = local_copy(f"{path.stem}.xlsx")
    assert [row[-1] for row in load_workbook(workbook)["Sheet1"].values] == [
        "ボーナスポイント",
        72.5,
        75,
    ]
    workbook.unlink()


def code_sha256(stage: str) -> str:
    functions = emulator().client("lambda")
    found = functions.get_function_configuration(FunctionName=function_name(stage))
    return str(found["CodeSha256"])


def zip_sha256(stage: str) -> str:
    archive = ROOT / f"demo-{stage}" / "bin" / "lambda.zip"
    return base64.b64encode(hashlib.sha256(archive.read_bytes()).digest()).decode()

"""The folders that hot functions run hold what their zips do, and saves are noticed."""

import base64
import hashlib
import json
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

from conftest import ROOT, Pipeline
from harness.settings import RESULT, local_copy
from harness.target import STAGES, emulator, function_name
from harness.watch import (
    SAMPLE,
    changes,
    code_of,
    hot_folder,
    link,
    put_sample,
    sources,
    stamp_of,
    unpack,
)
from utils import members


@pytest.fixture
def cooled() -> Iterator[None]:
    """No hot folder stays."""
    yield
    for stage in STAGES:
        shutil.rmtree(hot_folder(stage), ignore_errors=True)


@pytest.mark.parametrize("stage", STAGES)
def test_a_hot_folder_holds_what_the_zip_does(
    zips: dict[str, Path], stage: str, cooled: None
) -> None:
    unpack(stage)
    folder = hot_folder(stage)
    names = zipfile.ZipFile(zips[stage]).namelist()
    assert [name for name in names if name.endswith(".py") and not (folder / name).exists()] == []
    for place, path in code_of(stage).items():
        assert (folder / place).resolve() == path.resolve()
    for cache in (folder / "__pycache__", folder / "etl" / "__pycache__"):
        compiled = {path.name.partition(".")[0] for path in cache.glob("*.pyc")}
        assert not compiled & {path.stem for path in code_of(stage).values()}


def watching(path: Path) -> list[str]:
    return [stage for stage, files in sources().items() if path in files]


def test_a_module_of_the_library_belongs_to_all_functions() -> None:
    assert watching(ROOT / "utils" / "pipeline" / "segments" / "frames.py") == list(STAGES)
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
    unpack("segment")
    saves, hot = changes(sources()), hot_folder("segment") / module.name
    module.write_text("NEW = True\n")
    assert next(saves) == ["segment"]
    link("segment")
    assert hot.resolve() == module
    module.unlink()
    assert next(saves) == ["segment"]
    link("segment")
    assert not hot.is_symlink()


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


def test_a_watch_runs_on_a_file_and_tables_on_disk_and_gives_the_zips_back_when_it_ends(
    pipeline: Pipeline, table: Path, tmp_path: Path
) -> None:
    assert watching(table) == ["segment"]
    path = tmp_path / f"{uuid.uuid4()}.csv"
    path.write_text("会員番号,名前,会員ランク,ポイント,タイムスタンプ\n1,a,4,58,x\n2,b,2,75,y\n")
    pages = set(RESULT.glob("*.html"))
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
    copied = pipeline.s3.get_object(Bucket=emulator().bucket, Key="reference/a/watched.csv")
    assert copied["Body"].read() == table.read_bytes()
    assert code_sha256("segment") != zip_sha256("segment")
    watch.send_signal(signal.SIGTERM)
    assert watch.stdout.read() == "the functions run their zips again\n"
    assert watch.wait() == 128 + signal.SIGTERM
    assert [code_sha256(stage) for stage in STAGES] == [zip_sha256(stage) for stage in STAGES]
    assert set(RESULT.glob("*.html")) - pages <= {RESULT / "watch.html"}
    assert not any(hot_folder(stage).exists() for stage in STAGES)
    assert f"s3://{emulator().bucket}/{path.name}\n" in said
    workbook = local_copy(f"{path.stem}.xlsx")
    rows = list(load_workbook(workbook)["Sheet1"].values)
    assert [row[-1] for row in rows] == ["ボーナスポイント", 72.5, 75]
    workbook.unlink()


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


def zip_sha256(stage: str) -> str:
    archive = ROOT / f"demo-{stage}" / "bin" / "lambda.zip"
    return base64.b64encode(hashlib.sha256(archive.read_bytes()).digest()).decode()

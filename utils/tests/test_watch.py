"""The folders that hot functions run hold what their zips do, and saves are noticed."""

import base64
import hashlib
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Make, Pipeline
from harness.target import STAGES, emulator, function_name
from harness.watch import changed_stages, changes, code_of, hot_folder, sources, stamp_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("stage", STAGES)
def test_a_hot_folder_holds_what_the_zip_does(make: Make, stage: str) -> None:
    made = make("zip")
    assert made.returncode == 0, made.stdout + made.stderr
    folder = hot_folder(stage)
    names = zipfile.ZipFile(ROOT / f"demo-{stage}" / "bin" / "lambda.zip").namelist()
    assert [name for name in names if name.endswith(".py") and not (folder / name).exists()] == []
    for path in code_of(stage):
        assert (folder / path.name).resolve() == path.resolve()
        assert not list((folder / "__pycache__").glob(f"{path.stem}.*"))


def test_a_shared_module_belongs_to_all_functions_that_pack_it() -> None:
    watched = sources()
    assert watched[ROOT / "utils" / "shared" / "frames.py"][1] == list(STAGES)
    assert watched[ROOT / "demo-segment" / "segment.py"][1] == ["segment"]


def test_a_save_names_the_stages_of_its_file() -> None:
    own, shared, other = (Path(name) for name in ("own.py", "shared.py", "other.py"))
    before = {own: (1, ["segment"]), shared: (1, ["gather", "scatter"]), other: (1, ["gather"])}
    now = before | {own: (2, ["segment"]), shared: (2, ["gather", "scatter"])}
    assert changed_stages(before, now) == list(STAGES)
    assert changed_stages(now, now) == []


@pytest.fixture
def module() -> Iterator[Path]:
    """A new module of the segment function."""
    path = ROOT / "demo-segment" / "just_written.py"
    yield path
    path.unlink(missing_ok=True)


def test_a_new_module_is_noticed_and_belongs_to_the_hot_folder(make: Make, module: Path) -> None:
    assert make("zip").returncode == 0
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
    assert sources()[table][1] == ["segment"]
    assert make("json", "ROWS=10").returncode == 0
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


def code_sha256(stage: str) -> str:
    functions = emulator().client("lambda")
    found = functions.get_function_configuration(FunctionName=function_name(stage))
    return str(found["CodeSha256"])


def zip_sha256(stage: str) -> str:
    archive = ROOT / f"demo-{stage}" / "bin" / "lambda.zip"
    return base64.b64encode(hashlib.sha256(archive.read_bytes()).digest()).decode()

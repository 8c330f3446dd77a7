"""The folders that hot functions run hold what their zips do, and saves are noticed."""

import os
import zipfile
from pathlib import Path

import pytest

from conftest import Make
from harness.target import STAGES
from harness.watch import changes, code_of, hot_folder, sources, stamps

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
    assert watched[ROOT / "utils" / "shared" / "frames.py"] == list(STAGES)
    assert watched[ROOT / "demo-segment" / "segment.py"] == ["segment"]


def test_a_save_names_the_stages_of_its_file(tmp_path: Path) -> None:
    own, shared, other = (tmp_path / name for name in ("own.py", "shared.py", "other.py"))
    watched = {own: ["segment"], shared: ["gather", "scatter"], other: ["gather"]}
    for path in watched:
        path.touch()
    before = stamps(watched)
    os.utime(own, ns=(0, 1))
    os.utime(shared, ns=(0, 1))
    assert next(changes(watched, before)) == ["scatter", "segment", "gather"]


def test_a_file_that_is_just_being_replaced_is_no_error(tmp_path: Path) -> None:
    assert stamps({tmp_path / "gone.py": ["segment"]}) == {tmp_path / "gone.py": 0}

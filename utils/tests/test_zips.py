import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from conftest import ROOT, checked
from harness.target import STAGES

MB = 1024 * 1024
LIBRARY = ROOT / "utils/pipeline"

each_stage = pytest.mark.parametrize("stage", STAGES)


def test_packages_for_the_other_architecture_are_installed_on_this_one(tmp_path: Path) -> None:
    other, machine = (
        ("x86_64", 0x3E) if platform.machine() in ("aarch64", "arm64") else ("aarch64", 0xB7)
    )
    copy_sources("segment", tmp_path)
    folder = tmp_path / "demo-segment"
    command = ["make", "--no-print-directory", "-C", str(folder), f"deploy-packages/.{other}"]
    asked = [*command, f"PLATFORM={other}"]
    checked(subprocess.run(asked, capture_output=True, text=True))
    libraries = [path.read_bytes() for path in folder.glob("deploy-packages/**/*.so")]
    assert len(libraries) > 50
    # e_machine of the ELF header
    assert {int.from_bytes(library[18:20], "little") for library in libraries} == {machine}


def test_an_interrupted_packing_prints_no_traceback_and_leaves_nothing(
    zips: dict[str, Path], tmp_path: Path
) -> None:
    packer = ROOT / "utils" / "tools" / "make_zip.py"
    folder = ROOT / "demo-gather" / "deploy-packages"
    target = tmp_path / "packages.zip"
    command = [sys.executable, *map(str, [packer, "packages", target, folder])]
    packing = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not list(tmp_path.glob("*/*")):
        assert packing.poll() is None
    os.killpg(packing.pid, signal.SIGINT)
    assert packing.communicate()[1] == ""
    assert packing.returncode == 130
    assert list(tmp_path.iterdir()) == []


def copy_sources(stage: str, folder: Path) -> None:
    """What a fresh clone has of a function, with the tools already installed."""
    built = shutil.ignore_patterns(
        "bin", "deploy-packages", "requirements.txt", ".*", "__pycache__", "result.log", "runtimes"
    )
    for part in (f"demo-{stage}", "utils/pipeline", "utils/tools", "utils/harness"):
        shutil.copytree(ROOT / part, folder / part, ignore=built)
    for file in ("lambda.mk", "pyproject.toml"):
        shutil.copy2(ROOT / "utils" / file, folder / "utils")
    for installed in (".venv", "runtimes"):
        (folder / "utils/tools" / installed).symlink_to(ROOT / "utils/tools" / installed)


@each_stage
def test_a_zip_holds_the_functions_sources_and_its_locked_packages(
    stage: str, zips: dict[str, Path]
) -> None:
    names = zipfile.ZipFile(zips[stage]).namelist()
    own = {path.name for path in (ROOT / f"demo-{stage}").glob("*.py")}
    library = (path.relative_to(ROOT / "utils") for path in LIBRARY.rglob("*.py"))
    modules = {path.as_posix() for path in library if "tests" not in path.parts}
    assert {name for name in names if "/" not in name} == own
    assert {name for name in names if re.match(r"pipeline/.*\.py$", name)} == modules
    assert {"lambda.py", f"{stage}.py"} <= own
    assert distributions(names) == locked(stage)


def distributions(names: list[str]) -> dict[str, str]:
    """The packages in a zip and their versions, by their .dist-info folders."""
    folders = {name.split("/")[0] for name in names if ".dist-info/" in name}
    pairs = [folder.removesuffix(".dist-info").split("-") for folder in folders]
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def locked(stage: str) -> dict[str, str]:
    lock = json.loads((ROOT / f"demo-{stage}" / "Pipfile.lock").read_text())["default"]
    return {name: package["version"].removeprefix("==") for name, package in lock.items()}


@each_stage
def test_a_zip_holds_nothing_that_lambda_has_or_never_needs(
    stage: str, zips: dict[str, Path]
) -> None:
    names = zipfile.ZipFile(zips[stage]).namelist()
    assert not {"boto3", "botocore", "pip", "pytest", "bin"} & {
        name.split("/")[0] for name in names
    }
    assert [
        name for name in names if set(name.split("/")) & {"tests", "bin", ".pytest_cache"}
    ] == []
    assert [name for name in names if name.endswith((".pth", "/RECORD"))] == []


@each_stage
def test_every_module_comes_with_bytecode_that_is_never_checked(
    stage: str, zips: dict[str, Path]
) -> None:
    archive = zipfile.ZipFile(zips[stage])
    names = set(archive.namelist())
    own = [f"__pycache__/{path.stem}" for path in (ROOT / f"demo-{stage}").glob("*.py")]
    for name in (*own, "pipeline/__pycache__/keys"):
        compiled = archive.read(f"{name}.cpython-313.pyc")
        # PEP 552: 0b01 is hash-based, without the check.
        assert int.from_bytes(compiled[4:8], "little") == 0b01
    modules = {name for name in names if name.endswith(".py")}
    compiled_names = {name for name in names if name.endswith(".pyc")}
    assert len(compiled_names) >= 0.99 * len(modules)


@each_stage
def test_a_zip_is_within_lambdas_limits(stage: str, zips: dict[str, Path]) -> None:
    entries = zipfile.ZipFile(zips[stage]).infolist()
    assert zips[stage].stat().st_size < 50 * MB
    assert sum(entry.file_size for entry in entries) < 250 * MB

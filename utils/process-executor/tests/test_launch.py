"""What a process is started with."""

import os
import sys
from pathlib import Path

import pytest

from conftest import Function, version
from process_executor.executor import pool_size
from process_executor.faults import NotRunnable
from process_executor.launch import (
    find_interpreter,
    libraries_before_the_functions,
    real_path,
)


def test_a_runtime_has_an_interpreter_in_the_runtimes_folder_or_localstacks_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("LAMBDA_PROCESS_RUNTIMES", raising=False)
    assert find_interpreter(version()) == Path(sys.executable)
    python = tmp_path / "python3.9" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    monkeypatch.setenv("LAMBDA_PROCESS_RUNTIMES", str(tmp_path))
    assert find_interpreter(version(runtime="python3.9")) == python


@pytest.mark.parametrize("folder", ["", "/nowhere"])
def test_a_missing_interpreter_is_named_with_its_fix(
    monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setenv("LAMBDA_PROCESS_RUNTIMES", folder)
    with pytest.raises(NotRunnable) as raised:
        find_interpreter(version(runtime="python3.9"))
    place = f"{folder or '$LAMBDA_PROCESS_RUNTIMES'}/python3.9"
    message = str(raised.value)
    assert message.startswith("function f has runtime python3.9: its interpreter would be ")
    assert f"{place}/bin/python" in message
    assert f"Make it with `python3.9 -m venv {place}`" in message


@pytest.mark.parametrize(
    ("runtime", "named"),
    [
        (None, "function f has a container image, no zip package; .* runs python only"),
        ("nodejs20.x", "function f has runtime nodejs20.x; .* runs python only"),
    ],
)
def test_what_is_no_python_function_is_named_with_its_fix(runtime: str | None, named: str) -> None:
    with pytest.raises(NotRunnable, match=named):
        find_interpreter(version(runtime=runtime))


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("/var/task/bin/wrapper", "/code/bin/wrapper"),
        ("/opt/wrapper", "/layers/wrapper"),
        ("/var/tasks/wrapper", "/var/tasks/wrapper"),
        ("/usr/bin/env", "/usr/bin/env"),
    ],
)
def test_files_below_var_task_and_opt_are_found(path: str, real: str) -> None:
    assert real_path(path, Path("/code"), Path("/layers")) == real


def test_a_packages_libraries_come_after_the_interpreters_own(tmp_path: Path) -> None:
    python = tmp_path / "python3.13" / "bin" / "python"
    (python.parents[1] / "lib").mkdir(parents=True)
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "python").symlink_to(python)
    first, *system = libraries_before_the_functions(tmp_path / "venv" / "python")
    assert first == str(python.parents[1] / "lib")
    assert all(map(os.path.isdir, system))


@pytest.mark.parametrize(
    ("reported", "renamed"),
    [
        ('File "/tmp/コード/main.py"', 'File "/var/task/main.py"'),
        ('{"f": "/tmp/\\u30b3\\u30fc\\u30c9/main.py"}', '{"f": "/var/task/main.py"}'),
        ("/tmp/コード", "/var/task"),
        ("in /tmp/コード: /tmp/layers/python/a.py", "in /var/task: /opt/python/a.py"),
        ("/tmp/コード-2/main.py", "/tmp/コード-2/main.py"),
        ("/tmp/コードの/main.py", "/tmp/コードの/main.py"),
        ("/mnt/tmp/コード/main.py", "/mnt/tmp/コード/main.py"),
    ],
)
def test_whole_paths_are_named_as_in_lambda(reported: str, renamed: str) -> None:
    launch = Function(Path("/tmp/コード"), opt=Path("/tmp/layers")).launch
    assert launch.as_in_lambda(reported.encode()).decode() == renamed


def test_the_pool_is_as_large_as_the_cpus_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAMBDA_PROCESS_POOL_SIZE", raising=False)
    assert pool_size() == os.process_cpu_count()
    monkeypatch.setenv("LAMBDA_PROCESS_POOL_SIZE", "7")
    assert pool_size() == 7


@pytest.mark.parametrize("size", ["0", "-1", "many"])
def test_a_wrong_pool_size_is_refused(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setenv("LAMBDA_PROCESS_POOL_SIZE", size)
    with pytest.raises(ValueError, match=f"whole number of at least 1; found '{size}'"):
        pool_size()

"""What stays in the folder for temporary files."""

import fcntl
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from process_executor import workspace

HOLD = """
import sys
sys.path[:0] = {path!r}
from process_executor.workspace import scratch_folder
print(scratch_folder("tmp").parent, flush=True)
{then}
"""


class Holder:
    """Another process with a workspace in `folder`."""

    def __init__(self, folder: Path, then: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD.format(path=sys.path, then=then)],
            env={"TMPDIR": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.workspace = Path(self.process.stdout.readline().strip())

    def end(self) -> None:
        self.process.communicate()


def test_a_workspace_goes_with_its_process(tmp_path: Path) -> None:
    Holder(tmp_path, then="").end()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_when_the_next_one_starts(tmp_path: Path) -> None:
    killed, running = Holder(tmp_path, then="input()"), Holder(tmp_path, then="input()")
    killed.process.kill()
    killed.end()
    assert killed.workspace.exists()
    later = Holder(tmp_path, then="input()")
    assert not killed.workspace.exists()
    assert running.workspace.exists()
    for holder in (running, later):
        holder.end()


def test_a_start_leaves_the_folder_of_one_that_is_just_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between making its folder and locking it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lock = fcntl.flock

    def another_starts(descriptor: int, how: int) -> None:
        Holder(tmp_path, then="").end()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", another_starts)
    made = workspace.create_locked()
    assert [entry.name for entry in made.iterdir()] == [workspace.LOCK]
    Holder(tmp_path, then="").end()
    assert list(tmp_path.iterdir()) == [made]


def test_a_folder_that_no_localstack_made_stays(tmp_path: Path) -> None:
    (tmp_path / f"{workspace.PREFIX}of-another").mkdir()
    Holder(tmp_path, then="").end()
    assert list(tmp_path.glob("*/*")) == []
    assert list(tmp_path.iterdir()) == [tmp_path / f"{workspace.PREFIX}of-another"]

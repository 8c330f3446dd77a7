"""What stays in the folder for temporary files."""

import subprocess
import sys
from pathlib import Path


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
    holder = Holder(tmp_path, then="")
    holder.end()
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

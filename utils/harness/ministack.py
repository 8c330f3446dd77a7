"""Start and stop MiniStack, a second emulator, in a Python environment of its own."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psutil

from harness.emulator import Emulator

TOOLS = Path(__file__).resolve().parents[1] / "tools"
PYTHON = TOOLS / ".venvs" / "ministack" / "bin" / "python"
LOCK = TOOLS / "ministack.txt"
SERVICES = "lambda,s3,stepfunctions,sts,iam,logs,cloudwatch,cloudformation"


class MiniStack(Emulator):
    """The MiniStack at one endpoint. Functions run in its own Python, one process an iteration."""

    name = "MiniStack"

    def argv(self) -> list[str]:
        install()
        return [str(PYTHON), "-m", "ministack"]

    def environment(self) -> dict[str, str]:
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        kept = ("PATH", "LANG", "LC_ALL", "AUTH")
        return {name: os.environ[name] for name in kept if name in os.environ} | {
            "BIND_HOST": "127.0.0.1",  # its default is every interface
            "GATEWAY_PORT": str(self.port),
            "SERVICES": SERVICES,
            "LOG_LEVEL": "WARNING",
            "HOME": str(self.folder),
            "TMPDIR": str(temporary),
            "STATE_DIR": str(temporary / "state"),
            "S3_DATA_DIR": str(temporary / "s3"),
        }

    def down(self) -> str:
        """Stop what `up` started, first its workers, for which it would wait."""
        if process := self.process():
            for worker in process.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    worker.kill()
        return super().down()


def install() -> None:
    """Install the locked packages, unless those installed are of this lock."""
    stamp = PYTHON.parents[1] / ".ready"
    if stamp.exists() and stamp.stat().st_mtime >= LOCK.stat().st_mtime:
        return
    print("ministack: installing (once)", file=sys.stderr)
    subprocess.run([TOOLS / "make-venv", PYTHON.parents[1], LOCK], check=True)
    stamp.touch()

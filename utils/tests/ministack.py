"""An emulator that enforces IAM, as LocalStack does not: MiniStack, locked in tools/ministack.txt."""

import os
import subprocess
from pathlib import Path

from harness.emulator import TOOLS, Emulator

PYTHON = TOOLS / ".venvs" / "ministack" / "bin" / "python"


class MiniStack(Emulator):
    """The MiniStack at one endpoint. Functions run in its own Python, one process an iteration."""

    name = "MiniStack"

    def argv(self) -> list[str]:
        install()
        return [str(PYTHON), "-m", "ministack"]

    def settings(self, temporary: Path) -> dict[str, str]:
        return {
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",  # its default is every interface
            "GATEWAY_PORT": str(self.port),
            "SERVICES": "lambda,s3,stepfunctions,sts,iam,logs,sqs,scheduler,cloudwatch,cloudformation",
            "LOG_LEVEL": "WARNING",
            "STATE_DIR": str(temporary / "state"),
            "S3_DATA_DIR": str(temporary / "s3"),
        }


def install() -> None:
    """Install its locked packages, unless those installed are of this lock."""
    ready = PYTHON.parents[1] / ".ready"
    # Not with the flags of the make that may run this, such as its job server.
    env = {**os.environ, "MAKEFLAGS": ""}
    subprocess.run(["make", "--silent", "-C", TOOLS.parents[1], ready], env=env, check=True)

"""Where the bench keeps what it reads and writes, and the Pythons it runs."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
UTILS = HERE.parents[1]
ROOT = UTILS.parent
DATA = HERE / ".data"
RESULT = ROOT / "result"
EMULATOR = [sys.executable, "-m", "harness", "with-emulator", sys.executable, "-m"]


def python(environment: str) -> str:
    return str(HERE / ".venvs" / environment / "bin" / "python")

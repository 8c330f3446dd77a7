"""The members that everyone reads: written once for each size."""

import json
import subprocess
from pathlib import Path
from typing import Any

from checks.bench.places import DATA, UTILS, python
from utils import write

SEED = 1


def members_file(rows: int) -> Path:
    """The JSON array of so many members, the same ones every time."""
    path = DATA / f"members-{rows}-{SEED}.json"
    if not path.exists():
        DATA.mkdir(exist_ok=True)
        write(rows, SEED, path)
    return path


def check(source: Path, rows: int, workbook: Path) -> dict[str, Any]:
    """Compare a workbook with its JSON, in the environment that has the reader."""
    command = [python("bench"), "-m", "bench.check", str(source), str(rows), str(workbook)]
    done = subprocess.run(command, cwd=UTILS, stdout=subprocess.PIPE)
    if done.returncode:
        return {"sheets": 0, "fault": f"not compared: the comparison ended with {done.returncode}"}
    result: dict[str, Any] = json.loads(done.stdout)
    return result

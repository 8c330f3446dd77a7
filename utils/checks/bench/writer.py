"""Let a competitor make a workbook, in a process and an environment of its own."""

import json
import subprocess
import sys
from pathlib import Path

from checks.bench.figures import HERE, Run, python
from harness.fault import Fault


def run_writer(environment: str, script: str, source: Path, workbook: Path) -> Run:
    """
    Args:
        script: in writers/.

    Raises:
        Fault: it ended without a workbook.
    """
    measured = [sys.executable, "-I", "-S", str(HERE / "measured.py"), python(environment)]
    command = [*measured, str(HERE / "writers" / script), str(source), str(workbook)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message: out of memory?"]
        raise Fault(f"failed: {lines[-1]}")
    return Run(**json.loads(done.stdout))

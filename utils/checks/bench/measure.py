"""Measure a process, and know where things are."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from harness.fault import Fault

HERE = Path(__file__).resolve().parent
UTILS = HERE.parents[1]
ROOT = UTILS.parent
DATA = HERE / ".data"


@dataclass(frozen=True)
class Run:
    """One workbook made from one table.

    Attributes:
        wall_s: of the process, or of the execution.
        cpu_s: user and system time of the process; of an execution, of LocalStack and all workers.
        peak_mb: most resident memory of the process, or of the largest worker so far; MiB.
        stage_s: of an execution, seconds in the states of each stage; for segment, the whole Map.
        localstack_mb: the most resident memory that LocalStack was seen to hold, in MiB.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    stage_s: dict[str, float] = field(default_factory=dict)
    localstack_mb: float = 0


def run_writer(environment: str, script: str, source: Path, workbook: Path) -> Run:
    """Run one of writers/ in its environment, made from locks/<environment>.txt."""
    python = HERE / ".venvs" / environment / "bin/python"
    return run_measured(python, HERE / "writers" / script, source, workbook)


def run_measured(interpreter: Path, script: Path, *arguments: str | Path, path: str = "") -> Run:
    """Run a script in a process of its own.

    Args:
        path: its PYTHONPATH.

    Raises:
        Fault: it failed.
    """
    command: list[str | Path] = [sys.executable, "-I", "-S", HERE / "measured.py"]
    command += [interpreter, script, *arguments]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message: out of memory?"]
        raise Fault(f"failed: {lines[-1]}")
    return Run(**json.loads(done.stdout))

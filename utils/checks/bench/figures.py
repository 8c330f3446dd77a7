"""What a bench measures, and where things are."""

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

WRITERS = {
    "pandas": "pandas to_excel",
    "xlsxwriter": "XlsxWriter constant_memory",
    "rustypyxl": "Rust: rustypyxl",
    "jetxl": "Rust: jetxl",
}
COLD, WARM = "pipeline, cold", "pipeline, warm"
MILLION = 1_000_000
FOLDERS = {f"pipeline, {objects:,} objects": objects for objects in (100, 10_000)}
WITHOUT, WITH = "pipeline, without a summary", "pipeline, with it"
ACROSS = "pipeline, with a cross table"


def python(environment: str) -> str:
    """The Python of a competitor's environment, made from locks/<environment>.txt."""
    return str(HERE / ".venvs" / environment / "bin" / "python")


@dataclass(frozen=True)
class Run:
    """One workbook made from one JSON file.

    Attributes:
        wall_s: of the process; of an execution, from its start to its stop as Step Functions
            dates them.
        cpu_s: user and system time of the process; of an execution, of LocalStack and all workers.
        peak_mb: most resident memory of the process, or of the largest worker; MiB, as Lambda's.
        stage_s: of an execution, seconds in the states of each stage; for segment, the whole Map.
        stage_mb: of each stage's largest worker so far, as its REPORT lines say, in MiB.
        localstack_mb: the most resident memory that LocalStack was seen to hold, in MiB.
        gb_s: what Lambda would bill.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    segments: int = 0
    stage_s: dict[str, float] = field(default_factory=dict)
    stage_mb: dict[str, int] = field(default_factory=dict)
    localstack_mb: float = 0
    gb_s: float = 0


@dataclass
class Table:
    """A table, and all that was measured on it.

    Attributes:
        name: members or orders.
        runs: by who made the workbook; whoever made a wrong one has none.
        scatters: of a process that does nothing but scatter, by the end of the input's key; under
            "" on an empty table.
        others_cpus: CPUs that were busy with something else, on average.
    """

    name: str
    rows: int
    json_bytes: int
    runs: dict[str, list[Run]] = field(default_factory=dict)
    scatters: dict[str, list[Run]] = field(default_factory=dict)
    others_cpus: float = 0


def run_stage(stage: str, file: Path, folder: Path, times: int = 1) -> Run:
    """Run a function in a process of its own, see stage_alone.py."""
    function, script = ROOT / f"demo-{stage}", HERE / "stage_alone.py"
    given = (stage, file, folder, str(times))
    interpreter, path = str(function / ".venv/bin/python"), f"{function}:{UTILS}"
    return run_measured(interpreter, script, *given, path=path)


def run_measured(interpreter: str, script: Path, *arguments: str | Path, path: str = "") -> Run:
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

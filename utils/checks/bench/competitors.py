"""The competitors: one process each, in an environment of its own."""

import json
import subprocess
import sys
from pathlib import Path

from checks.bench.figures import WriterRun
from checks.bench.places import HERE, python

WRITERS = {
    "pandas": "pandas to_excel",
    "xlsxwriter": "XlsxWriter constant_memory",
    "polars": "polars write_excel",
    "rustpy": "Rust: rustpy-xlsxwriter",
    "rustypyxl": "Rust: rustypyxl",
}
RUST = ("rustpy", "rustypyxl")


class WriterFailed(Exception):
    """A competitor ended without a workbook."""


def run_writer(name: str, source: Path, workbook: Path) -> WriterRun:
    script = HERE / "writers" / f"{name}_writer.py"
    measured = [sys.executable, "-I", "-S", str(HERE / "measured.py")]
    done = subprocess.run(
        [*measured, python(name), str(script), str(source), str(workbook)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message: out of memory?"]
        raise WriterFailed(f"failed: {lines[-1]}")
    return WriterRun(**json.loads(done.stdout))

"""Run the tests marked `fault`, and print the table of what happens, in English and Japanese.

The same file is the pytest plugin (`-p faults`) that notes what each of those tests showed. Tests
with the same mark share a row; one with two marks is in two.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

CHECKS = Path(__file__).resolve().parent
ROOT = CHECKS.parents[1]
# Where tests are, and the Python that has what they need.
SUITES = {
    "utils": "utils/tools",
    "demo-scatter": "demo-scatter",
    "demo-segment": "demo-segment",
    "demo-gather": "demo-gather",
}
EMULATOR = {
    "AWS_ENDPOINT_URL": os.environ.get("ENDPOINT", "http://localhost:4566"),
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
}
HEADS = (
    ("Fault or input tried", "What happened", "Time to recover or fail", "Cases", "Generated"),
    ("試した障害・入力", "結果", "回復・失敗までの時間", "件数", "生成例"),
)

type Note = dict[str, Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--notes", type=Path, help="where to write a JSON line for each marked test")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and report.passed:
        times = [s for name, s in item.user_properties if name in ("recovery_s", "failed_s")]
        examples = generated(getattr(item, "hypothesis_statistics", ""))
        with item.config.getoption("--notes").open("a", encoding="utf-8") as file:
            for mark in item.iter_markers("fault"):
                note = {**mark.kwargs, "seconds": times, "generated": examples}
                file.write(json.dumps(note) + "\n")
    return report


def generated(statistics: str) -> int:
    """How many examples hypothesis made, by its own account of a test."""
    return sum(map(int, re.findall(r"(\d+) passing", statistics)))


def run_suite(folder: str, environment: str, notes: Path) -> bool:
    """Run the marked tests of a folder; whether all passed."""
    command = [str(ROOT / environment / ".venv/bin/python"), "-m", "pytest", "-q", "-m", "fault"]
    done = subprocess.run(
        [*command, "-p", "faults", f"--notes={notes}"],
        cwd=ROOT / folder,
        env={**os.environ, **EMULATOR, "PYTHONPATH": str(CHECKS)},
        stdout=sys.stderr,
    )
    return done.returncode == 0


def rows(notes: list[Note], language: int) -> list[str]:
    """A line of the table for each thing tried, in the order in which it was tried first."""
    tried: dict[str, list[Note]] = {}
    for note in notes:
        tried.setdefault(note["tried"][language], []).append(note)
    return [
        f"| {what} | {same[0]['happened'][language]} | {spread(same)} | {len(same)} "
        f"| {sum(note['generated'] for note in same) or ''} |"
        for what, same in tried.items()
    ]


def spread(notes: list[Note]) -> str:
    seconds = sorted(s for note in notes for s in note["seconds"])
    if not seconds:
        return ""
    low, high = f"{seconds[0]:.1f}", f"{seconds[-1]:.1f}"
    return f"{low} s" if low == high else f"{low}–{high} s"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "notes")
        passed = [run_suite(*suite, file) for suite in SUITES.items()]
        notes = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for language, heads in enumerate(HEADS):
        lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *rows(notes, language)]
        print("\n".join(lines), end="\n\n")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())

"""How far a table may grow: the stages of a long one, measured, and by a model what breaks next.

`python -m checks.bench.scale ROWS`. Each stage runs in a process of its own, with files for S3:
scatter and gather on all rows, the segment function on a sample of the segments.
"""

import sys
import tempfile
from pathlib import Path

from checks.bench import tables
from checks.bench.measure import DATA, HERE, ROOT, UTILS, Run, run_measured
from checks.bench.show import print_table
from harness.target import STAGES
from pipeline.facts.stages import ScatterFacts, WorkbookFacts

RECORDS = 10_000  # that the input repeats
SCALES = (50, 100, 250, 500, 1_000)  # million rows
NETWORK_MB_S = 75  # of a function on Lambda, in and out: an estimate
GROUPS_S, GROUPS_MB = 1.73, 35  # of a million rows in groups of 5, by `make bench-summaries`


def main(rows: int) -> None:
    source = tables.source("members", RECORDS)
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        at, times = Path(folder), max(2, rows // RECORDS)
        runs = {stage: run_stage(stage, source, at, times) for stage in STAGES}
        scatter = ScatterFacts.from_json((at / "scatter/alone/facts.json").read_bytes())
        workbook = WorkbookFacts.from_json((at / "gather/alone/facts.json").read_bytes())
        sample = len([*(at / "scatter/alone").glob("job_*.pkl")])
    segments = f"{len(scatter.segments):,} segments"
    print_table(
        ["", "", "wall", "CPU", "peak"],
        measured("scatter", f"{scatter.rows:,} rows, {scatter.size / 1e9:.2f} GB", runs["scatter"]),
        measured("segment", f"{sample} of {segments}", runs["segment"]),
        measured("gather", f"{segments}, {workbook.size / 1e9:.2f} GB", runs["gather"]),
    )
    moved_mb = (scatter.size + sum(cut.size for cut in scatter.segments)) / scatter.rows
    workbook_mb = workbook.size / scatter.rows
    # A function of 1,769 MB has one CPU.
    cut_s = max(runs["scatter"].cpu_s / scatter.rows * 1e6, moved_mb / NETWORK_MB_S)
    joined_s = max(runs["gather"].cpu_s / scatter.rows * 1e6, 2 * workbook_mb / NETWORK_MB_S)
    print_table(
        ["million rows", *(f"{millions:,}" for millions in SCALES), "limit", "breaks at"],
        grown("scatter", cut_s, 900, "s"),
        grown("a segment's memory", 0, 1_769, "MB", runs["segment"].peak_mb),
        grown("gather", joined_s, 900, "s"),
        grown("… with many groups", joined_s + GROUPS_S, 900, "s"),
        grown("… its `/tmp`", GROUPS_MB, 10_240, "MB"),
        grown("workbook", workbook_mb, 4_295, "MB"),
    )


def run_stage(stage: str, file: Path, folder: Path, times: int) -> Run:
    """Run a stage on a file so many times over, in its function's environment; see stage_alone.py."""
    function = ROOT / f"demo-{stage}"
    given = (HERE / "stage_alone.py", stage, file, folder, str(times))
    return run_measured(function / ".venv/bin/python", *given, path=f"{function}:{UTILS}")


def measured(stage: str, what: str, run: Run) -> list[str]:
    return [stage, what, f"{run.wall_s:.1f} s", f"{run.cpu_s:.1f} s", f"{run.peak_mb:,.0f} MB"]


def grown(what: str, each: float, most: int, unit: str, fixed: float = 0) -> list[str]:
    """
    Args:
        each: for a million rows.
    """
    sizes = [f"{fixed + each * millions:,.0f} {unit}" for millions in SCALES]
    breaks = f"{most / each:,.0f} million rows" if each else "–"
    return [what, *sizes, f"{most:,} {unit}", breaks]


if __name__ == "__main__":
    main(int(sys.argv[1]))

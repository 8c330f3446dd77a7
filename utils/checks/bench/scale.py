"""How far a table may grow: the stages of a long one, measured, and by a model what breaks next.

`python -m checks.bench.scale ROWS`. Each stage runs in a process of its own, with files for S3:
scatter and gather on all rows, the segment function on a sample of the segments.
"""

import sys
import tempfile
from pathlib import Path

from checks.bench import tables
from checks.bench.figures import DATA, Run, run_stage
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
        measured(f"scatter | {scatter.rows:,} rows, {scatter.size / 1e9:.2f} GB", runs["scatter"]),
        measured(f"segment | {sample} of {segments}", runs["segment"]),
        measured(f"gather | {segments}, {workbook.size / 1e9:.2f} GB", runs["gather"]),
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


def measured(what: str, run: Run) -> list[str]:
    return [what, f"{run.wall_s:.1f} s", f"{run.cpu_s:.1f} s", f"{run.peak_mb:,.0f} MB"]


def grown(what: str, each: float, most: int, unit: str, fixed: float = 0) -> list[str]:
    """
    Args:
        each: for a million rows.
    """
    sizes = [f"{fixed + each * millions:,.0f} {unit}" for millions in SCALES]
    breaks = f"{most / each:,.0f} million rows" if each else "–"
    return [what, *sizes, f"{most:,} {unit}", breaks]


def print_table(heads: list[str], *rows: list[str]) -> None:
    for row in (heads, ["---"] * len(heads), *rows):
        print(f"| {' | '.join(row)} |")
    print()


if __name__ == "__main__":
    main(int(sys.argv[1]))

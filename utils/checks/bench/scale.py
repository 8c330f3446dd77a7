"""How far a table may grow: the stages of a long one, measured, and by a model what breaks next.

`python -m checks.bench.scale ROWS`. Each stage runs in a process of its own, with files for S3:
scatter and gather on all rows, the segment function on a sample of the segments.
"""

import math
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from checks.bench import tables
from checks.bench.figures import DATA, HERE, ROOT, UTILS, Run, run_measured
from harness.target import STAGES
from pipeline.facts.stages import ScatterFacts, WorkbookFacts

RECORDS = 10_000  # that the input repeats
SCALES = (50_000_000, 100_000_000, 250_000_000, 500_000_000, 1_000_000_000)
NETWORK_BYTES_S = 75e6  # of a function on Lambda, in and out: an estimate
GROUPS_S, GROUPS_BYTES = 1.73e-6, 35  # a row, by `make bench-summaries`: 1,000,000 groups of 5


class Column(NamedTuple):
    """What may grow with the rows: its heads, how much each row takes, how much there may be, and
    how much there is in any case.
    """

    english: str
    japanese: str
    unit: str
    each: float
    most: float = math.inf
    fixed: float = 0

    def at(self, rows: int) -> str:
        found = self.fixed + self.each * rows
        text = f"{found:,.0f} {self.unit}".strip()
        return f"**{text}**" if found > self.most else text

    @property
    def breaks(self) -> str:
        if not self.each or self.most == math.inf:
            return "–"
        return f"{float(f'{self.most / self.each / 1e6:.3g}'):,.10g} M"


def main(rows: int) -> None:
    source = tables.source("members", RECORDS)
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        at = Path(folder)
        runs = {stage: measured(stage, source, rows, at) for stage in STAGES}
        scatter = ScatterFacts.from_json((at / "scatter/scale/facts.json").read_bytes())
        workbook = WorkbookFacts.from_json((at / "gather/scale/facts.json").read_bytes())
        sample = len([*(at / "scatter/scale").glob("job_*.pkl")])
    show_measured(runs, scatter, workbook, sample)
    show_model(columns(runs, scatter, workbook))


def measured(stage: str, source: Path, rows: int, folder: Path) -> Run:
    function = ROOT / f"demo-{stage}"
    interpreter, path = str(function / ".venv/bin/python"), f"{function}:{UTILS}"
    script = HERE / "stage_alone.py"
    return run_measured(interpreter, script, stage, source, str(rows), folder, path=path)


def show_measured(
    runs: dict[str, Run], scatter: ScatterFacts, workbook: WorkbookFacts, sample: int
) -> None:
    segments = len(scatter.segments)
    sizes = {
        "scatter": f"{scatter.rows:,} rows, {scatter.size / 1e9:.2f} GB",
        "segment": f"{sample} of {segments}",
        "gather": f"{segments} segments, {workbook.size / 1e9:.2f} GB",
    }
    print_table(["", "", "wall", "CPU", "peak"])
    for stage, run in runs.items():
        times = f"{run.wall_s:.1f} s | {run.cpu_s:.1f} s"
        print(f"| {stage} | {sizes[stage]} | {times} | {run.peak_mb:,.0f} MB |")


def columns(runs: dict[str, Run], scatter: ScatterFacts, workbook: WorkbookFacts) -> list[Column]:
    """A function of 1,769 MB has one CPU: a stage takes its CPU time, or the network's if that is more."""
    rows, xml = scatter.rows, workbook.size / scatter.rows
    moved = scatter.size + sum(cut.size for cut in scatter.segments)
    cut_s = max(runs["scatter"].cpu_s, moved / NETWORK_BYTES_S) / rows
    joined_s = max(runs["gather"].cpu_s / rows, 2 * xml / NETWORK_BYTES_S)
    peak_mb = runs["segment"].peak_mb
    return [
        Column("segments", "セグメント", "", len(scatter.segments) / rows),
        Column("scatter, of 900 s", "scatter（900 s まで）", "s", cut_s, 900),
        Column("segment, of 1,769 MB", "segment（1,769 MB まで）", "MB", 0, 1_769, peak_mb),
        Column("gather, of 900 s", "gather（900 s まで）", "s", joined_s, 900),
        Column("with many groups", "グループが多い場合", "s", joined_s + GROUPS_S, 900),
        Column(
            "its `/tmp`, of 512 MB", "その `/tmp`（512 MB まで）", "MB", GROUPS_BYTES / 1e6, 512
        ),
        Column("… of 10,240 MB", "…（10,240 MB まで）", "MB", GROUPS_BYTES / 1e6, 10_240),
        Column("workbook, of 4,295 MB", "ワークブック（4,295 MB まで）", "MB", xml / 1e6, 4_295),
    ]


def show_model(model: list[Column]) -> None:
    for rows, breaks, heads in (
        ("rows", "breaks at", [column.english for column in model]),
        ("行", "限界", [column.japanese for column in model]),
    ):
        print()
        print_table([rows, *heads])
        for scale in SCALES:
            print_row([f"{scale / 1e6:,.0f} M", *(column.at(scale) for column in model)])
        print_row([breaks, *(column.breaks for column in model)])


def print_table(heads: list[str]) -> None:
    print_row(heads)
    print("|" + "---|" * len(heads))


def print_row(cells: list[str]) -> None:
    print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main(int(sys.argv[1]))

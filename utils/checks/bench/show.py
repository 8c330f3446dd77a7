"""A bench on the screen."""

from collections.abc import Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

from checks.bench.competitors import WRITERS
from checks.bench.figures import Bench, PipelineRun, Sized, WriterRun
from checks.bench.verdicts import verdicts

WORDS = {True: "[green]met[/]", False: "[red]not met[/]", None: "[dim]not decided[/]"}
# A verdict on times of which other work had its part.
UNSURE = {True: "[yellow]met?[/]", False: "[yellow]not met?[/]", None: WORDS[None]}


type Runs = Sequence[WriterRun | PipelineRun]


def show(bench: Bench, console: Console) -> None:
    for size in bench.sizes:
        console.print(times(size))
        console.print(stages(size))
    if bench.noop_ms:
        console.print(noop(bench.noop_ms))
    console.print(acceptance(bench))
    for fault in bench.faults:
        console.print(f"[red]wrong[/] {fault}", highlight=False)
    if bench.noisy:
        console.print(f"[yellow]times are not to be relied on: {noise(bench)}[/]")


def noise(bench: Bench) -> str:
    others = ", ".join(f"{size.others_cpus:.1f} at {size.rows:,} rows" for size in bench.sizes)
    load = f"load average {bench.load:.1f} at the start"
    return f"{load}; of {bench.cpus} CPUs, other work kept busy {others}"


def noop(times_ms: list[float]) -> str:
    return f"warm no-op invoke: median {median(times_ms):.1f} ms, min {min(times_ms):.1f} ms"


def table(title: str, first: str, *columns: str) -> Table:
    made = Table(title=title, title_justify="left")
    made.add_column(first, no_wrap=True)
    for column in columns:
        made.add_column(column, justify="right")
    return made


def times(size: Sized) -> Table:
    made = table(
        f"{size.rows:,} rows, {size.json_bytes / 1e6:.1f} MB of JSON",
        "", "runs", "wall s, median", "min", "CPU s", "peak MB", "of warm",
    )  # fmt: skip
    made.caption = "peak MB: of the process; of the pipeline, its largest worker"
    for name, label in WRITERS.items():
        runs = size.writers.get(name, [])
        peaks = [run.peak_mb for run in runs]
        made.add_row(label, *spread(runs), peak(peaks), share(runs, size))
    for label, executions in (("pipeline, cold", size.cold), ("pipeline, warm", size.warm)):
        peaks = [max(run.peak_mb.values()) for run in executions]
        made.add_row(label, *spread(executions), peak(peaks), share(executions, size))
    return made


def spread(runs: Runs) -> tuple[str, ...]:
    if not runs:
        return ("0", "wrong", "", "")
    walls = [run.wall_s for run in runs]
    cpu_s = median(run.cpu_s for run in runs)
    return (str(len(runs)), f"{median(walls):.2f}", f"{min(walls):.2f}", f"{cpu_s:.2f}")


def peak(values: Sequence[float]) -> str:
    return f"{max(values):,.0f}" if values else ""


def share(runs: Runs, size: Sized) -> str:
    walls = [run.wall_s for run in runs]
    if not walls or not size.warm:
        return ""
    return f"{median(walls) / median(run.wall_s for run in size.warm):.2f}"


def stages(size: Sized) -> Table:
    made = table(
        "", "pipeline", "segments", "scatter s", "MB/s", "Map s", "gather s", "GB-s",
        "scatter MB", "segment MB", "gather MB", "LocalStack MB",
    )  # fmt: skip
    for label, runs in (("cold", size.cold), ("warm", size.warm)):
        if runs:
            made.add_row(label, *stage_cells(runs, size))
    return made


def stage_cells(runs: list[PipelineRun], size: Sized) -> list[str]:
    seconds = {stage: median(run.stage_s[stage] for run in runs) for stage in runs[0].stage_s}
    peaks = {stage: max(run.peak_mb[stage] for run in runs) for stage in runs[0].peak_mb}
    return [
        str(runs[0].segments),
        f"{seconds['scatter']:.2f}",
        f"{size.json_bytes / seconds['scatter'] / 1e6:.0f}",
        f"{seconds['segment']:.2f}",
        f"{seconds['gather']:.2f}",
        f"{median(run.gb_s for run in runs):.1f}",
        *(str(peak_mb) for peak_mb in peaks.values()),
        f"{max(run.localstack_mb for run in runs):,.0f}",
    ]


def acceptance(bench: Bench) -> Table:
    made = Table(title="acceptance", title_justify="left")
    for column in ("claim", "measured", ""):
        made.add_column(column)
    for each in verdicts(bench):
        words = UNSURE if each.timed and bench.noisy else WORDS
        made.add_row(each.claim, each.measured, words[each.met])
    return made

"""A bench on the screen."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

from checks.bench.figures import WRITERS, Bench, Execution, Run, Sized, Summed
from checks.bench.verdicts import Verdict, of_array, verdicts

WORDS = {True: "[green]met[/]", False: "[red]not met[/]", None: "[dim]not decided[/]"}
# A verdict on times of which other work had its part.
UNSURE = {True: "[yellow]met?[/]", False: "[yellow]not met?[/]", None: WORDS[None]}

WIDTH = 120  # what the tables need

console = Console(highlight=False)
if console.width < WIDTH and not console.is_terminal:
    console.width = WIDTH


def show(bench: Bench) -> None:
    for size in bench.sizes:
        console.print(times(size), stages(size), scatters(size))
    console.print(judged(verdicts(bench), bench.noisy))
    for fault in bench.faults:
        console.print(f"[red]wrong[/] {fault}")
    if bench.noisy:
        busy = ", ".join(f"{size.others_cpus:.1f} at {size.rows:,} rows" for size in bench.sizes)
        console.print(
            f"[yellow]times are not to be relied on: load average {bench.load:.1f} at the start; "
            f"of {bench.cpus} CPUs, other work kept busy {busy}[/]"
        )


def judged(found: Iterable[Verdict], noisy: bool) -> Table:
    made = Table("claim", "measured", "", title="acceptance", title_justify="left")
    for each in found:
        words = UNSURE if each.timed and noisy else WORDS
        made.add_row(each.claim, each.measured, words[each.met])
    return made


def table(title: str, *columns: str) -> Table:
    made = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left", no_wrap=not number)
    return made


def times(size: Sized) -> Table:
    made = table(
        f"{size.rows:,} rows, {size.json_bytes / 1e6:.1f} MB of JSON",
        "", "runs", "wall s, median", "min", "CPU s", "peak MB", "of warm",
    )  # fmt: skip
    made.caption = "peak MB: of the process; of the pipeline, its largest worker"
    warm_s = median(run.wall_s for run in size.warm) if size.warm else None
    runs_of: Mapping[str, Sequence[Run]] = {
        **{label: size.writers.get(name, []) for name, label in WRITERS.items()},
        "pipeline, cold": size.cold,
        "pipeline, warm": size.warm,
    }
    for label, runs in runs_of.items():
        made.add_row(label, *(cells(runs, warm_s) if runs else ("0", "wrong")))
    return made


def cells(runs: Sequence[Run], warm_s: float | None) -> list[str]:
    walls = [run.wall_s for run in runs]
    return [
        str(len(runs)),
        f"{median(walls):.2f}",
        f"{min(walls):.2f}",
        f"{median(run.cpu_s for run in runs):.2f}",
        f"{max(run.peak_mb for run in runs):,.0f}",
        f"{median(walls) / warm_s:.2f}" if warm_s else "",
    ]


def stages(size: Sized) -> Table:
    made = table(
        "", "pipeline", "segments", "scatter s", "MB/s", "Map s", "gather s", "GB-s",
        "scatter MB", "segment MB", "gather MB", "LocalStack MB",
    )  # fmt: skip
    for label, runs in (("cold", size.cold), ("warm", size.warm)):
        if runs:
            made.add_row(label, *stage_cells(runs, size.json_bytes))
    return made


def scatters(size: Sized) -> Table:
    made = table("", "scatter alone", "wall s, median", "CPU s, min", "peak MB", "of the array")
    made.caption = "of the array: its CPU time, without the start of the process"
    for end, runs in size.scatters.items():
        made.add_row(
            end or "an empty table",
            f"{median(run.wall_s for run in runs):.2f}",
            f"{min(run.cpu_s for run in runs):.2f}",
            f"{max(run.peak_mb for run in runs):,.0f}",
            f"{of_array(size, end):.2f}" if end else "",
        )
    return made


def summed(size: Summed) -> Table:
    made = table(
        f"{size.rows:,} {size.label}, {size.json_bytes / 1e6:.1f} MB of JSON",
        "", "runs", "wall s, min", "of without", "CPU s", "scatter s", "Map s", "gather s",
        "peak MB", "scatter MB", "segment MB", "gather MB",
    )  # fmt: skip
    without_s = min((run.wall_s for run in size.without), default=0.0)
    for label, runs in {"without": size.without, "with the summary": size.summed}.items():
        if runs:
            best = min(runs, key=lambda run: run.wall_s)
            made.add_row(
                label,
                str(len(runs)),
                f"{best.wall_s:.2f}",
                f"{best.wall_s / without_s:.2f}",
                f"{best.cpu_s:.1f}",
                *(f"{seconds:.2f}" for seconds in best.stage_s.values()),
                f"{max(run.peak_mb for run in runs):,.0f}",
                *(str(most) for most in runs[0].stage_mb.values()),
            )
    for label, run in size.writers.items():
        ratio = f"{run.wall_s / without_s:.2f}" if without_s else ""
        figures = ["1", f"{run.wall_s:.2f}", ratio, f"{run.cpu_s:.1f}", "", "", ""]
        made.add_row(label, *figures, f"{run.peak_mb:,.0f}")
    return made


def stage_cells(runs: list[Execution], json_bytes: int) -> list[str]:
    seconds = {stage: median(run.stage_s[stage] for run in runs) for stage in runs[0].stage_s}
    return [
        str(runs[0].segments),
        f"{seconds['scatter']:.2f}",
        f"{json_bytes / seconds['scatter'] / 1e6:.0f}",
        f"{seconds['segment']:.2f}",
        f"{seconds['gather']:.2f}",
        f"{median(run.gb_s for run in runs):.1f}",
        *(str(max(run.stage_mb[stage] for run in runs)) for stage in runs[0].stage_mb),
        f"{max(run.localstack_mb for run in runs):,.0f}",
    ]

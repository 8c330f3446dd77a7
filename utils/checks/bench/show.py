"""A bench on the screen."""

from collections.abc import Iterable
from statistics import median

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table as Grid

from checks.bench.claims import Claim, cpu_of_array, least_s, typical_s
from checks.bench.figures import WARM, WITHOUT, Run, Table

WORDS = {True: "[green]met[/]", False: "[red]not met[/]", None: "[dim]not measured[/]"}
WIDTH = 120  # what the grids need

console = Console(highlight=False)
if console.width < WIDTH and not console.is_terminal:
    console.width = WIDTH


def show(table: Table) -> None:
    console.print(f"\n{table.rows:,} {table.name}, {table.json_bytes / 1e6:.1f} MB of JSON")
    warm, without = table.runs.get(WARM), table.runs.get(WITHOUT)
    ratios: dict[str, float] = {}
    if warm:
        ratios = {who: typical_s(runs) / typical_s(warm) for who, runs in table.runs.items()}
    elif without:
        ratios = {who: least_s(runs) / least_s(without) for who, runs in table.runs.items()}
    console.print(times(table.runs, "of warm" if warm else "of without", ratios))
    console.print(stages({who: runs for who, runs in table.runs.items() if runs[0].stage_s}))
    if table.scatters:
        ratios = {end: cpu_of_array(table, end) for end in table.scatters}
        console.print(times(table.scatters, "CPU of .json", ratios))


def grid(*columns: str) -> Grid:
    made = Grid(box=SIMPLE)
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left", no_wrap=True)
    return made


def times(runs_of: dict[str, list[Run]], of: str, ratios: dict[str, float]) -> Grid:
    """A line for each kind of run. Memory is that of the process, or of the largest worker."""
    made = grid("", "runs", "wall s, median", "min", "CPU s, median", "min", "peak MB", of)
    for who, runs in runs_of.items():
        walls, cpus = [run.wall_s for run in runs], [run.cpu_s for run in runs]
        made.add_row(
            who or "an empty table",
            str(len(runs)),
            f"{median(walls):.2f}",
            f"{min(walls):.2f}",
            f"{median(cpus):.2f}",
            f"{min(cpus):.2f}",
            f"{max(run.peak_mb for run in runs):,.0f}",
            f"{ratios[who]:.2f}" if who in ratios else "",
        )
    return made


def stages(runs_of: dict[str, list[Run]]) -> Grid:
    made = grid("", "segments", "scatter, Map, gather s", "MB of each", "LocalStack MB", "GB-s")
    for who, runs in runs_of.items():
        names = runs[0].stage_s
        made.add_row(
            who,
            str(runs[0].segments),
            "  ".join(f"{median(run.stage_s[name] for run in runs):.2f}" for name in names),
            "  ".join(str(max(run.stage_mb[name] for run in runs)) for name in names),
            f"{max(run.localstack_mb for run in runs):,.0f}",
            f"{median(run.gb_s for run in runs):.1f}",
        )
    return made


def show_claims(claims: Iterable[Claim]) -> None:
    made = Grid("claim", "measured", "", box=SIMPLE)
    for claim in claims:
        found = ", ".join(f"{value:.3g} {of}" for of, value in claim.figures.items())
        made.add_row(claim.text, found, WORDS[claim.met])
    console.print(made)


def show_noise(what: str, busy_cpus: float, cpus: int) -> None:
    """A tenth of the machine is left to the system."""
    if busy_cpus > cpus / 10:
        console.print(
            f"[yellow]{what}: other work kept {busy_cpus:.1f} of {cpus} CPUs busy;"
            " do not rely on these times[/]"
        )


def progress(who: str, runs: list[Run]) -> None:
    console.print(f"  {who:28} {' '.join(f'{run.wall_s:.2f}' for run in runs)}")

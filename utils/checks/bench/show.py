"""A bench on the screen, as the READMEs have it."""

from collections.abc import Iterable
from statistics import median

from checks.bench.measure import Run

HEADS = ["", "runs", "median", "least", "CPU", "peak", "scatter", "Map", "gather", "LocalStack"]


def show(title: str, runs_of: dict[str, list[Run]]) -> None:
    """A line for each kind of run: medians but for the least time and the most memory."""
    print(f"\n{title}\n")
    print_table(HEADS, *(line(label, runs) for label, runs in runs_of.items()))


def line(label: str, runs: list[Run]) -> list[str]:
    times = [run.wall_s for run in runs]
    stages = [seconds(run.stage_s[stage] for run in runs) for stage in runs[0].stage_s]
    localstack_mb = max(run.localstack_mb for run in runs)
    return [
        label,
        str(len(runs)),
        seconds(times),
        f"{min(times):.2f} s",
        seconds(run.cpu_s for run in runs),
        f"{max(run.peak_mb for run in runs):,.0f} MB",
        *(stages or [""] * 3),
        f"{localstack_mb:,.0f} MB" if localstack_mb else "",
    ]


def seconds(times: Iterable[float]) -> str:
    return f"{median(times):.2f} s"


def print_table(heads: list[str], *rows: list[str]) -> None:
    for row in (heads, ["---"] * len(heads), *rows):
        print(f"| {' | '.join(row)} |")
    print(flush=True)

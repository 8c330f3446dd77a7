"""Draw a bench: `python -m checks.bench.plot bench.json bench.svg`, in the bench's own environment."""

import json
import sys
from pathlib import Path
from statistics import median

import matplotlib

from checks.bench.competitors import WRITERS
from checks.bench.figures import Bench, PipelineRun, Sized, WriterRun

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Lines = dict[str, list[tuple[int, float]]]


type Runs = list[WriterRun] | list[PipelineRun]


def walls(bench: Bench) -> Lines:
    """Median seconds by rows, a line for each competitor and two for the pipeline."""
    return {
        label: [(size.rows, median(run.wall_s for run in runs)) for size, runs in points]
        for label, points in runs_by_label(bench).items()
        if points
    }


def peaks(bench: Bench) -> Lines:
    """MB by rows: of the process, of the pipeline the largest worker."""
    return {
        label: [(size.rows, max(map(peak_mb, runs))) for size, runs in points]
        for label, points in runs_by_label(bench).items()
        if points
    }


def runs_by_label(bench: Bench) -> dict[str, list[tuple[Sized, Runs]]]:
    lines: dict[str, list[tuple[Sized, Runs]]] = {
        label: [(size, size.writers[name]) for size in bench.sizes if size.writers.get(name)]
        for name, label in WRITERS.items()
    }
    lines["pipeline, cold"] = [(size, size.cold) for size in bench.sizes if size.cold]
    lines["pipeline, warm"] = [(size, size.warm) for size in bench.sizes if size.warm]
    return lines


def peak_mb(run: WriterRun | PipelineRun) -> float:
    return max(run.peak_mb.values()) if isinstance(run, PipelineRun) else run.peak_mb


def draw(bench: Bench, path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    for panel, lines, title in zip(
        axes, (walls(bench), peaks(bench)), ("seconds, median", "peak memory of a process, MB")
    ):
        for label, points in lines.items():
            ours = label.startswith("pipeline")
            panel.plot(*zip(*points), marker="o", label=label, linewidth=2.5 if ours else 1.2)
        panel.set(xscale="log", yscale="log", xlabel="rows", title=title)
        panel.grid(True, which="both", alpha=0.2)
    axes[0].legend()
    noise = ", shared with other work: times are not to be relied on" if bench.noisy else ""
    figure.suptitle(f"{bench.cpus} CPUs{noise}")
    figure.savefig(path)


if __name__ == "__main__":
    figures, picture = map(Path, sys.argv[1:])
    draw(Bench.from_json(json.loads(figures.read_text())), picture)

"""Draw a bench: `python -m checks.bench.plot bench.json bench.svg`, in the bench's own environment."""

import json
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import matplotlib

from checks.bench.figures import WRITERS

matplotlib.use("Agg")
from matplotlib import pyplot  # after the choice of a backend


def lines(bench: dict[str, Any], figure: Callable[[list[Any]], float]) -> dict[str, list[Any]]:
    """(rows, figure of the runs) by who made them: each competitor, and the pipeline twice."""
    found: dict[str, list[Any]] = {}
    for size in bench["sizes"]:
        runs_of = {WRITERS[name]: runs for name, runs in size["writers"].items()}
        runs_of |= {"pipeline, cold": size["cold"], "pipeline, warm": size["warm"]}
        for label, runs in runs_of.items():
            if runs:
                found.setdefault(label, []).append((size["rows"], figure(runs)))
    return found


def draw(bench: dict[str, Any], path: str) -> None:
    figure, axes = pyplot.subplots(1, 2, figsize=(12, 5), layout="constrained")
    panels = {
        "seconds, median": lambda runs: median(run["wall_s"] for run in runs),
        "peak memory of a process, MB": lambda runs: max(run["peak_mb"] for run in runs),
    }
    for panel, (title, of) in zip(axes, panels.items(), strict=True):
        for label, points in lines(bench, of).items():
            width = 2.5 if label.startswith("pipeline") else 1.2
            panel.plot(*zip(*points, strict=True), marker="o", label=label, linewidth=width)
        panel.set(xscale="log", yscale="log", xlabel="rows", title=title)
        panel.grid(True, which="both", alpha=0.2)
    axes[0].legend()
    noise = ", shared with other work: times are not to be relied on" if bench["noisy"] else ""
    figure.suptitle(f"{bench['cpus']} CPUs{noise}")
    figure.savefig(path)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        draw(json.load(file), sys.argv[2])

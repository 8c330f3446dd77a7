"""What the READMEs claim of the pipeline, and whether a bench finds it so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from checks.bench.figures import RUST, Bench, Run, Sized, Summed

HUNDRED_THOUSAND, MILLION = 100_000, 1_000_000


@dataclass(frozen=True)
class Verdict:
    """A claim, and the figures that decide it: none may be more than the most that it allows.

    Attributes:
        figures: by what they are of; none where the bench did not measure them.
        timed: whether other work on the machine could have changed them.
    """

    claim: str
    most: float
    figures: Mapping[str, float]
    timed: bool = True

    @property
    def met(self) -> bool | None:
        """None where nothing was measured."""
        return max(self.figures.values()) <= self.most if self.figures else None

    @property
    def measured(self) -> str:
        listed = ", ".join(f"{value:.3g} {of}" for of, value in self.figures.items())
        return listed or "not measured"


def verdicts(bench: Bench) -> list[Verdict]:
    """Of the sizes at which the pipeline made the right workbook."""
    sizes = {size.rows: size for size in bench.sizes if size.warm}
    at = {f"at {rows:,}": size for rows, size in sizes.items()}
    large = {label: size for label, size in at.items() if size.rows >= MILLION}
    scattered = {label: size for label, size in large.items() if size.scatters}
    rust, pandas = shares(sizes.get(MILLION), RUST), shares(sizes.get(MILLION), ["pandas"])
    first = sizes.get(HUNDRED_THOUSAND)
    noop_ms = [each for size in bench.sizes for each in size.noop_ms]
    return [
        Verdict("1,000,000 rows, warm: at most 0.9 of the fastest Rust writer's time", 0.9, rust),
        Verdict("… at most 0.8 of it (the aim)", 0.8, rust),
        Verdict("1,000,000 rows, warm: at most 1/6 of pandas' time", 1 / 6, pandas),
        Verdict("100,000 rows, warm: at most 1/3 of it", 1 / 3, shares(first, ["pandas"])),
        Verdict(
            "time per row: at most 1.15 of that at 100,000 rows",
            1.15,
            {label: per_row_s(size) / per_row_s(first) for label, size in large.items()}
            if first
            else {},
        ),
        Verdict(
            "scatter: at most 1 s for 60 MB of JSON",
            1,
            {at: stage_s(size, "scatter") * 60e6 / size.json_bytes for at, size in large.items()},
        ),
        Verdict(
            "JSON Lines: at most 1.05 of the JSON array's time in the scatter",
            1.05,
            {at: of_array(size, ".jsonl") for at, size in scattered.items()},
        ),
        Verdict(
            "CSV: at most twice that",
            2,
            {at: of_array(size, ".csv") for at, size in scattered.items()},
        ),
        Verdict(
            "every format: at most 1.1 of the JSON array's memory in the scatter",
            1.1,
            {
                f"of {end} {at}": peak_mb(runs) / peak_mb(size.scatters[".json"])
                for at, size in scattered.items()
                for end, runs in size.scatters.items()
            },
            timed=False,
        ),
        Verdict(
            "gather: at most 1 s per million rows, S3 included",
            1,
            {at: stage_s(size, "gather") * MILLION / size.rows for at, size in large.items()},
        ),
        Verdict(
            "every worker: at most 256 MB",
            256,
            {label: peak_mb([*size.cold, *size.warm]) for label, size in at.items()},
            timed=False,
        ),
        Verdict(
            "warm no-op invoke: median at most 10 ms",
            10,
            {f"ms of {len(noop_ms)} invocations": median(noop_ms)} if noop_ms else {},
        ),
    ]


def summary_verdicts(members: Summed, orders: Summed) -> list[Verdict]:
    """Of the tables of which every workbook was right."""
    return [
        Verdict(
            "1,000,000 members: at most 1.05 of the time without", 1.05, cost(members, MILLION)
        ),
        Verdict(
            "5,000,000 orders by 1,000,000 customers: at most 1.6 of the time without",
            1.6,
            cost(orders, 5 * MILLION),
        ),
        Verdict(
            "every worker: at most 256 MB",
            256,
            {
                size.label: peak_mb([*size.without, *size.summed])
                for size in (members, orders)
                if size.summed
            },
            timed=False,
        ),
    ]


def cost(size: Summed, rows: int) -> dict[str, float]:
    """The least time with the summary, of the least without: other work only adds to both."""
    if size.rows != rows or not size.summed:
        return {}
    with_s, without_s = (min(run.wall_s for run in runs) for runs in (size.summed, size.without))
    return {"of it": with_s / without_s}


def shares(size: Sized | None, names: Sequence[str]) -> dict[str, float]:
    """The warm pipeline's time, of that of each of these writers that made the right workbook."""
    if size is None:
        return {}
    return {
        f"of {name}": wall_s(size.warm) / wall_s(size.writers[name])
        for name in names
        if name in size.writers
    }


def wall_s(runs: Sequence[Run]) -> float:
    return median(run.wall_s for run in runs)


def per_row_s(size: Sized) -> float:
    return wall_s(size.warm) / size.rows


def stage_s(size: Sized, stage: str) -> float:
    return median(run.stage_s[stage] for run in size.warm)


def of_array(size: Sized, end: str) -> float:
    """The CPU time that a format takes in the scatter, of the JSON array's; without the start."""
    start, array, other = (
        min(run.cpu_s for run in size.scatters[key]) for key in ("", ".json", end)
    )
    return (other - start) / (array - start)


def peak_mb(runs: Sequence[Run]) -> float:
    return max(run.peak_mb for run in runs)

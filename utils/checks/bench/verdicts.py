"""What the READMEs claim of the pipeline, and whether a bench finds it so."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

from checks.bench.figures import RUST, Bench, Sized

HUNDRED_THOUSAND, MILLION = 100_000, 1_000_000

type Measured = tuple[float, str]  # what is compared with the limit, and how it is shown


@dataclass(frozen=True)
class Verdict:
    """Attributes:
    met: None where the bench did not measure what decides.
    timed: whether other work on the machine could have changed it.
    """

    claim: str
    measured: str
    met: bool | None
    timed: bool


class NotMeasured(Exception):
    """A size or a competitor is missing."""


def verdicts(bench: Bench) -> list[Verdict]:
    rust, pandas = partial(share, names=RUST), partial(share, names=("pandas",))
    claims: list[tuple[str, Callable[[Bench], Measured], float]] = [
        ("1,000,000 rows, warm: at most 0.9 of the fastest Rust writer's time", rust, 0.9),
        ("… at most 0.8 of it (the aim)", rust, 0.8),
        ("1,000,000 rows, warm: at most 1/6 of pandas' time", pandas, 1 / 6),
        (
            "100,000 rows, warm: at most 1/3 of pandas' time",
            partial(pandas, rows=HUNDRED_THOUSAND),
            1 / 3,
        ),
        ("gather: at most 1 s per million rows, S3 included", gather_s_per_million, 1),
        ("scatter: at least 60 MB/s", scatter_s_per_60_mb, 1),
        ("time per row: at most 1.15 of that at 100,000 rows", per_row, 1.15),
        ("every worker: at most 256 MB", worker_mb, 256),
        ("warm no-op invoke: median at most 10 ms", noop_ms, 10),
    ]
    return [verdict(bench, *claim) for claim in claims]


def verdict(bench: Bench, claim: str, measure: Callable[[Bench], Measured], most: float) -> Verdict:
    timed = measure is not worker_mb
    try:
        found, shown = measure(bench)
    except NotMeasured as error:
        return Verdict(claim, f"not measured: {error}", None, timed)
    return Verdict(claim, shown, found <= most, timed)


def share(bench: Bench, names: tuple[str, ...], rows: int = MILLION) -> Measured:
    """The warm pipeline's time, of that of the fastest of some writers."""
    size, ours_s = sized(bench, rows), warm_s(sized(bench, rows))
    walls = {
        name: median(run.wall_s for run in size.writers[name])
        for name in names
        if size.writers.get(name)
    }
    if not walls:
        raise NotMeasured(f"{' or '.join(names)} at {rows:,} rows")
    fastest = min(walls, key=lambda name: walls[name])
    each = ", ".join(f"{name} {wall_s:.2f} s" for name, wall_s in walls.items())
    found = ours_s / walls[fastest]
    return found, f"{found:.2f} of {fastest}: {ours_s:.2f} s; {each}"


def gather_s_per_million(bench: Bench) -> Measured:
    rates = {size.rows: stage_s(size, "gather") / size.rows * MILLION for size in large(bench)}
    return max(rates.values()), listed(rates, "s")


def scatter_s_per_60_mb(bench: Bench) -> Measured:
    rates = {size.rows: size.json_bytes / stage_s(size, "scatter") / 1e6 for size in large(bench)}
    return 60 / min(rates.values()), listed(rates, "MB/s")


def per_row(bench: Bench) -> Measured:
    first = warm_s(sized(bench, HUNDRED_THOUSAND)) / HUNDRED_THOUSAND
    ratios = {size.rows: warm_s(size) / size.rows / first for size in large(bench)}
    return max(ratios.values()), listed(ratios, "times")


def worker_mb(bench: Bench) -> Measured:
    peaks = {
        size.rows: max(run.peak_mb for run in (*size.cold, *size.warm)) for size in large(bench)
    }
    return max(peaks.values()), listed(peaks, "MB")


def noop_ms(bench: Bench) -> Measured:
    times_ms = [each for size in bench.sizes for each in size.noop_ms]
    if not times_ms:
        raise NotMeasured("no invocation")
    return median(times_ms), f"{median(times_ms):.1f} ms of {len(times_ms)} invocations"


def sized(bench: Bench, rows: int) -> Sized:
    """The runs at a size at which the pipeline made the right workbook."""
    for size in bench.sizes:
        if size.rows == rows and size.warm:
            return size
    raise NotMeasured(f"{rows:,} rows")


def large(bench: Bench) -> list[Sized]:
    found = [size for size in bench.sizes if size.rows >= MILLION and size.warm]
    if not found:
        raise NotMeasured(f"{MILLION:,} rows or more")
    return found


def warm_s(size: Sized) -> float:
    return median(run.wall_s for run in size.warm)


def stage_s(size: Sized, stage: str) -> float:
    return median(run.stage_s[stage] for run in size.warm)


def listed(figures: dict[int, float], unit: str) -> str:
    return ", ".join(f"{value:.2f} {unit} at {rows:,}" for rows, value in figures.items())

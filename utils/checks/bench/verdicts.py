"""What was promised of the pipeline, and whether a bench finds it so."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from checks.bench.competitors import RUST
from checks.bench.figures import STAGES, Bench, PipelineRun, Sized

HUNDRED_THOUSAND, MILLION, FIVE_MILLION = 100_000, 1_000_000, 5_000_000
WORKER_MB = 256


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
    return [
        verdict(bench, claim, decide)
        for claim, decide in {
            "1,000,000 rows, warm: faster than the fastest Rust process": lambda b: rust(b, 1),
            "… and that by a fifth (the aim)": lambda b: rust(b, 0.8),
            "1,000,000 rows, warm: at most 1/6 of pandas": lambda b: pandas(b, MILLION, 6),
            "100,000 rows, warm: at most 1/3 of pandas": lambda b: pandas(b, HUNDRED_THOUSAND, 3),
            "gather: at most 1 s per million rows, S3 included": gather,
            f"1,000,000 rows: every worker at most {WORKER_MB} MB": workers,
            "5,000,000 rows: no worker more than a tenth larger": workers_grow,
            "scatter: at least 60 MB/s": scatter,
            "time proportional to rows from 100,000 to 5,000,000, within 15 %": linear,
            "5,000,000 rows make five sheets": five_sheets,
            "warm no-op invoke: median at most 10 ms": noop,
        }.items()
    ]


Decision = tuple[str, bool]


def verdict(bench: Bench, claim: str, decide: Callable[[Bench], Decision]) -> Verdict:
    timed = decide not in (workers, workers_grow, five_sheets)
    try:
        return Verdict(claim, *decide(bench), timed)
    except NotMeasured as error:
        return Verdict(claim, f"not measured: {error}", None, timed)


def rust(bench: Bench, limit: float) -> Decision:
    size = sized(bench, MILLION)
    walls = {name: writer_wall_s(size, name) for name in RUST if size.writers.get(name)}
    if not walls:
        raise NotMeasured("no Rust writer")
    fastest = min(walls, key=lambda name: walls[name])
    ratio = warm_wall_s(size) / walls[fastest]
    each = ", ".join(f"{name} {wall_s:.2f} s" for name, wall_s in walls.items())
    return f"{ratio:.2f} of {fastest}: {warm_wall_s(size):.2f} s; {each}", compare(ratio, limit)


def compare(ratio: float, limit: float) -> bool:
    return ratio < limit if limit == 1 else ratio <= limit


def pandas(bench: Bench, rows: int, factor: int) -> Decision:
    size = sized(bench, rows)
    ours_s, theirs_s = warm_wall_s(size), writer_wall_s(size, "pandas")
    part = f"1/{theirs_s / ours_s:.1f}: {ours_s:.2f} s of {theirs_s:.2f} s"
    return part, ours_s <= theirs_s / factor


def gather(bench: Bench) -> Decision:
    rates = {
        size.rows: stage_s(size, "gather") / size.rows * MILLION
        for size in bench.sizes
        if size.rows >= MILLION and size.warm
    }
    return worst(rates, "s per million", max), max(rates.values()) <= 1


def scatter(bench: Bench) -> Decision:
    rates = {
        size.rows: size.json_bytes / stage_s(size, "scatter") / 1e6
        for size in bench.sizes
        if size.rows >= MILLION and size.warm
    }
    return worst(rates, "MB/s", min), min(rates.values()) >= 60


def worst(rates: dict[int, float], unit: str, choose: Callable[[Iterable[float]], float]) -> str:
    if not rates:
        raise NotMeasured(f"{MILLION:,} rows or more")
    listed = ", ".join(f"{rate:.2f} at {rows:,}" for rows, rate in rates.items())
    return f"{choose(rates.values()):.2f} {unit} ({listed})"


def workers(bench: Bench) -> Decision:
    peaks = worker_peaks_mb(sized(bench, MILLION))
    return listed_mb(peaks), max(peaks.values()) <= WORKER_MB


def workers_grow(bench: Bench) -> Decision:
    before, after = (worker_peaks_mb(sized(bench, rows)) for rows in (MILLION, FIVE_MILLION))
    growth = max(after[stage] / before[stage] for stage in STAGES)
    return f"{growth - 1:+.0%}: {listed_mb(before)} → {listed_mb(after)}", growth <= 1.1


def linear(bench: Bench) -> Decision:
    sized(bench, FIVE_MILLION)
    first = sized(bench, HUNDRED_THOUSAND)
    per_row = {
        size.rows: warm_wall_s(size) / size.rows / (warm_wall_s(first) / first.rows)
        for size in bench.sizes
        if HUNDRED_THOUSAND < size.rows <= FIVE_MILLION and size.warm
    }
    listed = ", ".join(f"{ratio:.2f} at {rows:,}" for rows, ratio in per_row.items())
    return (
        f"time per row, of that at {HUNDRED_THOUSAND:,}: {listed}",
        all(0.85 <= ratio <= 1.15 for ratio in per_row.values()),
    )


def five_sheets(bench: Bench) -> Decision:
    sheets = sized(bench, FIVE_MILLION).sheets
    return f"{sheets} sheets", sheets == 5


def noop(bench: Bench) -> Decision:
    if not bench.noop_ms:
        raise NotMeasured("no invocation")
    found_ms = median(bench.noop_ms)
    return f"{found_ms:.1f} ms of {len(bench.noop_ms)} invocations", found_ms <= 10


def sized(bench: Bench, rows: int) -> Sized:
    """The runs at a size at which the pipeline made the right workbook."""
    for size in bench.sizes:
        if size.rows == rows and size.warm:
            return size
    raise NotMeasured(f"{rows:,} rows")


def warm_wall_s(size: Sized) -> float:
    return median(run.wall_s for run in size.warm)


def writer_wall_s(size: Sized, name: str) -> float:
    if not size.writers.get(name):
        raise NotMeasured(f"{name} at {size.rows:,} rows")
    return median(run.wall_s for run in size.writers[name])


def stage_s(size: Sized, stage: str) -> float:
    return median(run.stage_s[stage] for run in size.warm)


def worker_peaks_mb(size: Sized) -> dict[str, int]:
    """Of each stage's largest worker in all executions, the cold one too."""
    runs: list[PipelineRun] = [*size.cold, *size.warm]
    return {stage: max(run.peak_mb[stage] for run in runs) for stage in STAGES}


def listed_mb(peaks: dict[str, int]) -> str:
    return ", ".join(f"{stage} {peak} MB" for stage, peak in peaks.items())

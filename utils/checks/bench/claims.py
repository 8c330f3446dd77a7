"""What the READMEs claim of the pipeline, and whether a bench finds it so."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median

from checks.bench.figures import COLD, WARM, WITH, WITHOUT, WRITERS, Run, Table

HUNDRED_THOUSAND, MILLION = 100_000, 1_000_000
RUST = ("rustpy", "rustypyxl", "jetxl")


@dataclass(frozen=True)
class Claim:
    """No figure may be more than the most that a claim allows.

    Attributes:
        figures: by what they are of; none where the bench did not measure them.
    """

    text: str
    most: float
    figures: dict[str, float]

    @property
    def met(self) -> bool | None:
        """None where nothing was measured."""
        return max(self.figures.values()) <= self.most if self.figures else None


def claims(tables: Iterable[Table]) -> Iterator[Claim]:
    """Of the tables of which the pipeline made the right workbook."""
    measured = {table.rows: table for table in tables if WARM in table.runs}
    first, million = measured.get(HUNDRED_THOUSAND), measured.get(MILLION)
    large = {f"at {rows:,}": each for rows, each in measured.items() if rows >= MILLION}
    scattered = {at: each for at, each in large.items() if each.scatters}
    rust, pandas = shares(million, *RUST), shares(million, "pandas")
    yield Claim("1,000,000 rows, warm: at most 0.9 of the fastest Rust writer's time", 0.9, rust)
    yield Claim("… at most 0.8 of it (the aim)", 0.8, rust)
    yield Claim("1,000,000 rows, warm: at most 1/6 of pandas' time", 1 / 6, pandas)
    yield Claim("100,000 rows, warm: at most 1/3 of it", 1 / 3, shares(first, "pandas"))
    per_row = {at: row_s(each) / row_s(first) for at, each in large.items() if first}
    yield Claim("time per row: at most 1.15 of that at 100,000 rows", 1.15, per_row)
    scatter = {at: stage_s(each, "scatter") * 60e6 / each.json_bytes for at, each in large.items()}
    yield Claim("scatter: at most 1 s for 60 MB of JSON", 1, scatter)
    lines = {at: cpu_of_array(each, ".jsonl") for at, each in scattered.items()}
    yield Claim("JSON Lines: at most 1.05 of the JSON array's time in the scatter", 1.05, lines)
    csv = {at: cpu_of_array(each, ".csv") for at, each in scattered.items()}
    yield Claim("CSV: at most twice that", 2, csv)
    memory = {
        f"of {end or 'an empty table'} {at}": peak_mb(runs) / peak_mb(each.scatters[".json"])
        for at, each in scattered.items()
        for end, runs in each.scatters.items()
    }
    yield Claim("every format: at most 1.1 of its memory in the scatter", 1.1, memory)
    gather = {at: stage_s(each, "gather") * MILLION / each.rows for at, each in large.items()}
    yield Claim("gather: at most 1 s per million rows, S3 included", 1, gather)
    workers = {
        f"at {rows:,}": peak_mb([*each.runs[COLD], *each.runs[WARM]])
        for rows, each in measured.items()
    }
    yield Claim("every worker: at most 256 MB", 256, workers)
    noop_ms = [ms for each in measured.values() for ms in each.noop_ms]
    noop = {f"ms of {len(noop_ms)} invocations": median(noop_ms)} if noop_ms else {}
    yield Claim("warm no-op invoke: median at most 10 ms", 10, noop)


def summary_claims(members: Table, orders: Table) -> Iterator[Claim]:
    """Of the tables of which every workbook was right."""
    yield Claim("1,000,000 members: at most 1.05 of the time without", 1.05, cost(members, MILLION))
    yield Claim(
        "5,000,000 orders by 1,000,000 customers: at most 1.6 of the time without",
        1.6,
        cost(orders, 5 * MILLION),
    )
    workers = {
        each.name: peak_mb([*each.runs[WITHOUT], *each.runs[WITH]])
        for each in (members, orders)
        if WITH in each.runs
    }
    yield Claim("every worker: at most 256 MB", 256, workers)


def cost(table: Table, rows: int) -> dict[str, float]:
    """The least time with the summary, of the least without: other work only adds to both."""
    if table.rows != rows or WITH not in table.runs:
        return {}
    return {"of it": least_s(table.runs[WITH]) / least_s(table.runs[WITHOUT])}


def shares(table: Table | None, *names: str) -> dict[str, float]:
    """The warm pipeline's time, of that of each of these writers that made the right workbook."""
    if table is None:
        return {}
    return {
        f"of {name}": typical_s(table.runs[WARM]) / typical_s(table.runs[WRITERS[name]])
        for name in names
        if WRITERS[name] in table.runs
    }


def typical_s(runs: list[Run]) -> float:
    return median(run.wall_s for run in runs)


def least_s(runs: list[Run]) -> float:
    return min(run.wall_s for run in runs)


def row_s(table: Table) -> float:
    return typical_s(table.runs[WARM]) / table.rows


def stage_s(table: Table, stage: str) -> float:
    return median(run.stage_s[stage] for run in table.runs[WARM])


def cpu_of_array(table: Table, end: str) -> float:
    """The CPU time that a format takes in the scatter, of the JSON array's; without the start."""
    start, array, other = (
        min(run.cpu_s for run in table.scatters[key]) for key in ("", ".json", end)
    )
    return (other - start) / (array - start)


def peak_mb(runs: list[Run]) -> float:
    return max(run.peak_mb for run in runs)

"""What the READMEs claim of the pipeline, and whether a bench finds it so."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median

from checks.bench.figures import (
    ACROSS,
    COLD,
    FOLDERS,
    MILLION,
    WARM,
    WITH,
    WITHOUT,
    WRITERS,
    Run,
    Table,
)

RUST = ("rustypyxl", "jetxl")


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
    million, millions = measured.get(MILLION), measured.get(5 * MILLION)
    yield Claim(
        "1,000,000 rows, warm: at most 0.85 of the fastest Rust writer's time",
        0.85,
        shares(million, *RUST),
    )
    yield Claim("5,000,000 rows, warm: at most 1.15 of it", 1.15, shares(millions, *RUST))
    yield Claim(
        "1,000,000 rows, warm: at most 1/6 of pandas' time", 1 / 6, shares(million, "pandas")
    )
    gather = {
        f"at {rows:,}": stage_s(each, "gather") * MILLION / rows
        for rows, each in measured.items()
        if rows >= MILLION
    }
    yield Claim("gather: at most 0.35 s per million rows, S3 included", 0.35, gather)
    folders = {name: more_of_allowed(million, name, FOLDERS[name]) for name in FOLDERS}
    yield Claim(
        "1,000,000 rows in a folder: 4 ms an object more at most, or 0.15 of the time of one",
        1,
        {of: share for of, share in folders.items() if share is not None},
    )
    workers = {
        f"at {rows:,}": peak_mb([*each.runs[COLD], *each.runs[WARM]])
        for rows, each in measured.items()
    }
    yield Claim("every worker, with what it forks: at most 420 MB", 420, workers)


def summary_claims(members: Table, orders: Table) -> Iterator[Claim]:
    """Of the tables of which every workbook was right."""
    yield Claim("1,000,000 members: at most 1.05 of the time without", 1.05, cost(members, MILLION))
    yield Claim(
        "5,000,000 orders by 1,000,000 customers: at most 1.6 of the time without",
        1.6,
        cost(orders, 5 * MILLION),
    )
    workers = {
        each.name: peak_mb(
            [run for who in (WITHOUT, ACROSS, WITH) for run in each.runs.get(who, [])]
        )
        for each in (members, orders)
        if WITH in each.runs
    }
    yield Claim("every worker, with what it forks: at most 420 MB", 420, workers)


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


def more_of_allowed(table: Table | None, name: str, objects: int) -> float | None:
    """How much longer a folder takes than one object, as a share of what may be."""
    if table is None or name not in table.runs:
        return None
    one_s = least_s(table.runs[WARM])
    return (least_s(table.runs[name]) - one_s) / max(0.004 * objects, 0.15 * one_s)


def typical_s(runs: list[Run]) -> float:
    return median(run.wall_s for run in runs)


def least_s(runs: list[Run]) -> float:
    return min(run.wall_s for run in runs)


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

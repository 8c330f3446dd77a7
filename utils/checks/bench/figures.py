"""What a bench finds, and where things are."""

from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
UTILS = HERE.parents[1]
ROOT = UTILS.parent
DATA = HERE / ".data"
RESULT = ROOT / "result"

WRITERS = {
    "pandas": "pandas to_excel",
    "xlsxwriter": "XlsxWriter constant_memory",
    "polars": "polars write_excel",
    "rustpy": "Rust: rustpy-xlsxwriter",
    "rustypyxl": "Rust: rustypyxl",
    "jetxl": "Rust: jetxl",
}
RUST = ("rustpy", "rustypyxl", "jetxl")
ENDS = (".json", ".jsonl", ".csv", ".json.gz", ".jsonl.gz", ".csv.gz")  # of the scatter's inputs


def python(environment: str) -> str:
    """The Python of an environment made from locks/<environment>.txt."""
    return str(HERE / ".venvs" / environment / "bin" / "python")


@dataclass(frozen=True)
class Run:
    """One workbook made from one JSON file.

    Attributes:
        wall_s: of the process; of an execution, from its start to its stop as Step Functions
            dates them.
        cpu_s: user and system time of the process; of an execution, of LocalStack and all workers.
        peak_mb: most resident memory of the process, or of the largest worker; MiB, as Lambda's.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True)
class Execution(Run):
    """One workbook made by the pipeline.

    Attributes:
        stage_s: seconds in the states of each stage; for segment, the whole Map.
        stage_mb: of each stage's largest worker so far, as its REPORT lines say, in MiB.
        localstack_mb: the most resident memory that LocalStack was seen to hold, in MiB.
        gb_s: what Lambda would bill.
    """

    segments: int
    stage_s: dict[str, float]
    stage_mb: dict[str, int]
    localstack_mb: float
    gb_s: float


@dataclass(frozen=True)
class Sized:
    """All runs on one table; whoever made a wrong workbook has none.

    Attributes:
        noop_ms: of warm invocations of a function that does nothing.
        scatters: of a process that does nothing but scatter, by the end of the input's key; under
            "" on an empty table.
        others_cpus: CPUs that were busy with something else, on average.
    """

    rows: int
    json_bytes: int
    writers: dict[str, list[Run]] = field(default_factory=dict)
    cold: list[Execution] = field(default_factory=list)
    warm: list[Execution] = field(default_factory=list)
    noop_ms: list[float] = field(default_factory=list)
    others_cpus: float = 0
    scatters: dict[str, list[Run]] = field(default_factory=dict)


@dataclass(frozen=True)
class Summed:
    """Warm runs on one table without a summary and with one, in turn.

    Attributes:
        label: of the table.
        writers: a run of each library that makes the same workbook as the pipeline with one.
    """

    label: str
    rows: int
    json_bytes: int
    without: list[Execution] = field(default_factory=list)
    summed: list[Execution] = field(default_factory=list)
    writers: dict[str, Run] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """Attributes:
    load: the machine's load average over a minute, when the bench started.
    faults: what was wrong, by who did it.
    """

    cpus: int
    load: float
    sizes: list[Sized] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def noisy(self) -> bool:
        """Whether the machine did something else: a tenth of it is left to the system."""
        return max(self.load, *(size.others_cpus for size in self.sizes), 0) > self.cpus / 10

"""What a bench finds: its runs, and how they are kept as JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

STAGES = ("scatter", "segment", "gather")


@dataclass(frozen=True)
class WriterRun:
    """One process that read the JSON and wrote the workbook.

    Attributes:
        cpu_s: user and system time.
        peak_mb: most resident memory, in MiB as Lambda counts.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True)
class PipelineRun:
    """One execution, from its start to its stop as Step Functions dates them.

    Attributes:
        cpu_s: of LocalStack and all workers.
        stage_s: seconds in the states of each stage; for segment, the whole Map.
        peak_mb: of each stage's largest worker so far, as its REPORT lines say, in MiB.
        localstack_mb: the most resident memory that LocalStack held during the execution, in MiB.
        gb_s: what Lambda would bill.
    """

    wall_s: float
    cpu_s: float
    segments: int
    stage_s: dict[str, float]
    peak_mb: dict[str, int]
    localstack_mb: float
    gb_s: float


@dataclass(frozen=True)
class Sized:
    """All runs with one table; a competitor that wrote something wrong has none.

    Attributes:
        sheets: of the pipeline's workbook.
        others_cpus: CPUs that were busy with something else, on average.
    """

    rows: int
    json_bytes: int
    writers: dict[str, list[WriterRun]] = field(default_factory=dict)
    cold: list[PipelineRun] = field(default_factory=list)
    warm: list[PipelineRun] = field(default_factory=list)
    sheets: int = 0
    others_cpus: float = 0

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        writers = {
            name: [WriterRun(**run) for run in runs] for name, runs in fields["writers"].items()
        }
        executions = {
            kind: [PipelineRun(**run) for run in fields[kind]] for kind in ("cold", "warm")
        }
        return cls(**{**fields, **executions, "writers": writers})


@dataclass(frozen=True)
class Bench:
    """Attributes:
    load: the machine's load average over a minute, when the bench started.
    noop_ms: of warm invocations of a function that does nothing, in the order they were made.
    faults: what was wrong, by who did it; whoever has a fault at a size has no speed there.
    """

    cpus: int
    load: float
    sizes: list[Sized]
    noop_ms: list[float]
    faults: list[str]

    @property
    def noisy(self) -> bool:
        """Whether the machine did something else: a tenth of it is left to the system."""
        return max(self.load, *(size.others_cpus for size in self.sizes), 0) > self.cpus / 10

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        return cls(**{**fields, "sizes": [Sized.from_json(size) for size in fields["sizes"]]})

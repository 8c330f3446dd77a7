"""What the functions know of an execution, as small objects beside what they describe.

`scatter/[<execution>/]facts.json` tells of the segment files, `gather/…/job_000.json` of one
segment's result (with what the gather needs, see `rendered.py`), `gather/[<execution>/]facts.json`
of the workbook. The functions write them, the harness reads them; nobody reads rows for a figure.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

FIRST_ROWS = 10
DISTINCT = 20  # values that a profile counts one by one; a column with more has `many`
BINS = 40  # of a histogram, at most
# From this size on the gather tags what segments of a finished workbook left: a tag costs $0.000005,
# 14 more days $0.0117 a GB (us-east-1, 2026): https://aws.amazon.com/s3/pricing/
TAGGED_BYTES = 430_000
INLINE_BYTES = (
    8 * 1024
)  # of partial results that stand among a segment's figures; more is an object
SMALLEST = -1074  # exponent of the least float


@contextmanager
def reading(writer: str) -> Iterator[None]:
    """Call what is not the facts of such a writer so, whatever it lacks."""
    try:
        yield
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"must be {writer}'s facts; found {error}") from None


@dataclass(frozen=True)
class SegmentCut:
    """A segment file; its size in bytes."""

    key: str
    rows: int
    size: int


@dataclass(frozen=True)
class ScatterFacts:
    """What a scatter read and wrote.

    Attributes:
        size, etag: of the input object; bytes.
        index: (byte, record) pairs in order: record number `record` of the input, counted from 0,
            begins at `byte` of its text or after it, behind nothing but white space and commas.
        packed: whether the object is that text packed by gzip.
        header, encoding: of a CSV file; other texts have no header.
    """

    input_obj: str
    size: int
    etag: str
    rows: int
    segments: list[SegmentCut]
    index: list[tuple[int, int]]
    packed: bool = False
    header: list[str] = field(default_factory=list)
    encoding: str = "utf-8"

    def to_json(self) -> bytes:
        return to_json(self)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """
        Raises:
            ValueError: it is not what `to_json` writes.
        """
        with reading("a scatter"):
            fields = json.loads(data)
            cuts = [SegmentCut(**cut) for cut in fields["segments"]]
            index = [(int(byte), int(record)) for byte, record in fields["index"]]
            return cls(**{**fields, "segments": cuts, "index": index})


@dataclass(frozen=True)
class Histogram:
    """Counts of numbers in bins of 2**exponent, so that any two can be merged exactly.

    Attributes:
        counts: bin number → count; bin n holds n * 2**exponent up to (n + 1) * 2**exponent.
    """

    exponent: int
    counts: dict[int, int]

    def coarser(self, exponent: int) -> "Histogram":
        counts: dict[int, int] = {}
        for number, count in self.counts.items():
            merged = number >> (exponent - self.exponent)
            counts[merged] = counts.get(merged, 0) + count
        return Histogram(exponent, counts)

    def fitted(self) -> "Histogram":
        """Of at most BINS bins."""
        found = self
        while found.counts and max(found.counts) - min(found.counts) >= BINS:
            found = found.coarser(found.exponent + 1)
        return found

    def merged(self, other: "Histogram") -> "Histogram":
        exponent = max(self.exponent, other.exponent)
        one, two = self.coarser(exponent), other.coarser(exponent)
        counts = {
            number: one.counts.get(number, 0) + two.counts.get(number, 0)
            for number in sorted(one.counts.keys() | two.counts.keys())
        }
        return Histogram(exponent, counts).fitted()


@dataclass(frozen=True)
class Column:
    """The profile of one column of a result.

    Attributes:
        kinds: numbers, texts, dates, booleans → how many cells of that kind.
        missing: empty cells.
        low, high: of the numbers; None without any.
        histogram: of the numbers; None without any.
        values: the distinct values as the workbook shows them → how many cells have them;
            empty where there are more than DISTINCT, and then `many` is True.
    """

    name: str
    kinds: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    low: float | None = None
    high: float | None = None
    histogram: Histogram | None = None
    values: dict[str, int] = field(default_factory=dict)
    many: bool = False

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        found = fields.get("histogram")
        if found is not None:
            counts = {int(number): int(count) for number, count in found["counts"].items()}
            found = Histogram(int(found["exponent"]), counts)
        return cls(**{**fields, "histogram": found})

    def merged(self, other: "Column") -> "Column":
        values = {} if self.many or other.many else added(self.values, other.values)
        many = self.many or other.many or len(values) > DISTINCT
        return Column(
            name=self.name,
            kinds=added(self.kinds, other.kinds),
            missing=self.missing + other.missing,
            low=least(self.low, other.low),
            high=greatest(self.high, other.high),
            histogram=self.histogram.merged(other.histogram)
            if self.histogram and other.histogram
            else self.histogram or other.histogram,
            values={} if many else values,
            many=many,
        )


@dataclass(frozen=True)
class SegmentFacts:
    """What a segment took and made; in the JSON beside its result, under the name `facts`.

    Attributes:
        columns: profiles, in the order of the result's columns.
        first_rows: the first FIRST_ROWS rows of the result, each cell as the workbook shows it.
        size: of the result's pickle, in bytes; 0 where it was not told.
        partials: bytes that it contributes to summaries.
        rejects: how many faulty records the result leaves out.
    """

    rows_in: int
    rows_out: int
    columns: list[Column]
    first_rows: list[list[str]]
    size: int = 0
    partials: int = 0
    rejects: int = 0

    def to_json(self) -> bytes:
        return json.dumps({"facts": asdict(self)}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Fields beside `facts` are another reader's.

        Raises:
            ValueError: it is not what `to_json` writes.
        """
        fields = json.loads(data)
        return cls.of(fields.get("facts") if isinstance(fields, dict) else fields)

    @classmethod
    def of(cls, fields: Any) -> Self:
        """
        Raises:
            ValueError: they are not the fields of a segment's facts.
        """
        with reading("a segment"):
            columns = [Column.of(column) for column in fields["columns"]]
            rows = [[str(cell) for cell in row] for row in fields["first_rows"]]
            rows_in, rows_out = int(fields["rows_in"]), int(fields["rows_out"])
            others = (int(fields.get(name, 0)) for name in ("size", "partials", "rejects"))
            return cls(rows_in, rows_out, columns, rows, *others)


@dataclass(frozen=True)
class SummaryFacts:
    """A summary, or another table beside the workbook's own.

    Attributes:
        keys: how many columns, the first ones, name a row.
        rows: of all its sheets, header and total excluded.
        chart: column, bar, line or pie; None for none.
        first_rows: numbers as numbers, all other cells as texts, missing ones as None.
        total: the row over everything; [] for none.
    """

    name: str
    columns: list[str]
    keys: int
    rows: int
    chart: str | None
    first_rows: list[list[Any]]
    total: list[Any]


@dataclass(frozen=True)
class WorkbookFacts:
    """What a gather wrote.

    Attributes:
        size: in bytes.
        sheets: their names.
        rows: of the table, header excluded.
        profile: of the whole table; [] where a segment told nothing.
        first_rows: of the whole table, each with a text for each of its columns.
        segments: in the order of the table, without columns and first rows of their own.
        summaries: in the order of their sheets.
        rejects: how many faulty records a sheet lists; None where nobody asked for it.
    """

    workbook: str
    size: int
    rows: int
    columns: list[str]
    sheets: list[str]
    profile: list[Column] = field(default_factory=list)
    first_rows: list[list[str]] = field(default_factory=list)
    segments: list[SegmentFacts] = field(default_factory=list)
    summaries: list[SummaryFacts] = field(default_factory=list)
    rejects: int | None = None

    def to_json(self) -> bytes:
        return to_json(self)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """
        Raises:
            ValueError: it is not what `to_json` writes.
        """
        with reading("a gather"):
            fields = json.loads(data)
            fields["profile"] = [Column.of(column) for column in fields.get("profile", [])]
            fields["segments"] = [SegmentFacts(**each) for each in fields.get("segments", [])]
            fields["summaries"] = [SummaryFacts(**each) for each in fields.get("summaries", [])]
            return cls(**fields)


def facts_key(segment_key: str) -> str:
    """`scatter/x/job_000.pkl` → `scatter/x/facts.json`; the same of a gather's."""
    folder, _, _ = segment_key.rpartition("/")
    return f"{folder}/facts.json"


def segment_facts_key(result_key: str) -> str:
    return result_key.removesuffix(".pkl") + ".json"


class Told:
    """What segments tell, in the order of the table, merged as it comes: a reader of the whole
    needs none of their objects.

    Attributes:
        whole: whether every segment told something; without, there is no profile.
    """

    def __init__(self) -> None:
        self.whole = True
        self.rows = 0
        self.profile: dict[str, Column] = {}
        self.first_rows: list[dict[str, str]] = []
        self.segments: list[SegmentFacts] = []

    def add(self, segment: SegmentFacts | None) -> None:
        if segment is None:
            self.whole = False
            return
        by_name = {column.name: column for column in segment.columns}
        for name in {**self.profile, **by_name}:
            before = self.profile.get(name) or Column(name, missing=self.rows)
            here = by_name.get(name) or Column(name, missing=segment.rows_out)
            self.profile[name] = before.merged(here)
        for row in segment.first_rows[: FIRST_ROWS - len(self.first_rows)]:
            self.first_rows.append(dict(zip(by_name, row)))
        self.rows += segment.rows_out
        self.segments.append(replace(segment, columns=[], first_rows=[]))

    def facts(
        self, workbook: str, size: int, rows: int, columns: list[str], sheets: list[str]
    ) -> WorkbookFacts:
        if not self.whole:
            return WorkbookFacts(workbook, size, rows, columns, sheets)
        first = [[row.get(name, "") for name in self.profile] for row in self.first_rows]
        profile = list(self.profile.values())
        return WorkbookFacts(workbook, size, rows, columns, sheets, profile, first, self.segments)


def to_json(facts: Any) -> bytes:
    return json.dumps(asdict(facts)).encode()


def added(one: dict[str, int], two: dict[str, int]) -> dict[str, int]:
    return {key: one.get(key, 0) + two.get(key, 0) for key in {**one, **two}}


def least(one: float | None, two: float | None) -> float | None:
    return min((value for value in (one, two) if value is not None), default=None)


def greatest(one: float | None, two: float | None) -> float | None:
    return max((value for value in (one, two) if value is not None), default=None)


def exponent_of(low: float, high: float) -> int:
    """Of the bins of a histogram from low to high, so that BINS take them all."""
    step = high / (BINS - 1) - low / (BINS - 1)
    return math.frexp(step)[1] if step else SMALLEST if high > low else 0

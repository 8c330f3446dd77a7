"""What the functions know of an execution, as small objects beside what they describe.

`scatter/[<execution>/]facts.json` tells of the segment files, `gather/…/job_000.json` of one
segment's result (with what the gather needs, see `rendered.py`), `gather/[<execution>/]facts.json`
of the workbook. The functions write them, the harness reads them; nobody reads rows for a figure.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from functools import cache
from types import UnionType
from typing import Any, Self, get_args, get_origin, get_type_hints
from urllib.parse import quote, unquote

FIRST_ROWS = 10
DISTINCT = 20  # values that a profile counts one by one; a column with more has `many`
BINS = 40  # of a histogram, at most
INLINE_BYTES = 8 * 1024  # of partial results among a segment's figures; more is an object
SMALLEST = -1074  # exponent of the least float
METADATA_CHARACTERS = 1_900  # ASCII, of the 2 KB that S3 keeps of an object's metadata
MADE_BY = "made-by"  # the mark of a workbook of ours, which no folder's table holds


class Json:
    """A dataclass as JSON."""

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()  # type: ignore[call-overload]  # a dataclass

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """
        Raises:
            ValueError: it is not what `to_json` writes.
        """
        return cls.of(json.loads(data))

    @classmethod
    def of(cls, fields: Any) -> Self:
        """
        Raises:
            ValueError: they are not the fields of such a dataclass.
        """
        try:
            made: Self = reader(cls)(fields)  # type: ignore[arg-type]  # a class has a hash
        except (TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"must be {cls.__name__} as JSON; found {error}") from None
        return made


@cache
def reader(kind: Any) -> Callable[[Any], Any]:
    """What makes a value of this type of one of JSON, which has no other types within it."""
    origin, inner = get_origin(kind), [reader(each) for each in get_args(kind)]
    if is_dataclass(kind):
        types = {name: reader(each) for name, each in get_type_hints(kind).items()}
        make: Any = kind
        return lambda fields: make(
            **{name: types[name](fields[name]) for name in types.keys() & fields.keys()}
        )
    if origin is list:
        return lambda value: [inner[0](each) for each in value]
    if origin is dict:
        of = get_args(kind)[0]  # in JSON a text
        return lambda value: {of(key): inner[1](each) for key, each in value.items()}
    if origin is tuple:
        return lambda value: tuple(read(each) for read, each in zip(inner, value, strict=True))
    if origin is UnionType:  # with None
        return lambda value: None if value is None else inner[0](value)
    return lambda value: value


@dataclass(frozen=True)
class SegmentCut:
    """A segment file; its size in bytes."""

    key: str
    rows: int
    size: int


@dataclass(frozen=True)
class ObjectFacts:
    """An object that a scatter read.

    Attributes:
        size: in bytes.
        index: (byte, record) pairs in order: record number `record` of the object, counted from 0,
            begins at `byte` of its text or after it, behind nothing but white space and commas.
        packed: whether the object is that text packed by gzip.
        header: of a CSV file; other texts have none.
    """

    key: str
    size: int
    etag: str
    rows: int
    index: list[tuple[int, int]]
    packed: bool = False
    header: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ScatterFacts(Json):
    """What a scatter read and wrote.

    Attributes:
        input_obj: what the table is called.
        objects: in the order of the table.
        passed_over: how many objects of the folder are no tables.
        encoding: of CSV files.
    """

    input_obj: str
    rows: int
    segments: list[SegmentCut]
    objects: list[ObjectFacts]
    passed_over: int = 0
    encoding: str = "utf-8"

    @property
    def size(self) -> int:
        """Of the input, in bytes."""
        return sum(each.size for each in self.objects)

    @property
    def of_many(self) -> bool:
        """Whether the input may name more objects than one."""
        return [each.key for each in self.objects] != [self.input_obj]


@dataclass(frozen=True)
class Histogram:
    """Counts of numbers in bins of 2**exponent, so that any two can be merged exactly.

    Attributes:
        counts: bin number → count; bin n holds n * 2**exponent up to (n + 1) * 2**exponent.
    """

    exponent: int
    counts: dict[int, int]

    def coarser(self, exponent: int) -> "Histogram":
        counts: Counter[int] = Counter()
        for number, count in self.counts.items():
            counts[number >> (exponent - self.exponent)] += count
        return Histogram(exponent, dict(counts))

    def fitted(self) -> "Histogram":
        """Of at most BINS bins."""
        found = self
        while found.counts and max(found.counts) - min(found.counts) >= BINS:
            found = found.coarser(found.exponent + 1)
        return found

    def merged(self, other: "Histogram") -> "Histogram":
        exponent = max(self.exponent, other.exponent)
        counts = added(self.coarser(exponent).counts, other.coarser(exponent).counts)
        return Histogram(exponent, dict(sorted(counts.items()))).fitted()


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

    def merged(self, other: "Column") -> "Column":
        one, two = self.histogram, other.histogram
        lows = [each.low for each in (self, other) if each.low is not None]
        highs = [each.high for each in (self, other) if each.high is not None]
        values = added(self.values, other.values)
        many = self.many or other.many or len(values) > DISTINCT
        return Column(
            name=self.name,
            kinds=added(self.kinds, other.kinds),
            missing=self.missing + other.missing,
            low=min(lows, default=None),
            high=max(highs, default=None),
            histogram=one.merged(two) if one and two else one or two,
            values={} if many else values,
            many=many,
        )


@dataclass(frozen=True)
class SegmentFacts(Json):
    """What a segment took and made; in the JSON beside its result, under the name `facts`.

    Attributes:
        columns: profiles, in the order of the result's columns.
        first_rows: the first FIRST_ROWS rows of the result, each cell as the workbook shows it.
        size: of the result's pickle, in bytes; 0 where it was not told.
        partials: bytes that it contributes to summaries.
        rejects: how many faulty records the result leaves out.
        source: the input object.
    """

    rows_in: int
    rows_out: int
    columns: list[Column]
    first_rows: list[list[str]]
    size: int = 0
    partials: int = 0
    rejects: int = 0
    source: str = ""

    def to_json(self) -> bytes:
        return json.dumps({"facts": asdict(self)}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Fields beside `facts` are another reader's."""
        fields = json.loads(data)
        return cls.of(fields.get("facts") if isinstance(fields, dict) else fields)


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
class WorkbookFacts(Json):
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


def workbook_metadata(input_obj: str) -> dict[str, str]:
    """What the object of a workbook says of itself and of its input, as S3 keeps it: of a long name
    the beginning."""
    told = {"input": quote(input_obj)[:METADATA_CHARACTERS]} if input_obj else {}
    return {MADE_BY: "scatter-gather", **told}


def made_from(metadata: Mapping[str, str]) -> str:
    """The input that a workbook's metadata tells of; "" without one."""
    return unquote(metadata.get("input", ""))


class Told:
    """What segments tell, in the order of the table, merged as it comes: a reader of the whole
    needs none of their objects.

    Attributes:
        source: the input object; "" where no segment told it.
        whole: whether every segment told something; without, there is no profile.
    """

    def __init__(self) -> None:
        self.whole = True
        self.source = ""
        self.rows = 0
        self.profile: dict[str, Column] = {}
        self.first_rows: list[dict[str, str]] = []
        self.segments: list[SegmentFacts] = []

    def add(self, segment: SegmentFacts | None) -> None:
        if segment is None:
            self.whole = False
            return
        self.source = segment.source
        by_name = {column.name: column for column in segment.columns}
        for name in {**self.profile, **by_name}:
            before = self.profile.get(name) or Column(name, missing=self.rows)
            here = by_name.get(name) or Column(name, missing=segment.rows_out)
            self.profile[name] = before.merged(here)
        for row in segment.first_rows[: FIRST_ROWS - len(self.first_rows)]:
            self.first_rows.append(dict(zip(by_name, row)))
        self.rows += segment.rows_out
        self.segments.append(replace(segment, columns=[], first_rows=[], source=""))

    def facts(
        self, workbook: str, size: int, rows: int, columns: list[str], sheets: list[str]
    ) -> WorkbookFacts:
        if not self.whole:
            return WorkbookFacts(workbook, size, rows, columns, sheets)
        first = [[row.get(name, "") for name in self.profile] for row in self.first_rows]
        profile = list(self.profile.values())
        return WorkbookFacts(workbook, size, rows, columns, sheets, profile, first, self.segments)


def added[K](one: Mapping[K, int], two: Mapping[K, int]) -> dict[K, int]:
    return dict(Counter(one) + Counter(two))


def exponent_of(low: float, high: float) -> int:
    """Of the bins of a histogram from low to high, so that BINS take them all."""
    step = high / (BINS - 1) - low / (BINS - 1)
    return math.frexp(step)[1] if step else SMALLEST if high > low else 0

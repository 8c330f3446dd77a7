"""What the functions know of an execution, as small objects beside what they describe.

`scatter/[<execution>/]facts.json` tells of the segment files, `gather/…/job_000.json` of one
segment's result (with what the gather needs, see `segments/figures.py`), `gather/[<execution>/]facts.json`
of the workbook. The functions write them, the harness reads them; nobody reads rows for a figure.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self
from urllib.parse import quote, unquote

from pipeline.facts.column_profile import Column
from pipeline.facts.json_dataclass import Json

FIRST_ROWS = 10
INLINE_BYTES = 8 * 1024  # of partial results among a segment's figures; more is an object
METADATA_CHARACTERS = 1_900  # ASCII, of the 2 KB that S3 keeps of an object's metadata
MADE_BY = "made-by"  # the mark of a workbook of ours, which no folder's table holds


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
        header, delimiter: of a CSV file; other texts have no header.
    """

    key: str
    size: int
    etag: str
    rows: int
    index: list[tuple[int, int]]
    packed: bool = False
    header: list[str] = field(default_factory=list)
    delimiter: str = ","


@dataclass(frozen=True)
class ScatterFacts(Json):
    """What a scatter read and wrote.

    Attributes:
        input_obj: what the table is called.
        objects: in the order of the table.
        passed_over: how many objects of the folder are no tables.
        encoding: of CSV files.
        bucket: of the objects; "" for the pipeline's own.
    """

    input_obj: str
    rows: int
    segments: list[SegmentCut]
    objects: list[ObjectFacts]
    passed_over: int = 0
    encoding: str = "utf-8"
    bucket: str = ""

    @property
    def size(self) -> int:
        """Of the input, in bytes."""
        return sum(each.size for each in self.objects)

    @property
    def of_many(self) -> bool:
        """Whether the input may name more objects than one."""
        return [each.key for each in self.objects] != [self.input_obj]


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
        later: a later upload of the input has the key: this workbook was not written.
        table: whether the workbook has the table, or summaries alone.
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
    later: bool = False
    table: bool = True


def workbook_metadata(input_obj: str) -> dict[str, str]:
    """What the object of a workbook says of itself and of its input, as S3 keeps it: of a long name
    the beginning."""
    told = {"input": quote(input_obj)[:METADATA_CHARACTERS]} if input_obj else {}
    return {MADE_BY: "scatter-gather", **told}


def made_from(metadata: Mapping[str, str]) -> str:
    """The input that a workbook's metadata tells of; "" without one."""
    return unquote(metadata.get("input", ""))

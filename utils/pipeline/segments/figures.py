"""What a segment tells of its result, and the objects that it names.

`gather/job_000.pkl` has `gather/job_000.xml.deflate`, its rows as deflated sheet XML, and
`gather/job_000.json`, the figures that the gather needs to splice them in, and
`gather/job_000.partials`, what it contributes to summaries, if that is much, and
`gather/rejects/job_000-7.pkl`, the 7 records that its result leaves out, if there are any.
"""

import base64
from dataclasses import dataclass, field, replace
from typing import Any

from botocore.exceptions import ClientError

from pipeline.events.gather import MissingSegment
from pipeline.facts.json_dataclass import Json
from pipeline.facts.stages import INLINE_BYTES, SegmentFacts
from pipeline.keys import partials_key, rejects_folder, rejects_of, segment_facts_key, xml_key
from pipeline.s3.client import OTHERS, status
from pipeline.s3.signed import Objects
from pipeline.sheet.layout import Layout
from pipeline.sheet.parts import RenderedRows, SheetPart


@dataclass(frozen=True)
class Rejects:
    """Faulty records that a result leaves out, as the execution's input asked.

    Attributes:
        columns: of the frame that holds them.
        most: how many the whole table may have; None for any number.
        etag: of that frame's pickle; "" without a record.
        first: what is wrong with the first one.
    """

    count: int
    columns: list[str]
    most: int | None = None
    etag: str = ""
    first: str = ""


@dataclass(frozen=True)
class Contribution:
    """What a segment contributes to summaries.

    Attributes:
        summaries: what it means, as `contribution.carried` gives it; [] for nothing.
        data: its blocks, in base64; much of it is an object of its own.
        etag: of that object; "" without one.
    """

    summaries: list[Any] = field(default_factory=list)
    data: str = ""
    etag: str = ""


@dataclass(frozen=True)
class Figures(Json):
    """What the gather knows of rendered rows before it reads them.

    Attributes:
        pickle_etag: of the pickle that was rendered; rows of another one are stale.
        xml_etag: of the rows that these figures describe.
        columns, widest, parts, formats, holds: see RenderedRows.
        facts: what the segment tells the report.
        rejects: None where nobody asked for them.
        alone: whether the workbook has summaries alone, and no rows were rendered.
    """

    pickle_etag: str
    xml_etag: str = ""
    columns: list[str] = field(default_factory=list)
    widest: list[str] = field(default_factory=list)
    parts: list[SheetPart] = field(default_factory=list)
    holds: list[int] = field(default_factory=list)
    facts: SegmentFacts | None = None
    formats: dict[str, str] = field(default_factory=dict)
    summaries: Contribution = Contribution()
    rejects: Rejects | None = None
    layout: Layout = field(default_factory=Layout)
    alone: bool = False

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    def starts_at(self, position: int) -> bool:
        return not self.parts or self.parts[0].position == position


def rejected_before(objects: Objects, key: str) -> int:
    """How many records the segments before this one have left out so far.

    One request tells, of 1,000 segments at most; where that is not all, the gather renders the
    segment's rows again.
    """
    told = objects.s3.list_objects_v2(Bucket=objects.bucket, Prefix=rejects_folder(key))
    rejected = filter(None, (rejects_of(each["Key"]) for each in told.get("Contents", [])))
    return sum(count for other, count in rejected if (len(other), other) < (len(key), key))


def get_told(objects: Objects, key: str, etag: str) -> bytes:
    """An object that a segment's figures name by its ETag.

    Raises:
        InvalidSignature: a stranger wrote what is there.
        MissingSegment: it is not there, or another one, such as an earlier pass wrote.
    """
    try:
        return objects.get(key, IfMatch=etag)
    except ClientError as error:
        if status(error) not in OTHERS:
            raise
        if status(error) == 412:
            objects.get(key)  # refuses a stranger's
        rule = f"must be what its segment's figures name, {etag}"
        raise MissingSegment(f"{key}: {rule}; found {OTHERS[status(error)]}") from None


def send(objects: Objects, key: str, rows: RenderedRows, told: Figures) -> Figures:
    """Write the rows of the result at `key`, and its figures.

    Args:
        told: all that the rows do not tell.
    """
    figures = replace(
        told,
        xml_etag=objects.put(xml_key(key), rows.xml),
        columns=rows.columns,
        widest=rows.widest,
        parts=rows.parts,
        holds=rows.holds,
        formats=rows.formats,
    )
    objects.put(segment_facts_key(key), figures.to_json())
    return figures


def contribution(objects: Objects, key: str, summaries: list[Any], data: bytes) -> Contribution:
    """For the figures of the result at `key`: what `contribution.carried` gives. Much of it goes to an
    object."""
    if len(data) <= INLINE_BYTES:
        return Contribution(summaries, base64.b64encode(data).decode())
    return Contribution(summaries, etag=objects.put(partials_key(key), data))


def contributed(objects: Objects, key: str, told: Contribution) -> tuple[list[Any], bytes]:
    """The arguments that made a contribution.

    Raises:
        MissingSegment: the object is not the one that the figures name.
    """
    if told.etag:
        return told.summaries, get_told(objects, partials_key(key), told.etag)
    return told.summaries, base64.b64decode(told.data)

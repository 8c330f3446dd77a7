"""A segment's rows rendered for the workbook, kept in S3 beside its pickle.

`gather/job_000.pkl` has `gather/job_000.xml.deflate`, its rows as deflated sheet XML, and
`gather/job_000.json`, the figures that the gather needs to splice them in, and
`gather/job_000.partials`, what it contributes to summaries, if that is much, and
`gather/job_000.rejects-7.pkl`, the 7 records that its result leaves out, if there are any.
"""

import base64
import re
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from pipeline.events.gather import MissingSegment
from pipeline.facts.json_dataclass import Json
from pipeline.facts.stages import INLINE_BYTES, SegmentFacts
from pipeline.keys import partials_key, rejects_of, segment_facts_key, xml_key
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
        summaries: what it means, as `contribution.carried` gives it.
        data: its blocks, in base64; much of it is an object of its own.
        etag: of that object; "" without one.
        alone: whether the workbook has summaries alone, and no rows were rendered.
    """

    summaries: list[Any]
    data: str = ""
    etag: str = ""
    alone: bool = False


@dataclass(frozen=True)
class Figures(Json):
    """What the gather knows of rendered rows before it reads them.

    Attributes:
        pickle_etag: of the pickle that was rendered; rows of another one are stale.
        xml_etag: of the rows that these figures describe.
        columns, widest, parts, formats, holds: see RenderedRows.
        facts: what the segment tells the report.
        summaries: None for nothing.
        rejects: None where nobody asked for them.
        layout: None for that of every table.
    """

    pickle_etag: str
    xml_etag: str
    columns: list[str]
    widest: list[str]
    parts: list[SheetPart]
    holds: list[int]
    facts: SegmentFacts | None = None
    formats: dict[str, str] = field(default_factory=dict)
    summaries: Contribution | None = None
    rejects: Rejects | None = None
    layout: Layout | None = None

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    def starts_at(self, position: int) -> bool:
        return not self.parts or self.parts[0].position == position


def rejected_before(objects: Objects, key: str) -> int:
    """How many records the segments before this one have left out so far, as one request tells.

    Where that is not all of them the gather renders the segment's rows again.
    """
    prefix = re.sub("[0-9]+[.]pkl$", "", key)
    listed = objects.s3.list_objects_v2(Bucket=objects.bucket, Prefix=prefix).get("Contents", [])
    rejected = filter(None, (rejects_of(each["Key"]) for each in listed))
    return sum(count for other, count in rejected if (len(other), other) < (len(key), key))


def get_told(objects: Objects, key: str, etag: str) -> bytes:
    """An object of which a segment's figures tell.

    Args:
        etag: as they tell it.

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


def send(
    objects: Objects,
    key: str,
    rows: RenderedRows,
    pickle_etag: str,
    facts: SegmentFacts | None = None,
    summaries: Contribution | None = None,
    rejects: Rejects | None = None,
    layout: Layout | None = None,
) -> Figures:
    """Write the rows, and the figures of them and of the pickle at `key`."""
    figures = Figures(
        pickle_etag,
        objects.put(xml_key(key), rows.xml),
        rows.columns,
        rows.widest,
        rows.parts,
        rows.holds,
        facts,
        rows.formats,
        summaries,
        rejects,
        layout,
    )
    objects.put(segment_facts_key(key), figures.to_json())
    return figures


def contribution(
    objects: Objects, key: str, summaries: list[Any], data: bytes, alone: bool = False
) -> Contribution | None:
    """What a segment contributes to summaries, for its figures; much of it goes to an object.

    Args:
        summaries, data: as `contribution.carried` gives them.
        alone: see Contribution.
    """
    if not summaries:
        return None
    if len(data) <= INLINE_BYTES:
        return Contribution(summaries, base64.b64encode(data).decode(), alone=alone)
    return Contribution(summaries, etag=objects.put(partials_key(key), data), alone=alone)


def contributed(objects: Objects, key: str, figures: Figures | None) -> tuple[list[Any], bytes]:
    """The arguments of `contribution` that a segment's figures tell of; [] and b"" without any.

    Raises:
        MissingSegment: the object is not the one that the figures name.
    """
    told = figures.summaries if figures else None
    if told is None:
        return [], b""
    if told.etag:
        return told.summaries, get_told(objects, partials_key(key), told.etag)
    return told.summaries, base64.b64decode(told.data)

"""A segment's rows rendered for the workbook, kept in S3 beside its pickle.

`gather/job_000.pkl` has `gather/job_000.xml.deflate`, its rows as deflated sheet XML, and
`gather/job_000.json`, the figures that the gather needs to splice them in, and
`gather/job_000.partials`, what it contributes to summaries, if that is much, and
`gather/job_000.rejects-7.pkl`, the 7 records that its result leaves out, if there are any.
"""

import base64
import json
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

from pipeline.errors.wording import require
from pipeline.excel import COLUMN_WIDTH, check_formats
from pipeline.facts.stages import INLINE_BYTES, Json, SegmentFacts
from pipeline.keys import partials_key, rejects_of, segment_facts_key, xml_key
from pipeline.sheet.parts import RenderedRows, SheetPart

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class InvalidFigures(ValueError):
    """The figures beside a segment's pickle are not those of rendered rows."""


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
        summaries: what it means, as `summary.carried` gives it.
        data: its blocks, in base64; much of it is an object of its own.
        etag: of that object; "" without one.
    """

    summaries: list[Any]
    data: str = ""
    etag: str = ""


@dataclass(frozen=True)
class Figures(Json):
    """What the gather knows of rendered rows before it reads them.

    Attributes:
        pickle_etag: of the pickle that was rendered; rows of another one are stale.
        xml_etag: of the rows that these figures describe.
        columns, widest, parts, formats: see RenderedRows.
        facts: what the segment tells the report.
        summaries: None for nothing.
        rejects: None where nobody asked for them.
    """

    pickle_etag: str
    xml_etag: str
    columns: list[str]
    widest: list[str]
    parts: list[SheetPart]
    facts: SegmentFacts | None = None
    formats: dict[str, str] = field(default_factory=dict)
    summaries: Contribution | None = None
    rejects: Rejects | None = None

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    def starts_at(self, position: int) -> bool:
        return not self.parts or self.parts[0].position == position

    @classmethod
    def from_json(cls, data: bytes, key: str = "") -> Self:
        """Read figures that anybody may have written.

        Raises:
            InvalidFigures: a field is not as `to_json` writes it, or the parts do not join.
        """
        try:
            figures = super().from_json(data)
            figures.check()
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidFigures(f"{key}: must be JSON; found {error}") from None
        except ValueError as error:
            raise InvalidFigures(f"{key}: {error}") from None
        return figures

    def check(self) -> None:
        widths, longest = len(self.widest), max(map(len, self.widest), default=0)
        require(len(self.columns) == widths, "columns must all have a widest", widths)
        require(longest <= COLUMN_WIDTH, f"widest is at most {COLUMN_WIDTH} long", longest)
        check_formats(self.formats)
        for part in self.parts:
            part.check()
        for before, part in pairwise(self.parts):
            end = before.position + before.rows
            require(part.position == end, f"row {end} must follow", part.position)


def rejected_before(s3: "S3Client", bucket: str, key: str) -> int:
    """How many records the segments before this one have left out so far, as one request tells.

    Where that is not all of them the gather renders the segment's rows again.
    """
    prefix = re.sub("[0-9]+[.]pkl$", "", key)
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    rejected = filter(None, (rejects_of(each["Key"]) for each in listed))
    return sum(count for other, count in rejected if (len(other), other) < (len(key), key))


def send(
    s3: "S3Client",
    bucket: str,
    key: str,
    rows: RenderedRows,
    pickle_etag: str,
    facts: SegmentFacts | None = None,
    summaries: Contribution | None = None,
    rejects: Rejects | None = None,
) -> Figures:
    """Write the rows, and the figures of them and of the pickle at `key`."""
    xml_etag = s3.put_object(Bucket=bucket, Key=xml_key(key), Body=rows.xml)["ETag"]
    figures = Figures(
        pickle_etag,
        xml_etag,
        rows.columns,
        rows.widest,
        rows.parts,
        facts,
        rows.formats,
        summaries,
        rejects,
    )
    s3.put_object(Bucket=bucket, Key=segment_facts_key(key), Body=figures.to_json())
    return figures


def contribution(
    s3: "S3Client", bucket: str, key: str, summaries: list[Any], data: bytes
) -> Contribution | None:
    """What a segment contributes to summaries, for its figures; much of it goes to an object.

    Args:
        summaries, data: as `summary.carried` gives them.
    """
    if not summaries:
        return None
    if len(data) <= INLINE_BYTES:
        return Contribution(summaries, base64.b64encode(data).decode())
    etag = s3.put_object(Bucket=bucket, Key=partials_key(key), Body=data)["ETag"]
    return Contribution(summaries, etag=etag)


def contributed(
    s3: "S3Client", bucket: str, key: str, figures: Figures | None
) -> tuple[list[Any], bytes]:
    """The arguments of `contribution` that a segment's figures tell of; [] and b"" without any.

    Raises:
        InvalidFigures: the figures are not those that `contribution` makes.
        PreconditionFailed, NoSuchKey: of S3; the object is another than the figures say.
    """
    told = figures.summaries if figures else None
    if told is None:
        return [], b""
    if told.etag:
        at = partials_key(key)
        body = s3.get_object(Bucket=bucket, Key=at, IfMatch=told.etag)["Body"]
        return told.summaries, body.read()
    try:
        return told.summaries, base64.b64decode(told.data, validate=True)
    except ValueError as error:
        raise InvalidFigures(
            f"{segment_facts_key(key)}: data must be base64; found {error}"
        ) from None

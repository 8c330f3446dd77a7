"""A segment's rows rendered for the workbook, kept in S3 beside its pickle.

`gather/job_000.pkl` has `gather/job_000.xml.deflate`, its rows as deflated sheet XML, and
`gather/job_000.json`, the figures that the gather needs to splice them in, and
`gather/job_000.partials`, what it contributes to summaries, if that is much, and
`gather/job_000.rejects-7.pkl`, the 7 records that its result leaves out, if there are any.
"""

import base64
import json
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from excel import COLUMN_WIDTH, DATA_ROWS, InvalidFormat, check_formats
from facts import INLINE_BYTES
from found import found

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


REJECTS = "Rejects"  # the sheet of the records that are left out


class InvalidFigures(ValueError):
    """The figures beside a segment's pickle are not those of rendered rows."""


@dataclass(frozen=True)
class SheetPart:
    """Some rows of one sheet as raw deflated XML, ended by a flush so that more can follow.

    Attributes:
        position: zero-based number of the first row among the data rows of the whole table.
        rows: data rows, at least 1, all on the sheet position // DATA_ROWS.
        xml_bytes: length before deflating.
        deflated_bytes: length of the part itself.
        crc32: of the XML before deflating.
    """

    position: int
    rows: int
    xml_bytes: int
    deflated_bytes: int
    crc32: int


@dataclass(frozen=True)
class RenderedRows:
    """All rows of a segment.

    Attributes:
        columns: the header texts.
        widest: for each column the widest line of its cells.
        parts: the rows in order, split where a sheet ends.
        xml: the parts' bytes, one after another.
        formats: the number formats that they were rendered with, by the names of columns.
    """

    columns: list[str]
    widest: list[str]
    parts: list[SheetPart]
    xml: bytes
    formats: dict[str, str]


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
class Figures:
    """What the gather knows of rendered rows before it reads them.

    Attributes:
        pickle_etag: of the pickle that was rendered; rows of another one are stale.
        xml_etag: of the rows that these figures describe.
        columns, widest, parts, formats: see RenderedRows.
        facts: what the segment tells the report, as `facts.SegmentFacts` reads it.
        summaries: what it contributes to summaries, as `contribution` gives it; None for nothing.
        rejects: None where nobody asked for them.
    """

    pickle_etag: str
    xml_etag: str
    columns: list[str]
    widest: list[str]
    parts: list[SheetPart]
    facts: Any = None
    formats: dict[str, str] = field(default_factory=dict)
    summaries: Any = None
    rejects: Rejects | None = None

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    def starts_at(self, position: int) -> bool:
        return not self.parts or self.parts[0].position == position

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes, key: str) -> Self:
        """Read figures that anybody may have written.

        Raises:
            InvalidFigures: a field is not as `to_json` writes it, or the parts do not join.
        """
        try:
            fields = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise InvalidFigures(f"{key}: must be JSON; found {error}") from None
        _require(type(fields) is dict, key, "must be an object", fields)
        for name in ("pickle_etag", "xml_etag", "columns", "widest", "parts"):
            kind = str if name.endswith("etag") else list
            value = fields.get(name)
            _require(type(value) is kind, key, f"{name} must be a {kind.__name__}", value)
        columns, widest = fields["columns"], fields["widest"]
        for text in columns + widest:
            _require(type(text) is str, key, "columns and widest must hold texts", text)
        _require(len(columns) == len(widest), key, "columns must all have a widest", len(widest))
        for length in map(len, widest):
            _require(length <= COLUMN_WIDTH, key, f"widest is at most {COLUMN_WIDTH} long", length)
        formats = fields.get("formats", {})
        _require(type(formats) is dict, key, "formats must be an object", formats)
        try:
            check_formats(formats)
        except InvalidFormat as error:
            raise InvalidFigures(f"{key}: {error}") from None
        parts = [_part(part, key) for part in fields["parts"]]
        for before, part in zip(parts, parts[1:]):
            end = before.position + before.rows
            _require(part.position == end, key, f"row {end} must follow", part.position)
        etags = fields["pickle_etag"], fields["xml_etag"]
        facts, summaries, rejects = map(fields.get, ("facts", "summaries", "rejects"))
        rejects = None if rejects is None else _rejects(rejects, key)
        return cls(*etags, columns, widest, parts, facts, formats, summaries, rejects)


def _part(fields: Any, key: str) -> SheetPart:
    _require(type(fields) is dict, key, "a part must be an object", fields)
    numbers = {name: fields.get(name) for name in SheetPart.__annotations__}
    for name, number in numbers.items():
        bits = 32 if name == "crc32" else 48
        whole = type(number) is int and 0 <= number < 1 << bits
        _require(whole, key, f"{name} of a part must be a whole number of {bits} bits", number)
    part = SheetPart(**numbers)
    room = DATA_ROWS - part.position % DATA_ROWS
    _require(1 <= part.rows <= room, key, "a part must lie on one sheet", part.rows)
    return part


def _rejects(fields: Any, key: str) -> Rejects:
    _require(type(fields) is dict, key, "rejects must be an object", fields)
    kinds = {"count": int, "columns": list, "etag": str, "first": str}
    for name, kind in kinds.items():
        value = fields.get(name)
        _require(type(value) is kind, key, f"{name} of rejects must be a {kind.__name__}", value)
    count, most = fields["count"], fields.get("most")
    _require(count >= 0, key, "count of rejects must be a whole number", count)
    _require(most is None or type(most) is int, key, "most of rejects must be a number", most)
    for text in fields["columns"]:
        _require(type(text) is str, key, "columns of rejects must be texts", text)
    return Rejects(most=most, **{name: fields[name] for name in kinds})


def _require(holds: bool, key: str, rule: str, value: Any) -> None:
    if not holds:
        raise InvalidFigures(f"{key}: {rule}; found {found(value)}")


def xml_key(key: str) -> str:
    return key.removesuffix(".pkl") + ".xml.deflate"


def partials_key(key: str) -> str:
    return key.removesuffix(".pkl") + ".partials"


def rejects_key(key: str, count: int) -> str:
    """The count is in the name: a list tells it, see `rejected_before`."""
    return f"{key.removesuffix('.pkl')}.rejects-{count}.pkl"


def rejected_before(s3: "S3Client", bucket: str, key: str) -> int:
    """How many records the segments before this one have left out so far, as one request tells.

    Where that is not all of them the gather renders the segment's rows again.
    """
    prefix = re.sub("[0-9]+[.]pkl$", "", key)
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    counts = (re.fullmatch(r"(.+)\.rejects-([0-9]+)\.pkl", each["Key"]) for each in listed)
    own = len(key), key
    return sum(
        int(each[2]) for each in counts if each and (len(each[1]) + 4, each[1] + ".pkl") < own
    )


def figures_key(key: str) -> str:
    return key.removesuffix(".pkl") + ".json"


def send(
    s3: "S3Client",
    bucket: str,
    key: str,
    rows: RenderedRows,
    pickle_etag: str,
    facts: Any = None,
    summaries: Any = None,
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
    s3.put_object(Bucket=bucket, Key=figures_key(key), Body=figures.to_json())
    return figures


def contribution(s3: "S3Client", bucket: str, key: str, fields: list[Any], data: bytes) -> Any:
    """What a segment contributes to summaries, for its figures; much of it goes to an object.

    Args:
        fields, data: as `summary.carried` gives them.
    """
    if not fields:
        return None
    if len(data) <= INLINE_BYTES:
        return {"summaries": fields, "data": base64.b64encode(data).decode()}
    etag = s3.put_object(Bucket=bucket, Key=partials_key(key), Body=data)["ETag"]
    return {"summaries": fields, "etag": etag}


def contributed(s3: "S3Client", bucket: str, key: str, figures: Figures | None) -> bytes:
    """The partial results that a segment's figures tell of; b"" without any.

    Raises:
        InvalidFigures: the figures are not those that `contribution` makes.
        PreconditionFailed, NoSuchKey: of S3; the object is another than the figures say.
    """
    if figures is None or figures.summaries is None:
        return b""
    name, fields = figures_key(key), figures.summaries
    _require(type(fields) is dict, name, "summaries must be an object", fields)
    _require(type(fields.get("summaries")) is list, name, "summaries must be a list", None)
    if "etag" in fields:
        _require(type(fields["etag"]) is str, name, "etag must be a text", fields["etag"])
        found_at = partials_key(key)
        return s3.get_object(Bucket=bucket, Key=found_at, IfMatch=fields["etag"])["Body"].read()
    try:
        return base64.b64decode(fields["data"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidFigures(f"{name}: data must be base64; found {error}") from None

"""A segment's rows rendered for the workbook, kept in S3 beside its pickle.

`gather/job_000.pkl` has `gather/job_000.xml.deflate`, its rows as deflated sheet XML, and
`gather/job_000.json`, the figures the gather needs to splice them in.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

from sheet_part import SheetPart

if TYPE_CHECKING:
    import pandas as pd
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Rendered:
    """What is known of rendered rows without reading them.

    Attributes:
        pickle_etag: of the pickle they were rendered from; another one makes them stale.
        xml_etag: of the deflated XML these figures describe.
        columns: the header texts.
        widest: for each column a text as wide as its cells.
        parts: the rows in order, split where a sheet ends.
    """

    pickle_etag: str
    xml_etag: str
    columns: list[str]
    widest: list[str]
    parts: list[SheetPart]

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    def starts_at(self, position: int) -> bool:
        return not self.parts or self.parts[0].position == position

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        fields = json.loads(data)
        return cls(**{**fields, "parts": [SheetPart(**part) for part in fields["parts"]]})


def xml_key(key: str) -> str:
    return key.removesuffix(".pkl") + ".xml.deflate"


def figures_key(key: str) -> str:
    return key.removesuffix(".pkl") + ".json"


def send(
    s3: "S3Client",
    bucket: str,
    key: str,
    pickle_etag: Callable[[], str],
    df: "pd.DataFrame",
    position: int,
) -> Rendered:
    """Render df, the content of the pickle at `key`, and write both objects.

    Args:
        pickle_etag: asked for last, so that the pickle's upload may overlap the rendering.
        position: where df's first row stands in the whole table, see `sheet.render_parts`.
    """
    import sheet  # pandas takes a second to load, and a gather rarely renders

    source = str(df.attrs.get("source", key))
    parts, xml = sheet.render_parts(df, position, source)
    xml_etag = s3.put_object(Bucket=bucket, Key=xml_key(key), Body=xml)["ETag"]
    columns = [str(name) for name in df.columns]
    rendered = Rendered(pickle_etag(), xml_etag, columns, sheet.widest_texts(df), parts)
    s3.put_object(Bucket=bucket, Key=figures_key(key), Body=rendered.to_json())
    return rendered

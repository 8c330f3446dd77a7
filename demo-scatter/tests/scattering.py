"""Objects in, frames and facts out."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.facts.stages import ScatterFacts
from pipeline.reading.csv_table import CSVColumns
from pipeline.reading.formats import tell
from pipeline.reading.source import Opened, Source
from pipeline.segments import frames
from scatter import ScatterHandler

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def as_json(records: list[dict[str, Any]]) -> bytes:
    return json.dumps(records, ensure_ascii=False).encode()


def as_lines(records: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records).encode()


def put(s3: "S3Client", bucket: str, objects: dict[str, bytes]) -> None:
    for key, body in objects.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)


def scattered(s3: "S3Client", **event: Any) -> list[pd.DataFrame]:
    """The frames of all segments."""
    handler = ScatterHandler(event, None, s3)
    keys = handler.main()["segment_definitions"]
    return [frames.load(handler.objects.get(key), key) for key in keys]


def facts(s3: "S3Client", bucket: str, folder: str = "scatter") -> ScatterFacts:
    data = s3.get_object(Bucket=bucket, Key=f"{folder}/facts.json")["Body"].read()
    return ScatterFacts.from_json(data)


def source_of(key: str, chunks: Iterable[bytes], size: int) -> Source:
    """An object of JSON, of so many bytes, that lies in no bucket."""
    form, columns = tell(key, b"[", size), CSVColumns()
    reader = form.reader(chunks, key, columns)
    opened = Opened(key, "", size, form, reader)
    return Source([opened], size, columns, reader, begun=[(0, key)])

"""Objects in, frames and facts out."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.facts.stages import ScatterFacts
from pipeline.segments import frames
from scatter import ScatterHandler

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


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

from typing import Any

from pipeline.s3.client import client
from segment import SegmentHandler

s3 = client()


def lambda_handler(event: str, context: Any) -> str:
    return SegmentHandler(event, context, s3).main()

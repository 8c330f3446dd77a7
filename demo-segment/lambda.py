from typing import Any

from pipeline.s3 import client as storage
from segment import SegmentHandler

s3 = storage.client()


def lambda_handler(event: str, context: Any) -> str:
    return SegmentHandler(event, context, s3).main()

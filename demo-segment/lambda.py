from typing import Any

import storage
from segment import SegmentHandler

s3 = storage.client()


def lambda_handler(event: str, context: Any) -> str:
    return SegmentHandler(event, context, s3).main()

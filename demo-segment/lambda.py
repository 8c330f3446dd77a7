from typing import Any

import storage
from found import with_printable_errors
from segment import SegmentHandler

s3 = storage.client()


@with_printable_errors
def lambda_handler(event: str, context: Any) -> str:
    return SegmentHandler(event, context, s3).main()

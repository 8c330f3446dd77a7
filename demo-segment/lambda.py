from typing import Any

import storage
from segment import SegmentHandler
from signed import signing_key

signing_key()  # one that is no key fails every call, by name
s3 = storage.client()


def lambda_handler(event: str, context: Any) -> str:
    return SegmentHandler(event, context, s3).main()

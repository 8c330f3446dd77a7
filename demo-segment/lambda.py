from typing import Any

from pipeline.errors.wording import with_printable_errors
from pipeline.s3.client import client
from pipeline.s3.signed import signing_key
from segment import SegmentHandler

signing_key()  # one that is no key fails every call, by name
s3 = client()


@with_printable_errors
def lambda_handler(event: str, context: Any) -> str:
    return SegmentHandler(event, context, s3).main()

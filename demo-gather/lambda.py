from typing import Any

from gather import GatherHandler
from pipeline.errors.wording import with_printable_errors
from pipeline.s3.client import client
from pipeline.s3.signed import signing_key

signing_key()  # one that is no key fails every call, by name
s3 = client()


@with_printable_errors
def lambda_handler(event: dict[str, Any], context: Any) -> str:
    return GatherHandler(event, context, s3).main()

from typing import Any

import storage
from found import with_printable_errors
from gather import GatherHandler

s3 = storage.client()


@with_printable_errors
def lambda_handler(event: dict[str, Any], context: Any) -> str:
    return GatherHandler(event, context, s3).main()

from typing import Any

import storage
from gather import GatherHandler

s3 = storage.client()


def lambda_handler(event: dict[str, Any], context: Any) -> str:
    return GatherHandler(event, context, s3).main()

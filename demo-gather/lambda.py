from typing import Any

import storage
from gather import GatherHandler
from signed import signing_key

signing_key()  # one that is no key fails every call, by name
s3 = storage.client()


def lambda_handler(event: dict[str, Any], context: Any) -> str:
    return GatherHandler(event, context, s3).main()

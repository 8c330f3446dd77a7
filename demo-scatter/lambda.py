from typing import Any

import storage
from scatter import ScatterHandler
from signed import signing_key

signing_key()  # one that is no key fails every call, by name
s3 = storage.client()


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return ScatterHandler(event, context, s3).main()

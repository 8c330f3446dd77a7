from typing import Any

import storage
from found import with_printable_errors
from scatter import ScatterHandler

s3 = storage.client()


@with_printable_errors
def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return ScatterHandler(event, context, s3).main()

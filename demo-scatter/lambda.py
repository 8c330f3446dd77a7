from typing import Any

from pipeline.s3.client import client
from scatter import ScatterHandler

s3 = client()


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return ScatterHandler(event, context, s3).main()

from typing import Any

import boto3
from botocore.config import Config

from scatter import ScatterHandler

s3 = boto3.client("s3", config=Config(retries={"mode": "standard", "max_attempts": 8}))


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return ScatterHandler(event, context, s3).main()

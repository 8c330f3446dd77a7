from typing import Any

import boto3
from botocore.config import Config

from gather import GatherHandler

s3 = boto3.client("s3", config=Config(retries={"mode": "standard", "max_attempts": 8}))


def lambda_handler(event: dict[str, Any], context: Any) -> str:
    return GatherHandler(event, context, s3).main()

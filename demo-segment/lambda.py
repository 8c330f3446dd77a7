from typing import Any

import boto3
from botocore.config import Config

from segment import SegmentHandler

s3 = boto3.client("s3", config=Config(retries={"mode": "standard", "max_attempts": 8}))


def lambda_handler(event: str, context: Any) -> str:
    return SegmentHandler(event, context, s3).main()

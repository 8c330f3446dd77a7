"""The functions' S3 client, whose errors bear the names that S3 gives them."""

from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# With backoff and jitter: at most 15 s, and half of that on average. The state machine retries, too.
ATTEMPTS = 5
CONNECTIONS = 32  # kept, for all that read and write at once: urllib3 warns of each one beyond
# What is found in place of an object, by the status of S3's answer. A role that may not list all of
# the bucket is told only that it may not read what is not there.
ABSENT = {403: "nothing that the function may read", 404: "nothing"}
OTHERS = ABSENT | {412: "another"}


def client() -> "S3Client":
    retries: Any = {"mode": "standard", "total_max_attempts": ATTEMPTS}
    # As boto3 does by itself over HTTPS: a body has a CRC-32 and needs no SHA-256 besides.
    unsigned: Any = {"payload_signing_enabled": False}
    s3 = boto3.client(
        "s3", config=Config(retries=retries, s3=unsigned, max_pool_connections=CONNECTIONS)
    )

    def raise_by_name(parsed: Any, model: Any, **_: Any) -> None:
        """Raise S3's errors under their own code (SlowDown, …), which a state machine can retry."""
        code = parsed.get("Error", {}).get("Code", "")
        failed = parsed["ResponseMetadata"]["HTTPStatusCode"] >= 300 and code.isalpha()
        if failed and not hasattr(s3.exceptions, code):
            raise error_class(code)(parsed, model.name)

    s3.meta.events.register("after-call.s3", raise_by_name)
    return s3


def status(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]


@cache
def error_class(code: str) -> type[ClientError]:
    return type(code, (ClientError,), {})

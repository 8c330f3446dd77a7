"""Large objects, uploaded part by part as they are made."""

import math
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from pipeline.s3.client import ABSENT, status

if TYPE_CHECKING:
    from _typeshed import SupportsRead
    from mypy_boto3_s3 import S3Client

MOST_PARTS = 10_000  # of S3


class WrittenMeanwhile(Exception):  # no fault: who writes looks again
    """Another execution wrote the workbook, or is writing it."""


def upload_config(size: int) -> TransferConfig:
    """Parts of 8 MiB, few of them in memory at a time; larger ones where that would be too many."""
    part_bytes = max(8 * 1024 * 1024, math.ceil(size / MOST_PARTS))
    config = TransferConfig(multipart_chunksize=part_bytes, max_concurrency=2)
    config.max_in_memory_upload_chunks = 2
    return config


def upload(
    s3: "S3Client",
    bucket: str,
    key: str,
    file: "SupportsRead[bytes]",
    size: int,
    described: dict[str, Any],
    **condition: str,
) -> None:
    """Write an object that appears in the bucket only when it is whole.

    Args:
        size: of the file, in bytes.
        described: its ContentType, Metadata and the like.
        condition: S3's, IfMatch or IfNoneMatch. The client writes nothing else meanwhile.
    """

    def add(params: dict[str, Any], **_: Any) -> None:
        params.update(condition)

    body: Any = file
    with ExitStack() as hooks:
        for call in ("PutObject", "CompleteMultipartUpload"):  # for which boto3 takes no condition
            hook = f"before-parameter-build.s3.{call}", add
            s3.meta.events.register(*hook)
            hooks.callback(s3.meta.events.unregister, *hook)
        s3.upload_fileobj(body, bucket, key, ExtraArgs=described, Config=upload_config(size))


def upload_latest(
    s3: "S3Client",
    bucket: str,
    key: str,
    file: "SupportsRead[bytes]",
    size: int,
    described: dict[str, Any],
    made_from: tuple[str, str],
) -> bool:
    """Write a workbook unless a later upload stands at its input's key; returns whether it did.

    Args:
        size, described: see upload.
        made_from: the input's key, and its ETag when it was read.

    Raises:
        WrittenMeanwhile: the workbook changed since the input was looked at.
    """
    before = etag_of(s3, bucket, key)
    if etag_of(s3, bucket, made_from[0]) not in (made_from[1], None):
        return False
    unchanged = {"IfMatch": before} if before else {"IfNoneMatch": "*"}
    try:
        upload(s3, bucket, key, file, size, described, **unchanged)
    except ClientError as error:
        if status(error) not in (404, 409, 412):  # 404: it was deleted meanwhile
            raise
        raise WrittenMeanwhile(key) from None
    return True


def etag_of(s3: "S3Client", bucket: str, key: str) -> str | None:
    try:
        return s3.head_object(Bucket=bucket, Key=key)["ETag"]
    except ClientError as error:
        if status(error) not in ABSENT:
            raise
        return None

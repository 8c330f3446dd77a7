"""The workbook of the latest upload: one of an earlier upload never takes its place."""

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.s3.client import ABSENT, status
from pipeline.s3.upload import SupportsRead, upload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class WrittenMeanwhile(Exception):  # no fault: who writes looks again
    """Another execution wrote the workbook, or is writing it."""


def upload_latest(
    s3: "S3Client",
    bucket: str,
    key: str,
    file: SupportsRead,
    size: int,
    described: dict[str, Any],
    made_from: tuple[str, str],
) -> bool:
    """Write a workbook unless a later upload stands at its input's key; returns whether it did.

    Args:
        size: of the file, in bytes.
        made_from: the input's key, and its ETag when it was read.

    Raises:
        WrittenMeanwhile: the workbook changed since the input was looked at.
    """
    before = etag_of(s3, bucket, key)
    if etag_of(s3, bucket, made_from[0]) not in (made_from[1], None):
        return False
    unchanged = {"IfMatch": before} if before else {"IfNoneMatch": "*"}
    try:
        upload(s3, bucket, key, file, size, described, unchanged)
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

"""The workbook of the latest upload: one of an earlier upload never takes its place."""

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.s3.client import ABSENT, status
from pipeline.s3.upload import SupportsRead, upload_config

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
        upload_if(
            s3, bucket, key, file, upload_config(size).multipart_chunksize, described, unchanged
        )
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


def upload_if(
    s3: "S3Client",
    bucket: str,
    key: str,
    file: SupportsRead,
    part_bytes: int,
    described: dict[str, Any],
    condition: dict[str, Any],
) -> None:
    """As `upload`, which takes no condition of S3's."""
    data = file.read(part_bytes)
    if len(data) < part_bytes:
        s3.put_object(Bucket=bucket, Key=key, Body=data, **described, **condition)
        return
    begun = s3.create_multipart_upload(Bucket=bucket, Key=key, **described)
    at: Any = {"Bucket": bucket, "Key": key, "UploadId": begun["UploadId"]}
    parts: list[Any] = []
    try:
        while data:
            number = len(parts) + 1
            etag = s3.upload_part(**at, PartNumber=number, Body=data)["ETag"]
            parts.append({"PartNumber": number, "ETag": etag})
            data = file.read(part_bytes)
        s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts}, **condition)
    except BaseException:
        s3.abort_multipart_upload(**at)
        raise

"""Large objects, uploaded part by part as they are made."""

from typing import TYPE_CHECKING, Any, Protocol

from boto3.s3.transfer import TransferConfig

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class SupportsRead(Protocol):
    """All that an upload needs of a file."""

    def read(self, size: int, /) -> bytes: ...


def upload_config() -> TransferConfig:
    """Parts of 8 MiB, of which few are in memory at a time, and up to 10,000 in a workbook."""
    config = TransferConfig(multipart_chunksize=8 * 1024 * 1024, max_concurrency=2)
    config.max_in_memory_upload_chunks = 2
    return config


def upload(
    s3: "S3Client", bucket: str, key: str, file: SupportsRead, described: dict[str, Any]
) -> None:
    """Write an object that appears in the bucket only when it is whole.

    Args:
        described: its ContentType, Metadata and the like.
    """
    body: Any = file
    s3.upload_fileobj(body, bucket, key, ExtraArgs=described, Config=upload_config())

"""Large objects, uploaded part by part as they are made."""

import math
from collections.abc import Mapping
from contextlib import ExitStack
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from boto3.s3.transfer import TransferConfig

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


MOST_PARTS = 10_000  # of S3


class SupportsRead(Protocol):
    """All that an upload needs of a file."""

    def read(self, size: int, /) -> bytes: ...


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
    file: SupportsRead,
    size: int,
    described: dict[str, Any],
    condition: Mapping[str, str] = MappingProxyType({}),
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

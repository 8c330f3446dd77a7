"""Let the segments of a finished workbook expire soon: the bucket's lifecycle knows the tag."""

import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.facts.stages import TAGGED_BYTES
from pipeline.s3.overlap import map_ahead

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import TaggingTypeDef

SUCCEEDED = "execution", "succeeded"
TRANSFERS = 4


def let_expire(
    s3: "S3Client", bucket: str, definitions: Sequence[str], results: Sequence[str]
) -> list[str]:
    """Tag the segment files, and what the segments wrote beside their results, if it is worth it.

    Args:
        definitions: the segment files; those that are not there any more are passed over.
        results: of the same segments.

    Returns:
        The keys tagged. A retry tags them again, with nothing changed.
    """
    name, value = SUCCEEDED
    tags: TaggingTypeDef = {"TagSet": [{"Key": name, "Value": value}]}
    large = [key for keys in (definitions, results) for key in large_keys(s3, bucket, keys)]

    def tag(key: str) -> None:
        s3.put_object_tagging(Bucket=bucket, Key=key, Tagging=tags)

    for _ in map_ahead(tag, large, TRANSFERS, TRANSFERS):
        pass
    return large


def large_keys(s3: "S3Client", bucket: str, keys: Sequence[str]) -> Iterator[str]:
    """Those of the objects, and of what stands beside them, that cost more to keep than to tag."""
    if not keys:
        return
    stems = {stem(key) for key in keys}
    prefix = os.path.commonprefix(list(stems))
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", []):
            if stem(found["Key"]) in stems and found["Size"] >= TAGGED_BYTES:
                yield found["Key"]


def stem(key: str) -> str:
    """`gather/run/job_000.xml.deflate` → `gather/run/job_000`."""
    return re.sub(r"\.[^/]*$", "", key)

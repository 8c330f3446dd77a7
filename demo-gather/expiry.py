"""Let the segments of a finished workbook expire soon: the bucket's lifecycle knows the tag."""

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import TaggingTypeDef

SUCCEEDED = "execution", "succeeded"
# To tag an object costs $0.000005, and to keep it for 14 more days $0.0117 a GB (us-east-1, 2026):
# https://aws.amazon.com/s3/pricing/
WORTH_A_TAG_BYTES = 430_000
TRANSFERS = 4


def let_expire(
    s3: "S3Client", bucket: str, definitions: Sequence[str], results: Sequence[str]
) -> list[str]:
    """Tag the segment files, and what the segments wrote beside their results, if it is worth it.

    Args:
        definitions: the segment files, each about as large as its result.
        results: of the same segments.

    Returns:
        The keys tagged. A retry tags them again, with nothing changed.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=os.path.commonprefix(list(results)).removesuffix(".pkl")
    )
    sizes = {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", [])}
    folder_and_stem = {key.removesuffix(".pkl") for key in results}
    written = (key for key in sizes if re.sub(r"\.[^/]*$", "", key) in folder_and_stem)
    large = [key for key in written if sizes[key] >= WORTH_A_TAG_BYTES]
    large += [
        definition
        for definition, result in zip(definitions, results)
        if sizes.get(result, 0) >= WORTH_A_TAG_BYTES
    ]
    name, value = SUCCEEDED
    tags: TaggingTypeDef = {"TagSet": [{"Key": name, "Value": value}]}
    with ThreadPoolExecutor(TRANSFERS) as pool:
        list(pool.map(lambda key: s3.put_object_tagging(Bucket=bucket, Key=key, Tagging=tags), large))
    return large

"""The bucket: make it, put a table into it, bring the workbook home."""

import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from harness import machines
from harness.fault import Fault
from harness.settings import local_copy
from harness.target import Target, emulator
from pipeline.keys import GATHER, SCATTER

MISSING = ("404", "NoSuchBucket", "NoSuchKey", "ResourceNotFoundException")


def bucket() -> None:
    """Create the bucket, if it is not there."""
    emulator().client("s3").create_bucket(Bucket=emulator().bucket)
    print(f"s3://{emulator().bucket}")


@contextmanager
def there_or(sentence: str) -> Iterator[None]:
    """End with a sentence where AWS says that something is not there."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in MISSING:
            raise
        raise Fault(sentence) from None


def check_bucket(target: Target) -> None:
    """
    Raises:
        Fault: the bucket is not there.
    """
    fix = f"make deploy{target.flags}" if target.stack else "make bucket"
    with there_or(f"the bucket {target.bucket} does not exist: {fix}"):
        target.client("s3").head_bucket(Bucket=target.bucket)


def head(target: Target, key: str) -> dict[str, Any] | None:
    """What S3 says of an object; None where there is none, or it is not ours to read."""
    try:
        found = target.client("s3").head_object(Bucket=target.bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] not in (*MISSING, "403", "AccessDenied"):
            raise
        return None
    return dict(found)


def download(target: Target, workbook: str = "test.xlsx") -> None:
    """Copy a workbook from the bucket into result/, whole or not at all."""
    path = local_copy(workbook)
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".part")
    fix = f"make stepfunctions{target.flags}"
    try:
        with there_or(f"s3://{target.bucket}/{workbook} does not exist: {fix}"):
            target.client("s3").download_file(target.bucket, workbook, str(partial))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    print(os.path.relpath(path))


def clean_segments(target: Target) -> None:
    """Remove the segment files of past executions; those of running ones, inputs and workbooks stay."""
    check_bucket(target)
    s3, at = target.client("s3"), {"Bucket": target.bucket}
    keys = [key for folder in (SCATTER, GATHER) for key in keys_of(s3, **at, Prefix=folder)]
    needed = machines.running(target)  # after the listing: one that starts later has nothing in it
    past = [key for key in keys if key.split("/")[1] not in needed]
    delete_keys(s3, past, **at)
    kept = f"; {len(keys) - len(past)} of running executions stay" if len(past) < len(keys) else ""
    print(f"{len(past)} segment files removed from s3://{target.bucket}{kept}")


def keys_of(s3: Any, **asked: str) -> list[str]:
    """
    Args:
        asked: of ListObjectsV2.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(**asked)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def delete_keys(s3: Any, keys: Iterable[str], **at: str) -> None:
    for some in itertools.batched(keys, 1000):
        objects = [{"Key": key} for key in some]
        s3.delete_objects(**at, Delete={"Objects": objects, "Quiet": True})

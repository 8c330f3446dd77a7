"""The bucket: make it, put a table into it, bring the workbook home."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from botocore.exceptions import ClientError

from harness.fault import Fault
from harness.settings import local_copy
from harness.target import Target, emulator

MISSING = ("404", "NoSuchBucket", "NoSuchKey")


def bucket() -> None:
    """Create the bucket, if it is not there."""
    emulator().client("s3").create_bucket(Bucket=emulator().bucket)
    print(f"s3://{emulator().bucket}")


@contextmanager
def there_or(sentence: str) -> Iterator[None]:
    """End with a sentence where S3 says that something is not there."""
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


def upload(target: Target, file: str, key: str = "") -> None:
    """Copy a file into the bucket.

    Args:
        key: its name there; default: the file's own.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise Fault(f"FILE: must be a file to upload; found {file!r}")
    check_bucket(target)
    target.client("s3").upload_file(str(path), target.bucket, key or path.name)
    print(f"s3://{target.bucket}/{key or path.name}", flush=True)


def download(target: Target, workbook: str = "test.xlsx") -> None:
    """Copy a workbook from the bucket into result/, whole or not at all."""
    path = local_copy(workbook)
    partial = path.with_suffix(".part")
    fix = f"make stepfunctions{target.flags}"
    try:
        with there_or(f"s3://{target.bucket}/{workbook} does not exist: {fix}"):
            target.client("s3").download_file(target.bucket, workbook, str(partial))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    print(os.path.relpath(path))

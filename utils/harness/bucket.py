"""The bucket: make it, put a table into it, bring the workbook home."""

import os
from pathlib import Path
from typing import Any

from harness import machines
from harness.fault import Fault
from harness.settings import local_copy
from harness.target import emulator


def bucket() -> None:
    """Create the bucket, if it is not there."""
    emulator().client("s3").create_bucket(Bucket=emulator().bucket)
    print(f"s3://{emulator().bucket}")


def check_bucket(s3: Any) -> None:
    """
    Raises:
        Fault: the bucket is not there.
    """
    try:
        s3.head_bucket(Bucket=emulator().bucket)
    except s3.exceptions.ClientError:
        raise Fault(f"the bucket {emulator().bucket} does not exist: make bucket") from None


def upload(file: str, key: str = "") -> None:
    """Copy a file into the bucket.

    Args:
        key: its name there; default: the file's own.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise Fault(f"FILE: must be a file to upload; found {file!r}")
    s3 = emulator().client("s3")
    check_bucket(s3)
    s3.upload_file(str(path), emulator().bucket, key or path.name)
    print(f"s3://{emulator().bucket}/{key or path.name}")


def download(workbook: str = "test.xlsx") -> None:
    """Copy a workbook from the bucket into result/, whole or not at all."""
    s3 = emulator().client("s3")
    target = local_copy(workbook)
    partial = target.with_suffix(".part")
    try:
        s3.download_file(emulator().bucket, workbook, str(partial))
        os.replace(partial, target)
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket", "NoSuchKey"):
            raise
        raise Fault(
            f"s3://{emulator().bucket}/{workbook} does not exist: make stepfunctions"
        ) from None
    finally:
        partial.unlink(missing_ok=True)
    print(os.path.relpath(target))


def clean_segments() -> None:
    """Remove the segment files of past executions; those of running ones, inputs and workbooks stay."""
    s3 = emulator().client("s3")
    keys = [
        obj["Key"]
        for prefix in ("scatter/", "gather/")
        for page in s3.get_paginator("list_objects_v2").paginate(
            Bucket=emulator().bucket, Prefix=prefix
        )
        for obj in page.get("Contents", [])
    ]
    # Asked after the listing: one that starts later has nothing in it.
    needed = {
        execution["name"] for execution in machines.running(emulator().client("stepfunctions"))
    }
    past = [{"Key": key} for key in keys if key.split("/")[1] not in needed]
    for start in range(0, len(past), 1000):
        s3.delete_objects(Bucket=emulator().bucket, Delete={"Objects": past[start : start + 1000]})
    kept = f"; {len(keys) - len(past)} of running executions stay" if len(past) < len(keys) else ""
    print(f"{len(past)} segment files removed from s3://{emulator().bucket}{kept}")

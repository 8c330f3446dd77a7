"""The bucket: make it, bring the workbook home, show its first rows."""

import os
from pathlib import Path

from openpyxl import load_workbook
from rich.console import Console
from rich.table import Table

from harness.fault import Fault
from harness.target import emulator

RESULT = Path(__file__).resolve().parents[2] / "result"


def bucket() -> None:
    """Create the bucket, if it is not there."""
    emulator().client("s3").create_bucket(Bucket=emulator().bucket)
    print(f"s3://{emulator().bucket}")


def download(workbook: str = "test.xlsx") -> None:
    """Copy a workbook from the bucket into result/, whole or not at all."""
    s3 = emulator().client("s3")
    target = RESULT / Path(workbook).name
    partial = target.with_suffix(".part")
    try:
        s3.download_file(emulator().bucket, workbook, str(partial))
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket", "NoSuchKey"):
            raise
        raise Fault(f"s3://{emulator().bucket}/{workbook} does not exist: make stepfunctions") from None
    os.replace(partial, target)
    print(os.path.relpath(target))


def clean_segments() -> None:
    """Remove the segment files of past executions; inputs and workbooks stay."""
    s3 = emulator().client("s3")
    removed = 0
    for prefix in ("scatter/", "gather/"):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=emulator().bucket, Prefix=prefix)
        for page in pages:
            keys = [{"Key": obj["Key"]} for obj in page.get("Contents", [])]
            if keys:
                s3.delete_objects(Bucket=emulator().bucket, Delete={"Objects": keys})
            removed += len(keys)
    print(f"{removed} segment files removed from s3://{emulator().bucket}")


def show(workbook: str = "test.xlsx", rows: int = 5) -> None:
    """Print a downloaded workbook's first rows and where it is."""
    path = RESULT / workbook
    book = load_workbook(path, read_only=True)
    sheet = book.worksheets[0]
    lines = sheet.iter_rows(max_row=rows + 1, values_only=True)
    table = Table(*(str(name) for name in next(lines)))
    for line in lines:
        table.add_row(*("" if cell is None else str(cell) for cell in line))
    Console().print(table)
    print(f"{sum(each.max_row - 1 for each in book.worksheets)} rows in {os.path.relpath(path)}")
    book.close()

"""A bucket of a test's own, for the functions' tests."""

import contextlib
import os
import socket
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import pytest

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


STARTS_S = 60


@pytest.fixture(scope="session")
def s3() -> "S3Client":
    """The S3 at AWS_ENDPOINT_URL, which the Makefile sets; it may still start."""
    deadline = time.monotonic() + STARTS_S
    while not answers(os.environ["AWS_ENDPOINT_URL"]):
        assert time.monotonic() < deadline, f"nothing answers within {STARTS_S} s"
        time.sleep(0.02)
    return boto3.client("s3")


def answers(url: str) -> bool:
    place = urlsplit(url)
    with contextlib.suppress(OSError), socket.create_connection((place.hostname, place.port)):
        return True
    return False


@pytest.fixture
def bucket(s3: "S3Client", monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of the test's own, named in the function's environment."""
    name = f"test-{uuid.uuid4()}"
    s3.create_bucket(Bucket=name)
    monkeypatch.setenv("BUCKET", name)
    yield name
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=name).get("Contents", [])]
    if keys:
        s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key} for key in keys]})
    s3.delete_bucket(Bucket=name)

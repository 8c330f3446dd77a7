"""What somebody who may write the bucket, and has no key, can do to an object of the pipeline."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pipeline.s3.signed import InvalidSignature, Objects

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SECRET, ANOTHER = bytes(range(32)), bytes(32)

# Change the object at a key, whose content and metadata are these.
Change = Callable[["S3Client", str, str, bytes, dict[str, str]], object]


def assert_refused(
    s3: "S3Client", bucket: str, key: str, tampered: str, read: Callable[[], object]
) -> None:
    """Once the object is changed, what reads it names it; then it is put back."""
    found = s3.get_object(Bucket=bucket, Key=key)
    body, metadata = found["Body"].read(), found["Metadata"]
    what = "none" if tampered == "unsigned" else "another"
    TAMPERED[tampered](s3, bucket, key, body, metadata)
    with pytest.raises(InvalidSignature) as error:
        read()
    assert str(error.value) == f"{key}: must be signed by this deployment; found {what}"
    s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata=metadata)


def replaced(change: Callable[[bytes], bytes]) -> Change:
    """Other content under the signature that was there."""
    return lambda s3, bucket, key, body, metadata: s3.put_object(
        Bucket=bucket, Key=key, Body=change(body), Metadata=metadata
    )


def moved(s3: "S3Client", bucket: str, key: str, body: bytes, metadata: dict[str, str]) -> None:
    """What the deployment signed for another execution."""
    other = key.replace("/x/", "/y/")
    Objects(s3, bucket, SECRET).put(other, body)
    s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": other})


# That signatures are compared; test_signed proves how.
TAMPERED: dict[str, Change] = {
    "a bit changed": replaced(lambda body: bytes([body[0] ^ 1]) + body[1:]),
    "cut off": replaced(lambda body: body[:-1]),
    "unsigned": lambda s3, bucket, key, body, _: s3.put_object(Bucket=bucket, Key=key, Body=body),
    "signed by another key": lambda s3, bucket, key, body, _: Objects(s3, bucket, ANOTHER).put(
        key, body
    ),
    "moved": moved,
}

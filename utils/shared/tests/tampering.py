"""What somebody who may write the bucket, and has no key, can do to an object of the pipeline."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from signed import InvalidSignature, Objects

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SECRET, ANOTHER = bytes(range(32)), bytes(32)

Change = Callable[["S3Client", str, str], None]


def assert_refused(
    s3: "S3Client", bucket: str, key: str, tampered: str, read: Callable[[], object]
) -> None:
    """What reads the object names it, after each change of it as it was."""
    found = s3.get_object(Bucket=bucket, Key=key)
    body = found["Body"].read()
    what = "none" if tampered == "unsigned" else "another"
    for change in TAMPERED[tampered]:
        s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata=found["Metadata"])
        change(s3, bucket, key)
        with pytest.raises(InvalidSignature) as error:
            read()
        assert str(error.value) == f"{key}: must be signed by this deployment; found {what}"


def replaced(change: Callable[[bytes], bytes]) -> Change:
    """Other content under the signature that was there."""

    def apply(s3: "S3Client", bucket: str, key: str) -> None:
        found = s3.get_object(Bucket=bucket, Key=key)
        body = change(found["Body"].read())
        s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata=found["Metadata"])

    return apply


def bit_changed(place: int) -> Change:
    def change(body: bytes) -> bytes:
        at = (len(body) - 1) * place // PLACES
        return body[:at] + bytes([body[at] ^ 1 << place % 8]) + body[at + 1 :]

    return replaced(change)


def unsigned(s3: "S3Client", bucket: str, key: str) -> None:
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=bucket, Key=key, Body=body)


def signed_by_another(s3: "S3Client", bucket: str, key: str) -> None:
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    Objects(s3, bucket, ANOTHER).put(key, body)


def moved_from(other: Callable[[str], str]) -> Change:
    """What the deployment signed for another key."""

    def apply(s3: "S3Client", bucket: str, key: str) -> None:
        found = s3.get_object(Bucket=bucket, Key=key)
        Objects(s3, bucket, SECRET).put(other(key), found["Body"].read())
        s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": other(key)})

    return apply


PLACES = 12
TAMPERED: dict[str, list[Change]] = {
    "a bit changed": [bit_changed(place) for place in range(PLACES + 1)],
    "cut off": [replaced(lambda body: body[:-1]), replaced(lambda body: body[: len(body) // 2])],
    "empty": [replaced(lambda body: b"")],
    "unsigned": [unsigned],
    "signed by another key": [signed_by_another],
    "of another execution": [moved_from(lambda key: key.replace("/x/", "/y/"))],
    "of another stage": [moved_from(lambda key: f"other-{key}")],
    "of another segment": [moved_from(lambda key: key.replace("/x/", "/x/other-"))],
}

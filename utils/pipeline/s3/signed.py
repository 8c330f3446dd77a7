"""The pipeline's own objects in S3, each signed with the deployment's key where there is one.

A signature is an HMAC-SHA256 over the object's key and content, in the object's metadata. So what
somebody else wrote, changed or moved is refused before anything of it is used. Without the
variable nothing is signed or compared.
"""

import hmac
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.s3.client import status

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

VARIABLE = "SIGNING_KEY"  # 32 bytes as 64 hex digits, in the environment of the three functions
METADATA = "signature"  # x-amz-meta-signature
_LABEL = b"scatter-gather 1\n"  # another version's signatures are others


class InvalidSigningKey(ValueError):
    """The variable holds no key."""


class InvalidSignature(ValueError):
    """The object is not as this deployment wrote it at its key."""


def signing_key(environ: Mapping[str, str] = os.environ) -> bytes | None:
    """The deployment's key; None where the variable is absent.

    Raises:
        InvalidSigningKey: the variable is there, and holds no key; its value is not shown.
    """
    text = environ.get(VARIABLE)
    if text is None:
        return None
    if not re.fullmatch("[0-9A-Fa-f]{64}", text):
        raise InvalidSigningKey(
            f"{VARIABLE}: must be 64 hex digits; found {len(text)} characters that are not"
        )
    return bytes.fromhex(text)


def signature(secret: bytes, key: str, content: bytes) -> str:
    """
    Args:
        key: of the object.
    """
    name = key.encode()
    made = hmac.new(secret, _LABEL + len(name).to_bytes(4) + name, "sha256")
    made.update(content)  # which hmac.digest would want in one piece with the rest, copied
    return made.hexdigest()


def check(secret: bytes, key: str, content: bytes, metadata: Mapping[str, str]) -> None:
    """
    Args:
        metadata: of the object, as boto3 gives it.

    Raises:
        InvalidSignature: it bears no signature, or that of another key or content.
    """
    found = metadata.get(METADATA)
    if found is None or not hmac.compare_digest(
        found.encode(), signature(secret, key, content).encode()
    ):
        what = "none" if found is None else "another"
        raise InvalidSignature(f"{key}: must be signed by this deployment; found {what}")


class Objects:
    """The objects that the functions write for each other, in one bucket.

    Args:
        secret: the deployment's key, see `signing_key`; None to sign and compare nothing.
    """

    def __init__(self, s3: "S3Client", bucket: str, secret: bytes | None) -> None:
        self.s3 = s3
        self.bucket = bucket
        self.secret = secret

    def put(self, key: str, body: bytes, **conditions: Any) -> str:
        """Write an object, with its signature; returns its ETag.

        Args:
            conditions: S3's, such as IfNoneMatch="*".
        """
        if self.secret:
            conditions["Metadata"] = {METADATA: signature(self.secret, key, body)}
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **conditions)["ETag"]

    def put_once(self, key: str, body: bytes) -> bytes:
        """Write an object unless one is there; returns the content of that which is there then."""
        try:
            self.put(key, body, IfNoneMatch="*")
        except ClientError as error:
            if status(error) != 412:  # 409: another is being written, and the state machine retries
                raise
            return self.get(key)
        return body

    def get(self, key: str, **conditions: Any) -> bytes:
        """The content of an object, once its signature is compared.

        Raises:
            InvalidSignature: somebody else wrote it, or wrote it for another key.
        """
        answer = self.s3.get_object(Bucket=self.bucket, Key=key, **conditions)
        content = answer["Body"].read()
        if self.secret:
            check(self.secret, key, content, answer["Metadata"])
        return content

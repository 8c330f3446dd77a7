import hashlib
from collections.abc import Mapping

import pytest

from pipeline.s3.signed import InvalidSignature, InvalidSigningKey, check, signature, signing_key

SECRET = bytes(range(32))
KEY = "gather/x/job_003.pkl"


def rfc2104(secret: bytes, message: bytes) -> str:
    """HMAC-SHA256 by its definition, https://www.rfc-editor.org/rfc/rfc2104#section-2."""
    block = secret.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).hexdigest()


def test_a_signature_is_an_hmac_of_the_key_and_the_content() -> None:
    message = b"scatter-gather 1\n\x00\x00\x00\x07a/\xe5\x90\x8d/brows"
    assert signature(SECRET, "a/名/b", b"rows") == rfc2104(SECRET, message)


def test_what_is_signed_is_accepted() -> None:
    check(SECRET, KEY, b"rows", {"signature": signature(SECRET, KEY, b"rows")})


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        ({}, "none"),
        ({"signature": ""}, "another"),
        ({"signature": "名"}, "another"),
        ({"signature": signature(SECRET, KEY, b"row")}, "another"),
        ({"signature": signature(SECRET, "gather/x/job_004.pkl", b"rows")}, "another"),
        ({"signature": signature(bytes(32), KEY, b"rows")}, "another"),
        ({"signature": signature(SECRET, KEY + "r", b"ows")}, "another"),
    ],
    ids=["none", "empty", "no ASCII", "content", "key", "secret", "bounds"],
)
def test_what_is_not_is_refused(metadata: Mapping[str, str], found: str) -> None:
    with pytest.raises(InvalidSignature) as error:
        check(SECRET, KEY, b"rows", metadata)
    assert str(error.value) == f"{KEY}: must be signed by this deployment; found {found}"


def test_a_deployment_may_have_no_key() -> None:
    assert signing_key({}) is None


def test_a_key_is_64_hex_digits() -> None:
    assert signing_key({"SIGNING_KEY": SECRET.hex()}) == SECRET


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "g" * 64, "0" * 64 + "\n", "０" * 64])
def test_another_key_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(InvalidSigningKey, match="^SIGNING_KEY: must be 64 hex digits; found ") as e:
        signing_key({"SIGNING_KEY": text})
    assert not text or text not in str(e.value)

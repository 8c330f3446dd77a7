import pytest

from pipeline.s3.upload import upload_config

MIB = 1 << 20


@pytest.mark.parametrize(
    "size", [0, 1, 8 * MIB, 4 << 30, 10_000 * 8 * MIB, 10_000 * 8 * MIB + 1, 5 * 10**12]
)
def test_an_object_of_any_size_goes_up_in_parts_that_s3_takes(size: int) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""
    part = upload_config(size).multipart_chunksize
    assert 5 * MIB <= part <= 5 << 30
    assert -(-size // part) <= 10_000


@pytest.mark.parametrize("size", [0, 4 << 30, 10_000 * 8 * MIB])
def test_what_waits_for_its_turn_stays_small(size: int) -> None:
    assert upload_config(size).multipart_chunksize == 8 * MIB

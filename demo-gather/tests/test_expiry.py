from typing import TYPE_CHECKING

from expiry import SUCCEEDED, let_expire
from pipeline.facts.stages import TAGGED_BYTES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LARGE, SMALL = TAGGED_BYTES, TAGGED_BYTES - 1


def tagged(s3: "S3Client", bucket: str) -> set[str]:
    """The keys of all objects with the tag that the lifecycle looks for."""
    found = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    return {
        key
        for key in found
        for tag in s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        if (tag["Key"], tag["Value"]) == SUCCEEDED
    }


def test_what_costs_more_to_keep_than_to_tag_is_tagged(s3: "S3Client", bucket: str) -> None:
    sizes = {
        "scatter/run.1/job_000.pkl": LARGE,
        "scatter/run.1/job_001.pkl": SMALL,
        "gather/run.1/job_000.pkl": LARGE,
        "gather/run.1/job_000.xml.deflate": LARGE,
        "gather/run.1/job_000.json": SMALL,
        "gather/run.1/job_001.pkl": SMALL,
        "gather/run.1/job_002.pkl": LARGE,  # of no segment of this execution
        "gather/run.2/job_000.pkl": LARGE,
    }
    for key, size in sizes.items():
        s3.put_object(Bucket=bucket, Key=key, Body=bytes(size))
    results = [f"gather/run.1/job_{number:03d}.pkl" for number in (0, 1, 3)]
    definitions = [key.replace("gather", "scatter") for key in results]
    expected = {
        "scatter/run.1/job_000.pkl",
        "gather/run.1/job_000.pkl",
        "gather/run.1/job_000.xml.deflate",
    }
    for _ in range(2):
        assert set(let_expire(s3, bucket, definitions, results)) == expected
        assert tagged(s3, bucket) == expected
    assert set(let_expire(s3, bucket, [], results)) == {
        key for key in expected if key.startswith("gather/")
    }

"""What a stack is made from: the zips and the definition, in a bucket of their own."""

import hashlib
from pathlib import Path
from typing import Any

from harness.fault import Fault
from harness.target import STAGES, Target

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "state-machine" / "template.yaml"

# What the definitions name as they run on an emulator, and the template's name for it.
SUBSTITUTIONS = {
    "arn:aws:lambda:us-east-1:000000000000:function:scatter-lambda": "${ScatterFunction}",
    "arn:aws:lambda:us-east-1:000000000000:function:segment-lambda": "${SegmentFunction}",
    "arn:aws:lambda:us-east-1:000000000000:function:gather-lambda": "${GatherFunction}",
}


def bucket_name(target: Target, stack: str) -> str:
    return f"{stack}-artifacts-{target.account}-{target.region}"


def upload(target: Target, stack: str, definition: str) -> dict[str, str]:
    """Bring zips and definition to the artifact bucket; returns the template's parameters for them."""
    s3, bucket = target.client("s3"), bucket_name(target, stack)
    zips = {stage: read_zip(stage) for stage in STAGES}
    states = substitutable(read_definition(definition)).encode()
    make_bucket(s3, bucket, target.region)
    parameters = {"ArtifactBucket": bucket, "Definition": definition}
    for stage, archive in zips.items():
        parameters[f"{stage.title()}Zip"] = put(s3, bucket, stage, "zip", archive)
    return parameters | {"DefinitionKey": put(s3, bucket, definition, "json", states)}


def read_zip(stage: str) -> bytes:
    path = ROOT / f"demo-{stage}" / "bin" / "lambda.zip"
    if not path.exists():
        raise Fault(f"{path.relative_to(ROOT)} does not exist: make zip")
    return path.read_bytes()


def read_definition(name: str) -> str:
    path = ROOT / "state-machine" / f"{name}.json"
    if not path.exists():
        found = ", ".join(sorted(file.stem for file in path.parent.glob("*.json")))
        raise Fault(f"DEFINITION: must be one of {found}; found {name}")
    return path.read_text()


def substitutable(definition: str) -> str:
    """The definition with the names that CloudFormation's DefinitionSubstitutions fills in."""
    for found, name in SUBSTITUTIONS.items():
        definition = definition.replace(found, name)
    return definition


def make_bucket(s3: Any, bucket: str, region: str) -> None:
    """Create the bucket, private and encrypted as S3 makes them since 2023, if it is not there."""
    try:
        s3.head_bucket(Bucket=bucket)
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
        # us-east-1 is the one region that must not be named.
        place = {} if region == "us-east-1" else {"LocationConstraint": region}
        s3.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": place} if place else {}))


def put(s3: Any, bucket: str, name: str, suffix: str, body: bytes) -> str:
    """Write an object under a key that changes with its content, unless it is there."""
    key = f"{name}/{hashlib.sha256(body).hexdigest()}.{suffix}"
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    return key


def is_empty(s3: Any, bucket: str) -> bool:
    return not s3.list_objects_v2(Bucket=bucket, MaxKeys=1)["KeyCount"]


def empty(s3: Any, bucket: str) -> int:
    """Delete a bucket's objects and unfinished uploads; returns how many objects there were."""
    deleted = 0
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        if keys := [{"Key": found["Key"]} for found in page.get("Contents", [])]:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
            deleted += len(keys)
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for found in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=found["Key"], UploadId=found["UploadId"])
    return deleted


def delete_bucket(s3: Any, bucket: str) -> None:
    """Delete a bucket with what is in it, if it is there."""
    try:
        empty(s3, bucket)
        s3.delete_bucket(Bucket=bucket)
    except s3.exceptions.NoSuchBucket:
        pass

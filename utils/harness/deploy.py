"""Deploy the pipeline as a CloudFormation stack, and take it down again."""

import json
import re
import time
from typing import Any

from harness import artifacts
from harness.stack import Stack
from harness.fault import Fault
from harness.target import Target, connect

PARAMETERS = "ScatterMemory=3008,GatherTimeout=600"

# Bucket names end at 63 characters, and -artifacts-ACCOUNT-REGION takes up to 38 of them.
STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,23}")


def deploy(
    target: str,
    stack: str,
    arch: str = "x86_64",
    definition: str = "parallel",
    region: str = "",
    parameters: str = "",
) -> None:
    """Create the stack, or change what differs.

    Args:
        parameters: more of the template's, such as "ScatterMemory=3008,GatherTimeout=600".
    """
    check_stack_name(stack)
    place = connect(target, region)
    started = time.monotonic()
    pipeline = Stack(place.client("cloudformation"), stack, target)
    pipeline.check_can_change()
    given = artifacts.upload(place, stack, definition) | {"Architecture": arch}
    changes = pipeline.deploy(artifacts.TEMPLATE.read_text(), given | parsed(parameters))
    outputs = pipeline.outputs()
    done = f"{len(changes)} changes in {time.monotonic() - started:.0f} s" if changes else "up to date"
    print(f"stack    {stack} in {place.region} of {place.account}: {done}")
    for change in changes:
        print(f"         {change}")
    print(f"bucket   {outputs['BucketName']}")
    print(f"states   {outputs['StateMachineArn']}")
    print(f"to run   {start_line(place, outputs['StateMachineArn'])}")


def destroy(target: str, stack: str, region: str = "", empty: bool = False) -> None:
    """Delete the stack and its artifacts; a bucket with content only when asked to empty it."""
    check_stack_name(stack)
    place = connect(target, region)
    pipeline = Stack(place.client("cloudformation"), stack, target)
    s3 = place.client("s3")
    found = pipeline.describe()
    if found:
        clear_bucket(s3, pipeline, empty)
        pipeline.delete()
    artifacts.delete_bucket(s3, artifacts.bucket_name(place, stack))
    print(f"stack {stack} in {place.region} of {place.account}: {'deleted' if found else 'not there'}")


def clear_bucket(s3: Any, pipeline: Stack, empty: bool) -> None:
    """Empty the stack's bucket, which CloudFormation deletes only then.

    Raises:
        Fault: it holds something, and may not be emptied.
    """
    bucket = pipeline.bucket()
    if bucket is None:
        return
    if not empty and not artifacts.is_empty(s3, bucket):
        raise Fault(
            f"s3://{bucket} holds objects, and is deleted with the stack: move what you need, then "
            f"make destroy {pipeline.flags} EMPTY=1"
        )
    artifacts.empty(s3, bucket)


def parsed(parameters: str) -> dict[str, str]:
    """`A=1,B=2` as a dictionary.

    Raises:
        Fault: a part has no name or no value.
    """
    pairs = [part.partition("=") for part in parameters.split(",") if part]
    for name, _, value in pairs:
        if not name or not value:
            raise Fault(f"PARAMETERS: must be like {PARAMETERS}; found {parameters}")
    return {name: value for name, _, value in pairs}


def start_line(place: Target, arn: str) -> str:
    given = json.dumps({"input_obj": "test.json"})
    return (
        f"{place.cli} stepfunctions start-execution --region {place.region} "
        f"--state-machine-arn {arn} --input '{given}'"
    )


def check_stack_name(stack: str) -> None:
    if not STACK_NAME.fullmatch(stack):
        raise Fault(
            "STACK: must be 1 to 24 lower-case letters, digits and hyphens, a letter first; "
            f"found {stack}"
        )

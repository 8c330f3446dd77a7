"""Deploy the pipeline as a CloudFormation stack, and take it down again."""

import base64
import json
import re
import sys
import time

from harness import artifacts
from harness.artifacts import Artifacts, owned
from harness.fault import Fault
from harness.stack import Change, Stack, described
from harness.target import STAGES, Target, connect

# Bucket names end at 63 characters, and -zips-ACCOUNT-REGION-an takes up to 36 of them.
STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,23}")

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
NEW_ACCOUNT_AT_ONCE = 10
NEW_ACCOUNT_MEMORY_MB = 3008


def deploy(
    target: str,
    stack: str,
    arch: str = "",
    definition: str = "",
    region: str = "",
    parameters: str = "",
    tags: str = "",
    plan: bool = False,
    replace_bucket: bool = False,
) -> None:
    """Create the stack, or change what differs; what is not given stays as it is.

    Args:
        parameters: more of the template's, such as "ScatterMemory=3008,GatherTimeout=600".
        tags: of the stack and all in it, such as "team=data".
        plan: say what would change, and change nothing.
        replace_bucket: even if that takes the bucket with the tables and workbooks.
    """
    check_stack_name(stack)
    place = connect(target, region)
    started = time.monotonic()
    pipeline = Stack(place.client("cloudformation"), stack, target)
    had = pipeline.ready()
    kept = artifacts.declared(had.parameters) if had else {}
    zips = Artifacts(place, stack, definition or kept.get("Definition", "parallel"))
    wanted = kept | zips.parameters() | ({"Architecture": arch} if arch else {})
    wanted |= pairs("PARAMETERS", parameters)
    limits = place.client("lambda").get_account_settings()["AccountLimit"]
    for warning in warnings(limits["ConcurrentExecutions"], wanted):
        print(f"warning  {warning}")
    if not plan:
        zips.upload()

    def approved(changes: list[Change]) -> bool:
        if not (plan or replace_bucket):
            check_bucket_stays(changes)
        return not plan

    tagged = (had.tags if had else {}) | pairs("TAGS", tags)
    template = artifacts.rendered(wanted, place.emulated)
    changes = pipeline.change(template, wanted, tagged, approved)
    done = "up to date"
    if changes:
        took = "none is made" if plan else f"in {time.monotonic() - started:.0f} s"
        done = f"{len(changes)} changes, {took}"
    print(f"stack    {stack} in {place.region} of {place.account}: {done}")
    for change in changes:
        print(f"         {change}")
    if plan:
        return
    found = pipeline.find()
    assert found
    check_code(place, found.outputs)
    if changes:
        zips.forget_all_but({*zips.parameters().values(), *kept.values()})
    print(f"bucket   {found.outputs['BucketName']}")
    print(f"states   {found.outputs['StateMachineArn']}")
    print(f"to run   {start_line(place, found.outputs['StateMachineArn'])}")


def architecture(target: str, stack: str, arch: str = "", region: str = "") -> None:
    """Print the platform of the zips that the stack needs, as `make zip` names it."""
    found = Stack(connect(target, region).client("cloudformation"), stack, target).find()
    arch = arch or (found.parameters.get("Architecture", "") if found else "")
    print("aarch64" if arch == "arm64" else "x86_64")


def destroy(
    target: str, stack: str, region: str = "", empty: bool = False, yes: bool = False
) -> None:
    """Delete the stack and its artifacts; a bucket with content only when asked to empty it."""
    check_stack_name(stack)
    place = connect(target, region)
    pipeline = Stack(place.client("cloudformation"), stack, target)
    found = pipeline.find()
    if found:
        resources = pipeline.resources()
        check_may_empty(place, resources.get("Bucket"), empty, pipeline.flags)
        print(f"this deletes the stack {stack} in {place.region} of {place.account}:")
        for logical, physical in resources.items():
            print(f"  {logical:<36} {physical}")
        if not yes:
            ask(pipeline.flags)
        if bucket := resources.get("Bucket"):
            artifacts.empty(place.client("s3"), owned(place, bucket))
        pipeline.delete()
    Artifacts(place, stack).delete()
    done = "deleted" if found else "not there"
    print(f"stack {stack} in {place.region} of {place.account}: {done}")


def ask(flags: str) -> None:
    """
    Raises:
        Fault: the answer is not yes.
    """
    print("delete all that? yes or no: ", end="", flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Fault(f"nothing is deleted\nto do: answer yes, or make destroy {flags} YES=1")


def check_may_empty(place: Target, bucket: str | None, empty: bool, flags: str) -> None:
    """CloudFormation deletes a bucket only when it is empty.

    Raises:
        Fault: it holds something, and may not be emptied.
    """
    if bucket and not empty and not artifacts.is_empty(place.client("s3"), owned(place, bucket)):
        raise Fault(
            f"s3://{bucket} holds objects, and is deleted with the stack: move what you need, then "
            f"make destroy {flags} EMPTY=1"
        )


def check_bucket_stays(changes: list[Change]) -> None:
    for change in changes:
        lost = change["Action"] == "Remove" or change.get("Replacement") == "True"
        if change["LogicalResourceId"] == "Bucket" and lost:
            raise Fault(
                f"this deploy would {described(change)}, and leave its tables and workbooks behind\n"
                "to do: take back that edit of template.yaml, or make deploy … REPLACE_BUCKET=1"
            )


def check_code(place: Target, outputs: dict[str, str]) -> None:
    """Compare what the functions run with the zips.

    Raises:
        Fault: one runs something else.
    """
    functions = place.client("lambda")
    for stage in STAGES:
        version = outputs[f"{stage.title()}Function"]
        runs = functions.get_function_configuration(FunctionName=version)["CodeSha256"]
        if runs != artifacts.sha256(artifacts.read_zip(stage)):
            digest = base64.b64decode(runs).hex()
            raise Fault(f"{version} runs other code than demo-{stage}'s zip: SHA-256 {digest}")


def warnings(at_once: int, parameters: dict[str, str]) -> list[str]:
    """What the limits of an account that runs so many functions at once do to the pipeline."""
    if at_once > 5 * NEW_ACCOUNT_AT_ONCE:
        return []
    found = [
        f"the account runs {at_once} functions at once: more segments wait, and are throttled; "
        "ask for 1,000 in Service Quotas (Lambda, Concurrent executions)"
    ]
    for name, value in parameters.items():
        if name.endswith("Memory") and int(value) > NEW_ACCOUNT_MEMORY_MB:
            found.append(f"{name}={value}: a new account's functions have at most 3,008 MB")
    return found


def pairs(name: str, text: str) -> dict[str, str]:
    """`A=1,B=2` as a dictionary.

    Raises:
        Fault: a part has no name.
    """
    found = [part.partition("=") for part in text.split(",") if part]
    for key, sign, _ in found:
        if not key or not sign:
            raise Fault(f"{name}: must be like A=1,B=2; found {text}")
    return {key: value for key, _, value in found}


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

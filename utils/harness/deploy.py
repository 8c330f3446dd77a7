"""Deploy the pipeline as a CloudFormation stack, and take it down again."""

import re
import secrets
import sys
import time

from harness import artifacts, machines, schedule
from harness.artifacts import Artifacts, owned
from harness.fault import Fault
from harness.logs import json_object
from harness.stack import REPLACED, Change, described
from harness.target import Target

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
NEW_ACCOUNT_AT_ONCE = 10
NEW_ACCOUNT_MEMORY_MB = 3008
# Parameters of the template that are not the user's to give.
KEY, KEY_NUMBER = "SigningKey", "SigningKeyNumber"


def deploy(
    target: Target,
    arch: str = "",
    definition: str = "",
    parameters: str = "",
    tags: str = "",
    plan: bool = False,
    replace_bucket: bool = False,
    rotate_key: bool = False,
    role: str = "",
) -> None:
    """Create the stack, or change what differs; what is not given stays as it is.

    Args:
        parameters: more of the template's, such as "ScatterMemory=3008,GatherTimeout=600".
        tags: of the stack and all in it, such as "team=data".
        plan: say what would change, and change nothing.
        replace_bucket: even if that takes the bucket with the tables and workbooks.
        rotate_key: let the functions sign with a new key; executions that run keep theirs.
        role: the ARN of the one that CloudFormation acts with, now and later.
    """
    started = time.monotonic()
    pipeline = target.cloudformation()
    had = pipeline.ready()
    kept = artifacts.declared(had.parameters) if had else {}
    zips = Artifacts(target)
    made, objects = artifacts.made_from(definition or kept.get("Definition", "parallel"))
    wanted = kept | made | {"ArtifactBucket": zips.bucket}
    if arch:
        wanted["Architecture"] = arch
    wanted |= given_parameters(parameters)
    schedule.check(wanted)
    wanted[KEY_NUMBER], key = signing_key(kept, rotate_key)
    limits = target.client("lambda").get_account_settings()["AccountLimit"]
    for warning in warnings(limits["ConcurrentExecutions"], wanted):
        print(f"warning  {warning}")
    if not plan:
        zips.upload(objects)

    def approved(changes: list[Change]) -> bool:
        if not (plan or replace_bucket):
            check_bucket_stays(changes)
        return not plan

    tagged = (had.tags if had else {}) | pairs("TAGS", tags)
    template = artifacts.rendered(wanted, target.emulated)
    changes = pipeline.change(template, wanted | {KEY: key}, tagged, approved, role)
    done = "up to date"
    if changes:
        took = "none is made" if plan else f"in {time.monotonic() - started:.0f} s"
        done = f"{len(changes)} changes, {took}"
    print(f"stack    {target.stack} in {target.region} of {target.account}: {done}")
    for change in changes:
        print(f"         {change}")
    if plan:
        return
    if changes:
        zips.forget_all_but({*objects, *kept.values()})
    print(f"bucket   {target.bucket}")
    print(f"states   {target.machine()}")
    print(f"to run   make stepfunctions{target.flags} FILE=…")


def architecture(target: Target, arch: str = "") -> None:
    """Print the platform of the zips that the stack needs, as `make zip` names it."""
    found = target.cloudformation().find()
    arch = arch or (found.parameters.get("Architecture", "") if found else "")
    print("aarch64" if arch == "arm64" else "x86_64")


def destroy(target: Target, empty: bool = False, yes: bool = False) -> None:
    """Delete the stack and its artifacts; a bucket with content only when asked to empty it."""
    pipeline = target.cloudformation()
    where = f"{target.stack} in {target.region} of {target.account}"
    found = pipeline.find()
    if found:
        resources = pipeline.resources()
        check_may_empty(target, resources.get("Bucket"), empty)
        print(f"this deletes the stack {where}:")
        for logical, physical in resources.items():
            print(f"  {logical:<36} {physical}")
        if not yes:
            ask(target.flags)
        if machine := resources.get("StateMachine"):
            machines.stop_all(target, machine)
        if bucket := resources.get("Bucket"):
            artifacts.empty(target.client("s3"), owned(target, bucket))
        pipeline.delete()
    Artifacts(target).delete()
    print(f"stack {where}: {'deleted' if found else 'not there'}")


def ask(flags: str) -> None:
    """
    Raises:
        Fault: the answer is not yes.
    """
    print("delete all that? yes or no: ", end="", flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Fault(f"nothing is deleted\nto do: answer yes, or make destroy{flags} YES=1")


def check_may_empty(target: Target, bucket: str | None, empty: bool) -> None:
    """CloudFormation deletes a bucket only when it is empty.

    Raises:
        Fault: it holds something, and may not be emptied.
    """
    if not bucket or empty:
        return
    if target.client("s3").list_objects_v2(**owned(target, bucket), MaxKeys=1)["KeyCount"]:
        raise Fault(
            f"s3://{bucket} holds objects, and is deleted with the stack: move what you need, then "
            f"make destroy{target.flags} EMPTY=1"
        )


def check_bucket_stays(changes: list[Change]) -> None:
    for change in changes:
        lost = change["Action"] == "Remove" or change.get("Replacement") in REPLACED
        if change["LogicalResourceId"] == "Bucket" and lost:
            raise Fault(
                f"this deploy would {described(change)}, and leave its tables and workbooks behind\n"
                "to do: take back that edit of template.yaml, or make deploy … REPLACE_BUCKET=1"
            )


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


def signing_key(kept: dict[str, str], rotate: bool) -> tuple[str, str | None]:
    """The number of the key that the functions sign with, and the key if it is a new one."""
    number = int(kept.get(KEY_NUMBER, 0))  # 0: the stack has none yet
    if rotate or not number:
        return str(number + 1), secrets.token_hex(32)
    return str(number), None


def given_parameters(text: str) -> dict[str, str]:
    """
    Raises:
        Fault: the key is among them, or what `checked` refuses.
    """
    given = pairs("PARAMETERS", text)
    for name in given.keys() & {KEY, KEY_NUMBER}:
        raise Fault(
            f"PARAMETERS: must not hold the key; found {name}\nto do: ROTATE_KEY=1 makes a new one"
        )
    return checked(given)


def checked(given: dict[str, str]) -> dict[str, str]:
    """
    Raises:
        Fault: one is no parameter, is none to give, or has a value that it may not have.
    """
    free = {n: each for n, each in artifacts.declarations().items() if n not in artifacts.FIXED}
    for name, value in given.items():
        if name not in free:
            among = f"{', '.join(free)}, beside ARCH and DEFINITION"
            raise Fault(f"PARAMETERS: must be of {among}; found {name}")
        allowed = [str(each) for each in free[name].get("AllowedValues", [value])]
        if value not in allowed:
            raise Fault(f"{name}: must be {' or '.join(allowed)}; found {value}")
    if (added := given.get("InboxInput")) and not json_object(added):
        raise Fault(f"PARAMETERS: InboxInput must be a JSON object; found {added}")
    return given


def pairs(name: str, text: str) -> dict[str, str]:
    """`A=1,B=2` as a dictionary; a value may be like `cron(0 6 ? * MON,FRI *)` or a JSON object.

    Raises:
        Fault: a part has no name.
    """
    # A comma within a value, as in JSON or cron, has no name and no = behind it.
    parts = re.split(r",(?=[\w.:/@+ -]+=)", text.strip(","))
    found = [part.partition("=") for part in parts if part]
    for key, sign, _ in found:
        if not key or not sign:
            raise Fault(f"{name}: must be like A=1,B=2; found {text}")
    return {key: value for key, _, value in found}

"""What a stack is made from: the zips and the definition, in a bucket of their own."""

import hashlib
import json
import re
from typing import Any

# It ships no types.
from awscli.customizations.cloudformation import yamlhelper  # type: ignore[import-untyped]

from harness.bucket import delete_keys, keys_of
from harness.fault import Fault
from harness.functions import read_zip, sha256
from harness.machines import DEFINITIONS, read_definition
from harness.stack import Found
from harness.target import STAGES, Target

TEMPLATE = DEFINITIONS / "template.yaml"

# What the definitions name as they run on an emulator, and the template's name for it.
SUBSTITUTIONS = {
    f"arn:aws:lambda:us-east-1:000000000000:function:{stage}-lambda": f"${{{name}Function}}"
    for stage, name in zip(STAGES, ("Scatter", "Segment", "Gather"))
} | {'"MaxConcurrency": 200': "${MaxConcurrency}"}


class Artifacts:
    """The zips and the definition of a stack, under keys that change with their content.

    No other account can make a bucket of this name, and S3 refuses every call if one has:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/gpbucketnamespaces.html
    """

    def __init__(self, place: Target, definition: str = "parallel") -> None:
        self.s3 = place.client("s3")
        self.place = place
        self.bucket = f"{place.stack}-zips-{place.account}-{place.region}-an"
        self.at = owned(place, self.bucket)
        self.definition = definition

    def parameters(self) -> dict[str, str]:
        keys = {name: key_of(name, body) for name, body in bodies(self.definition).items()}
        return {"ArtifactBucket": self.bucket, "Definition": self.definition, **keys}

    def upload(self) -> None:
        self.make_bucket()
        there = keys_of(self.s3, **self.at)
        for name, body in bodies(self.definition).items():
            if (key := key_of(name, body)) not in there:
                self.s3.put_object(**self.at, Key=key, Body=body)

    def make_bucket(self) -> None:
        """Create the bucket, private and encrypted as S3 makes them, if it is not there."""
        if not self.exists():
            # us-east-1 is the one region that must not be named.
            region = self.place.region
            given = {"CreateBucketConfiguration": {"LocationConstraint": region}}
            self.s3.meta.events.register("before-call.s3.CreateBucket", in_own_namespace)
            self.s3.create_bucket(Bucket=self.bucket, **({} if region == "us-east-1" else given))
        self.s3.put_bucket_policy(**self.at, Policy=json.dumps(tls_only(self.s3, self.bucket)))

    def exists(self) -> bool:
        """
        Raises:
            Fault: it is another account's.
        """
        try:
            # LocalStack, too, asks here who the owner is.
            self.s3.get_bucket_policy(**self.at)
        except self.s3.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "AccessDenied":
                raise Fault(
                    f"S3 refuses s3://{self.bucket} to the account {self.place.account}: "
                    "another owns it, or these credentials lack s3:GetBucketPolicy\n"
                    "to do: choose another name, STACK=…"
                ) from None
            if code not in ("NoSuchBucket", "NoSuchBucketPolicy"):
                raise
            return bool(code == "NoSuchBucketPolicy")
        return True

    def forget_all_but(self, keys: set[str]) -> None:
        """Delete what neither this deploy nor the one before it uses."""
        there = keys_of(self.s3, **self.at)
        delete_keys(self.s3, [key for key in there if key not in keys], **self.at)

    def delete(self) -> None:
        if self.exists():
            empty(self.s3, self.at)
            self.s3.delete_bucket(**self.at)


def bodies(definition: str) -> dict[str, bytes]:
    """What a stack is made from, by the template's parameter for its key."""
    states = substitutable(read_definition(definition)).strip().encode()
    zips = {f"{stage.title()}Zip": read_zip(stage) for stage in STAGES}
    return zips | {"DefinitionKey": states}


def owned(place: Target, bucket: str) -> dict[str, str]:
    """A call's arguments for a bucket, which S3 refuses unless the account owns it."""
    return {"Bucket": bucket, "ExpectedBucketOwner": place.account}


def in_own_namespace(params: dict[str, Any], **_: Any) -> None:
    """The locked boto3 is older than CreateBucket's BucketNamespace."""
    params["headers"]["x-amz-bucket-namespace"] = "account-regional"


def tls_only(s3: Any, bucket: str) -> dict[str, Any]:
    arn = f"arn:{s3.meta.partition}:s3:::{bucket}"
    denied = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [denied]}


def declared(parameters: dict[str, str]) -> dict[str, str]:
    """Those that the template still has, and whose values a stack's description shows."""
    return {name: value for name, value in parameters.items() if name in declarations()}


def declarations() -> dict[str, dict[str, Any]]:
    """The template's parameters, but for those whose values nobody is shown."""
    known = yamlhelper.yaml_parse(TEMPLATE.read_text())["Parameters"]
    return {name: each for name, each in known.items() if not each.get("NoEcho")}


def rendered(parameters: dict[str, str], emulated: bool = False) -> str:
    """The template with a name for each function's version that changes with code and settings.

    Lambda publishes no second version of the same code and settings, and CloudFormation none under
    a name that it knows.

    Args:
        parameters: those given and those that the stack has, but for the key, whose number
            stands for it; the template's defaults need not be.
    """
    template = yamlhelper.yaml_parse(TEMPLATE.read_text())
    if emulated:
        # LocalStack adds to a stack no resources that one condition brings and that name each other,
        # and turns a bucket's events on only when it makes the bucket.
        resources = template["Resources"]
        bucket = resources["Bucket"]["Properties"]
        bucket["NotificationConfiguration"] = bucket["NotificationConfiguration"]["Fn::If"][1]
        for name in list(resources):
            if not is_wanted(resources[name], template, parameters):
                del resources[name]
    names = {}
    for stage in STAGES:
        function = f"{stage.title()}Function"
        version = template["Resources"][f"{stage.title()}Version"]
        version["Properties"]["CodeSha256"] = sha256(read_zip(stage))
        settings = json.dumps(template["Resources"][function]["Properties"], sort_keys=True)
        used = [
            (name, parameters.get(name, str(declared.get("Default"))))
            for name, declared in sorted(template["Parameters"].items())
            if f'{{"Ref": "{name}"}}' in settings
        ]
        digest = hashlib.sha256(f"{settings}{used}".encode()).hexdigest()[:12]
        names[f"{stage.title()}Version"] = f"{stage.title()}Version{digest}"
    text = json.dumps(template)
    if emulated:
        # LocalStack deletes what has the other policy, and neither takes back what failed.
        text = text.replace("RetainExceptOnCreate", "Retain")
    return re.sub(r'"(\w+Version)"', lambda found: f'"{names.get(found[1], found[1])}"', text)


def is_wanted(
    resource: dict[str, Any], template: dict[str, Any], parameters: dict[str, str]
) -> bool:
    """Whether a resource's condition holds, which then is no longer one."""

    def holds(condition: dict[str, Any]) -> bool:
        if "Fn::Not" in condition:
            return not holds(condition["Fn::Not"][0])
        name, value = condition["Fn::Equals"][0]["Ref"], condition["Fn::Equals"][1]
        return bool(parameters.get(name, template["Parameters"][name].get("Default")) == value)

    name = resource.pop("Condition", None)
    return name is None or holds(template["Conditions"][name])


def key_of(parameter: str, body: bytes) -> str:
    return f"{parameter}/{hashlib.sha256(body).hexdigest()}"


def substitutable(definition: str) -> str:
    """The definition with the names that CloudFormation's DefinitionSubstitutions fills in."""
    for found, name in SUBSTITUTIONS.items():
        definition = definition.replace(found, name)
    return definition


def is_deployed(definition: str, stack: Found) -> bool:
    """Whether it is the definition that a stack was given, with what CloudFormation filled in."""
    at_once = stack.parameters.get("MaxConcurrency")
    filled = {"${MaxConcurrency}": f'"MaxConcurrency": {at_once}'}
    for function in (f"{stage.title()}Function" for stage in STAGES):
        filled[f"${{{function}}}"] = stack.outputs[function]
    for name, value in filled.items():
        definition = definition.replace(value, name)
    given = key_of("DefinitionKey", definition.strip().encode())
    return at_once is None or stack.parameters["DefinitionKey"] == given  # None: an older version's


def is_empty(s3: Any, at: dict[str, str]) -> bool:
    return not s3.list_objects_v2(**at, MaxKeys=1)["KeyCount"]


def empty(s3: Any, at: dict[str, str]) -> None:
    """Delete a bucket's objects and unfinished uploads."""
    delete_keys(s3, keys_of(s3, **at), **at)
    for page in s3.get_paginator("list_multipart_uploads").paginate(**at):
        for found in page.get("Uploads", []):
            s3.abort_multipart_upload(**at, Key=found["Key"], UploadId=found["UploadId"])

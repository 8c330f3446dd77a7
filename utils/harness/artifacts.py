"""What a stack is made from: the zips and the definition, in a bucket of their own."""

import base64
import hashlib
import json
import re
from typing import Any

from harness.bucket import delete_keys, keys_of
from harness.fault import Fault
from harness.functions import read_zip
from harness.machines import DEFINITIONS, read_definition
from harness.stack import Found
from harness.target import STAGES, Target

TEMPLATE = DEFINITIONS / "template.yaml"
# By the template's names.
FUNCTIONS = [f"{stage.title()}Function" for stage in STAGES]
VERSIONS = [f"{stage.title()}Version" for stage in STAGES]
ZIPS = [f"{stage.title()}Zip" for stage in STAGES]
# Parameters that the place, the sources, ARCH and DEFINITION give.
FIXED = ["ArtifactBucket", "Architecture", "Definition", "DefinitionKey", *ZIPS]

# What the definitions name as they run on an emulator, and the template's name for it.
SUBSTITUTIONS = {
    f"arn:aws:lambda:us-east-1:000000000000:function:{stage}-lambda": f"${{{name}}}"
    for stage, name in zip(STAGES, FUNCTIONS, strict=True)
}
# A number of the emulator's, whatever it is; a stack has its parameter.
AT_ONCE = re.compile(r'"MaxConcurrency": \d+')


class Artifacts:
    """The zips and the definition of a stack, under keys that change with their content.

    No other account can make a bucket of this name, and S3 refuses every call if one has:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/gpbucketnamespaces.html
    """

    def __init__(self, place: Target) -> None:
        self.s3 = place.client("s3")
        self.place = place
        self.bucket = f"{place.stack}-zips-{place.account}-{place.region}-an"
        self.at = owned(place, self.bucket)

    def upload(self, objects: dict[str, bytes]) -> None:
        self.make_bucket()
        there = keys_of(self.s3, **self.at)
        for key in objects.keys() - there:
            self.s3.put_object(**self.at, Key=key, Body=objects[key])

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
            code: str = error.response["Error"]["Code"]
            if code == "AccessDenied":
                raise Fault(
                    f"S3 refuses s3://{self.bucket} to the account {self.place.account}: "
                    "another owns it, or these credentials lack s3:GetBucketPolicy\n"
                    "to do: choose another name, STACK=…"
                ) from None
            if code not in ("NoSuchBucket", "NoSuchBucketPolicy"):
                raise
            return code == "NoSuchBucketPolicy"
        return True

    def forget_all_but(self, keys: set[str]) -> None:
        """Delete what neither this deploy nor the one before it uses."""
        there = keys_of(self.s3, **self.at)
        delete_keys(self.s3, [key for key in there if key not in keys], **self.at)

    def delete(self) -> None:
        if self.exists():
            empty(self.s3, self.at)
            self.s3.delete_bucket(**self.at)


def made_from(definition: str) -> tuple[dict[str, str], dict[str, bytes]]:
    """What a stack is made from: the template's parameters, and the objects by their keys."""
    states = substitutable(read_definition(definition)).encode()
    zips = dict(zip(ZIPS, map(read_zip, STAGES), strict=True))
    bodies = zips | {"DefinitionKey": states}
    keys = {name: key_of(name, body) for name, body in bodies.items()}
    return {"Definition": definition, **keys}, {keys[name]: bodies[name] for name in keys}


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
    return {name: parameters[name] for name in declarations() if name in parameters}


def declarations() -> dict[str, dict[str, Any]]:
    """The template's parameters, but for those whose values nobody is shown."""
    known = read_template()["Parameters"]
    return {name: each for name, each in known.items() if not each.get("NoEcho")}


def read_template() -> dict[str, Any]:
    # An execution does not wait for it. It ships no types.
    from awscli.customizations.cloudformation import yamlhelper  # type: ignore[import-untyped]

    template: dict[str, Any] = yamlhelper.yaml_parse(TEMPLATE.read_text())
    return template


def with_defaults(
    declared: dict[str, dict[str, Any]], parameters: dict[str, str]
) -> dict[str, str]:
    return {name: parameters.get(name, str(d.get("Default"))) for name, d in declared.items()}


def rendered(parameters: dict[str, str], emulated: bool = False) -> str:
    """The template with a name for each function's version that changes with code and settings.

    CloudFormation publishes no second version under a name that it knows, and Lambda none of a
    function that has not changed: its description changes with the name.

    Args:
        parameters: the zips' keys, those given and those that the stack has, but for the key, whose
            number stands for it; the template's defaults need not be.
    """
    template = read_template()
    resources = template["Resources"]
    values = with_defaults(template["Parameters"], parameters)
    if emulated:
        suit_localstack(template, values)
    names = {}
    for archive, function, version in zip(ZIPS, FUNCTIONS, VERSIONS, strict=True):
        resources[version]["Properties"]["CodeSha256"] = sha256_of(values[archive])
        properties = resources[function]["Properties"]
        settings = json.dumps(properties, sort_keys=True)
        used = [each for each in sorted(values.items()) if f'{{"Ref": "{each[0]}"}}' in settings]
        digest = hashlib.sha256(f"{settings}{used}".encode()).hexdigest()[:12]
        properties["Description"]["Fn::Join"][1].append(digest)
        names[version] = f"{version}{digest}"
    text = json.dumps(template)
    for version, name in names.items():
        text = text.replace(f'"{version}"', f'"{name}"')
    return text


def suit_localstack(template: dict[str, Any], values: dict[str, str]) -> None:
    """Leave out what no condition brings, and set what LocalStack does not change afterwards.

    It adds to a stack no resources that one condition brings and that name each other, and turns a
    bucket's events on only when it makes the bucket. A version that has the other policy it
    deletes, and it takes back nothing of what failed.
    """
    resources = template["Resources"]
    bucket = resources["Bucket"]["Properties"]
    bucket["NotificationConfiguration"] = bucket["NotificationConfiguration"]["Fn::If"][1]
    for version in VERSIONS:
        resources[version]["DeletionPolicy"] = "Retain"
    for name, resource in list(resources.items()):
        condition = resource.pop("Condition", None)
        if condition and not is_met(template["Conditions"][condition], values):
            del resources[name]


def is_met(condition: dict[str, Any], values: dict[str, str]) -> bool:
    if "Fn::Not" in condition:
        return not is_met(condition["Fn::Not"][0], values)
    parameter, value = condition["Fn::Equals"]
    return bool(values[parameter["Ref"]] == value)


def key_of(parameter: str, body: bytes) -> str:
    return f"{parameter}/{hashlib.sha256(body).hexdigest()}"


def sha256_of(key: str) -> str:
    """A zip's digest as Lambda writes it."""
    return base64.b64encode(bytes.fromhex(key.split("/")[1])).decode()


def substitutable(definition: str) -> str:
    """The definition with the names that CloudFormation's DefinitionSubstitutions fills in."""
    return AT_ONCE.sub("${MaxConcurrency}", with_names(definition, SUBSTITUTIONS))


def with_names(definition: str, names: dict[str, str]) -> str:
    for found, name in names.items():
        definition = definition.replace(found, name)
    return definition.strip()


def is_deployed(definition: str, stack: Found) -> bool:
    """Whether it is the definition that a stack was given, with what CloudFormation filled in."""
    at_once = stack.parameters.get("MaxConcurrency")
    names = {stack.outputs[name]: f"${{{name}}}" for name in FUNCTIONS}
    names[f'"MaxConcurrency": {at_once}'] = "${MaxConcurrency}"
    given = key_of("DefinitionKey", with_names(definition, names).encode())
    return at_once is None or stack.parameters["DefinitionKey"] == given  # None: an older version's


def empty(s3: Any, at: dict[str, str]) -> None:
    """Delete a bucket's objects and unfinished uploads."""
    delete_keys(s3, keys_of(s3, **at), **at)
    for page in s3.get_paginator("list_multipart_uploads").paginate(**at):
        for found in page.get("Uploads", []):
            s3.abort_multipart_upload(**at, Key=found["Key"], UploadId=found["UploadId"])

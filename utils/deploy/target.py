"""Where a stack goes: an AWS account with its user's credentials, or the emulator at ENDPOINT."""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import fire
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
    UnknownRegionError,
)

HARNESS = Path(__file__).resolve().parents[1] / "harness"
TARGETS = ("localstack", "aws")
Client = Callable[[Any], Any]
# Bucket names end at 63 characters, and -artifacts-ACCOUNT-REGION takes up to 38 of them.
STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,23}")

LOGIN = (
    "log in again (aws sso login, or aws configure), or name another profile: "
    "AWS_PROFILE=… make deploy TARGET=aws"
)
# What AWS answers to credentials it does not take, and what to do.
REFUSALS = {
    "ExpiredToken": LOGIN,
    "ExpiredTokenException": LOGIN,
    "InvalidClientTokenId": "these keys are of no user, or this region is not enabled: " + LOGIN,
    "UnrecognizedClientException": "these keys are of no user, or this region is not enabled: " + LOGIN,
    "SignatureDoesNotMatch": "the secret key is not that of the key id: aws configure",
    "AccessDenied": "these credentials may not do that: the README lists what deploying needs",
    "AccessDeniedException": "these credentials may not do that: the README lists what deploying needs",
}


class Fault(Exception):
    """What went wrong, and what to do about it."""


@dataclass(frozen=True)
class Target:
    """One account and region, and how to call its services."""

    name: str
    account: str
    region: str
    client: Client
    cli: str


def connect(name: str, region: str | None = None) -> Target:
    """Find the account behind a target.

    Raises:
        Fault: no such target; no region, or no credentials that AWS takes.
    """
    if name not in TARGETS:
        raise Fault(f"TARGET: must be {' or '.join(TARGETS)}; found {name}")
    client, found, cli = aws(region) if name == "aws" else emulator(region)
    account = client("sts").get_caller_identity()["Account"]
    return Target(name, account, found, client, cli)


def aws(region: str | None) -> tuple[Client, str, str]:
    # boto3 alone, of AWS's tools, does not know AWS_REGION.
    session = boto3.Session(region_name=region or os.environ.get("AWS_REGION"))
    if not session.region_name:
        raise NoRegionError()
    known = session.get_partition_for_region(session.region_name)
    if session.region_name not in session.get_available_regions("lambda", known):
        raise Fault(
            f"REGION: must be a region of AWS that has Lambda; found {session.region_name}\n"
            "to do: make deploy TARGET=aws REGION=us-east-1"
        )
    return session.client, session.region_name, "aws"


def emulator(region: str | None) -> tuple[Client, str, str]:
    # Importing it hides the user's AWS settings, which a deployment to AWS needs.
    sys.path.insert(0, str(HARNESS))
    import aws as harness

    if region and region != harness.REGION:
        raise Fault(f"REGION: the emulator is {harness.REGION}; found {region}")
    credentials = "AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test"
    return harness.client, harness.REGION, f"{credentials} aws --endpoint-url {harness.ENDPOINT}"


def check_stack_name(stack: str) -> None:
    if not isinstance(stack, str) or not STACK_NAME.fullmatch(stack):
        raise Fault(
            "STACK: must be 1 to 24 lower-case letters, digits and hyphens, a letter first; "
            f"found {stack}"
        )


def command(*actions: Callable[..., Any]) -> None:
    """Offer functions as a command line; what AWS refuses ends it with what to do."""
    by_name = {action.__name__: action for action in actions}
    try:
        fire.Fire(by_name if len(actions) > 1 else actions[0])
    except Fault as fault:
        sys.exit(f"error: {fault}")
    except (ClientError, BotoCoreError) as error:
        sys.exit(f"error: {error}\nto do: {remedy(error)}")
    except KeyboardInterrupt:
        sys.exit(130)


def remedy(error: ClientError | BotoCoreError) -> str:
    match error:
        case NoCredentialsError() | PartialCredentialsError():
            return (
                "log in (aws configure, or aws sso login), or name a profile: "
                "AWS_PROFILE=… make deploy TARGET=aws; without an account: make deploy"
            )
        case NoRegionError() | UnknownRegionError():
            return "make deploy TARGET=aws REGION=us-east-1, or aws configure set region …"
        case ProfileNotFound():
            return "aws configure list-profiles shows those there are"
        case (
            CredentialRetrievalError()
            | SSOTokenLoadError()
            | TokenRetrievalError()
            | UnauthorizedSSOTokenError()
        ):
            return LOGIN
        case EndpointConnectionError():
            return "is the network up? For the emulator: make up"
        case ClientError():
            code = error.response["Error"]["Code"]
            return REFUSALS.get(code, "the message above is AWS's own")
    return "the message above is boto3's own"

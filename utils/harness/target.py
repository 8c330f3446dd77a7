"""Where the pipeline is: the emulator at ENDPOINT, or an AWS account with its user's credentials."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
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

from harness.fault import Fault
from harness.settings import bucket as bucket
from harness.settings import endpoint as endpoint

TARGETS = ("localstack", "aws")
STAGES = ("scatter", "segment", "gather")
# The state machines that `make stepfunctions` makes from the files in state-machine/.
MACHINES = {"parallel": "Aggregate", "distributed": "AggregateDistributed"}
EMULATED_ACCOUNT = "000000000000"
EMULATED_REGION = "us-east-1"

LOGIN = (
    "log in again (aws sso login, or aws configure), or name another profile: "
    "AWS_PROFILE=… make deploy TARGET=aws"
)
# What AWS answers to credentials it does not take, and what to do.
REFUSALS = {
    "ExpiredToken": LOGIN,
    "ExpiredTokenException": LOGIN,
    "InvalidClientTokenId": "these keys are of no user, or this region is not enabled: " + LOGIN,
    "UnrecognizedClientException": "these keys are of no user, or this region is not enabled: "
    + LOGIN,
    "SignatureDoesNotMatch": "the secret key is not that of the key id: aws configure",
    "AccessDenied": "these credentials may not do that: state-machine/README.md lists what deploying needs",
    "AccessDeniedException": "these credentials may not do that: state-machine/README.md lists what deploying needs",
}


@dataclass(frozen=True)
class Target:
    """One account and region, and how to call its services.

    Attributes:
        name: localstack or aws.
        client: makes the client of a service, by its name.
        cli: how a shell's `aws` reaches it.
        bucket: of the functions.
    """

    name: str
    account: str
    region: str
    client: Callable[..., Any]
    cli: str
    bucket: str

    @property
    def emulated(self) -> bool:
        return self.account == EMULATED_ACCOUNT

    @property
    def role(self) -> str:
        """A role of the right shape, for an emulator that looks no further."""
        return f"arn:aws:iam::{self.account}:role/DummyRole"

    def machine(self, name: str) -> str:
        return f"arn:aws:states:{self.region}:{self.account}:stateMachine:{name}"


def function_name(stage: str) -> str:
    return f"{stage}-lambda"


@cache
def emulator() -> Target:
    """The emulator at ENDPOINT; nothing of the user's own AWS settings reaches it."""
    session = boto3.Session(
        botocore_session=unconfigured(),
        region_name=EMULATED_REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )

    def client(service: Any, **config: Any) -> Any:
        plain = Config(proxies={}, s3={"addressing_style": "path"}, **config)
        return session.client(service, endpoint_url=endpoint(), config=plain)

    cli = f"AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test aws --endpoint-url {endpoint()}"
    return Target("localstack", EMULATED_ACCOUNT, EMULATED_REGION, client, cli, bucket())


def unconfigured() -> botocore.session.Session:
    """A session that reads neither AWS_* variables nor ~/.aws, which may be broken."""
    variables = {
        name: (None, None, default, convert)
        for name, (_, _, default, convert) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    for file in ("config_file", "credentials_file"):
        variables[file] = (None, None, os.devnull, None)
    return botocore.session.Session(session_vars=variables)


def aws(region: str = "") -> Target:
    """The user's own account.

    Raises:
        Fault: no such region.
        BotoCoreError, ClientError: no region, or no credentials that AWS takes.
    """
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
    account = session.client("sts").get_caller_identity()["Account"]
    return Target("aws", account, session.region_name, session.client, "aws", bucket())


def connect(name: str, region: str = "") -> Target:
    """Find the account behind a target.

    Raises:
        Fault: no such target or region.
        BotoCoreError, ClientError: no region, or no credentials that AWS takes.
    """
    if name not in TARGETS:
        raise Fault(f"TARGET: must be {' or '.join(TARGETS)}; found {name}")
    if name == "aws":
        return aws(region)
    if region and region != EMULATED_REGION:
        raise Fault(f"REGION: the emulator is {EMULATED_REGION}; found {region}")
    return emulator()


def target_of(arn: str) -> Target:
    """The account that an ARN names: the emulator's, or one on AWS.

    Raises:
        Fault: it is no ARN.
    """
    parts = arn.split(":")
    if len(parts) < 6:
        raise Fault(f"EXECUTION: must be an execution's name or ARN; found {arn}")
    region, account = parts[3:5]
    return emulator() if account == EMULATED_ACCOUNT else aws(region)


def remedy(error: ClientError | BotoCoreError) -> str:
    """What to do about an error of boto3's."""
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

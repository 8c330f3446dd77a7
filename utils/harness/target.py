"""Where the pipeline is: functions of the emulator's own, or a stack there or in an AWS account."""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, NoRegionError

from harness.fault import Fault
from harness.settings import FOLDERS, bucket
from harness.settings import endpoint as endpoint
from harness.stack import Stack

TARGETS = ("localstack", "stack", "aws")
STAGES = ("scatter", "segment", "gather")
# The state machines that `make stepfunctions` makes from the files in state-machine/.
MACHINES = {"parallel": "Aggregate", "distributed": "AggregateDistributed"}
EMULATED_ACCOUNT = "000000000000"
EMULATED_REGION = "us-east-1"
# Bucket names end at 63 characters, and -zips-ACCOUNT-REGION-an takes up to 36 of them.
STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,23}")

LOGIN = (
    "log in again (aws sso login, or aws configure), or name another profile: "
    "AWS_PROFILE=… make … TARGET=aws"
)
NO_USER = f"these keys are of no user, or this region is not enabled: {LOGIN}"
NOT_ALLOWED = (
    "these credentials may not do that: state-machine/README.md lists what deploying needs"
)
NOBODY = (
    "log in (aws configure, or aws sso login), or name a profile: "
    "AWS_PROFILE=… make … TARGET=aws; without an account: make deploy"
)
NOWHERE = "make … TARGET=aws REGION=us-east-1, or aws configure set region …"
# What to do about what AWS answers, by its code, and about what boto3 raises, by its class.
REMEDIES = {
    "ExpiredToken": LOGIN,
    "ExpiredTokenException": LOGIN,
    "CredentialRetrievalError": LOGIN,
    "SSOTokenLoadError": LOGIN,
    "TokenRetrievalError": LOGIN,
    "UnauthorizedSSOTokenError": LOGIN,
    "InvalidClientTokenId": NO_USER,
    "UnrecognizedClientException": NO_USER,
    "SignatureDoesNotMatch": "the secret key is not that of the key id: aws configure",
    "AccessDenied": NOT_ALLOWED,
    "AccessDeniedException": NOT_ALLOWED,
    "NoCredentialsError": NOBODY,
    "PartialCredentialsError": NOBODY,
    "NoRegionError": NOWHERE,
    "UnknownRegionError": NOWHERE,
    "ProfileNotFound": "aws configure list-profiles shows those there are",
    "EndpointConnectionError": "is the network up? For the emulator: make up",
}


@dataclass(frozen=True)
class Target:
    """One account and region, how to call its services, and where the pipeline's things are.

    Attributes:
        name: localstack for the emulator's own functions, stack for one on the emulator, or aws.
        client: makes the client of a service, by its name; with it go fields of botocore's Config.
        stack: its name; nothing for the emulator's own functions.
    """

    name: str
    account: str
    region: str
    client: Callable[..., Any]
    stack: str = ""

    @property
    def emulated(self) -> bool:
        return self.account == EMULATED_ACCOUNT

    @property
    def flags(self) -> str:
        """What makes a make target's command one on this target."""
        region = f" REGION={self.region}" if self.name == "aws" else ""
        return f" TARGET={self.name} STACK={self.stack}{region}" if self.stack else ""

    def cloudformation(self) -> Stack:
        poll_s = 2.0 if self.name == "aws" else 0.1
        return Stack(self.client("cloudformation"), self.stack, self.flags, poll_s)

    @cached_property
    def outputs(self) -> dict[str, str]:
        """Where the stack's things are.

        Raises:
            Fault: the stack is not there, or its creation failed.
        """
        found = self.cloudformation().find()
        if found is None or "BucketName" not in found.outputs:
            state = f"is {found.status}" if found else "does not exist"
            raise Fault(f"the stack {self.stack} {state}: make deploy{self.flags}")
        return found.outputs

    @property
    def bucket(self) -> str:
        return self.outputs["BucketName"] if self.stack else bucket()

    def function(self, stage: str) -> str:
        """What executions call: a function's name, or the ARN of a version."""
        return self.outputs[f"{stage.title()}Function"] if self.stack else function_name(stage)

    def machine(self, definition: str = "") -> str:
        """The ARN of the state machine.

        Args:
            definition: one of MACHINES; default: parallel. A stack has one state machine.

        Raises:
            Fault: there is none of that definition.
        """
        if self.stack and definition:
            raise Fault(
                f"DEFINITION: a stack has its own; found {definition}\n"
                f"to do: make deploy{self.flags} DEFINITION={definition}, then leave it out"
            )
        if self.stack:
            return self.outputs["StateMachineArn"]
        name = MACHINES.get(definition or "parallel")
        if name is None:
            raise Fault(f"DEFINITION: must be {' or '.join(MACHINES)}; found {definition!r}")
        return f"arn:aws:states:{self.region}:{self.account}:stateMachine:{name}"

    @property
    def machines(self) -> list[str]:
        return [self.machine()] if self.stack else [self.machine(each) for each in MACHINES]

    @property
    def role(self) -> str:
        """A role of the right shape, for an emulator that looks no further."""
        return f"arn:aws:iam::{self.account}:role/DummyRole"


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

    return Target("localstack", EMULATED_ACCOUNT, EMULATED_REGION, client)


def unconfigured() -> botocore.session.Session:
    """A session that reads neither AWS_* variables nor ~/.aws, which may be broken."""
    variables = {
        name: (None, None, default, convert)
        for name, (_, _, default, convert) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    for file in ("config_file", "credentials_file"):
        variables[file] = (None, None, os.devnull, None)
    return botocore.session.Session(session_vars=variables)


def aws(stack: str, region: str = "") -> Target:
    """A stack in the user's own account.

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

    def client(service: Any, **config: Any) -> Any:
        return session.client(service, config=Config(**config))

    return Target("aws", account, session.region_name, client, stack)


def connect(name: str, stack: str, region: str = "") -> Target:
    """Find the account behind a target; the stack need not exist.

    Raises:
        Fault: no such target or region, or no name of a stack.
        BotoCoreError, ClientError: no region, or no credentials that AWS takes.
    """
    if name not in TARGETS:
        raise Fault(f"TARGET: must be {' or '.join(TARGETS)}; found {name}")
    if name != "localstack" and not STACK_NAME.fullmatch(stack):
        raise Fault(
            "STACK: must be 1 to 24 lower-case letters, digits and hyphens, a letter first; "
            f"found {stack}"
        )
    if name == "aws":
        return aws(stack, region)
    if region and region != EMULATED_REGION:
        raise Fault(f"REGION: the emulator is {EMULATED_REGION}; found {region}")
    return replace(emulator(), name="stack", stack=stack) if name == "stack" else emulator()


def remedy(error: ClientError | BotoCoreError) -> str:
    """What to do about an error of boto3's."""
    if isinstance(error, ClientError):
        return REMEDIES.get(error.response["Error"]["Code"], "the message above is AWS's own")
    if isinstance(error, ConnectionClosedError) and endpoint() in str(error):
        free_mb = shutil.disk_usage(FOLDERS).free // 1_000_000
        return (
            f"the emulator's log in {os.path.relpath(FOLDERS)} says why; "
            f"{free_mb:,} MB are free on the disk where it writes"
        )
    classes = (each.__name__ for each in type(error).__mro__)
    found = next(filter(REMEDIES.get, classes), "")
    return REMEDIES.get(found, "the message above is boto3's own")

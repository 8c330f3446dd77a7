"""What the make targets talk to: the emulator at ENDPOINT, and the words for what goes wrong."""

import os
import sys
from collections.abc import Callable
from typing import Any

import boto3
import fire
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ENDPOINT = os.environ.get("ENDPOINT", "http://localhost:4566")
BUCKET = os.environ.get("BUCKET", "test-bucket")
REGION = "us-east-1"
ACCOUNT = "000000000000"

# An emulator takes any credentials; the user's own, or a broken ~/.aws, must not matter.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


class Fault(Exception):
    """What went wrong, and what to do about it."""


def client(service: Any, **config: Any) -> Any:
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(proxies={}, s3={"addressing_style": "path"}, **config),
    )


def function_name(stage: str) -> str:
    return f"{stage}-lambda"


def command(*actions: Callable[..., Any]) -> None:
    """Offer functions as a command line; a Fault or an AWS error ends it with a message.

    Of several functions the first argument names the one to call.
    """
    by_name = {action.__name__: action for action in actions}
    try:
        fire.Fire(by_name if len(actions) > 1 else actions[0])
    except (Fault, ClientError, BotoCoreError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)

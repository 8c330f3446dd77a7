"""Run and measure executions on the LocalStack of ours at ENDPOINT."""

import json
import time
from collections.abc import Callable
from typing import Any

import psutil

from harness.emulator import chosen
from harness.fault import Fault
from harness.target import emulator

POLL_S = 0.2  # each poll is work for the LocalStack that is timed


def localstack() -> psutil.Process:
    """
    Raises:
        Fault: it is none of ours, and cannot be looked into.
    """
    if process := chosen().process():
        return process
    raise Fault(f"ENDPOINT: must be a LocalStack of `make up`; found none at {chosen().endpoint}")


def start(key: str, **given: Any) -> str:
    """Start an execution on an object of the bucket; returns its ARN."""
    states, fields = emulator().client("stepfunctions"), {"input_obj": key, **given}
    started = states.start_execution(stateMachineArn=emulator().machine(), input=json.dumps(fields))
    return str(started["executionArn"])


def wait(arn: str, look: Callable[[], None] = lambda: None) -> None:
    """Wait for an execution's end.

    Args:
        look: called while it runs, again and again.

    Raises:
        Fault: it did not succeed.
    """
    states = emulator().client("stepfunctions")
    while (found := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
        look()
        time.sleep(POLL_S)
    if found["status"] != "SUCCEEDED":
        why = f"{found.get('error')}: {found.get('cause')}"
        raise Fault(f"{arn}: must succeed; found {found['status']}: {why}")

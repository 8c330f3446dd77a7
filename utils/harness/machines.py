"""The state machines: make the emulator's, find and stop executions."""

import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice, product
from typing import Any

from harness.fault import Fault
from harness.settings import ROOT
from harness.target import MACHINES, Target, emulator

# LocalStack lets the calls of a Map return before it ends an execution.
ENDS_S, POLL_S = 10, 0.2
DEFINITIONS = ROOT / "state-machine"


def read_definition(name: str) -> str:
    path = DEFINITIONS / f"{name}.json"
    if not path.exists():
        found = ", ".join(sorted(file.stem for file in DEFINITIONS.glob("*.json")))
        raise Fault(f"DEFINITION: must be one of {found}; found {name}")
    return path.read_text()


def put(states: Any, definition: str) -> str:
    """Create the emulator's state machine, or bring it up to date; returns what was done."""
    arn = emulator().machine(definition)
    text = read_definition(definition)
    try:
        found = states.describe_state_machine(stateMachineArn=arn)
    except states.exceptions.StateMachineDoesNotExist:
        states.create_state_machine(
            name=MACHINES[definition], definition=text, roleArn=emulator().role
        )
        return "created"
    if found["definition"] == text:
        return "up to date"
    states.update_state_machine(stateMachineArn=arn, definition=text)
    return "updated"


def executions(target: Target, machine: str, status: str = "") -> Iterator[dict[str, Any]]:
    """Those of a state machine, the last one started first; none where it does not exist."""
    states = target.client("stepfunctions")
    asked = {"statusFilter": status} if status else {}
    pages = states.get_paginator("list_executions").paginate(stateMachineArn=machine, **asked)
    with suppress(states.exceptions.StateMachineDoesNotExist):
        for page in pages:
            yield from page["executions"]


def find(target: Target, execution: str = "", *statuses: str) -> str | None:
    """The ARN of the target's execution of a name or an ARN; default: the last one started.

    Args:
        statuses: one of which it must have; default: any.
    """
    found: list[dict[str, Any]] = []
    for machine, status in product(target.machines, statuses or ("",)):
        named = (
            each
            for each in executions(target, machine, status)
            if execution in ("", each["name"], each["executionArn"])
        )
        found += islice(named, 1)
    last = max(found, key=lambda each: each["startDate"], default={"executionArn": None})
    arn: str | None = last["executionArn"]
    return arn


def running(target: Target) -> set[str]:
    """The names of the target's executions that have not ended."""
    found = (executions(target, machine, "RUNNING") for machine in target.machines)
    return {each["name"] for each in chain.from_iterable(found)}


def stop_all(target: Target, machine: str) -> None:
    """End what runs of a state machine; returns when nothing does, or does not end."""
    states, until_s = target.client("stepfunctions"), time.monotonic() + ENDS_S
    stopped: set[str] = set()
    while found := {each["executionArn"] for each in executions(target, machine, "RUNNING")}:
        for arn in found - stopped:
            states.stop_execution(executionArn=arn)
            print(f"  stopped {arn}", flush=True)
        stopped |= found
        if time.monotonic() > until_s:
            return
        time.sleep(POLL_S)


def stop(target: Target, execution: str = "") -> None:
    """End a running execution.

    Args:
        execution: a name or an ARN. Default: the last one started.
    """
    arn = find(target, execution, "RUNNING")
    if arn:
        target.client("stepfunctions").stop_execution(executionArn=arn)
    elif execution:
        raise Fault(f"EXECUTION: must be one that runs; found {execution!r}, which does not")
    print(f"stopped {arn}" if arn else "nothing runs")

"""The state machines on the emulator: make them, find and stop their executions."""

from pathlib import Path
from typing import Any

from harness.fault import Fault
from harness.target import MACHINES, emulator, target_of

DEFINITIONS = Path(__file__).resolve().parents[2] / "state-machine"


def machine_arn(definition: str) -> str:
    if definition not in MACHINES:
        raise Fault(f"DEFINITION: must be {' or '.join(MACHINES)}; found {definition!r}")
    return emulator().machine(MACHINES[definition])


def put(states: Any, definition: str) -> str:
    """Create the state machine, or bring it up to date; returns what was done."""
    arn = machine_arn(definition)
    text = (DEFINITIONS / f"{definition}.json").read_text()
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


def running(states: Any) -> list[dict[str, Any]]:
    """The executions that have not ended, of all state machines, the last started first."""
    found = [
        execution
        for machines in states.get_paginator("list_state_machines").paginate()
        for machine in machines["stateMachines"]
        for page in states.get_paginator("list_executions").paginate(
            stateMachineArn=machine["stateMachineArn"], statusFilter="RUNNING"
        )
        for execution in page["executions"]
    ]
    return sorted(found, key=lambda execution: execution["startDate"], reverse=True)


def stop(execution: str = "") -> None:
    """End a running execution.

    Args:
        execution: a name or an ARN, which may be on AWS. Default: the last one started.
    """
    if execution.startswith("arn:"):
        arn = execution
    else:
        found = [
            each
            for each in running(emulator().client("stepfunctions"))
            if execution in ("", each["name"])
        ]
        if not found and execution:
            raise Fault(f"EXECUTION: must be one that runs; found {execution!r}, which does not")
        if not found:
            print("nothing runs")
            return
        arn = found[0]["executionArn"]
    target_of(arn).client("stepfunctions").stop_execution(executionArn=arn)
    print(f"stopped {arn}")

"""Run the state machine: start it, show how far it is, say how it ended."""

import importlib
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from harness import history, progress
from harness.advice import advice_on
from harness.fault import Fault
from harness.history import Failure, Run
from harness.target import MACHINES, STAGES, Target, emulator, function_name

DEFINITIONS = Path(__file__).resolve().parents[2] / "state-machine"
LOG_LINES = 20


def run(given: dict[str, Any] | None = None, definition: str = "parallel", page: str = "") -> None:
    """Run a state machine on an execution input such as {"input_obj": "members.json"}.

    Args:
        definition: the file in state-machine/ that defines it: parallel or distributed.
        page: the name of its report in result/; default: the execution's.
    """
    given = check_input(given)
    check_ready(given)
    target = emulator()
    states = target.client("stepfunctions")
    machine = put_state_machine(states, definition)
    arn = states.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"]
    with ThreadPoolExecutor(1) as thread:
        # What writes the report takes a moment to load: the execution's time is free.
        report = thread.submit(importlib.import_module, "harness.report.write")
        done = progress.show(states, arn)
    succeeded = done.status == "SUCCEEDED"
    if succeeded:
        took = f"{done.elapsed_s:.1f} s"
        print(f"SUCCEEDED in {took}: s3://{target.bucket}/{done.workbook}", flush=True)
    history.add_logs(target, done)
    if not succeeded:
        explain(target, done)
    print(os.path.relpath(report.result().write(target, done, page=page)))
    if not succeeded:
        sys.exit(1)


def machine_arn(definition: str) -> str:
    if definition not in MACHINES:
        raise Fault(f"definition: must be {' or '.join(MACHINES)}; found {definition}")
    return emulator().machine(MACHINES[definition])


def put_state_machine(states: Any, definition: str) -> str:
    """Create the state machine, or bring it up to date; returns its ARN."""
    arn = machine_arn(definition)
    text = (DEFINITIONS / f"{definition}.json").read_text()
    try:
        found = states.describe_state_machine(stateMachineArn=arn)
    except states.exceptions.StateMachineDoesNotExist:
        states.create_state_machine(name=MACHINES[definition], definition=text, roleArn=emulator().role)
    else:
        if found["definition"] != text:
            states.update_state_machine(stateMachineArn=arn, definition=text)
    return arn


def check_input(given: Any) -> dict[str, Any]:
    if given is not None and not isinstance(given, dict):
        raise Fault(f"INPUT: must be a JSON object; found {given!r}")
    return given or {}


def check_ready(given: dict[str, Any]) -> None:
    """Name the step that is missing, before anything runs."""
    functions = emulator().client("lambda")
    for stage in STAGES:
        try:
            functions.get_function_configuration(FunctionName=function_name(stage))
        except functions.exceptions.ResourceNotFoundException:
            raise Fault(f"{function_name(stage)} does not exist: make create") from None
    s3 = emulator().client("s3")
    key = given.get("input_obj", "test.json")
    try:
        s3.head_bucket(Bucket=emulator().bucket)
    except s3.exceptions.ClientError:
        raise Fault(f"the bucket {emulator().bucket} does not exist: make bucket") from None
    try:
        s3.head_object(Bucket=emulator().bucket, Key=key)
    except s3.exceptions.ClientError:
        fix = "make json" if key == "test.json" else "upload it first"
        raise Fault(f"s3://{emulator().bucket}/{key} does not exist: {fix}") from None


def explain(target: Target, run: Run) -> None:
    """Say on one screen what failed, where, why, and what to do."""
    if run.status == "ABORTED":
        print(f"STOPPED after {run.elapsed_s:.1f} s: execution {run.name}", flush=True)
        return
    print(f"{run.status}: execution {run.name}")
    failure = run.failure or Failure(run.status, "", None)
    if failure.task:
        print_task(run, failure.task)
    print(f"error    {failure.error}")
    print(f"cause    {failure.message}")
    if failure.end:
        print(f"then     {': '.join(failure.end)}")
    log = history.failure_lines(target, run)[-LOG_LINES:]
    for line in log:
        print(f"log      {line}")
    print(f"to do    {advice_on(failure, emulated=target.emulated, logged=bool(log))}", flush=True)


def print_task(run: Run, task: history.Task) -> None:
    print(f"stage    {task.stage} ({task.attempts[-1].function or function_name(task.stage)})")
    if task.index is not None:
        place = "" if run.map_runs else f"number {task.index}, counted from 0; "
        print(f"segment  {place}{run.failed} of {run.segments} failed")
    if task.input:
        print(f"input    {json.dumps(json.loads(task.input), ensure_ascii=False)}")

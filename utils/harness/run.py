"""Run the state machine: start it, show how far it is, say how it ended."""

import json
import subprocess
import sys
from typing import Any

from harness import history, logs, progress
from harness.advice import advice
from harness.bucket import check_bucket
from harness.fault import Fault
from harness.machines import DEFINITIONS as DEFINITIONS
from harness.machines import machine_arn as machine_arn
from harness.machines import put_state_machine as put_state_machine
from harness.target import emulator, function_name

LOG_LINES = 20


def run(given: dict[str, Any] | None = None, definition: str = "parallel") -> None:
    """Run a state machine on an execution input such as {"input_obj": "members.json"}.

    Args:
        definition: the file in state-machine/ that defines it: parallel or distributed.
    """
    execution = execute(given, definition)
    subprocess.run([sys.executable, "-m", "harness", "report", execution["executionArn"]])
    if execution["status"] != "SUCCEEDED":
        sys.exit(1)


def execute(given: dict[str, Any] | None = None, definition: str = "parallel") -> dict[str, Any]:
    """Run a state machine to its end and say how that was; returns the execution's description."""
    given = check_input(given)
    check_ready(given)
    states = emulator().client("stepfunctions")
    machine = put_state_machine(states, definition)
    arn = states.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"]
    try:
        execution = progress.follow(states, arn)
    except KeyboardInterrupt:
        print(f"\nthe execution {arn.split(':')[-1]} goes on: make stop ends it", flush=True)
        raise
    took = (execution["stopDate"] - execution["startDate"]).total_seconds()
    if execution["status"] == "SUCCEEDED":
        workbook = json.loads(execution["output"])
        print(f"SUCCEEDED in {took:.1f} s: s3://{emulator().bucket}/{workbook}", flush=True)
    else:
        explain(states, execution)
    return execution


def check_input(given: Any) -> dict[str, Any]:
    if given is not None and not isinstance(given, dict):
        raise Fault(f"INPUT: must be a JSON object; found {given!r}")
    return given or {}


def check_ready(given: dict[str, Any]) -> None:
    """Name the step that is missing, before anything runs."""
    functions = emulator().client("lambda")
    for stage in history.STAGES.values():
        check_function(functions, function_name(stage))
    s3 = emulator().client("s3")
    key = given.get("input_obj", "test.json")
    check_bucket(s3)
    try:
        s3.head_object(Bucket=emulator().bucket, Key=key)
    except s3.exceptions.ClientError:
        fix = "make json" if key == "test.json" else "upload it first"
        raise Fault(f"s3://{emulator().bucket}/{key} does not exist: {fix}") from None


def check_function(functions: Any, name: str) -> None:
    try:
        found = functions.get_function_configuration(FunctionName=name)
    except functions.exceptions.ResourceNotFoundException:
        raise Fault(f"{name} does not exist: make create") from None
    bucket = found.get("Environment", {}).get("Variables", {}).get("BUCKET", "test-bucket")
    if bucket != emulator().bucket:
        raise Fault(
            f"BUCKET: must be that of {name}, {bucket}; found {emulator().bucket}\n"
            f"to do: make create BUCKET={emulator().bucket}, or leave BUCKET as {bucket}"
        )


def explain(states: Any, execution: dict[str, Any]) -> None:
    """Say on one screen what failed, where, why, and what to do."""
    events = states.get_execution_history(executionArn=execution["executionArn"])["events"]
    failure = history.failure(events)
    print(f"{execution['status']}: execution {execution['name']}")
    if failure is None:
        print(f"error    {execution.get('error')}\ncause    {execution.get('cause')}")
        return
    function = function_name(failure.stage)
    since_ms = int(execution["startDate"].timestamp() * 1000)
    print(f"stage    {failure.stage} ({function})")
    print(f"input    {json.dumps(failure.input, ensure_ascii=False)}")
    print(f"error    {failure.error}")
    print(f"cause    {failure.message}")
    for line in failed_log(failure, since_ms)[-LOG_LINES:]:
        print(f"log      {line}")
    print(f"to do    {advice(failure.error, failure.message)}", flush=True)


def failed_log(failure: history.Failure, since_ms: int) -> list[str]:
    """What the failed invocation logged.

    A distributed Map leaves failed segments out, and the gather misses them: the log of the last
    segment that failed tells why.
    """
    segment = function_name("segment")
    if failure.error == "MissingSegment" and (failed := logs.last_failure(segment, since_ms)):
        return logs.invocation_lines(segment, failed, since_ms)
    if failure.request_id is None:
        return []
    return logs.invocation_lines(function_name(failure.stage), failure.request_id, since_ms)

"""Run the state machine: start it, show how far it is, say how it ended."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness import history, logs, progress
from harness.advice import advice
from harness.fault import Fault
from harness.target import MACHINES, emulator, function_name

DEFINITIONS = Path(__file__).resolve().parents[2] / "state-machine"
LOG_LINES = 20


def run(given: dict[str, Any] | None = None, definition: str = "parallel") -> None:
    """Run a state machine on an execution input such as {"input_obj": "members.json"}.

    Args:
        definition: the file in state-machine/ that defines it: parallel or distributed.
    """
    given = check_input(given)
    check_ready(given)
    states = emulator().client("stepfunctions")
    machine = put_state_machine(states, definition)
    arn = states.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"]
    execution = progress.follow(states, arn)
    took = (execution["stopDate"] - execution["startDate"]).total_seconds()
    succeeded = execution["status"] == "SUCCEEDED"
    if succeeded:
        workbook = json.loads(execution["output"])
        print(f"SUCCEEDED in {took:.1f} s: s3://{emulator().bucket}/{workbook}", flush=True)
    else:
        explain(states, execution)
    subprocess.run([sys.executable, "-m", "harness", "report", arn])
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
    for stage in history.STAGES.values():
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

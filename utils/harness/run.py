"""Run the state machine: start it, show how far it is, say how it ended."""

import importlib
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from harness import facts, history, machines, progress
from harness.advice import advice_on
from harness.bucket import check_bucket
from harness.fault import Fault
from harness.history import Failure, Run
from harness.target import STAGES, Target, emulator, function_name

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
    machines.put(states, definition)
    arn = states.start_execution(
        stateMachineArn=machines.machine_arn(definition), input=json.dumps(given)
    )["executionArn"]
    with ThreadPoolExecutor(1) as thread:
        # What writes the report takes a moment to load: the execution's time is free.
        report = thread.submit(importlib.import_module, "harness.report.write")
        try:
            done = progress.show(states, arn)
        except KeyboardInterrupt:
            print(f"\nthe execution {arn.split(':')[-1]} goes on: make stop ends it", flush=True)
            raise
    succeeded = done.status == "SUCCEEDED"
    if succeeded:
        took = f"{done.elapsed_s:.1f} s"
        print(f"SUCCEEDED in {took}: s3://{target.bucket}/{done.workbook}", flush=True)
        say_rejects(target, done)
    history.add_logs(target, done)
    if not succeeded:
        explain(target, done)
    if done.chained:
        print(os.path.relpath(report.result().write(target, done, page=page)))
    if not succeeded:
        sys.exit(1)


def say_rejects(target: Target, run: Run) -> None:
    workbook = facts.read(target, run).workbook
    if workbook and workbook.rejects is not None:
        print(f"{workbook.rejects:,} faulty records left out: sheet Rejects", flush=True)


def check_input(given: Any) -> dict[str, Any]:
    if given is not None and not isinstance(given, dict):
        raise Fault(f"INPUT: must be a JSON object; found {given!r}")
    return given or {}


def check_ready(given: dict[str, Any]) -> None:
    """Name the step that is missing, before anything runs."""
    functions = emulator().client("lambda")
    for stage in STAGES:
        check_function(functions, function_name(stage))
    s3 = emulator().client("s3")
    key = given.get("input_obj", "test.json")
    check_bucket(s3)
    try:
        s3.head_object(Bucket=emulator().bucket, Key=key)
    except s3.exceptions.ClientError:
        fix = "make json" if key == "test.json" else f"make upload FILE={key}"
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


def explain(target: Target, run: Run) -> None:
    """Say on one screen what failed, where, why, and what to do."""
    if run.status == "ABORTED":
        print(f"STOPPED after {run.elapsed_s:.1f} s: execution {run.name}", flush=True)
        return
    print(f"{run.status}: execution {run.name}")
    failure = run.failure or Failure(run.status, "", None)
    if failure.task:
        print_task(target, run, failure.task)
    print(f"error    {failure.error}")
    lines, count = failure.faulty
    for line in lines or [failure.message]:
        print(f"cause    {line}")
    if count > 1:
        print(f"faulty   {count:,} records in the segments that had finished")
    if failure.end:
        print(f"then     {': '.join(failure.end)}")
    log = history.failure_lines(target, run)[-LOG_LINES:]
    for line in log:
        print(f"log      {line}")
    print(f"to do    {advice_on(failure, emulated=target.emulated, logged=bool(log))}", flush=True)


def print_task(target: Target, run: Run, task: history.Task) -> None:
    print(f"stage    {task.stage} ({task.attempts[-1].function or function_name(task.stage)})")
    if task.index is not None:
        # A log does not number the calls of a Map Run, nor an emulator's history without predecessors.
        index: int | None = task.index
        if run.map_runs or not run.chained:
            index = facts.segment_of(facts.scatter_facts(target, run), task.record)
        number = f"number {index}, counted from 0; " if index is not None else ""
        print(f"segment  {number}{run.failed} of {run.segments} failed")
    if task.input:
        print(f"input    {json.dumps(json.loads(task.input), ensure_ascii=False)}")

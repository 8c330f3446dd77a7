"""Run the state machine: start it, show how far it is, say how it ended."""

import importlib
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from harness import artifacts, bucket, facts, machines, progress, uploads
from harness.execution import Execution, Task
from harness.fault import Fault
from harness.report.view import View
from harness.settings import etl_folder, local_copy
from harness.target import STAGES, Target
from pipeline import dates, endings
from pipeline.etl_names import UnknownEtl, choose
from pipeline.facts.stages import WorkbookFacts, made_from, workbook_metadata

LOG_LINES = 20
# What an execution ends as that a redrive may heal; one that was stopped is redriven by its name.
REDRIVABLE = ("FAILED", "TIMED_OUT")
SETTLES_S, POLL_S = 20, 2  # a state machine, after an update


def run(
    target: Target,
    given: Any = None,
    file: str = "",
    definition: str = "",
    page: str = "",
    etl: str = "",
    sheets: str = "",
    key: str = "",
    workbook: str = "",
) -> None:
    """Run a state machine on an execution input such as {"input_obj": "members.json"}.

    Args:
        file: what to upload, see `uploads.find`, and to run it on; its workbook comes to result/.
        definition: of the emulator's: parallel, the default, or distributed.
        page: the name of its report in result/; default: the execution's.
        etl, sheets, workbook: fields of the input.
        key: of the file in the bucket.
    """
    if key and not file:
        raise Fault(f"KEY: must be where a FILE goes; found {key!r} without one")
    sent = uploads.find(file, key) if file else None
    given = check_input(given, sent, etl=etl, sheets=sheets, workbook=workbook)
    machine = target.machine(definition)
    check_functions(target)
    check_etl(target, given)
    if sent:
        sent.check_alone(target)
        sent.send(target)
    check_object(target, given)
    if old := replaced(target, given):
        print("replaces {}, which was made from {}".format(*old), flush=True)
    if not target.stack:
        machines.put(target.client("stepfunctions"), definition or "parallel")
    done = execute(target, machine, given, page)
    if done.status != "SUCCEEDED":
        sys.exit(1)
    if file and done.workbook:
        bucket.download(target, done.workbook)


def redrive(target: Target, execution: str = "") -> None:
    """Run again what failed of an execution, and keep the rest.

    Args:
        execution: a name or an ARN. Default: the last one that failed.
    """
    if target.emulated:
        raise Fault(
            "TARGET: LocalStack cannot redrive, AWS can: make redrive TARGET=aws; "
            f"here start again: make stepfunctions{target.flags}"
        )
    arn = machines.find(target, execution, *(() if execution else REDRIVABLE))
    if arn is None:
        raise Fault(f"EXECUTION: must be one that failed; found {execution or 'none'}")
    states = target.client("stepfunctions")
    try:
        states.redrive_execution(executionArn=arn)
    except states.exceptions.ExecutionNotRedrivable as error:
        raise Fault(
            f"{arn}: must be redrivable; found: {error.response['Error']['Message']}"
        ) from None
    if follow(target, arn).status != "SUCCEEDED":
        sys.exit(1)


def execute(target: Target, machine: str, given: dict[str, Any], page: str = "") -> Execution:
    """Run an execution to its end, say how it ended, and write its report."""
    return follow(target, start(target, machine, given), page)


def follow(target: Target, arn: str, page: str = "") -> Execution:
    """Show a running execution to its end, say how it ended, and write its report."""
    with ThreadPoolExecutor(1) as thread:
        # What writes the report takes a moment to load: the execution's time is free.
        report = thread.submit(importlib.import_module, "harness.report.write")
        try:
            done = progress.show(target, arn)
        except KeyboardInterrupt:
            name = arn.split(":")[-1]
            print(f"\nthe execution {name} goes on: make stop{target.flags} ends it", flush=True)
            raise
    succeeded = done.status == "SUCCEEDED"
    if succeeded:
        took = f"{done.elapsed_s:.1f} s{', redriven' * (len(done.parts) > 1)}"
        workbook = f"s3://{target.bucket}/{done.workbook}" if done.workbook else done.passed_over
        print(f"SUCCEEDED in {took}: {workbook}", flush=True)
    found = facts.read(target, done)
    for line in closing_lines(found) if succeeded else ():
        print(line, flush=True)
    write = report.result()
    view = write.collect(target, done, found, write.spoken())
    if not succeeded:
        explain(view)
    print(os.path.relpath(write.write(view, page)))
    return done


def closing_lines(found: facts.Facts) -> Iterator[str]:
    """What was read and made."""
    scatter, workbook = found.scatter, found.workbook
    if scatter and scatter.of_many:
        objects = len(scatter.objects)
        yield f"{objects:,} object{'s' * (objects != 1)}, {scatter.passed_over:,} passed over"
    if workbook:
        yield contents(workbook)
    if workbook and workbook.later:
        yield "not written: a later upload's workbook stands there, or will"
    yield from found.doubts


def start(target: Target, machine: str, given: dict[str, Any]) -> str:
    """Start an execution of what was deployed last; returns its ARN.

    For seconds after an update, Step Functions may start one of the definition before.
    """
    states, until_s = target.client("stepfunctions"), time.monotonic() + SETTLES_S
    while True:
        started = states.start_execution(stateMachineArn=machine, input=json.dumps(given))
        arn: str = started["executionArn"]
        if not target.stack or is_as_deployed(target, arn) or time.monotonic() > until_s:
            return arn
        states.stop_execution(executionArn=arn, cause="the definition is that of before the deploy")
        time.sleep(POLL_S)


def is_as_deployed(target: Target, execution: str) -> bool:
    """Whether an execution has the definition that its stack was given last."""
    stack = target.cloudformation().find()
    states = target.client("stepfunctions")
    found = states.describe_state_machine_for_execution(executionArn=execution)
    return stack is not None and artifacts.is_deployed(found["definition"], stack)


def contents(workbook: WorkbookFacts) -> str:
    """Such as `1,000 rows; 2 sheets with 1 summary: Sheet1, 会員ランク別`."""
    sheets, summaries = len(workbook.sheets), len(workbook.summaries)
    counted = f"{sheets} sheet{'s' * (sheets != 1)}"
    if summaries:
        counted += f" with {summaries} summar{'ies' if summaries > 1 else 'y'}"
    left_out = ""
    if (rejects := workbook.rejects) is not None:
        left_out = f", {rejects:,} faulty record{'s' * (rejects != 1)} left out"
    table = "" if workbook.table else ", not in the workbook"
    return f"{workbook.rows:,} rows{table}{left_out}; {counted}: {', '.join(workbook.sheets)}"


def check_input(given: Any, sent: uploads.Upload | None, **typed: str) -> dict[str, Any]:
    """The execution's input: what is given, with what is uploaded in place of an object, and other
    fields.

    Args:
        typed: fields that make variables of their names give; "" gives none.

    Raises:
        Fault: it cannot be meant, or its workbook would have no place.
    """
    if given is not None and not isinstance(given, dict):
        raise Fault(f"INPUT: must be a JSON object; found {given!r}")
    try:
        json.dumps(given, allow_nan=False)
    except ValueError:  # 1e400 for one, which no JSON holds once it is read
        raise Fault(f"INPUT: must hold finite numbers; found {given!r}") from None
    fields: dict[str, Any] = given or {}
    for name in filter(typed.get, typed):
        if name in fields:
            found = fields[name]
            raise Fault(f"INPUT: must name no {name} beside {name.upper()}; found {found!r}")
        fields = {**fields, name: typed[name]}
    if not sent:
        return fields
    if "input_obj" in fields:
        raise Fault(f"INPUT: must name no input_obj beside FILE; found {fields['input_obj']!r}")
    for path in sent.files.values():
        if not endings.is_read(path.name):
            raise Fault(f"FILE: {endings.RULE}; found {str(path)!r}")
    fields = {**sent.given, **fields}
    local_copy(fields.get("workbook") or endings.workbook_key(fields["input_obj"]))
    return fields


def variables(target: Target, stage: str) -> dict[str, str]:
    """The environment of a function."""
    functions = target.client("lambda")
    found = functions.get_function_configuration(FunctionName=target.function(stage))
    return dict(found.get("Environment", {}).get("Variables", {}))


def check_functions(target: Target) -> None:
    """Refuse functions of the emulator's own that are not there, or have another bucket."""
    for stage in () if target.stack else STAGES:
        name = target.function(stage)
        with bucket.there_or(f"{name} does not exist: make create"):
            own = variables(target, stage).get("BUCKET", "test-bucket")
        if own != target.bucket:
            raise Fault(
                f"BUCKET: must be that of {name}, {own}; found {target.bucket}\n"
                f"to do: make create BUCKET={target.bucket}, or leave BUCKET as {own}"
            )


def check_etl(target: Target, given: dict[str, Any]) -> None:
    """Refuse a table for whose ETL the emulator's own segment function has no module."""
    if target.stack:
        return
    try:
        choose(etl_folder(), given.get("etl"), variables(target, "segment").get("ETL"))
    except UnknownEtl as error:
        raise Fault(str(error)) from None


def check_object(target: Target, given: dict[str, Any]) -> None:
    """Refuse an input, or a bucket, that is not there or can never be."""
    key = given.get("input_obj", "test.json")
    if not key or not isinstance(key, str | list):
        raise Fault(f"INPUT: input_obj must be the key of an object; found {json.dumps(key)}")
    check_key(endings.workbook_key(key))
    bucket.check_bucket(target)
    if isinstance(key, list) or endings.is_many(key) or dates.has(key) or "input_bucket" in given:
        return  # the scatter finds it
    named = shlex.quote(key)
    typed = f" KEY={named}" if "/" in key else ""  # by itself it is the file's name
    fix = "make json" if key == "test.json" else f"make upload FILE={named}{typed}"
    with bucket.there_or(f"s3://{target.bucket}/{key} does not exist: {fix}{target.flags}"):
        target.client("s3").head_object(Bucket=target.bucket, Key=key)


def replaced(target: Target, given: dict[str, Any]) -> tuple[str, str] | None:
    """The input's workbook, where it is there and was made from another object; and that object."""
    key, inbox = given.get("input_obj", "test.json"), variables(target, "scatter").get("INBOX", "")
    workbook = given.get("workbook") or endings.workbook_key(key, inbox)
    found = bucket.head(target, workbook) if workbook else None  # without one, the scatter says so
    metadata = found["Metadata"] if found else {}
    if metadata.get("input") in (None, workbook_metadata(endings.table_name(key))["input"]):
        return None
    return f"s3://{target.bucket}/{workbook}", made_from(metadata)


def check_key(workbook: str) -> None:
    """Refuse a workbook whose key S3 does not take."""
    try:
        size = len(workbook.encode())
    except UnicodeEncodeError:
        raise Fault(f"INPUT: input_obj must be UTF-8; found {json.dumps(workbook)}") from None
    if size > endings.KEY_BYTES:
        raise Fault(
            f"INPUT: input_obj must be short enough for its workbook, whose key has at most "
            f"{endings.KEY_BYTES:,} bytes; found {size:,}"
        )


def explain(view: View) -> None:
    """Say on one screen what failed, where, why, and what to do."""
    run, failure, log = view.run, view.run.failure, view.log[-LOG_LINES:]
    if failure is None:
        print(f"STOPPED after {run.elapsed_s:.1f} s: execution {run.name}", flush=True)
        return
    print(f"{run.status}: execution {run.name}")
    if failure.task:
        say_where(view, failure.task)
    elif run.stages:
        print(f"stage    {list(run.stages)[-1]}")
    print(f"error    {failure.error}")
    lines, count = failure.faulty
    for line in lines or [failure.message]:
        print(f"cause    {line}")
    if view.broken.line:
        print(f"line     {view.broken.line:,}, where that record begins")
    if count > 1:
        print(f"faulty   {count:,} records in the segments that had finished")
    if failure.end:
        print(f"then     {': '.join(failure.end)}")
    for line in log:
        print(f"log      {line}")
    print(f"to do    {replace(view, language='en').todo}", flush=True)


def say_where(view: View, task: Task) -> None:
    run = view.run
    print(
        f"stage    {task.stage} ({task.attempts[-1].function or view.target.function(task.stage)})"
    )
    if task.index is not None:
        number = view.failed_segment
        told = "" if number is None else f"number {number}, counted from 0; "
        print(f"segment  {told}{run.failed} of {run.segments} failed")
    if event := view.failed_event():
        print(f"input    {event}")

"""Create, call and read the three functions."""

import base64
import hashlib
import json
import secrets
from itertools import batched
from pathlib import Path
from typing import Any

from botocore.exceptions import WaiterError

from harness import definition, logs
from harness.advice import advice
from harness.bucket import bucket
from harness.fault import Fault
from harness.machines import put
from harness.settings import ROOT
from harness.target import MACHINES, STAGES, Target, emulator, function_name
from pipeline.s3.signed import VARIABLE, InvalidSigningKey, signing_key

RUNTIME = "python3.13"
WAIT = {"Delay": 0.05, "MaxAttempts": 600}
# One heap for all threads: with one for each, glibc lets a worker grow with its table.
VARIABLES = {"MALLOC_ARENA_MAX": "1"}
# What LocalStack calls for each invocation, and loads when the first execution would wait for it.
CALLED = {"logs": "describe_log_groups", "cloudwatch": "list_metrics", "events": "list_rules"}
# The workbook has a name of its own, so that test.xlsx stays what an execution made.
EVENTS: dict[str, Any] = {
    "scatter": {"input_obj": "test.json"},
    "segment": "scatter/job_000.pkl",
    "gather": {
        "segment_definitions": ["scatter/job_000.pkl"],
        "segment_results": ["gather/job_000.pkl"],
        "workbook": "invoke.xlsx",
    },
}


def create(settings: list[str], whole: bool = False) -> None:
    """Create functions from their zips, or bring them up to date; returns when they are active.

    Args:
        settings: stage, memory in MB and timeout in s of each function, in turn.
        whole: the rest of the pipeline, too: the state machines and the bucket.
    """
    functions = emulator().client("lambda")
    key = kept_key(functions) or secrets.token_hex(32)
    # One after another: LocalStack holds several copies of a zip that it is sent. It unpacks one
    # while the next is sent.
    sent = [
        (function_name(stage), send(functions, stage, configuration(memory_mb, timeout_s, key)))
        for stage, memory_mb, timeout_s in batched(settings, 3, strict=True)
    ]
    for service, call in CALLED.items():
        getattr(emulator().client(service), call)()
    for name, done in sent:
        wait_until_active(functions, name)
        print(f"{name}: {done}")
    if whole:
        states = emulator().client("stepfunctions")
        for definition, machine in MACHINES.items():
            print(f"{machine}: {put(states, definition)}")
        bucket()


def configuration(memory_mb: str, timeout_s: str, key: str) -> dict[str, Any]:
    """A function's, in Lambda's words.

    Raises:
        Fault: its Makefile holds something else than numbers.
    """
    if not (memory_mb.isdecimal() and timeout_s.isdecimal()):
        raise Fault(f"MEMORY, TIMEOUT: must be numbers; found {memory_mb}, {timeout_s}")
    return {
        "Role": emulator().role,
        "Runtime": RUNTIME,
        "Handler": "lambda.lambda_handler",
        "MemorySize": int(memory_mb),
        "Timeout": int(timeout_s),
        "Environment": {"Variables": {"BUCKET": emulator().bucket, VARIABLE: key, **VARIABLES}},
    }


def kept_key(functions: Any) -> str | None:
    """The key that the functions sign with; None where none of them has one.

    Raises:
        Fault: they have different ones, or what is no key.
    """
    found: dict[str, list[str]] = {}
    for name in map(function_name, STAGES):
        try:
            function = functions.get_function_configuration(FunctionName=name)
            secret = signing_key(function.get("Environment", {}).get("Variables", {}))
        except functions.exceptions.ResourceNotFoundException:
            continue
        except InvalidSigningKey as error:
            raise Fault(f"{name}: {error}\nto do: make delete create") from None
        if secret:
            found.setdefault(secret.hex(), []).append(name)
    if len(found) > 1:
        names = " and in ".join(", ".join(each) for each in found.values())
        raise Fault(
            f"{VARIABLE}: must be the same in all functions; found another in {names}\n"
            "to do: make delete create, and run again what runs"
        )
    return next(iter(found), None)


def send(functions: Any, stage: str, settings: dict[str, Any]) -> str:
    """Create a function or bring it up to date; returns what was done."""
    name, archive = function_name(stage), read_zip(stage)
    try:
        found = functions.get_function_configuration(FunctionName=name)
    except functions.exceptions.ResourceNotFoundException:
        functions.create_function(FunctionName=name, Code={"ZipFile": archive}, **settings)
        return "created"
    if found["State"] == "Failed":  # it was never there, as with a full disk
        functions.delete_function(FunctionName=name)
        functions.create_function(FunctionName=name, Code={"ZipFile": archive}, **settings)
        return "replaced"
    return update(functions, name, found, archive, settings)


def wait_until_active(functions: Any, name: str) -> None:
    """
    Raises:
        Fault: the function cannot be made.
    """
    try:
        functions.get_waiter("function_active").wait(FunctionName=name, WaiterConfig=WAIT)
    except WaiterError as error:
        reason = str(error.last_response.get("StateReason", error))
        raise Fault(f"{name}: {reason}\nto do: {advice('', reason)}") from None


def update(
    functions: Any, name: str, found: dict[str, Any], archive: bytes, settings: dict[str, Any]
) -> str:
    """Send what differs from the function found."""
    done = []
    if any(found.get(field) != value for field, value in settings.items()):
        functions.update_function_configuration(FunctionName=name, **settings)
        functions.get_waiter("function_updated").wait(FunctionName=name, WaiterConfig=WAIT)
        done.append("settings updated")
    if found["CodeSha256"] != sha256(archive):
        functions.update_function_code(FunctionName=name, ZipFile=archive)
        functions.get_waiter("function_updated").wait(FunctionName=name, WaiterConfig=WAIT)
        done.append("code updated")
    return ", ".join(done) or "up to date"


def sha256(body: bytes) -> str:
    """As Lambda writes it."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def read_zip(stage: str) -> bytes:
    path = folder(stage) / "bin" / "lambda.zip"
    if not path.exists():
        raise Fault(f"{path.relative_to(ROOT)} does not exist: make zip")
    return path.read_bytes()


def folder(stage: str) -> Path:
    if stage not in STAGES:
        raise Fault(f"STAGE: must be one of {', '.join(STAGES)}; found {stage!r}")
    return ROOT / f"demo-{stage}"


def delete(stages: list[str]) -> None:
    """Delete functions, where they are there."""
    functions = emulator().client("lambda")
    for name in map(function_name, stages):
        try:
            functions.delete_function(FunctionName=name)
            print(f"{name}: deleted")
        except functions.exceptions.ResourceNotFoundException:
            print(f"{name}: not there")


def invoke(target: Target, stages: list[str]) -> None:
    """Call functions by themselves, each with its smallest valid event; keep the results in result.log."""
    functions = target.client("lambda", read_timeout=910, retries={"total_max_attempts": 1})
    for stage in stages:
        name = target.function(stage)
        result = folder(stage) / "result.log"
        try:
            answer = functions.invoke(
                FunctionName=name, Payload=json.dumps(EVENTS[stage]).encode(), LogType="Tail"
            )
        except functions.exceptions.ResourceNotFoundException:
            raise Fault(f"{name} does not exist: make create") from None
        payload = json.loads(answer["Payload"].read())
        result.write_text(json.dumps(payload, ensure_ascii=False, indent=2) + "\n")
        if "FunctionError" in answer:
            print("\n".join(logs.text(base64.b64decode(answer["LogResult"]).decode())))
            error, message = payload.get("errorType", ""), str(payload.get("errorMessage"))
            to_do = advice(error, message, stage=stage, flags=target.flags)
            raise Fault(f"{name}: {error}: {message}\nto do: {to_do}")
        print(f"{name}: {json.dumps(payload, ensure_ascii=False)}")


def log(target: Target, stages: list[str], lines: int = 50) -> None:
    """The last log lines of functions, the oldest first."""
    for stage in stages:
        name = definition.function_of(target.function(stage))
        print(f"── {name}")
        last = logs.last_lines(target.client("logs"), name, lines)
        for line in last or ["nothing was logged in the last day"]:
            print(line)

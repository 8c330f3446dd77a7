"""Create, call and read the three functions."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from harness import logs
from harness.advice import advice
from harness.fault import Fault
from harness.target import emulator, function_name

RUNTIME = "python3.13"
WAIT = {"Delay": 0.1, "MaxAttempts": 600}
# One heap for all threads: with one for each, glibc lets a worker grow with its table.
VARIABLES = {"MALLOC_ARENA_MAX": "1"}
EVENTS: dict[str, Any] = {
    "scatter": {"input_obj": "test.json"},
    "segment": "scatter/job_000.pkl",
    "gather": {
        "segment_definitions": ["scatter/job_000.pkl"],
        "segment_results": ["gather/job_000.pkl"],
    },
}


def create(stage: str, memory_mb: int, timeout_s: int) -> None:
    """Create a function from bin/lambda.zip, or bring it up to date; returns when it is active."""
    name = function_name(stage)
    archive = read_zip(stage)
    settings = {
        "Role": emulator().role,
        "Runtime": RUNTIME,
        "Handler": "lambda.lambda_handler",
        "MemorySize": memory_mb,
        "Timeout": timeout_s,
        "Environment": {"Variables": {"BUCKET": emulator().bucket, **VARIABLES}},
    }
    functions = emulator().client("lambda")
    try:
        found = functions.get_function_configuration(FunctionName=name)
    except functions.exceptions.ResourceNotFoundException:
        functions.create_function(FunctionName=name, Code={"ZipFile": archive}, **settings)
        done = "created"
    else:
        done = update(functions, name, found, archive, settings)
    functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=WAIT)
    print(f"{name}: {done}")


def update(
    functions: Any, name: str, found: dict[str, Any], archive: bytes, settings: dict[str, Any]
) -> str:
    """Send what differs from the function found."""
    done = []
    if any(found.get(field) != value for field, value in settings.items()):
        functions.update_function_configuration(FunctionName=name, **settings)
        functions.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=WAIT)
        done.append("settings updated")
    if found["CodeSha256"] != base64.b64encode(hashlib.sha256(archive).digest()).decode():
        functions.update_function_code(FunctionName=name, ZipFile=archive)
        functions.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=WAIT)
        done.append("code updated")
    return ", ".join(done) or "up to date"


def read_zip(stage: str) -> bytes:
    path = Path("bin/lambda.zip")
    if not path.exists():
        raise Fault(f"demo-{stage}/{path} does not exist: make zip")
    return path.read_bytes()


def delete(stage: str) -> None:
    """Delete a function, if it is there."""
    functions = emulator().client("lambda")
    try:
        functions.delete_function(FunctionName=function_name(stage))
        print(f"{function_name(stage)}: deleted")
    except functions.exceptions.ResourceNotFoundException:
        print(f"{function_name(stage)}: not there")


def invoke(stage: str, event: Any = None) -> None:
    """Call a function with its smallest valid event; the result is kept in result.log."""
    name = function_name(stage)
    functions = emulator().client("lambda", read_timeout=910, retries={"total_max_attempts": 1})
    try:
        answer = functions.invoke(
            FunctionName=name,
            Payload=json.dumps(EVENTS[stage] if event is None else event).encode(),
            LogType="Tail",
        )
    except functions.exceptions.ResourceNotFoundException:
        raise Fault(f"{name} does not exist: make create") from None
    payload = json.loads(answer["Payload"].read())
    Path("result.log").write_text(json.dumps(payload, ensure_ascii=False, indent=2) + "\n")
    if "FunctionError" in answer:
        print(base64.b64decode(answer["LogResult"]).decode())
        error, message = payload.get("errorType", ""), str(payload.get("errorMessage"))
        raise Fault(f"{name}: {error}: {message}\nto do: {advice(error, message)}")
    print(f"{name}: {json.dumps(payload, ensure_ascii=False)}")


def log(stage: str, lines: int = 50) -> None:
    """The last log lines of a function."""
    for line in logs.last_lines(function_name(stage), lines):
        print(line)

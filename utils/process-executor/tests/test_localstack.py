"""The executor inside a real LocalStack."""

import base64
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import textwrap
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from conftest import runs, wait_until
from emulator import OFTEN, ROLE, RUNTIME, Emulator, code, zipped

PACKAGE = Path(__file__).resolve().parents[1]
OURS = ("harness", "process_executor", "localstack_process_executor")
PID = "import os\ndef handler(event, context): return os.getpid()"

# Says that it runs, waits for a file, and then still needs its code.
GATED = """
    import pathlib, time
    def handler(event, context):
        pathlib.Path(event + ".started").touch()
        while not pathlib.Path(event).exists():
            time.sleep(0.005)
        import lazy
        return lazy.answer
"""


LOADS_A_LIBRARY = """
    import ctypes
    def handler(event, context):
        return ctypes.CDLL("libown.so")._name
"""


def log_of(emulator: Emulator, name: str) -> str:
    logs = emulator.client("logs")
    try:
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    except logs.exceptions.ResourceNotFoundException:
        return ""
    return "".join(event["message"] for event in events)


def test_logs_reach_cloudwatch_and_the_caller_who_asks(emulator: Emulator) -> None:
    name = emulator.create("def handler(event, context): print('こんにちは')")
    response = emulator.invoke(name, LogType="Tail")
    tail = base64.b64decode(response["LogResult"]).decode()
    request_id = response["ResponseMetadata"]["RequestId"]
    assert tail.startswith(
        f"START RequestId: {request_id} Version: $LATEST\nこんにちは\n"
        f"END RequestId: {request_id}\nREPORT RequestId: {request_id}\tDuration: "
    )
    init = (
        f"INIT_START Runtime Version: python:{RUNTIME.removeprefix('python')}.v0\t"
        "Runtime Version ARN: arn:aws:lambda:us-east-1::runtime:"
    )
    wait_until(lambda: log_of(emulator, name).endswith(tail))
    first, rest = log_of(emulator, name).split("\n", 1)
    assert first.startswith(init)
    assert rest == tail


def test_a_functions_log_format_is_the_platforms(emulator: Emulator) -> None:
    name = emulator.create(
        "import logging\ndef handler(event, context): logging.getLogger().warning('slow')",
        LoggingConfig={"LogFormat": "JSON"},
    )
    emulator.invoke(name)
    wait_until(lambda: "platform.report" in log_of(emulator, name))
    lines = [json.loads(line) for line in log_of(emulator, name).splitlines()]
    assert [line.get("type", line.get("message")) for line in lines] == [
        "platform.initStart",
        "platform.start",
        "slow",
        "platform.report",
    ]


def test_a_function_sees_lambdas_variables_and_its_own_and_no_others(emulator: Emulator) -> None:
    name = emulator.create(
        "import os\ndef handler(event, context): return dict(os.environ)",
        Environment={"Variables": {"BUCKET": "test-bucket", "LOCALSTACK_OWN": "1"}},
    )
    seen = emulator.invoke(name)["Payload"]
    lambdas = """
        AWS_ACCESS_KEY_ID AWS_DEFAULT_REGION AWS_EXECUTION_ENV AWS_LAMBDA_FUNCTION_MEMORY_SIZE
        AWS_LAMBDA_FUNCTION_NAME AWS_LAMBDA_FUNCTION_VERSION AWS_LAMBDA_INITIALIZATION_TYPE
        AWS_LAMBDA_LOG_GROUP_NAME AWS_LAMBDA_LOG_STREAM_NAME AWS_LAMBDA_RUNTIME_API AWS_REGION
        AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_XRAY_CONTEXT_MISSING AWS_XRAY_DAEMON_ADDRESS
        LAMBDA_RUNTIME_DIR LAMBDA_TASK_ROOT LANG LD_LIBRARY_PATH PATH PWD PYTHONPATH SHLVL TZ
        _AWS_XRAY_DAEMON_ADDRESS _AWS_XRAY_DAEMON_PORT _HANDLER _X_AMZN_TRACE_ID
    """
    localstacks = "AWS_ENDPOINT_URL EDGE_PORT LOCALSTACK_HOSTNAME TMPDIR"
    own = "BUCKET LOCALSTACK_OWN"
    pythons = "LC_CTYPE"  # set by Python where the system lacks the locale en_US.UTF-8
    assert set(seen) - {pythons} == set(f"{lambdas} {localstacks} {own}".split())
    assert seen["AWS_EXECUTION_ENV"] == f"AWS_Lambda_{RUNTIME}"
    assert seen["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{emulator.port}"
    assert (seen["PWD"], seen["SHLVL"]) == (seen["LAMBDA_TASK_ROOT"], "0")
    assert seen["PYTHONPATH"] == seen["LAMBDA_RUNTIME_DIR"]


def test_a_hundred_concurrent_invocations_use_no_more_workers_than_the_pool(
    emulator: Emulator,
) -> None:
    name = emulator.create(PID, Timeout=3)
    client = emulator.client("lambda")
    with ThreadPoolExecutor(100) as threads:
        responses = list(threads.map(lambda _: client.invoke(FunctionName=name), range(100)))
    assert not any("FunctionError" in response for response in responses)
    pids = {json.load(response["Payload"]) for response in responses}
    assert 1 <= len(pids) <= 2


def test_a_function_that_cannot_run_says_why_when_invoked(emulator: Emulator) -> None:
    name = emulator.create(Runtime="nodejs20.x")
    named = "has runtime nodejs20.x; the process executor runs python only"
    response = emulator.invoke(name)
    assert response["FunctionError"] == "Unhandled"
    assert f"Error: function {name} {named}" in response["Payload"]["errorMessage"]
    wait_until(lambda: "Error Type: Runtime.InterpreterNotFound" in log_of(emulator, name))
    assert named in log_of(emulator, name)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS lets no program set such a path")
def test_a_packages_own_library_is_found(emulator: Emulator) -> None:
    spec = importlib.util.find_spec("runtime_client")
    assert spec and spec.origin
    library = {"lib/libown.so": Path(spec.origin).read_bytes()}
    name = emulator.create(Code={"ZipFile": code(LOADS_A_LIBRARY, library)})
    assert emulator.invoke(name)["Payload"] == "libown.so"


def publish_layer(emulator: Emulator, name: str, files: dict[str, str]) -> str:
    response = emulator.client("lambda").publish_layer_version(
        LayerName=name, Content={"ZipFile": zipped(files)}
    )
    return str(response["LayerVersionArn"])


def test_layers_lie_beside_the_code_the_later_over_the_earlier(emulator: Emulator) -> None:
    """And a wrapper in one starts the runtime."""
    source = """
        import below, named, os, subprocess
        def handler(event, context):
            ran = subprocess.run(["ran"], capture_output=True, text=True).stdout
            return [below.value, named.value, ran, os.environ["WRAPPED"]]
    """
    below = {
        "python/below.py": "value = 1",
        "python/named.py": "value = 'below'",
        "bin/ran": "#!/bin/sh\nprintf 'from the layer'\n",
        "wrapper": '#!/bin/sh\nexport WRAPPED=1\nexec "$@"\n',
    }
    above = {f"python/lib/{RUNTIME}/site-packages/named.py": "value = 'above'"}
    over = {"python/named.py": "value = 'over'"}
    layers = [
        publish_layer(emulator, layer, files)
        for layer, files in (("below", below), ("over", over), ("above", above))
    ]
    wrapped = {"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"}}
    # Lambda looks into site-packages first.
    for used, value in ((layers[:2], "over"), (layers, "above")):
        name = emulator.create(source, Layers=used, Environment=wrapped)
        assert emulator.invoke(name)["Payload"] == [1, value, "from the layer", "1"]


def provision(emulator: Emulator, name: str, executions: int) -> dict[str, Any]:
    """What LocalStack says once it has tried."""
    client = emulator.client("lambda")
    version = client.publish_version(FunctionName=name)["Version"]
    which = {"FunctionName": name, "Qualifier": version}
    client.get_waiter("function_active").wait(**which, WaiterConfig=OFTEN)
    client.put_provisioned_concurrency_config(**which, ProvisionedConcurrentExecutions=executions)
    told: list[dict[str, Any]] = []

    def settled() -> bool:
        told[:] = [client.get_provisioned_concurrency_config(**which)]
        return bool(told[0]["Status"] != "IN_PROGRESS")

    wait_until(settled)
    return told[0]


def test_provisioned_concurrency_loads_the_function_in_advance(
    emulator: Emulator, tmp_path: Path
) -> None:
    source = f"""
        import os, pathlib
        pathlib.Path({str(tmp_path)!r}, str(os.getpid())).touch()
        def handler(event, context):
            return [os.getpid(), os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]]
    """
    name = emulator.create(source)
    told = provision(emulator, name, executions=3)
    assert told["Status"] == "READY"
    assert told["AvailableProvisionedConcurrentExecutions"] == 3
    loaded = {int(path.name) for path in tmp_path.iterdir()}
    pid, initialisation = emulator.invoke(name, Qualifier="1")["Payload"]
    assert pid in loaded
    assert initialisation == "provisioned-concurrency"
    assert {int(path.name) for path in tmp_path.iterdir()} == loaded


def test_provisioned_concurrency_of_a_function_that_cannot_be_loaded_fails(
    emulator: Emulator,
) -> None:
    name = emulator.create("import nowhere")
    told = provision(emulator, name, executions=1)
    assert (told["Status"], told["StatusReason"]) == ("FAILED", "FUNCTION_ERROR_INIT_FAILURE")
    assert not emulator.workers(name)


def test_new_code_serves_the_next_invocation_and_old_code_finishes(
    emulator: Emulator, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    name = emulator.create(Code={"ZipFile": code(GATED, {"lazy.py": "answer = 'old'"})})
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(emulator.invoke, name, str(gate))
        wait_until((tmp_path / "gate.started").exists)
        (old,) = emulator.workers(name)
        emulator.update(name, "def handler(event, context): return 'new'")
        assert emulator.invoke(name)["Payload"] == "new"
        gate.touch()
        assert running.result()["Payload"] == "old"
    wait_until(lambda: not runs(old.pid))


def test_workers_end_with_their_function(emulator: Emulator) -> None:
    name = emulator.create(PID)
    pid = emulator.invoke(name)["Payload"]
    assert [worker.pid for worker in emulator.workers(name)] == [pid]
    emulator.client("lambda").delete_function(FunctionName=name)
    wait_until(lambda: not runs(pid))


def test_an_edit_in_a_hot_reloading_folder_takes_effect_on_the_next_invocation(
    emulator: Emulator, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text(
        "import os, part\n"
        "def handler(event, context): return [part.value, sorted(os.listdir()), os.getpid()]"
    )
    (tmp_path / "part.py").write_text("value = 1")
    name = emulator.create(Code={"S3Bucket": "hot-reload", "S3Key": str(tmp_path)})
    value, files, pid = emulator.invoke(name)["Payload"]
    assert [value, files] == [1, ["main.py", "part.py"]]
    assert emulator.invoke(name)["Payload"][2] == pid
    for edit in (2, 3):
        (tmp_path / "part.py").write_text(f"value = {edit}")
        value, _, pid = emulator.invoke(name)["Payload"]
        assert value == edit
    (tmp_path / "data.csv").touch()
    _, files, other = emulator.invoke(name)["Payload"]
    assert "data.csv" in files
    assert other != pid


def test_a_missing_hot_reloading_folder_is_named(emulator: Emulator) -> None:
    name = emulator.create(Code={"S3Bucket": "hot-reload", "S3Key": "/nowhere"})
    response = emulator.invoke(name)
    assert "'/nowhere'" in response["Payload"]["errorMessage"]


def test_idle_workers_end_with_localstacks_keepalive(emulator: Emulator) -> None:
    name = emulator.create(PID)
    pid = emulator.invoke(name)["Payload"]
    wait_until(lambda: not runs(pid))
    assert emulator.invoke(name)["Payload"] != pid


@pytest.fixture
def installed(tmp_path: Path) -> str:
    """A Python that has LocalStack, this package as its wheel has it, and nothing else of ours."""
    shutil.copytree(PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns("tests", ".*"))
    venv.create(tmp_path / "venv", symlinks=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if not package.name.startswith(OURS):
            (packages / package.name).symlink_to(package)
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--no-cache"]
    install = [sys.executable, "-m", "uv", "--quiet", "pip", "install", "--python", python]
    subprocess.run([*install, *offline, tmp_path / "package"], check=True)
    return python


def test_an_interrupted_localstack_ends_with_its_workers_and_leaves_another_alone(
    emulator: Emulator, tmp_path: Path, installed: str
) -> None:
    """It listens where it was told to, and has a home that cannot be written."""
    s3, body = emulator.client("s3"), os.urandom(1 << 20)
    s3.create_bucket(Bucket="of-both")
    s3.put_object(Bucket="of-both", Key="object", Body=body)
    (tmp_path / "home").write_text("no folder")
    nowhere = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    gate, threads = tmp_path / "gate", ThreadPoolExecutor(1)
    with Emulator(tmp_path, host="0.0.0.0", python=installed, **nowhere) as other, threads:
        assert other.listens_on() == {"0.0.0.0"}
        other.client("s3").create_bucket(Bucket="of-both")
        other.client("s3").delete_bucket(Bucket="of-both")
        idle = other.invoke(other.create(PID))["Payload"]
        name = other.create(GATED, Timeout=900)
        running = threads.submit(other.invoke, name, str(gate))
        wait_until((tmp_path / "gate.started").exists)
        (busy,) = other.workers(name)
        assert runs(idle)
        os.killpg(other.process.pid, signal.SIGINT)
        other.process.wait(30)
        assert not runs(idle) and not runs(busy.pid)
        assert running.exception() or "FunctionError" in running.result()
    assert s3.get_object(Bucket="of-both", Key="object")["Body"].read() == body
    assert not list(tmp_path.glob("tmp/lambda-process-*"))


# Notes its key. Of the execution "first", one call fails once a file exists; others run until another does.
NOTES = """
    import os, pathlib, time
    folder = pathlib.Path("{folder}")
    def handler(event, context):
        with open(folder / "calls", "a") as file:
            print(event, file=file)
        if "/first/" not in event:
            return
        try:
            os.close(os.open(folder / "one", os.O_CREAT | os.O_EXCL))
            gate = "fail"
        except FileExistsError:
            gate = "finish"
        while not (folder / gate).exists():
            time.sleep(0.005)
        assert gate != "fail"
"""


@pytest.mark.parametrize(("stop", "most"), [(False, 3), (True, 2)], ids=["fails", "is stopped"])
def test_no_function_is_called_for_an_execution_that_has_ended(
    emulator: Emulator, tmp_path: Path, stop: bool, most: int
) -> None:
    name = emulator.create(textwrap.dedent(NOTES).format(folder=tmp_path))
    states = emulator.client("stepfunctions")
    task = {"Type": "Task", "Resource": f"arn:aws:lambda:us-east-1:000000000000:function:{name}"}
    each = {"StartAt": "Call", "States": {"Call": {**task, "End": True}}}
    every = {"Type": "Map", "MaxConcurrency": 20, "ItemProcessor": each, "End": True}
    machine = states.create_state_machine(
        name=f"machine-{name}",
        definition=json.dumps({"StartAt": "Every", "States": {"Every": every}}),
        roleArn=ROLE,
    )["stateMachineArn"]

    def start(execution: str) -> str:
        keys = json.dumps([f"keys/{execution}/{number}" for number in range(20)])
        begun = states.start_execution(stateMachineArn=machine, name=execution, input=keys)
        return str(begun["executionArn"])

    def has_ended(arn: str) -> bool:
        return bool(states.describe_execution(executionArn=arn)["status"] != "RUNNING")

    def calls(execution: str) -> int:
        noted = tmp_path / "calls"
        return noted.read_text().count(f"/{execution}/") if noted.exists() else 0

    first = start("first")
    wait_until(lambda: calls("first") == 2 and (tmp_path / "one").exists())
    if stop:
        states.stop_execution(executionArn=first)
    (tmp_path / "fail").touch()
    wait_until(lambda: has_ended(first))
    (tmp_path / "finish").touch()
    second = start("second")
    wait_until(lambda: has_ended(second))
    assert calls("first") <= most and calls("second") == 20


def test_a_function_whose_creation_failed_can_be_deleted(emulator: Emulator) -> None:
    functions, name = emulator.client("lambda"), "never-there"
    functions.create_function(
        FunctionName=name,
        Runtime=RUNTIME,
        Handler="main.handler",
        Role=ROLE,
        Code={"ZipFile": zipped({"main.py": "as it was"}).replace(b"as it was", b"as it is!")},
    )
    wait_until(
        lambda: functions.get_function(FunctionName=name)["Configuration"]["State"] == "Failed"
    )
    functions.delete_function(FunctionName=name)
    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        functions.get_function(FunctionName=name)

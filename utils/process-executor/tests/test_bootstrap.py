"""What the worker's side of the package does."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Function, invocation, runs, wait_until

Functions = Callable[..., Function]

PARENT = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
sys.path[:0] = {path!r}
from conftest import Function, invocation
workers = [Function(Path(folder)).start() for folder in {folders!r}]
print(*(worker.pid for worker in workers), flush=True)
with ThreadPoolExecutor() as threads:
    list(threads.map(lambda worker: worker.run(invocation()), workers))
    sys.stdin.read()
"""


def test_no_worker_outlives_the_process_that_started_it(function: Functions) -> None:
    """Whether it is idle, holds the GIL or has closed every file."""
    source = """
        import os, pathlib, subprocess, time
        def handler(event, context):
            child = subprocess.Popen(["sleep", "60"])
            pathlib.Path("started.new").write_text(str(child.pid))
            os.rename("started.new", "started")
            {}
    """
    works = ("pass", "sum(range(10**12))", "os.closerange(3, 100); time.sleep(60)")
    folders = [function(source.format(work)).folder for work in works]
    code = PARENT.format(path=sys.path, folders=[*map(str, folders)])
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        for folder in folders:
            wait_until((folder / "started").exists)
            pids.append(int((folder / "started").read_text()))
        assert len(pids) == 6 and all(map(runs, pids))
        parent.kill()
        wait_until(lambda: not any(map(runs, pids)))


def test_the_runtimes_interpreter_needs_the_runtime_client_and_nothing_of_ours(
    function: Functions, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv")
    (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    for name in ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py"):
        if found := importlib.util.find_spec(name):
            place = Path(str(found.origin))
            place = place.parent if place.name == "__init__.py" else place
            (packages / place.name).symlink_to(place)
    source = """
        import importlib.util, sys
        def handler(event, context):
            return [sys.prefix, *map(importlib.util.find_spec, ("process_executor", "localstack"))]
    """
    outcome = function(source, interpreter=tmp_path / "venv" / "bin" / "python").run()
    assert json.loads(outcome.payload) == [str(tmp_path / "venv"), None, None]


def test_a_worker_heeds_the_signals_that_a_background_localstack_ignores(
    function: Functions,
) -> None:
    source = """
        import signal
        def handler(event, context):
            return [signal.getsignal(each) is signal.SIG_IGN for each in signal.Signals
                    if each not in (signal.SIGPIPE, signal.SIGXFSZ)]
    """
    ignored = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT)
    }
    try:
        answer = function(source).run().payload
    finally:
        for number, handler in ignored.items():
            signal.signal(number, handler)
    assert not any(json.loads(answer))


@pytest.fixture
def portable(function: Functions) -> Callable[[str], Function]:
    """Functions whose interpreter lacks AWS's native client, as on macOS."""

    def make(source: str) -> Function:
        made = function(source)
        made.write("raise ImportError('built for Linux only')", "runtime_client.py")
        made.launch.variables["PYTHONPATH"] = str(made.folder)
        return made

    return make


def test_functions_run_without_the_native_client(portable: Callable[[str], Function]) -> None:
    source = """
        import sys
        def handler(event, context):
            client = type(sys.modules["runtime_client"]).__name__
            return [client, context.aws_request_id, 1 / event]
    """
    worker, asked = portable(source).start(), invocation("2")
    assert json.loads(worker.run(asked).payload) == ["PortableClient", asked.request_id, 0.5]
    fault = worker.run(invocation("0"))
    assert fault.is_error
    assert json.loads(fault.payload)["errorType"] == "ZeroDivisionError"
    assert not worker.run(invocation("1")).is_error


def test_a_process_that_the_function_forks_keeps_no_worker_alive(function: Functions) -> None:
    source = """
        import multiprocessing, time
        def handler(event, context):
            process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
            process.start()
            print(process.pid)
    """
    worker = function(source).start()
    outcome = worker.run(invocation())
    forked = int(re.findall(r"^\d+$", outcome.logs, re.M)[0])
    os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: not worker.ready())
    worker.kill()
    wait_until(lambda: not runs(forked))

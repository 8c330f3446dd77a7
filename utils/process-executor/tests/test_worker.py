"""What a caller gets from a worker, whatever its function does."""

import json
import os
import re
import resource
import signal
import sys
import textwrap
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import psutil
import pytest

from conftest import Function, invocation, runs, wait_until
from process_executor import runtime_process
from process_executor.faults import TimedOut
from process_executor.runtime_process import MIB
from process_executor.worker import Outcome, Worker
from process_executor.workspace import workspace

Functions = Callable[..., Function]

ECHO = """
    def handler(event, context):
        return event
"""


def error(outcome: Outcome) -> dict[str, Any]:
    assert outcome.is_error
    parsed: dict[str, Any] = json.loads(outcome.payload)
    return parsed


def number(outcome: Outcome, field: str) -> float:
    found = re.search(rf"{field}: ([\d.]+)", outcome.logs)
    assert found
    return float(found[1])


def test_an_event_goes_in_and_an_answer_comes_out_up_to_six_megabytes(function: Functions) -> None:
    worker = function(ECHO).start()
    for event in ({"会員": "長野原 ひろし 🎉"}, "あ" * (2 * MIB - 10)):
        outcome = worker.run(invocation(json.dumps(event, ensure_ascii=False)))
        assert json.loads(outcome.payload) == event
        assert not outcome.is_error
    assert error(worker.run(invocation(json.dumps("x" * (6 * MIB + 100))))) == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size"
        " (6291556 bytes).",
    }


def test_a_function_finds_what_it_finds_in_lambda(function: Functions) -> None:
    """Its invocation, its folder before anything else to import from, and 1,024 open files."""
    source = """
        import os, pool, processes, resource, sys
        def handler(event, context):
            return {
                "invocation": [context.aws_request_id, context.invoked_function_arn,
                               os.environ["_X_AMZN_TRACE_ID"]],
                "left_ms": context.get_remaining_time_in_millis(),
                "modules": [pool.mine, processes.mine],
                "folders": [sys.path[0], os.getcwd()],
                "files": resource.getrlimit(resource.RLIMIT_NOFILE),
            }
    """
    made, asked = function(source), invocation()
    made.write("mine = 1", "pool.py")
    made.write("mine = 2", "processes.py")
    found = json.loads(made.start().run(asked).payload)
    assert 9_000 < found.pop("left_ms") <= 10_000
    assert found == {
        "invocation": [asked.request_id, asked.function_arn, asked.trace_id],
        "modules": [1, 2],
        "folders": [str(made.folder)] * 2,
        "files": [1024, 1024],
    }


@pytest.mark.parametrize(
    ("source", "error_type", "message"),
    [
        ("import nowhere", "Runtime.ImportModuleError", "No module named 'nowhere'"),
        ("x = 1", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'main'"),
        ("1 / 0", "ZeroDivisionError", "division by zero"),
    ],
    ids=["import", "no handler", "exception"],
)
def test_what_is_wrong_with_the_code_reaches_the_caller(
    function: Functions, source: str, error_type: str, message: str
) -> None:
    outcome = function(source).run()
    assert error(outcome)["errorType"] == error_type
    assert message in error(outcome)["errorMessage"]
    assert f"[ERROR] {error_type}" in outcome.logs
    frame = '  File "/var/task/main.py", line 1, in <module>\n'
    assert "".join(error(outcome)["stackTrace"]).count(frame) == (error_type == "ZeroDivisionError")


@pytest.mark.parametrize(
    ("phase", "statement", "message"),
    [
        ("init", "sys.exit(4)", "Runtime exited with error: exit status 4"),
        ("invocation", "sys.exit(0)", "Runtime exited without providing a reason"),
        (
            "invocation",
            "ctypes.string_at(0)",
            "Runtime exited with error: signal: segmentation fault",
        ),
    ],
)
def test_a_crash_names_how_the_process_ended(
    function: Functions, phase: str, statement: str, message: str
) -> None:
    crash = f"import ctypes, os, sys\nprint('last words')\n{statement}\n"
    handler = "def handler(event, context):\n" + "".join(f"  {s}\n" for s in crash.splitlines())
    asked = invocation()
    worker = function(crash if phase == "init" else handler).start()
    outcome = worker.run(asked)
    assert error(outcome) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {asked.request_id} Error: {message}",
    }
    assert "last words\n" in outcome.logs
    assert "Status: error\tError Type: Runtime.ExitError" in outcome.logs
    assert not runs(worker.pid)


SLEEPER = """
    import os, subprocess, sys, time
    def handler(event, context):
        child = subprocess.Popen(["sleep", "60"])
        daemon = subprocess.Popen(["sleep", "60"], start_new_session=True)
        print(child.pid, daemon.pid)
        {overrun}
"""


@pytest.mark.parametrize(
    "overrun",
    [
        "time.sleep(60)",
        "sum(range(10**12))",
        "os.closerange(3, 100); time.sleep(60)",
    ],
    ids=["sleeping", "holding the GIL", "having closed every file"],
)
def test_an_overrun_is_killed_with_all_that_it_started(function: Functions, overrun: str) -> None:
    asked = invocation()
    worker = function(SLEEPER.format(overrun=overrun), timeout_s=0.5).start()
    outcome = worker.run(asked)
    assert error(outcome) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {asked.request_id} Error: Task timed out after 0.50 seconds",
    }
    assert f"{asked.request_id} Task timed out after 0.50 seconds\n" in outcome.logs
    assert "Duration: 500.00 ms\tBilled" in outcome.logs
    assert "Status: timeout" in outcome.logs
    started = [int(pid) for pid in re.findall(r"^(\d+) (\d+)$", outcome.logs, re.M)[0]]
    wait_until(lambda: not any(map(runs, [worker.pid, *started])))


def test_a_stopped_process_times_out_while_it_is_sent_a_large_event(function: Functions) -> None:
    worker = function(ECHO, timeout_s=0.5).start()
    worker.run(invocation())
    wait_until(worker.ready)
    os.kill(worker.pid, signal.SIGSTOP)
    outcome = worker.run(invocation(json.dumps("x" * 6 * MIB)))
    assert error(outcome)["errorType"] == "Sandbox.Timedout"


def test_loading_has_no_part_in_duration(function: Functions) -> None:
    source = "import time\ntime.sleep(0.6)\ndef handler(event, context): pass"
    outcome = function(source, timeout_s=0.5).run()
    assert not outcome.is_error
    assert 600 < number(outcome, "Init Duration") < 5000
    assert number(outcome, "\tDuration") < 500


SLOW_ONCE = """
    import pathlib, tempfile, time
    loads = pathlib.Path(tempfile.gettempdir(), "loads")
    with loads.open("a") as file:
        print("load", file=file)
    print("loading", end="", flush=True)
    if len(loads.read_text().split()) == 1:
        time.sleep(60)
    def handler(event, context):
        print("handling")
        return loads.read_text().split(), context.get_remaining_time_in_millis()
"""


def test_an_init_phase_that_takes_too_long_is_repeated_in_the_invocation(
    function: Functions,
) -> None:
    outcome = function(SLOW_ONCE, init_timeout_s=2).run()
    loads, left_ms = json.loads(outcome.payload)
    assert loads == ["load", "load"]
    assert left_ms < 10_000 - 20
    assert outcome.logs.startswith(
        "loading\nINIT_REPORT Init Duration: 2000.00 ms\tPhase: init\tStatus: timeout\nSTART"
    )
    assert "Version: $LATEST\nloadinghandling\nEND" in outcome.logs
    assert "\tInit Duration" not in outcome.logs
    assert number(outcome, "\tDuration") > 20


def test_a_function_that_never_loads_ends_with_its_timeout(function: Functions) -> None:
    asked = invocation()
    made = function("import time\ntime.sleep(60)", init_timeout_s=0.2, timeout_s=0.7)
    outcome = made.start().run(asked)
    assert error(outcome) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {asked.request_id} Error: Task timed out after 0.70 seconds",
    }
    assert "Duration: 700.00 ms\tBilled" in outcome.logs


def test_what_is_initialised_in_time_reports_it_with_its_first_invocation(
    function: Functions,
) -> None:
    worker = function("print('loading')\n" + textwrap.dedent(ECHO)).start()
    worker.initialise()
    first, second = worker.run(invocation()), worker.run(invocation())
    assert first.logs.startswith("loading\nSTART")
    assert "\tInit Duration" in first.logs and "\tInit Duration" not in second.logs
    with pytest.raises(TimedOut, match="Init phase timed out after 0.20 seconds"):
        function("import time\ntime.sleep(60)", init_timeout_s=0.2).start().initialise()


TAKES = "x = bytes([1]) * (200 << 20)"
WAITS = "import time; time.sleep(60)"


@pytest.mark.parametrize(
    "source",
    [
        f"def handler(event, context): {TAKES}; {WAITS}",
        f"def handler(event, context): {TAKES}; del x",
        f"def handler(event, context): subprocess.run([sys.executable, '-c', '{TAKES}; {WAITS}'])",
        f"{TAKES}; {WAITS}",
    ],
    ids=["holding it", "for a moment", "in a child", "while loading"],
)
def test_a_function_that_outgrows_its_memory_is_killed(function: Functions, source: str) -> None:
    """As AWS tells it: the caller learns of the kill, the REPORT line of the memory."""
    limits = {"memory_mb": 128, "timeout_s": 30, "init_timeout_s": 30}
    worker = function(f"import subprocess, sys\n{source}", **limits).start()
    outcome = worker.run(invocation())
    message = "Error: Runtime exited with error: signal: killed"
    assert error(outcome)["errorType"] == "Runtime.ExitError"
    assert error(outcome)["errorMessage"].endswith(message)
    assert f"{message}\nRuntime.ExitError\nEND" in outcome.logs
    assert outcome.logs.endswith("\tStatus: error\tError Type: Runtime.OutOfMemory\t\n")
    assert number(outcome, "Max Memory Used") > number(outcome, "Memory Size") == 128
    assert not runs(worker.pid)


FREED = """
    import subprocess, sys
    def handler(event, context):
        x = bytes([1]) * (100 << 20); del x
        child = "x = bytes([1]) * (100 << 20); import time; time.sleep(0.2)"
        subprocess.run([sys.executable, "-c", child])
"""

FORKED = """
    import os, time
    x = bytes([1]) * (100 << 20)
    def handler(event, context):
        pid = os.fork()
        if not pid:
            time.sleep(0.2)
            os._exit(0)
        os.waitpid(pid, 0)
"""
tells = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is shared")


@pytest.mark.parametrize(
    "source", [FREED, pytest.param(FORKED, marks=tells)], ids=["freed", "forked"]
)
def test_memory_that_a_child_takes_after_it_or_shares_with_it_counts_once(
    function: Functions, source: str
) -> None:
    outcome = function(source, memory_mb=200, timeout_s=30).run()
    assert not outcome.is_error
    assert 100 < number(outcome, "Max Memory Used") < 200


def test_the_log_is_lambdas(function: Functions) -> None:
    source = """
        import os, subprocess, sys
        print("loading")
        def handler(event, context):
            print("to stdout")
            print("to stderr", file=sys.stderr)
            os.write(1, b"from C\\n")
            subprocess.run(["echo", "from a child"])
            print("without an end", end="")
    """
    worker, cold, warm = function(source).start(), invocation(), invocation()
    report = (
        r"REPORT RequestId: {}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\t"
        r"Memory Size: 256 MB\tMax Memory Used: \d+ MB\t{}"
    )
    own = "START RequestId: {0} Version: $LATEST\nto stdout\nto stderr\nfrom C\nfrom a child\n"
    own += "without an end\nEND RequestId: {0}\n"
    for asked, before, init in (
        (cold, "loading\n", r"Init Duration: \d+\.\d\d ms\t"),
        (warm, "", ""),
    ):
        lines, _, last = worker.run(asked).logs.removesuffix("\n").rpartition("\n")
        assert f"{lines}\n" == before + own.format(asked.request_id)
        assert re.fullmatch(report.format(asked.request_id, init), last)


def test_output_never_blocks_and_is_never_lost(function: Functions) -> None:
    source = """
        def handler(event, context):
            for line in range(event):
                print(f"{line:099}")
    """
    outcome = function(source).run("100000")
    assert not outcome.is_error
    printed = [line for line in outcome.logs.splitlines() if line.isdigit()]
    assert printed == [f"{line:099}" for line in range(100_000)]


def test_a_flood_of_output_is_cut_and_says_so(
    function: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_process, "LOG_BYTES", 1000)
    outcome = function("def handler(event, context): print('x' * 1499)").run()
    assert f"{'x' * 1000}\n[cut: more than 1000 bytes]\nEND" in outcome.logs


def test_what_is_written_between_invocations_stands_before_the_next(function: Functions) -> None:
    source = """
        import pathlib, threading, time
        def handler(event, context):
            if event:
                threading.Thread(target=late, args=(event,)).start()
        def late(mark):
            while not pathlib.Path(mark).exists():
                time.sleep(0.01)
            print("late")
            pathlib.Path(mark).unlink()
    """
    made = function(source)
    worker, mark = made.start(), made.folder / "mark"
    first = worker.run(invocation(json.dumps(str(mark))))
    mark.touch()
    wait_until(lambda: not mark.exists())
    second = worker.run(invocation("0"))
    assert "late" not in first.logs
    assert second.logs.startswith("late\nSTART RequestId:")


def test_a_worker_has_a_tmp_of_its_own_which_outlives_a_fault_and_goes_with_it(
    function: Functions,
) -> None:
    source = """
        import os, tempfile
        def handler(event, context):
            found = os.listdir(tempfile.gettempdir())
            tempfile.mkstemp()
            if event == "die":
                os._exit(1)
            return tempfile.gettempdir(), len(found), os.getpid()
    """
    made = function(source)
    worker, other = made.start(), made.start()
    pid = worker.pid
    assert worker.run(invocation('"die"')).is_error and not worker.ready()
    tmp, found, new_pid = json.loads(worker.run(invocation()).payload)
    assert found == 1
    assert new_pid == worker.pid != pid
    others_tmp, found, _ = json.loads(other.run(invocation()).payload)
    assert found == 0
    worker.kill()
    assert not Path(tmp).exists() and Path(others_tmp).exists()


IN_LAMBDA = """
    import traceback, warnings
    print(__file__)
    def handler(event, context):
        if event == "warn":
            warnings.warn("old")
            traceback.print_stack()
            return __file__
        if event == "import":
            from main import nothing
        print("a\\rline")
        open("/dev/full", "w").write(1 / event)
"""


def test_an_error_reaches_the_caller_and_the_log_and_names_var_task(function: Functions) -> None:
    made = function(IN_LAMBDA)
    worker = made.start()
    pid = worker.pid
    outcome = worker.run(invocation("0"))
    fault = error(outcome)
    assert (fault["errorType"], fault["errorMessage"]) == ("ZeroDivisionError", "division by zero")
    frame = '  File "/var/task/main.py", line 12, in handler'
    assert fault["stackTrace"][0].startswith(f"{frame}\n")
    lines = outcome.logs.replace("\N{NO-BREAK SPACE}", " ").split("\n")
    assert lines[0] == "/var/task/main.py" and lines[1].startswith("START")
    error_line = "[ERROR] ZeroDivisionError: division by zero"
    assert lines[2:6] == ["a\rline", error_line, "Traceback (most recent call last):", frame]
    imported = worker.run(invocation('"import"'))
    assert error(imported)["errorMessage"].endswith("'main' (/var/task/main.py)")
    warned = worker.run(invocation('"warn"'))
    assert "/var/task/main.py:6: UserWarning: old\n" in warned.logs
    # An answer stays as the function made it.
    assert json.loads(warned.payload) == str(made.folder / "main.py")
    assert str(made.folder) not in outcome.logs + imported.logs + warned.logs
    assert worker.pid == pid


@pytest.mark.parametrize(("mode", "status"), [(None, 127), (0o644, 126)])
def test_a_wrapper_that_cannot_be_run_ends_as_in_lambda(
    function: Functions, mode: int | None, status: int
) -> None:
    made = function(ECHO)
    wrapper = made.folder / "wrapper"
    if mode is not None:
        wrapper.touch(mode)
    made.launch.wrapper = str(wrapper)
    fault = error(made.run())
    assert fault["errorType"] == "Runtime.ExitError"
    assert fault["errorMessage"].endswith(f"Runtime exited with error: exit status {status}")


def test_a_process_that_lacks_file_descriptors_leaves_nothing(function: Functions) -> None:
    made, ended = function(ECHO), list[int]()
    scratch = len(list(workspace().iterdir()))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir("/dev/fd")}
    lowest = max(used) + 1
    free = len(set(range(lowest)) - used)
    before = psutil.Process().num_fds()
    needed = 0
    try:
        while True:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + needed, hard))
            try:
                worker = Worker(made.launch, on_end=lambda: ended.append(needed))
            except OSError:
                assert psutil.Process().num_fds() == before
                needed += 1
                continue
            break
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    worker.kill()
    assert needed + free >= 6
    assert ended == list(range(needed + 1))
    assert psutil.Process().num_fds() == before
    assert len(list(workspace().iterdir())) == scratch


@pytest.mark.parametrize("work", ["return text", "raise ValueError(text)"])
def test_text_that_utf_8_has_no_bytes_for_is_a_crash_that_is_told_at_once(
    function: Functions, work: str
) -> None:
    source = f"def handler(event, context):\n    text = chr(0xD801)\n    {work}"
    outcome = function(source, timeout_s=4).run()
    assert json.loads(outcome.payload)["errorType"] == "Runtime.ExitError"
    assert "UnicodeEncodeError: 'utf-8' codec can't encode character" in outcome.logs


def test_a_function_that_forks_and_returns_or_fails_twice_answers_once(
    function: Functions,
) -> None:
    source = """
        import os
        def handler(event, context):
            pid = os.fork() if event["forks"] else 0
            if pid:
                os.waitpid(pid, 0)
            if event["fails"]:
                raise ValueError(os.getpid())
            return os.getpid()
    """
    worker = function(source).start()
    for fails, forks in product((False, True), (False, True, False)):
        outcome = worker.run(invocation(json.dumps({"forks": forks, "fails": fails})))
        assert outcome.is_error == fails and str(worker.pid).encode() in outcome.payload

"""How execution environments share workers."""

import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from conftest import Function, invocation, runs, wait_until
from process_executor.callers import awaiting
from process_executor.faults import Dropped
from process_executor.pool import WorkerPool
from process_executor.worker import Outcome, Worker
from process_executor.workspace import workspace

Functions = Callable[..., Function]

# Answers with its process; given a file's name, once that file exists, having made <name>.started.
SOURCE = """
    import os, pathlib, time
    def handler(event, context):
        if event:
            pathlib.Path(event + ".started").touch()
            while not pathlib.Path(event).exists():
                time.sleep(0.005)
        return os.getpid()
"""


class Client:
    """Invokes a function through a pool, from threads of its own."""

    def __init__(self, pool: WorkerPool, function: Function, threads: ThreadPoolExecutor) -> None:
        self.pool = pool
        self.function = function
        self.threads = threads

    def run(self, event: str = "") -> Outcome:
        return self.pool.run(invocation(json.dumps(event)), self.function.start)

    def pid(self, event: str = "") -> int:
        outcome = self.run(event)
        assert not outcome.is_error, outcome.payload
        return int(outcome.payload)

    def begin(self, gate: Path) -> Future[int]:
        """An invocation that has reached the handler, and ends once `gate` exists."""
        running = self.threads.submit(self.pid, str(gate))
        wait_until(lambda: running.done() or gate.with_name(f"{gate.name}.started").exists())
        return running


@pytest.fixture
def client(function: Functions) -> Iterator[Callable[..., Client]]:
    with ThreadPoolExecutor(64) as threads:

        def make(source: str = SOURCE, size: int = 2, **changes: object) -> Client:
            pool = WorkerPool(size)
            pool.attach("one")
            return Client(pool, function(source, **changes), threads)

        yield make


def test_waiting_for_a_worker_is_no_part_of_timeout(client: Callable[..., Client]) -> None:
    source = "import time\ndef handler(event, context): time.sleep(0.3)"
    each = client(source, size=1, timeout_s=0.8)
    outcomes = list(each.threads.map(lambda _: each.run(), range(4)))
    assert not any(outcome.is_error for outcome in outcomes)


def test_a_worker_without_a_process_is_taken_after_all_warm_ones(
    client: Callable[..., Client], tmp_path: Path
) -> None:
    dies = "if event == 'die':\n            os._exit(1)\n        if event:"
    source = SOURCE.replace("if event:", dies)
    each = client(source)
    running = each.begin(tmp_path / "gate")
    assert each.run("die").is_error
    (tmp_path / "gate").touch()
    warm = running.result()
    assert {each.pid() for _ in range(3)} == {warm}


def test_a_warm_worker_serves_again_and_one_that_died_while_idle_is_replaced_unseen(
    client: Callable[..., Client],
) -> None:
    each = client()
    pid = each.pid()
    assert each.pid() == pid
    os.kill(pid, signal.SIGKILL)
    assert each.pid() != pid


def test_workers_end_with_the_last_environment(client: Callable[..., Client]) -> None:
    each = client()
    each.pool.attach("other")
    pid = each.pid()
    for _ in range(2):  # LocalStack may stop one twice
        each.pool.detach("one")
    assert each.pid() == pid
    each.pool.detach("other")
    assert not runs(pid)


def test_a_failure_to_start_frees_the_place(function: Functions) -> None:
    pool, made = WorkerPool(1), function(SOURCE)
    pool.attach("one")

    def fail(generation: int) -> Worker:
        raise OSError("no more processes")

    for _ in range(2):
        with pytest.raises(OSError, match="no more processes"):
            pool.run(invocation(), fail)
    assert not pool.run(invocation(), made.start).is_error


def held() -> dict[str, int]:
    """What this process holds of all that could leak."""
    process = psutil.Process()
    return {
        "threads": threading.active_count(),
        "files": process.num_fds(),
        "processes": len(process.children()),
        "folders": len(list(workspace().iterdir())),
    }


def test_invocations_and_deaths_leave_nothing(client: Callable[..., Client]) -> None:
    source = """
        import os
        def handler(event, context):
            if event:
                os._exit(1)
            return os.getpid()
    """
    each = client(source)

    def round_of_invocations() -> dict[str, int]:
        each.pool.attach("one")
        with ThreadPoolExecutor(16) as threads:  # which end before what is left is counted
            outcomes = list(threads.map(each.run, ["", "", "", "die"] * 4))
        each.pool.detach("one")
        assert sum(outcome.is_error for outcome in outcomes) == 4
        return held()

    assert len({frozenset(round_of_invocations().items()) for _ in range(2)}) == 1


def test_an_event_that_killed_its_worker_is_not_kept(client: Callable[..., Client]) -> None:
    each, asked = client("import os\ndef handler(event, context): os._exit(1)"), invocation()
    counts = [sys.getrefcount(asked.payload)]
    assert each.pool.run(asked, each.function.start).is_error
    gc.collect()
    counts.append(sys.getrefcount(asked.payload))
    assert counts[0] == counts[1]


def queue(each: Client, events: list[str]) -> list[Future[Outcome]]:
    """Invocations that wait, in this order."""
    waiting = []
    for count, event in enumerate(events, 1):
        waiting.append(each.threads.submit(each.run, event))
        wait_until(lambda: len(each.pool._waiting) == count)
    return waiting


class Execution:
    def __init__(self) -> None:
        self.running = True

    def is_running(self) -> bool:
        return self.running


def test_calls_of_an_execution_that_has_ended_are_dropped(
    client: Callable[..., Client], tmp_path: Path
) -> None:
    each = client(SOURCE.replace("if event:", "if event.endswith('gate'):"), size=1)
    running = each.begin(tmp_path / "gate")
    failed, other = Execution(), Execution()
    with ExitStack() as calls:
        for event, execution in (("a", failed), ("b", other), ("both", failed), ("both", other)):
            calls.enter_context(awaiting(json.dumps(event).encode(), execution))
        events = ["a", "b", "by hand", "both"]
        waiting = dict(zip(events, queue(each, events)))
        failed.running = False
        (tmp_path / "gate").touch()
        pid = running.result()
        with pytest.raises(Dropped, match="that called ended before a worker was free"):
            waiting.pop("a").result()
        assert [int(kept.result().payload) for kept in waiting.values()] == [pid] * 3
        with pytest.raises(Dropped):
            each.run("a")
    assert int(each.run("a").payload) == pid


def test_invocations_wait_in_order_but_for_an_event_that_killed_its_worker_which_goes_first_once(
    client: Callable[..., Client], tmp_path: Path
) -> None:
    source = """
        import os, pathlib, time
        def handler(event, context):
            if event.endswith("gate"):
                pathlib.Path(event + ".started").touch()
                while not pathlib.Path(event).exists():
                    time.sleep(0.005)
                return os.getpid()
            with open("order", "a") as file:
                print(event, file=file)
            if event == "dies":
                os._exit(1)
    """
    each = client(source, size=1)
    for gate in ("first.gate", "second.gate"):
        assert each.run("dies").is_error
        running = each.begin(tmp_path / gate)
        waiting = queue(each, ["a", "dies", "b", "dies"])
        (tmp_path / gate).touch()
        running.result()
        wait(waiting)
    order = (each.function.folder / "order").read_text().split()
    assert order == ["dies", "dies", "a", "b", "dies"] * 2

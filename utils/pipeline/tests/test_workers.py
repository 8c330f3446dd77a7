"""Workers take items side by side; whatever happens to one, its caller learns of it, and none stays."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.workers import WorkerDied, map_forked, vcpus


@pytest.fixture(autouse=True)
def nobody_is_left_behind() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def work(item: int) -> tuple[int, int]:
    return item * item, os.getpid()


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_results_come_in_order_from_so_many_processes(count: int) -> None:
    results = [result for result in map_forked(work, range(20), count) if result]
    assert [square for square, _ in results] == [n * n for n in range(20)]
    pids = {pid for _, pid in results}
    assert pids == {os.getpid()} if count == 1 else len(pids - {os.getpid()}) == count


@pytest.mark.parametrize("count", [1, 2, 3])
def test_one_item_is_taken_ahead_of_the_workers(count: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(50):
            taken.append(item)
            yield item

    for done, _ in enumerate(map_forked(work, items(), count)):
        assert len(taken) <= done + count + 1


@pytest.mark.parametrize("items", [[], [3]])
def test_fewer_items_than_workers_give_as_many_results(items: list[int]) -> None:
    assert len(list(map_forked(work, items, 2))) == len(items)


def test_work_that_fails_gives_nothing_and_its_worker_goes_on() -> None:
    results = list(map_forked(lambda item: 60 // item, [1, 0, 2, 0, 3, 4], 2))
    assert results == [60, None, 30, None, 20, 15]


def test_large_items_and_results_pass() -> None:
    items = [bytes([n]) * 5_000_000 for n in range(4)]
    assert list(map_forked(lambda item: item * 2, items, 2)) == [item * 2 for item in items]


@pytest.mark.parametrize("step", ["waiting", "working", "sending"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_is_killed_is_named(step: str, how: signal.Signals) -> None:
    class Deadly:
        def __reduce__(self) -> Any:
            os.kill(os.getpid(), how)
            return int, ()

    def deadly(item: int) -> Any:
        if item == 3 and step == "working":
            os.kill(os.getpid(), how)
        return ["x" * 100_000, Deadly()] if item == 3 and step == "sending" else os.getpid()

    pids: set[Any] = set()
    with pytest.raises(
        WorkerDied, match=f"must return a result; found exit code -{how.value}"
    ) as told:
        for pid in map_forked(deadly, range(20), 2):
            pids.add(pid)
            if pid and step == "waiting":
                os.kill(pid, how)
    assert any(f"worker {pid}:" in str(told.value) for pid in pids)


def test_a_worker_that_exits_is_named() -> None:
    with pytest.raises(WorkerDied, match="found exit code 7"):
        list(map_forked(os._exit, [7, 7, 7], 2))


def test_whoever_stops_early_leaves_nobody() -> None:
    results = map_forked(work, range(1000), 3)
    assert next(results) is not None
    results.close()  # type: ignore[attr-defined]  # of a generator


def test_an_error_of_the_items_leaves_nobody() -> None:
    with pytest.raises(ZeroDivisionError):
        list(map_forked(work, (1 // n for n in (1, 1, 1, 0)), 2))


def test_workers_end_with_the_process_that_forked_them() -> None:
    read, write = os.pipe()
    parent = os.fork()
    if not parent:
        os.close(read)
        for _ in map_forked(work, range(4), 2):
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(write)
    os.waitpid(parent, 0)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b""  # to its end: no worker holds the other one any more


@pytest.mark.parametrize(
    ("memory_mb", "cores", "count"),
    [(None, 8, 1), ("128", 8, 1), ("1769", 8, 1), ("3537", 8, 1), ("3538", 8, 2), ("10240", 2, 2)],
)
def test_workers_are_as_many_as_vcpus(
    monkeypatch: pytest.MonkeyPatch, memory_mb: str | None, cores: int, count: int
) -> None:
    monkeypatch.setattr(os, "process_cpu_count", lambda: cores)
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", raising=False)
    if memory_mb:
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory_mb)
    assert vcpus() == count

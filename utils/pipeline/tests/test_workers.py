"""Workers take items side by side; whatever happens to one, its caller learns of it, and none stays."""

import multiprocessing
import os
import signal
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from pipeline.workers import WorkerDied, map_forked, vcpus

Steps = Generator[Any, Any, Any]


def squares(item: int) -> Steps:
    above = yield item
    return item * item, above


@pytest.fixture(autouse=True)
def nobody_is_left_behind() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_results_come_in_order_with_what_was_told_before_them(count: int) -> None:
    told: list[int] = []

    def answer(item: int) -> int:
        told.append(item)
        return sum(told)

    found = list(map_forked(squares, range(20), answer, count))
    assert found == [(n * n, n * (n + 1) // 2) for n in range(20)]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_items_are_in_flight(count: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(50):
            taken.append(item)
            yield item

    for done, _ in enumerate(map_forked(squares, items(), int, count)):
        assert len(taken) <= done + 1 + count


@pytest.mark.parametrize("count", [1, 2])
def test_no_items_give_no_results(count: int) -> None:
    assert list(map_forked(squares, [], int, count)) == []


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_error_is_raised_as_it_was_in_its_results_place(count: int, when: str) -> None:
    def work(item: int) -> Steps:
        if item == 5 and when == "before":
            raise KeyError("five")
        yield
        if item == 5:
            raise KeyError("five")
        return item

    found = []
    with pytest.raises(KeyError, match="five"):
        for each in map_forked(work, range(20), lambda told: told, count):
            found.append(each)
    assert found == [0, 1, 2, 3, 4][: len(found)] and len(found) >= 5 - count


class Unsendable(ValueError):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


def test_an_error_that_cannot_be_sent_says_what_it_was() -> None:
    def work(item: int) -> Steps:
        yield
        raise Unsendable("bad ", "cell")

    with pytest.raises(RuntimeError, match="Unsendable: bad cell"):
        list(map_forked(work, range(3), lambda told: told, 2))


@pytest.mark.parametrize("step", ["parsing", "waiting", "finishing", "sending"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_is_killed_is_named(step: str, how: signal.Signals) -> None:
    def die() -> None:
        signal.signal(how, signal.SIG_DFL) if how != signal.SIGKILL else None
        os.kill(os.getpid(), how)

    class Deadly:
        def __reduce__(self) -> Any:
            die()
            return int, ()

    def work(item: int) -> Steps:
        if item == 3 and step == "parsing":
            die()
        yield os.getpid()
        if item == 3 and step == "finishing":
            die()
        return Deadly() if item == 3 and step == "sending" else item

    def answer(pid: int) -> int:
        answered.append(pid)
        if step == "waiting" and len(answered) == 4:
            os.kill(pid, how)
        return 0

    answered: list[int] = []
    with pytest.raises(WorkerDied, match=f"must return a result; found signal {how.name}"):
        list(map_forked(work, range(20), answer, 2))


def test_a_worker_that_exits_is_named() -> None:
    def work(item: int) -> Steps:
        yield
        os._exit(7)

    with pytest.raises(WorkerDied, match="found exit status 7"):
        list(map_forked(work, range(3), lambda told: told, 2))


def test_whoever_stops_early_leaves_nobody() -> None:
    results = map_forked(squares, range(1000), int, 3)
    assert next(results) == (0, 0)
    results.close()  # type: ignore[attr-defined]  # of a generator


def test_workers_end_with_the_process_that_forked_them() -> None:
    read, write = os.pipe()

    def work(item: int) -> Steps:
        os.write(write, b"x")
        yield
        return item

    parent = os.fork()
    if not parent:
        os.close(read)
        for _ in map_forked(work, range(4), lambda told: told, 2):
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(write)
    os.waitpid(parent, 0)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read()  # to its end: no worker holds the other one any more


def test_large_items_and_results_pass() -> None:
    def work(item: bytes) -> Steps:
        yield len(item)
        return item * 2

    items = [bytes([n]) * 5_000_000 for n in range(4)]
    assert list(map_forked(work, items, int, 2)) == [item * 2 for item in items]


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

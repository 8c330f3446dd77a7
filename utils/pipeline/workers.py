"""Forked workers, as many as the function has vCPUs: items in, results out, in order.

Of fork and pipes alone: Lambda has no /dev/shm, which multiprocessing's pools and queues need.
"""

import gc
import multiprocessing
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import cycle
from typing import Any, BinaryIO

VCPU_MB = 1_769  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html


class WorkerDied(RuntimeError):
    """A worker ended before it returned a result: says how."""


def vcpus() -> int:
    """How many the function has, as its memory says; 1 outside Lambda."""
    memory_mb = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 0))
    return max(1, min(memory_mb // VCPU_MB, os.process_cpu_count() or 1))


def map_forked[Item, Result](
    work: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result | None]:
    """Do the work of each item in one of so many workers, whose turns go round; one is this process.

    Args:
        work: must not use a connection of this process.
        items: taken one ahead of the workers, which are forked before.

    Yields:
        Results; None where the work failed in a worker: the caller can do it, and gets the error.

    Raises:
        WorkerDied: a worker was killed.
    """
    if workers < 2:
        yield from map(work, items)
        return
    crew: list[_Worker] = []
    busy = deque[_Worker]()
    try:
        for _ in range(workers):
            crew.append(_Worker(work, crew))
        for worker, item in zip(cycle(crew), items):
            done = [busy.popleft().receive()] if len(busy) == workers else []
            worker.send(item)
            busy.append(worker)
            yield from done
        for worker in busy:
            yield worker.receive()
    finally:
        for worker in crew:
            worker.end()


class _Worker:
    def __init__(self, work: Callable[[Any], Any], earlier: list["_Worker"]) -> None:
        items, self.items = _pipe()
        self.results, results = _pipe()
        # It closes its copies of all ends of this process: a pipe must end where this process does.
        ends = [pipe for each in (*earlier, self) for pipe in (each.items, each.results)]
        fork = multiprocessing.get_context("fork")
        self.process = fork.Process(target=_serve, args=(work, items, results, ends), daemon=True)
        self.process.start()
        items.close()
        results.close()

    def send(self, item: Any) -> None:
        with suppress(OSError):  # it has died, as its result will say
            _send(item, self.items)

    def receive(self) -> Any:
        with suppress(EOFError, pickle.UnpicklingError):
            return pickle.load(self.results)
        self.process.join()
        found = f"exit code {self.process.exitcode}, below 0 of a signal"
        raise WorkerDied(f"worker {self.process.pid}: must return a result; found {found}")

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        with suppress(OSError):  # of an item that was sent in part
            self.items.close()
        self.results.close()


def _pipe() -> tuple[BinaryIO, BinaryIO]:
    read, write = os.pipe()
    return open(read, "rb"), open(write, "wb")


def _send(message: Any, pipe: BinaryIO) -> None:
    pickle.dump(message, pipe, protocol=5)
    pipe.flush()


def _serve(
    work: Callable[[Any], Any], items: BinaryIO, results: BinaryIO, ends: list[BinaryIO]
) -> None:
    for each in ends:
        each.close()
    gc.freeze()  # what is shared with the parent stays so
    with suppress(EOFError, OSError):  # the parent has ended
        while True:
            item, result = pickle.load(items), None
            with suppress(Exception):
                result = work(item)
            _send(result, results)

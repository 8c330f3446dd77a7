"""Forked workers, as many as the function has vCPUs: items in, results out, in order.

Of fork and sockets alone: Lambda has no /dev/shm, which multiprocessing's pools and queues need.
"""

import gc
import multiprocessing
import os
import pickle
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from io import BufferedRWPair
from itertools import cycle
from typing import Any

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
        ours, theirs = socket.socketpair()
        with theirs:
            self.pipe = ours.makefile("rwb")
            ours.close()  # with the file
            # It closes its copies of this process's ends, so that they end where this process does.
            inherited = [each.pipe for each in (*earlier, self)]
            fork = multiprocessing.get_context("fork")
            self.process = fork.Process(target=_serve, args=(work, theirs, inherited), daemon=True)
            self.process.start()

    def send(self, item: Any) -> None:
        with suppress(OSError):  # it has died, as its result will say
            _send(item, self.pipe)

    def receive(self) -> Any:
        with suppress(EOFError, OSError, pickle.UnpicklingError):
            return pickle.load(self.pipe)
        self.process.join()
        found = f"exit code {self.process.exitcode}, below 0 of a signal"
        raise WorkerDied(f"worker {self.process.pid}: must return a result; found {found}")

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        with suppress(OSError):  # of an item that was sent in part
            self.pipe.close()


def _send(message: Any, pipe: BufferedRWPair) -> None:
    pickle.dump(message, pipe, protocol=5)
    pipe.flush()


def _serve(
    work: Callable[[Any], Any], theirs: socket.socket, inherited: list[BufferedRWPair]
) -> None:
    for each in inherited:
        each.close()
    gc.freeze()  # what is shared with the parent stays so
    with theirs.makefile("rwb") as pipe, suppress(EOFError, OSError):  # the parent has ended
        while True:
            item, result = pickle.load(pipe), None
            with suppress(Exception):
                result = work(item)
            _send(result, pipe)

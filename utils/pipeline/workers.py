"""Forked workers, which take items side by side; their results come in the items' order.

They are made of fork and pipes alone: Lambda has no /dev/shm, which multiprocessing's pools and
queues need.
"""

import gc
import multiprocessing
import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn

VCPU_MB = 1_769  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
_NOTHING = object()


class WorkerDied(RuntimeError):
    """A worker ended before it returned a result: says how."""


def vcpus() -> int:
    """How many the function has, as its memory says; 1 outside Lambda."""
    memory_mb = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 0))
    return max(1, min(memory_mb // VCPU_MB, os.process_cpu_count() or 1))


def map_forked[Item, Told, Answer, Result](
    work: Callable[[Item], Generator[Told, Answer, Result]],
    items: Iterable[Item],
    answer: Callable[[Told], Answer],
    workers: int,
) -> Iterator[Result]:
    """Do the work of each item in a worker; with one worker, in this process.

    Args:
        work: is given an item, yields once what the answer depends on, is sent the answer, and
            returns a result. It must not use a connection of this process.
        items: taken as workers are free for them.
        answer: is called in this process, in the order of the items.
        workers: forked before the first item is taken.

    Raises:
        WorkerDied: a worker was killed.
        The first error of an item, in its result's place. Then, as when the caller stops early,
        all workers are killed.
    """
    if workers < 2:
        for item in items:
            steps = work(item)
            yield _returned(steps, answer(next(steps)))
        return
    crew: list[_Worker] = []
    try:
        for _ in range(workers):
            crew.append(_Worker(work, [each.connection for each in crew]))
        yield from _dealt(crew, iter(items), answer)
    finally:
        for each in crew:
            each.end()


def _dealt(crew: list["_Worker"], items: Iterator[Any], answer: Callable[[Any], Any]) -> Any:
    free, working, asked = deque(crew), deque[_Worker](), deque[_Worker]()
    while True:
        while free and (item := next(items, _NOTHING)) is not _NOTHING:
            working.append(free.popleft())
            working[-1].send(item)
        heads = [each[0] for each in (working, asked) if each]
        if not heads:
            return
        ready = wait([each.connection for each in heads])
        if working and working[0].connection in ready:
            asked.append(working.popleft())
            asked[-1].send(answer(asked[-1].receive()))
        else:
            free.append(asked.popleft())
            yield free[-1].receive()


class _Worker:
    """
    Args:
        others: this process's ends of the pipes to earlier workers. A worker closes its copies of
            them: a pipe must end where this process does.
    """

    def __init__(self, work: Callable[[Any], Any], others: list[Connection]) -> None:
        fork = multiprocessing.get_context("fork")
        self.connection, theirs = fork.Pipe()
        inherited = [*others, self.connection]
        self.process = fork.Process(target=_serve, args=(work, theirs, inherited), daemon=True)
        self.process.start()
        theirs.close()

    def send(self, message: Any) -> None:
        try:
            self.connection.send(message)
        except OSError:
            self._died()

    def receive(self) -> Any:
        try:
            done, value = self.connection.recv()
        except (EOFError, OSError):
            self._died()
        if not done:
            raise value
        return value

    def _died(self) -> NoReturn:
        self.process.join()
        code = self.process.exitcode or 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        raise WorkerDied(f"worker {self.process.pid}: must return a result; found {how}") from None

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _serve(work: Callable[[Any], Any], connection: Connection, inherited: list[Connection]) -> None:
    for each in inherited:
        each.close()
    gc.freeze()  # what is shared with the parent stays so
    with suppress(EOFError, OSError):  # the parent has ended
        while True:
            item = connection.recv()
            try:
                steps = work(item)
                connection.send((True, next(steps)))
                message = True, _returned(steps, connection.recv())
            except Exception as error:
                message = False, _portable(error)
            connection.send(message)


def _returned(steps: Generator[Any, Any, Any], answer: Any) -> Any:
    try:
        steps.send(answer)
    except StopIteration as end:
        return end.value
    raise RuntimeError("work must return after one answer; found another question")


def _portable(error: Exception) -> Exception:
    """The error, or what it says where a pipe does not take it."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error

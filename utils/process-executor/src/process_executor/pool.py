"""The workers that all execution environments of one function version share."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from process_executor.callers import have_ended
from process_executor.faults import Dropped
from process_executor.worker import Invocation, Outcome, Worker


class WorkerPool:
    """At most `size` workers: started when needed, kept warm while an environment is attached.

    Invocations that find all of them busy wait in order of arrival; the wait is no part of Timeout.
    One whose event killed a worker before goes first, so that a caller who tries again, as a Map
    does with a crash, learns soon that it is no accident. Those of an execution that ended meanwhile
    are dropped.
    """

    def __init__(self, size: int, generation: Callable[[], int] = lambda: 0) -> None:
        """
        Args:
            generation: a number that grows with every change of the code.
        """
        self.size = size
        self._generation = generation
        self._lock = threading.Lock()
        self._idle: list[Worker] = []  # the next to be taken last
        self._busy = 0
        self._waiting: deque[Future[Worker | None]] = deque()
        self._deadly: set[int] = set()  # hashes of events: those may be large
        self._environments = set[str]()

    def attach(self, environment: str) -> None:
        with self._lock:
            self._environments.add(environment)

    def detach(self, environment: str) -> None:
        """The last environment takes the idle workers with it, and busy ones as they finish."""
        with self._lock:
            self._environments.discard(environment)
            if self._environments:
                return
            ending, self._idle = self._idle, []
        for worker in ending:
            worker.kill()

    def run(self, invocation: Invocation, start: Callable[[int], Worker]) -> Outcome:
        """Run an invocation in a warm worker, else in a new one, as soon as one is free.

        Args:
            start: makes a worker, given the generation of its code.

        Raises:
            OSError: no process can be started.
            Dropped: the execution that called has ended.
        """
        with self._worker(start, invocation.payload) as worker:
            outcome = worker.run(invocation)
            if not worker.has_process:
                self._deadly.add(hash(invocation.payload))
            return outcome

    def initialise(self, start: Callable[[int], Worker]) -> None:
        """Have a worker that has loaded the function.

        Raises:
            Fault: it cannot be loaded.
        """
        with self._worker(start) as worker:
            worker.initialise()

    @contextmanager
    def _worker(self, start: Callable[[int], Worker], event: bytes = b"") -> Iterator[Worker]:
        generation = self._generation()
        worker = self._take(event)
        if have_ended(event):
            self._give_back(worker)
            raise Dropped
        try:
            if worker and worker.generation < generation:
                worker.kill()
                worker = None
            worker = worker or start(generation)
            yield worker
        except BaseException:
            # Whatever state it is in, nobody else shall get it.
            if worker:
                worker.kill()
                worker = None
            raise
        finally:
            self._give_back(worker)

    def _take(self, event: bytes) -> Worker | None:
        """The right to run one worker, with a warm one where there is one."""
        with self._lock:
            if self._busy < self.size:
                self._busy += 1
                return self._idle.pop() if self._idle else None
            coming: Future[Worker | None] = Future()
            if hash(event) in self._deadly:
                self._deadly.remove(hash(event))
                self._waiting.appendleft(coming)
            else:
                self._waiting.append(coming)
        return coming.result()

    def _give_back(self, worker: Worker | None) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set_result(worker)
                return
            self._busy -= 1
            if worker and self._environments:
                # One without a process, after a fault, comes after all warm ones.
                self._idle.insert(len(self._idle) if worker.has_process else 0, worker)
                return
        if worker:
            worker.kill()

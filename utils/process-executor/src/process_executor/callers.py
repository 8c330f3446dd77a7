"""Which executions of Step Functions await an answer, by the events that they call functions with."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Execution(Protocol):
    def is_running(self) -> bool: ...


_lock = threading.Lock()
_awaiting: dict[bytes, list[Execution]] = {}


@contextmanager
def awaiting(event: bytes, execution: Execution) -> Iterator[None]:
    """For the length of the block, a call with this event is one of this execution's."""
    with _lock:
        _awaiting.setdefault(event, []).append(execution)
    try:
        yield
    finally:
        with _lock:
            _awaiting[event].remove(execution)
            if not _awaiting[event]:
                del _awaiting[event]


def have_ended(event: bytes) -> bool:
    """Whether executions made the call with this event, and all of them have ended since."""
    with _lock:
        executions = list(_awaiting.get(event, []))
    return bool(executions) and not any(each.is_running() for each in executions)

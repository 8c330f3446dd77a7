"""A second process for half of the work, as Python runs one thread at a time."""

import contextlib
import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Protocol


class Part(Protocol):
    """Rows that lack only their place in the whole table."""

    rows: int
    columns: list[str]

    def finish(self, start: int, columns: list[str]) -> None:
        """Number the rows from `start` on, and take these columns."""

    def pickled(self) -> bytes:
        """The finished segment."""


# Makes a part of the table that a source holds from texts, and from whether they begin the array;
# None where it cannot.
Make = Callable[[str, Iterable[bytes | bytearray], bool], Part | None]


class HelperEnded(Exception):
    """The second process has been killed."""


def can_help() -> bool:
    """Whether there is another CPU, and forking is safe: on macOS it is not."""
    return sys.platform == "linux" and (os.process_cpu_count() or 1) > 1


@contextlib.contextmanager
def helping(make: Make) -> Iterator["Helper"]:
    """A second process, which is kept for the next time unless the block fails."""
    helper = _idle.pop() if _idle else None
    if not helper or not helper.alive:
        helper = Helper(make)
    try:
        yield helper
    except BaseException:
        helper.stop()
        raise
    _idle.append(helper)


def stop_idle() -> None:
    while _idle:
        _idle.pop().stop()


class Helper:
    """A fork of this process that makes parts of texts."""

    def __init__(self, make: Make) -> None:
        fork = multiprocessing.get_context("fork")
        self.connection, theirs = fork.Pipe()
        self.process = fork.Process(target=_serve, args=(theirs, make), daemon=True)
        self.process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()

    def begin(self, source: str, texts: Iterable[bytes], first: bool) -> None:
        """Have a part made, which `part` awaits."""
        self.send((source, first))
        for text in texts:
            self.send(len(text))
            with suppress(ConnectionError):
                write(self.connection, text)
        self.send(0)

    def part(self) -> Part | None:
        """
        Raises:
            HelperEnded: here, or when the part is finished.
        """
        found = self.receive()
        return _Remote(self, *found) if found else None

    def send(self, message: object) -> None:
        """If the helper has ended, `receive` will tell."""
        with suppress(ConnectionError):
            self.connection.send(message)

    def receive(self) -> Any:
        with ended():
            return self.connection.recv()

    def read(self, size: int) -> bytearray:
        with ended():
            return read(self.connection, size)


class _Remote:
    """A part that is in the helper."""

    def __init__(self, helper: Helper, rows: int, columns: list[str]) -> None:
        self.helper = helper
        self.rows = rows
        self.columns = columns

    def finish(self, start: int, columns: list[str]) -> None:
        self.helper.send((start, columns))

    def pickled(self) -> bytes:
        return bytes(self.helper.read(self.helper.receive()))


def _serve(connection: Connection, make: Make) -> None:
    """Make parts for as long as the other process asks for them."""
    close_all_but(connection.fileno())
    with suppress(EOFError, ConnectionError):
        while True:
            source, first = connection.recv()
            texts: deque[bytes | bytearray] = deque(read_texts(connection))  # while the other waits
            part = make(source, taken(texts), first)
            connection.send(part and (part.rows, part.columns))
            if part:
                part.finish(*connection.recv())
                data = part.pickled()
                connection.send(len(data))
                write(connection, data)


def close_all_but(kept: int) -> None:
    """Let go of the other process's files and sockets, but for its output."""
    for found in map(int, os.listdir("/proc/self/fd")):
        if found > 2 and found != kept:
            with suppress(OSError):  # the listing itself had one
                os.close(found)


def read_texts(connection: Connection) -> Iterator[bytearray]:
    while size := connection.recv():
        yield read(connection, size)


def taken[Item](items: deque[Item]) -> Iterator[Item]:
    """Each item in turn, which nothing else holds."""
    while items:
        yield items.popleft()


@contextlib.contextmanager
def ended() -> Iterator[None]:
    try:
        yield
    except (EOFError, ConnectionError):
        raise HelperEnded("the scatter's second process was killed") from None


def write(connection: Connection, data: bytes | bytearray) -> None:
    """Send bytes as they are: Connection.send would copy them."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(connection.fileno(), rest) :]


def read(connection: Connection, size: int) -> bytearray:
    """
    Raises:
        EOFError: the other process has ended.
    """
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        found = os.readv(connection.fileno(), [rest])
        if not found:
            raise EOFError
        rest = rest[found:]
    return data


_idle: list[Helper] = []

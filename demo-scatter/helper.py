"""A second process for half of the work, as Python runs one thread at a time."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Protocol, Self


class Part(Protocol):
    """Rows that lack only their place in the whole table."""

    rows: int
    columns: list[str]

    def finish(self, start: int, columns: list[str]) -> None:
        """Number the rows from `start` on, and take these columns."""

    def pickled(self) -> bytes:
        """The finished segment."""


class HelperEnded(Exception):
    """The second process has been killed."""


def can_help() -> bool:
    """Whether there is another CPU, and forking is safe: on macOS it is not."""
    return sys.platform == "linux" and (os.process_cpu_count() or 1) > 1


class Helper:
    """A fork of this process that makes parts of texts until the block is left.

    Args:
        make: makes a part of a text and of whether it begins the array; None where it cannot.
    """

    def __init__(self, make: Callable[[bytes, bool], Part | None]) -> None:
        self.make = make

    def __enter__(self) -> Self:
        fork = multiprocessing.get_context("fork")
        self.connection, theirs = fork.Pipe()
        self.process = fork.Process(target=self._serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()

    def begin(self, text: bytes, first: bool) -> None:
        """Have a part made, which `part` awaits."""
        self.send(first)
        with suppress(ConnectionError):
            self.connection.send_bytes(text)

    def part(self) -> Part | None:
        """
        Raises:
            HelperEnded: here, or when the part is finished.
        """
        found = self.receive()
        return _Remote(self, *found) if found else None

    def _serve(self, connection: Connection) -> None:
        self.connection.close()
        with suppress(EOFError):
            while True:
                first = connection.recv()
                part = self.make(connection.recv_bytes(), first)
                connection.send(part and (part.rows, part.columns))
                if part:
                    part.finish(*connection.recv())
                    connection.send(part.pickled())

    def send(self, message: object) -> None:
        """If the helper has ended, `receive` will tell."""
        with suppress(ConnectionError):
            self.connection.send(message)

    def receive(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, ConnectionError):
            raise HelperEnded("the scatter's second process was killed") from None


class _Remote:
    """A part that is in the helper."""

    def __init__(self, helper: Helper, rows: int, columns: list[str]) -> None:
        self.helper = helper
        self.rows = rows
        self.columns = columns

    def finish(self, start: int, columns: list[str]) -> None:
        self.helper.send((start, columns))

    def pickled(self) -> bytes:
        data: bytes = self.helper.receive()
        return data

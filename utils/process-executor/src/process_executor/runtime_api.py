"""The Lambda Runtime API of one worker, on a loopback port of its own.

It has no thread: whoever waits for the worker pumps it. That saves two thread switches an
invocation, and leaves nothing behind when the worker ends.
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import selectors
import socket
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from http import HTTPStatus

CHUNK_BYTES = 1 << 18
REPLY_S = 5


class Request:
    def __init__(self, connection: socket.socket, path: str, body: bytes) -> None:
        self.path = path
        self.body = body
        self._connection = connection

    def reply(
        self,
        status: HTTPStatus,
        body: bytes = b"",
        headers: Mapping[str, str] = {},
        timeout_s: float = REPLY_S,
    ) -> None:
        """Answer; of a worker that has just died, the wait for its next request tells.

        Raises:
            TimeoutError: the worker did not read the answer within `timeout_s`.
        """
        head = f"HTTP/1.1 {status} {status.phrase}\r\n"
        for name, value in {**headers, "Content-Length": len(body)}.items():
            head += f"{name}: {value}\r\n"
        try:
            self._connection.settimeout(timeout_s)
            self._connection.sendall(f"{head}\r\n".encode() + body)
        except TimeoutError:
            raise
        except OSError:
            pass


class RuntimeApi:
    """Serves one worker, while somebody pumps it.

    Attributes:
        address: host:port, as AWS_LAMBDA_RUNTIME_API wants it.
        requests: what the worker has asked and nobody has taken yet.
    """

    def __init__(self) -> None:
        self.requests: deque[Request] = deque()
        self._selector = selectors.DefaultSelector()
        try:
            self._listener = socket.create_server(("127.0.0.1", 0))
        except OSError:
            self._selector.close()
            raise
        self._listener.setblocking(False)
        self.watch(self._listener, self._accept)
        host, port = self._listener.getsockname()
        self.address = f"{host}:{port}"

    def watch(self, source: int | socket.socket, readable: Callable[[], None]) -> None:
        """Call `readable` during `pump` whenever `source` has something to read."""
        self._selector.register(source, selectors.EVENT_READ, readable)

    def unwatch(self, source: int | socket.socket) -> None:
        with suppress(KeyError):
            self._selector.unregister(source)

    def pump(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` for something to read; True when there was."""
        events = self._selector.select(timeout_s)
        for key, _ in events:
            key.data()
        return bool(events)

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            connection, _ = self._listener.accept()
            # Else the last piece of a long answer waits until those before it are acknowledged.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.watch(connection, partial(self._read, connection, bytearray()))

    def _read(self, connection: socket.socket, received: bytearray) -> None:
        """Take what has arrived, and hang up on who has hung up or speaks no HTTP."""
        try:
            chunk = connection.recv(CHUNK_BYTES)
            received += chunk
            if request := whole(received):
                received.clear()
                self.requests.append(Request(connection, *request))
        except (OSError, ValueError):
            chunk = b""
        if not chunk:
            self.unwatch(connection)
            connection.close()


def whole(received: bytearray) -> tuple[str, bytes] | None:
    """Path and body of a request that has arrived in full; nobody sends the next one before its answer.

    Raises:
        ValueError: what arrived is not HTTP/1.1 with a Content-Length.
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    request_line, *lines = received[:end].decode("latin-1").split("\r\n")
    _, path, _ = request_line.split(" ")
    start = end + 4
    return (
        (path, bytes(received[start:])) if len(received) - start >= content_length(lines) else None
    )


def content_length(header_lines: list[str]) -> int:
    for line in header_lines:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0

"""The Lambda Runtime API of one worker, on a loopback port of its own.

It has no thread: whoever waits for the worker pumps it. That saves two thread switches an
invocation, and leaves nothing behind when the worker ends.
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import selectors
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus

CHUNK_BYTES = 1 << 18


class Request:
    def __init__(self, connection: "Connection", path: str, body: bytes) -> None:
        self.path = path
        self.body = body
        self._connection = connection

    def reply(
        self,
        status: HTTPStatus,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        timeout_s: float = 5,
    ) -> None:
        """Answer, head and body in one segment, so that Nagle's algorithm delays nothing.

        Raises:
            TimeoutError: the worker did not read the answer within `timeout_s`.
            OSError: the worker has gone.
        """
        head = f"HTTP/1.1 {status} {status.phrase}\r\n"
        for name, value in {**(headers or {}), "Content-Length": len(body)}.items():
            head += f"{name}: {value}\r\n"
        self._connection.send(f"{head}\r\n".encode() + body, timeout_s)


class Connection:
    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self.sock = sock
        self._received = bytearray()

    def send(self, data: bytes, timeout_s: float) -> None:
        self.sock.settimeout(timeout_s)
        try:
            self.sock.sendall(data)
        finally:
            self.sock.setblocking(False)

    def receive(self) -> bool:
        """Take what has arrived; False when the other side has closed or broken the connection."""
        try:
            chunk = self.sock.recv(CHUNK_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._received += chunk
        return bool(chunk)

    def requests(self) -> Iterator[Request]:
        """The requests that have arrived in full.

        Raises:
            ValueError: what arrived is not HTTP/1.1 with a Content-Length.
        """
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            request_line, *lines = self._received[:end].decode("latin-1").split("\r\n")
            _, path, _ = request_line.split(" ")
            start, stop = end + 4, end + 4 + content_length(lines)
            if len(self._received) < stop:
                return
            body = bytes(self._received[start:stop])
            del self._received[:stop]
            yield Request(self, path, body)


def content_length(header_lines: list[str]) -> int:
    for line in header_lines:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0


class RuntimeApi:
    """Attributes:
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
            connection = Connection(self._listener.accept()[0])
            self.watch(connection.sock, lambda: self._read(connection))

    def _read(self, connection: Connection) -> None:
        alive = connection.receive()
        try:
            self.requests.extend(connection.requests())
        except ValueError:
            alive = False
        if not alive:
            self.unwatch(connection.sock)
            connection.sock.close()

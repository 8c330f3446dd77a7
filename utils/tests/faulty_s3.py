"""A proxy between functions and S3 that lets chosen requests fail as S3 and networks do."""

import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

HOP_HEADERS = {"connection", "keep-alive", "transfer-encoding", "expect"}
MESSAGES = {
    "NoSuchKey": (404, "The specified key does not exist."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "SlowDown": (503, "Please reduce your request rate."),
}


@dataclass
class Rule:
    """What happens to the requests whose method and path fit.

    Attributes:
        within: text of the URL's path and query; the path begins with the bucket.
        answer: the code of S3's error; RESET: the connection breaks half-way through the object's
            bytes; FORWARD: nothing but `before`.
        times: how often; None: always.
        before: called first, while the client waits.
    """

    method: str
    within: str
    answer: str
    times: int | None = 1
    before: Callable[[], Any] = lambda: None
    hits: int = 0


RESET = "reset"
FORWARD = "forward"


@dataclass
class Proxy:
    """Attributes:
    seen: the requests that came, as (method, path with query).
    """

    upstream: str
    rules: list[Rule] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @contextmanager
    def failing(self, *rules: Rule) -> Iterator[None]:
        """Let requests fail inside the block."""
        self.rules = list(rules)
        try:
            yield
        finally:
            self.rules = []

    def rule_for(self, method: str, path: str) -> Rule | None:
        with self._lock:
            self.seen.append((method, path))
            for rule in self.rules:
                left = rule.times is None or rule.hits < rule.times
                if left and rule.method == method and rule.within in path:
                    rule.hits += 1
                    return rule
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A worker that was killed has closed its connections: nothing to tell."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: Proxy

    def do_GET(self) -> None:
        rule = self.proxy.rule_for(self.command, self.path)
        if rule:
            rule.before()
        answer = rule.answer if rule else FORWARD
        if answer == RESET and self.command == "PUT":
            self.rfile.read(int(self.headers.get("Content-Length") or 2) // 2)
            self._reset()
        elif answer in (RESET, FORWARD):
            self._forward(self._read_body(), broken=answer == RESET)
        else:
            self._read_body()
            self._answer_error(answer)

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def _answer_error(self, code: str) -> None:
        status, message = MESSAGES[code]
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _forward(self, body: bytes, broken: bool) -> None:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_HEADERS}
        headers["Content-Length"] = str(len(body))
        upstream = http.client.HTTPConnection(urlsplit(self.proxy.upstream).netloc, timeout=120)
        with suppress(ConnectionError):
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            content = answer.read()
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in {*HOP_HEADERS, "content-length"}:
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if broken else content)
            if broken:
                self._reset()
        upstream.close()

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass

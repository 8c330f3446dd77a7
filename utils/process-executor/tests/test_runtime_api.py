"""The Runtime API's HTTP, spoken to by plain sockets."""

import socket
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from process_executor.runtime_api import Request, RuntimeApi


@pytest.fixture
def api() -> Iterator[RuntimeApi]:
    made = RuntimeApi()
    yield made
    made.close()


def connect(api: RuntimeApi) -> socket.socket:
    host, port = api.address.split(":")
    return socket.create_connection((host, int(port)))


def taken(api: RuntimeApi) -> Request:
    while not api.requests:
        assert api.pump(5)
    return api.requests.popleft()


def test_a_request_that_arrives_in_pieces_is_put_together(api: RuntimeApi) -> None:
    with connect(api), connect(api) as client:
        for piece in (b"POST /a HTTP/1.1\r\nContent-Le", b"ngth: 4\r\n\r\nab", b"cd"):
            client.sendall(piece)
            while api.pump(0.05):
                pass
        request = taken(api)
        assert (request.path, request.body) == ("/a", b"abcd")


def test_an_answer_leaves_in_one_segment(api: RuntimeApi) -> None:
    with connect(api) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        taken(api).reply(HTTPStatus.OK, b"{}", {"X-Name": "value"})
        answer = b"HTTP/1.1 200 OK\r\nX-Name: value\r\nContent-Length: 2\r\n\r\n{}"
        assert client.recv(1000) == answer


@pytest.mark.parametrize("nonsense", [b"\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"])
def test_what_is_no_http_is_hung_up_on(api: RuntimeApi, nonsense: bytes) -> None:
    with connect(api) as client:
        client.sendall(nonsense)
        while api.pump(0.05):
            pass
        assert client.recv(1000) == b""
    assert not api.requests

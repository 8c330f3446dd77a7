"""Runs in the worker: `python bootstrap.py <lifeline> <folder of the layers, or ""> <handler>`.

Started by its path, with the function's interpreter, where this package need not be installed: it
imports nothing of ours. It ties the worker's life to LocalStack's, then becomes AWS's own runtime
client, as /var/runtime/bootstrap.py does in Lambda.
"""

from __future__ import annotations  # the interpreter may be as old as the function's runtime

import os
import signal
import sys
import threading
from contextlib import suppress
from types import ModuleType

HANGUP_S = 5
OPEN_FILES = 1024


def heed_signals() -> None:
    """A shell that runs LocalStack in the background has it, and its children, ignore some."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def limit_open_files() -> None:
    """To as many as Lambda allows; what is open already stays open."""
    import resource

    with suppress(ValueError):  # the host allows fewer
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))


def die_with_localstack(lifeline: int) -> threading.Thread:
    """Kill this process group once the lifeline, whose other end only LocalStack holds, closes."""
    if sys.platform == "linux":
        kill_on_hangup(lifeline)
    watch = threading.Thread(target=await_hangup, args=(lifeline,), daemon=True)
    watch.start()
    return watch


def kill_on_hangup(lifeline: int) -> None:
    """Have the kernel do it, where it can: no thread of ours runs while C code holds the GIL."""
    import fcntl

    with suppress(OSError):
        # Opened once more: all workers share what they were given, and so its owner.
        own = os.open(f"/proc/self/fd/{lifeline}", os.O_RDONLY)
        fcntl.fcntl(own, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(own, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(own, fcntl.F_SETFL, os.O_ASYNC)


def await_hangup(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


class PortableClient(ModuleType):
    """The part of `runtime_client`, which AWS builds for Linux only, that awslambdaric uses."""

    def initialize_client(self, user_agent: str) -> None:
        # Slow to import, and where the native client is, not needed.
        from http.client import HTTPConnection

        self.connection = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

    def next(self) -> tuple[bytes, dict[str, str]]:
        return self.call("GET", "next")

    def post_invocation_result(self, invoke_id: str, body: bytes, content_type: str) -> None:
        self.call("POST", f"{invoke_id}/response", body)

    def post_error(self, invoke_id: str, error: str, xray_fault: str) -> None:
        self.call("POST", f"{invoke_id}/error", error.encode())

    def call(
        self, method: str, path: str, body: bytes | None = None
    ) -> tuple[bytes, dict[str, str]]:
        path = f"/2018-06-01/runtime/invocation/{path}"
        self.connection.request(method, path, body)
        response = self.connection.getresponse()
        content = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {response.reason}")
        return content, dict(response.getheaders())


def ensure_runtime_client() -> ModuleType:
    try:
        import runtime_client  # noqa: F401
    except ImportError:
        sys.modules["runtime_client"] = PortableClient("runtime_client")
    return sys.modules["runtime_client"]


def answer_once(client: ModuleType) -> None:
    """End a copy of this process that the function forked and that returns, too: a call has one answer."""

    def leave(*answer: object) -> None:
        os._exit(0)

    def in_child() -> None:
        for post in ("post_invocation_result", "post_error"):
            setattr(client, post, leave)

    os.register_at_fork(after_in_child=in_child)


def is_served(address: str) -> bool:
    """Whether somebody listens at a host:port."""
    import socket

    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def import_folders(opt: str) -> list[str]:
    """Where Lambda looks for modules before it looks at Python's own."""
    python = "python%d.%d" % sys.version_info[:2]
    layers = [f"{opt}/python/lib/{python}/site-packages", f"{opt}/python"] if opt else []
    return [os.environ["LAMBDA_TASK_ROOT"], *layers]


def main(lifeline: str, opt: str, handler: str) -> None:
    watch = die_with_localstack(int(lifeline))
    heed_signals()
    limit_open_files()
    # Python put the folder of this file first, where Lambda has the function's.
    del sys.path[0]
    answer_once(ensure_runtime_client())
    from awslambdaric import bootstrap
    from awslambdaric.__main__ import main as run_client

    # Lambda's own log takes a traceback's lines as they are, and standard output with \r.
    setattr(bootstrap, "ERROR_LOG_LINE_TERMINATE", "\n")
    sys.path[:0] = import_folders(opt)
    sys.argv[:] = ["bootstrap", handler]
    try:
        run_client(sys.argv)
    except Exception:
        # If the Runtime API has gone, LocalStack is ending: what the function started ends, too.
        if not is_served(os.environ["AWS_LAMBDA_RUNTIME_API"]):
            watch.join(HANGUP_S)
        raise


if __name__ == "__main__":
    main(*sys.argv[1:])

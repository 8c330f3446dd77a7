"""`make page`: serve the page on loopback until Ctrl-C."""

import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import uvicorn

from harness import emulator
from harness.fault import Fault
from harness.page.app import App
from harness.page.guard import Guard
from harness.page.live import Feeds
from harness.settings import FOLDERS
from harness.target import Target

TOKEN = re.compile(r"[\w-]{43}")
NAMES = ("localhost", "127.0.0.1", "[::1]")


def page(target: Target, port: str = "8480") -> None:
    """Serve the page until a signal."""
    if not re.fullmatch("[1-9][0-9]{0,4}", port) or int(port) > 65_535:
        raise Fault(f"PAGE: must be a port, 1 to 65535; found {port!r}")
    sockets = list(listeners(int(port)))
    token = kept_token(FOLDERS / "page-token")
    hosts = [f"{name}:{port}" for name in NAMES]
    app = App(target)
    config = uvicorn.Config(
        Guard(app.routes(), hosts, f"page-{port}", token),
        ws="none",
        lifespan="off",
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    print(f"http://{hosts[0]}/?token={token}\nfor your browser alone; Ctrl-C ends it", flush=True)
    Server(config, app.feeds).run(sockets)


class Server(uvicorn.Server):
    """One that does not wait for open pages, which listen for ever."""

    def __init__(self, config: uvicorn.Config, feeds: Feeds) -> None:
        super().__init__(config)
        self.feeds = feeds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.feeds.end()
        await super().shutdown(sockets)


def listeners(port: int) -> Iterator[socket.socket]:
    """Of both loopback addresses: on one that is left free, another user could wait for the token.

    Raises:
        Fault: the port is held.
    """
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family) as probe:
                probe.bind((address, 0))
        except OSError:  # this machine has no such address
            continue
        try:
            yield socket.create_server((address, port), family=family)
        except PermissionError:
            raise Fault(
                f"PAGE: must be a port that you may open, from 1024; found {port}"
            ) from None
        except OSError:
            raise Fault(
                f"PAGE: must be a free port; found {port}, held by {emulator.holder(port)}"
            ) from None


def kept_token(path: Path) -> str:
    """The same for the next server, so that open pages go on; only this user can read the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if TOKEN.fullmatch(found := path.read_text()) and not path.stat().st_mode & 0o077:
            return found
        path.unlink()
    made = secrets.token_urlsafe(32)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(made)
    return made

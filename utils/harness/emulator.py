"""Start, find and stop the emulator that runs in a process of its own, without Docker."""

import contextlib
import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from harness.fault import Fault

HERE = Path(__file__).resolve().parent
RUNTIMES = HERE.parent / "tools" / "runtimes"
SERVICES = "lambda,s3,stepfunctions,sts,iam,logs,sqs,cloudwatch,cloudformation,events"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 8  # LocalStack may hang at SIGTERM while it loads a service


class Emulator:
    """The LocalStack at one endpoint; its folder keeps what it writes, its log and its pid."""

    name = "LocalStack"

    def __init__(self, endpoint: str) -> None:
        url = urlsplit(endpoint)
        self.endpoint = endpoint
        self.host = url.hostname or "localhost"
        self.port = url.port or 4566
        self.folder = HERE / ".localstack" / str(self.port)
        self.log = self.folder / "log"
        self.pid_file = self.folder / "pid"

    def up(self) -> str:
        """Make sure that a LocalStack answers; returns what it is."""
        with self.locked():
            if version := self.version():
                return f"{self.name} {version} answers at {self.endpoint}"
            self.check_port_is_free()
            started = time.monotonic()
            self.start()
            return (
                f"{self.name} {self.version()} started at {self.endpoint} in "
                f"{time.monotonic() - started:.1f} s (log: {os.path.relpath(self.log)})"
            )

    def version(self) -> str | None:
        """The version of a LocalStack that answers; None if nothing of the kind does."""
        try:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
            with contextlib.closing(connection):
                connection.request("GET", "/_localstack/health")
                health = json.loads(connection.getresponse().read())
            return str(health["version"]) if "services" in health else None
        except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
            return None

    def check_port_is_free(self) -> None:
        if self.host not in ("localhost", "127.0.0.1", "::1"):
            raise Fault(f"nothing answers at {self.endpoint}, and only a local one can be started")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)):
                return
        raise Fault(
            f"port {self.port} is held by {holder(self.port)}, which is no {self.name}\n"
            f"choose another: make ENDPOINT=http://localhost:{self.port + 1} …"
        )

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                self.argv(),
                env=self.environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid_file.write_text(f"{process.pid} {psutil.Process(process.pid).create_time()}")
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.version():
            if process.poll() is not None or time.monotonic() > deadline:
                self.down()
                raise Fault(f"{self.name} did not start; the end of {self.log}:\n{self.log_tail()}")
            time.sleep(0.05)

    def argv(self) -> list[str]:
        return [sys.executable, "-m", "localstack.runtime.main"]

    def environment(self) -> dict[str, str]:
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        kept = ("PATH", "LANG", "LC_ALL", "LAMBDA_PROCESS_POOL_SIZE", "DEBUG")
        return {name: os.environ[name] for name in kept if name in os.environ} | {
            "GATEWAY_LISTEN": f"127.0.0.1:{self.port}",
            "SERVICES": SERVICES,
            "EAGER_SERVICE_LOADING": "0",
            "DISABLE_EVENTS": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DNS_ADDRESS": "0",
            "LS_LOG": os.environ.get("LS_LOG", "warning"),  # a line a request costs a tenth of its time
            "FILESYSTEM_ROOT": str(self.folder),
            "HOME": str(self.folder),  # for its cache of plugins
            "TMPDIR": str(temporary),
            "LAMBDA_RUNTIME_EXECUTOR": "process",
            "LAMBDA_PROCESS_RUNTIMES": str(RUNTIMES),
        }

    def down(self) -> str:
        """Stop what `up` started; anything else at the endpoint is left alone."""
        process = self.process()
        if process is None:
            found = f"; {self.name} {other} there is not ours" if (other := self.version()) else ""
            return f"nothing to stop at {self.endpoint}{found}"
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT_S)
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        self.pid_file.unlink()
        return f"{self.name} at {self.endpoint} stopped"

    def process(self) -> psutil.Process | None:
        try:
            pid, created = self.pid_file.read_text().split()
            process = psutil.Process(int(pid))
        except (OSError, ValueError, psutil.NoSuchProcess):
            return None
        return process if process.create_time() == float(created) else None

    def log_tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One `up` at a time: make -j may ask twice."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def holder(port: int) -> str:
    """Who listens on a port, as far as this user may know."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and port in connection.laddr
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "another program"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kind() -> type[Emulator]:
    """The emulator that EMULATOR names: localstack, or ministack."""
    if os.environ.get("EMULATOR") == "ministack":
        from harness.ministack import MiniStack

        return MiniStack
    return Emulator


def chosen() -> Emulator:
    return kind()(os.environ.get("ENDPOINT", "http://localhost:4566"))


def up() -> None:
    print(chosen().up())


def ensure() -> None:
    emulator = chosen()
    if not emulator.version():
        print(emulator.up())


def down() -> None:
    print(chosen().down())


def run(command: list[str]) -> int:
    """Run a command with an emulator of its own at ENDPOINT, and stop that afterwards."""
    emulator = kind()(f"http://localhost:{free_port()}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        emulator.up()
        return subprocess.call(command, env={**os.environ, "ENDPOINT": emulator.endpoint})
    finally:
        emulator.down()
        shutil.rmtree(emulator.folder)

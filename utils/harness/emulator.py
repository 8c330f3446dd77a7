"""Start, find and stop LocalStack, in a process of its own, without Docker."""

import contextlib
import fcntl
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from harness import settings, signals
from harness.fault import Fault
from harness.settings import FOLDERS

HERE = Path(__file__).resolve().parent
TOOLS = HERE.parent / "tools"
RUNTIMES = TOOLS / "runtimes"
CATALOG = TOOLS / ".venv" / "usr" / "lib" / "localstack"
SERVICES = "lambda,s3,stepfunctions,sts,iam,logs,sqs,cloudwatch,cloudformation,events,scheduler,sns"
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 8
LOG_LINES = 15
# A setting of make's command line, as MAKEFLAGS hands it on; it would win over the environment.
ENDPOINT_FLAG = re.compile(r"(?<![^ ])(?<!\\ )ENDPOINT=(?:\\.|[^\s\\])*")


class Emulator:
    """The LocalStack at one endpoint; its folder keeps what it writes, its log and its pid."""

    name = "LocalStack"

    def __init__(self, endpoint: str) -> None:
        url = urlsplit(endpoint)
        self.endpoint = endpoint
        self.host = url.hostname or "localhost"
        self.port = url.port or 4566
        self.folder = FOLDERS / str(self.port)
        self.log = self.folder / "log"
        self.pid_file = self.folder / "pid"

    def up(self, at_once: bool = False) -> str:
        """Make sure that a LocalStack answers, or starts at least; returns what it is."""
        with self.locked():
            if version := self.version():
                return f"{self.name} {version} answers at {self.endpoint}"
            began = time.monotonic()
            if not self.process():  # one that starts, or is busy, is waited for
                self.check_port_is_free()
                remove_leftovers()
                self.launch()
            log = f"(log: {os.path.relpath(self.log)})"
            if at_once:
                return f"{self.name} starts at {self.endpoint} {log}"
            version, took_s = self.wait(), time.monotonic() - began
            return f"{self.name} {version} started at {self.endpoint} in {took_s:.1f} s {log}"

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
        if self.host not in ("localhost", "127.0.0.1"):
            raise Fault(
                f"nothing answers at {self.endpoint}, and only one at localhost can be started"
            )
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)):
                return
        raise Fault(
            f"port {self.port} is held by {holder(self.port)}, which is no {self.name}\n"
            f"choose another: make ENDPOINT=http://localhost:{self.port + 1} …"
        )

    def wait(self) -> str:
        """Wait until it answers; returns its version."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (version := self.version()):
            if self.process() is None or time.monotonic() > deadline:
                end = "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES:])
                raise Fault(
                    f"{self.name} does not answer at {self.endpoint}; the end of {self.log}:\n{end}"
                )
            time.sleep(0.05)
        return version

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        self.link_catalog()
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
        self.pid_file.write_text(str(process.pid))

    def link_catalog(self) -> None:
        """Let LocalStack find its index of AWS's services, which tools/install makes: one that
        makes it holds the models of all services for good, 400 MB.
        """
        libraries = self.folder / "usr" / "lib"
        shutil.rmtree(libraries, ignore_errors=True)
        libraries.mkdir(parents=True)
        (libraries / "localstack").symlink_to(CATALOG)

    def argv(self) -> list[str]:
        return [sys.executable, "-m", "localstack.runtime.main"]

    def environment(self) -> dict[str, str]:
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        kept = ("PATH", "LANG", "LC_ALL", "LAMBDA_PROCESS_POOL_SIZE", "DEBUG")
        return {name: os.environ[name] for name in kept if name in os.environ} | {
            "HOME": str(self.folder),
            "TMPDIR": str(temporary),
            **self.settings(temporary),
        }

    def settings(self, temporary: Path) -> dict[str, str]:
        return {
            "GATEWAY_LISTEN": f"127.0.0.1:{self.port}",
            "SERVICES": SERVICES,
            "EAGER_SERVICE_LOADING": "0",
            "DISABLE_EVENTS": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DNS_ADDRESS": "0",
            # A line a request costs a tenth of its time.
            "LS_LOG": os.environ.get("LS_LOG", "warning"),
            "FILESYSTEM_ROOT": str(self.folder),
            # What a request of megabytes took goes back to the system, whichever thread served it.
            "MALLOC_ARENA_MAX": "1",
            "MALLOC_MMAP_THRESHOLD_": "131072",
            "MALLOC_TRIM_THRESHOLD_": "131072",
            "LAMBDA_RUNTIME_EXECUTOR": "process",
            "LAMBDA_PROCESS_RUNTIMES": str(RUNTIMES),
        }

    def down(self) -> str:
        """Stop what `up` started; anything else at the endpoint is left alone."""
        process = self.process()
        if process is None:
            remove_leftovers()
            found = f"; {self.name} {other} there is not ours" if (other := self.version()) else ""
            return f"nothing to stop at {self.endpoint}{found}"
        # By itself it takes five seconds, and it keeps nothing.
        ended = [process, *process.children(recursive=True)]
        for each in ended:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(ended, STOP_TIMEOUT_S)
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        self.pid_file.unlink()
        return f"{self.name} at {self.endpoint} stopped"

    def process(self) -> psutil.Process | None:
        """What `up` started, if it still runs.

        A later process of that number works in another folder. Times of start would not tell:
        they move when the system's clock is set.
        """
        try:
            process = psutil.Process(int(self.pid_file.read_text()))
            return process if Path(process.cwd()) == self.folder else None
        except (OSError, ValueError, psutil.Error):
            return None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One `up` at a time: make -j may ask twice."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def remove_leftovers() -> None:
    """Remove the temporary files of emulators that were killed: hundreds of megabytes each."""
    for lock in FOLDERS.glob("*/lock"):
        # One that starts holds its lock; one that ends may remove its folder at any time.
        with contextlib.suppress(OSError), lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if Emulator(f"http://localhost:{lock.parent.name}").process() is None:
                shutil.rmtree(lock.parent / "tmp", ignore_errors=True)


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


def chosen() -> Emulator:
    return Emulator(settings.endpoint())


def up(at_once: bool = False) -> None:
    """
    Args:
        at_once: wait for nothing.
    """
    emulator = chosen()
    signals.heed_interrupts()
    try:
        print(emulator.up(at_once))
    except KeyboardInterrupt:
        if process := emulator.process():
            print(
                f"\n{emulator.name} goes on starting at {emulator.endpoint} (pid {process.pid}): "
                f"make down ENDPOINT={emulator.endpoint} ends it",
                flush=True,
            )
        raise


def ensure() -> None:
    if not chosen().version():
        up()


def down() -> None:
    print(chosen().down())


def run(command: list[str], at_once: bool = False) -> int:
    """Run a command with an emulator of its own at ENDPOINT, and stop that afterwards.

    Args:
        at_once: while the emulator still starts, for which the command waits itself.
    """
    emulator = Emulator(f"http://localhost:{free_port()}")
    signals.heed_interrupts()
    try:
        emulator.up(at_once)
        return call(command, environment(emulator.endpoint))
    finally:
        signals.ignore_signals()
        emulator.down()
        shutil.rmtree(emulator.folder)


def environment(endpoint: str) -> dict[str, str]:
    """That of a command whose emulator is at `endpoint`, whatever ENDPOINT make was given."""
    flags = ENDPOINT_FLAG.sub("", os.environ.get("MAKEFLAGS", ""))
    return {**os.environ, "ENDPOINT": endpoint, "MAKEFLAGS": flags}


def call(command: list[str], environment: dict[str, str]) -> int:
    """Run a command, which gets the signals that end this process, and is waited for."""
    # Open files are handed on, too: make's job server may be one.
    child = subprocess.Popen(command, env=environment, close_fds=False)
    try:
        return child.wait()
    except SystemExit:
        child.terminate()
        raise
    finally:
        child.wait()  # a terminal interrupts both

"""A real LocalStack, on a free port and in a folder of its own."""

import io
import json
import os
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
import zipfile
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any, Self

import boto3
import psutil
from botocore.config import Config

ROLE = "arn:aws:iam::000000000000:role/DummyRole"
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
STARTUP_S = 60
OFTEN = {"Delay": 0.05, "MaxAttempts": 400}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """An archive of programs."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = 0o755 << 16
            file.writestr(entry, content)
    return archive.getvalue()


def code(main: str, files: Mapping[str, str | bytes] = {}) -> bytes:
    return zipped({"main.py": textwrap.dedent(main), **files})


class Emulator:
    def __init__(
        self, folder: Path, host: str = "127.0.0.1", python: str = sys.executable, **settings: str
    ) -> None:
        self.folder = folder
        self.host = host
        self.tmp = folder / "tmp"
        self.tmp.mkdir()
        self.port = free_port()
        # LocalStack's index of AWS's services, see harness/emulator.py: to make one takes 5 s.
        libraries = folder / "filesystem" / "usr" / "lib"
        libraries.mkdir(parents=True)
        (libraries / "localstack").symlink_to(Path(sys.prefix, "usr", "lib", "localstack"))
        self._names = count()
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [python, "-m", "localstack.runtime.main"],
            env={**os.environ, **self.settings(), **settings},
            stdout=self._log,
            stderr=self._log,
            cwd=folder,
            start_new_session=True,
        )

    def settings(self) -> dict[str, str]:
        return {
            "GATEWAY_LISTEN": f"{self.host}:{self.port}",
            "SERVICES": "lambda,s3,stepfunctions,sts,iam,logs",
            "DISABLE_EVENTS": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DNS_ADDRESS": "0",
            "LAMBDA_RUNTIME_EXECUTOR": "process",
            "LAMBDA_PROCESS_POOL_SIZE": "2",
            "LAMBDA_PROCESS_RUNTIMES": "",
            "LAMBDA_KEEPALIVE_MS": "3000",
            # Everything that LocalStack writes goes below these.
            "FILESYSTEM_ROOT": str(self.folder / "filesystem"),
            "TMPDIR": str(self.tmp),
        }

    def __enter__(self) -> Self:
        deadline = time.monotonic() + STARTUP_S
        while not self.healthy():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, f"LocalStack not ready within {STARTUP_S} s"
            time.sleep(0.05)
        return self

    def __exit__(self, *exception: object) -> None:
        # An orderly end takes Python five seconds, and leaves no more behind.
        self.process.kill()
        self.process.wait()
        self._log.close()

    def healthy(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self.port}/_localstack/health"
            return bool(json.load(urllib.request.urlopen(url)))
        except OSError:
            return False

    def client(self, service: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(max_pool_connections=210, retries={"total_max_attempts": 1}),
        )

    def create(self, source: str = "", **changes: Any) -> str:
        """A new function's name, once it is active."""
        client, name = self.client("lambda"), f"function-{next(self._names)}"
        settings = {
            "Runtime": RUNTIME,
            "Handler": "main.handler",
            "Role": ROLE,
            "Code": {"ZipFile": code(source)},
            "Timeout": 20,
            "MemorySize": 256,
        }
        client.create_function(FunctionName=name, **{**settings, **changes})
        client.get_waiter("function_active").wait(FunctionName=name, WaiterConfig=OFTEN)
        return name

    def update(self, name: str, source: str) -> None:
        client = self.client("lambda")
        client.update_function_code(FunctionName=name, ZipFile=code(source))
        client.get_waiter("function_updated").wait(FunctionName=name, WaiterConfig=OFTEN)

    def invoke(self, name: str, event: object = None, **options: Any) -> dict[str, Any]:
        """The response of Invoke, with its payload read and parsed."""
        payload = json.dumps(event).encode()
        response = self.client("lambda").invoke(FunctionName=name, Payload=payload, **options)
        return {**response, "Payload": json.load(response["Payload"])}

    def listens_on(self) -> set[str]:
        """The addresses of LocalStack and of all that it started."""
        localstack = psutil.Process(self.process.pid)
        return {
            str(connection.laddr.ip)
            for each in [localstack, *localstack.children(recursive=True)]
            for connection in each.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }

    def workers(self, function: str = "") -> list[psutil.Process]:
        """Those of one function, or all."""
        return [
            worker
            for worker in psutil.Process(self.process.pid).children()
            if not function or function_of(worker) == function
        ]


def function_of(worker: psutil.Process) -> str:
    """ "" once it has ended."""
    try:
        return str(worker.environ().get("AWS_LAMBDA_FUNCTION_NAME", ""))
    except psutil.Error:
        return ""

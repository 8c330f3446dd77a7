import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import psutil
import pytest
from localstack.services.lambda_.invocation.lambda_models import FunctionVersion

from emulator import RUNTIME, Emulator
from process_executor.launch import Launch
from process_executor.worker import Invocation, Outcome, Worker

BOUND_S = 20
_ids = count()


def wait_until(claim: Callable[[], object], bound_s: float = BOUND_S) -> None:
    """Wait for a state; what decides is the state, never the time."""
    deadline = time.monotonic() + bound_s
    while not claim():
        assert time.monotonic() < deadline, f"not within {bound_s} s"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    with suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def invocation(payload: str = "{}", **changes: object) -> Invocation:
    made = Invocation(
        request_id=f"id-{next(_ids)}",
        payload=payload.encode(),
        function_arn="arn:aws:lambda:us-east-1:000000000000:function:f",
        trace_id="Root=1-5759e988-bd862e3fe1be46a994272793",
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name real fields


def version(**changes: object) -> FunctionVersion:
    """What LocalStack knows of a function, with other settings than these."""
    settings: dict[str, object] = {
        "handler": "main.handler",
        "runtime": RUNTIME,
        "runtime_version_config": {"RuntimeVersionArn": "arn:of:runtime"},
        "memory_size": 256,
        "timeout": 10,
        "environment": {},
        "logging_config": {},
        "code": None,
    }
    named = SimpleNamespace(function_name="f", qualifier="$LATEST")
    made = SimpleNamespace(id=named, config=SimpleNamespace(**{**settings, **changes}))
    return cast(FunctionVersion, made)


class Function:
    """Code in a folder, and the workers that a test has started for it."""

    def __init__(self, folder: Path, **changes: object) -> None:
        self.folder = folder
        on_demand = {"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"}
        self.launch = Launch(version(), Path(sys.executable), folder, None, on_demand)
        for name, value in {"init_timeout_s": 10, **changes}.items():
            setattr(self.launch, name, value)
        self.workers: list[Worker] = []

    def write(self, source: str, name: str = "main.py") -> None:
        (self.folder / name).write_text(textwrap.dedent(source))

    def start(self, generation: int = 0) -> Worker:
        worker = Worker(self.launch, generation)
        self.workers.append(worker)
        return worker

    def run(self, payload: str = "{}") -> Outcome:
        """In a worker of its own."""
        return self.start().run(invocation(payload))


@pytest.fixture
def function(tmp_path: Path) -> Iterator[Callable[..., Function]]:
    made: list[Function] = []

    def make(source: str, **changes: object) -> Function:
        folder = tmp_path / f"code-{len(made)}"
        folder.mkdir()
        made.append(Function(folder, **changes))
        made[-1].write(source)
        return made[-1]

    yield make
    for each in made:
        for worker in each.workers:
            worker.kill()


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("localstack")) as started:
        yield started

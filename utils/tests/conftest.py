import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from openpyxl import load_workbook

from harness import history, machines, progress
from harness.emulator import free_port
from harness.target import MACHINES, STAGES, Target, emulator
from harness.watch import code_of
from ministack import MiniStack

ROOT = Path(__file__).resolve().parents[2]
# The rule that these tests are about, whatever is in demo-segment/etl.
os.environ["ETL_FOLDER"] = str(ROOT / "utils" / "tests" / "etl")

Make = Callable[..., subprocess.CompletedProcess[str]]


def fault(tried: str, tried_ja: str, happened: str, happened_ja: str) -> pytest.MarkDecorator:
    """A row of the table of `make faults`, in English and Japanese."""
    return pytest.mark.fault(tried=(tried, tried_ja), happened=(happened, happened_ja))


@pytest.fixture(scope="session")
def make() -> Make:
    """Run a root target against the emulator of this test run."""
    # The make that runs the tests exports its own defaults, which would count as typed.
    typed = ("DEFINITION", "WORKBOOK")
    env = {name: value for name, value in os.environ.items() if name not in typed}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "--no-print-directory", *arguments]
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)

    return run


def checked(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that succeeded said."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The message of a command that ended with one, and not with a traceback."""
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture(scope="session")
def zips(make: Make) -> dict[str, Path]:
    checked(make("zip"))
    return {stage: ROOT / f"demo-{stage}" / "bin" / "lambda.zip" for stage in STAGES}


def pack(stage: str, target: Path, changed: dict[str, str]) -> None:
    """Pack a function anew, with other texts in place of some of its modules'."""
    folder, packer = ROOT / f"demo-{stage}", ROOT / "utils" / "tools" / "make_zip.py"
    sources = code_of(stage)
    with TemporaryDirectory() as written:
        for name, text in changed.items():
            sources[name] = Path(written, name)
            sources[name].parent.mkdir(exist_ok=True)
            sources[name].write_text(text)
        zips = [target, folder / "bin" / "packages.zip"]
        command = [sys.executable, *map(str, [packer, "function", *zips, *sources.values()])]
        checked(subprocess.run(command, cwd=folder, capture_output=True, text=True))


def follow(target: Target, arn: str) -> dict[str, Any]:
    """Show an execution's progress until it ends; returns its description."""
    progress.show(target, arn)
    return dict(target.client("stepfunctions").describe_execution(executionArn=arn))


def start_waiting(states: Any, machine: str, **given: str) -> str:
    """Start an execution that runs until it is stopped; the state machine stays one that waits."""
    waits = {"Type": "Wait", "Seconds": 3600, "End": True}
    definition = json.dumps({"StartAt": "Wait", "States": {"Wait": waits}})
    states.update_state_machine(stateMachineArn=machine, definition=definition)
    return str(states.start_execution(stateMachineArn=machine, **given)["executionArn"])


class Pipeline:
    """The deployed pipeline, as a user's program would use it."""

    def __init__(self, folder: Path) -> None:
        self.s3 = emulator().client("s3")
        self.states = emulator().client("stepfunctions")
        self.folder = folder

    def put(self, table: list[dict[str, Any]] | bytes, end: str = ".json") -> str:
        """Write an input object of its own name; returns its key."""
        key = f"{uuid.uuid4()}{end}"
        body = table if isinstance(table, bytes) else json.dumps(table).encode()
        self.s3.put_object(Bucket=emulator().bucket, Key=key, Body=body)
        return key

    def start(self, definition: str = "parallel", **given: Any) -> str:
        arn: str = self.states.start_execution(
            stateMachineArn=emulator().machine(definition), input=json.dumps(given)
        )["executionArn"]
        return arn

    def wait(self, arn: str) -> dict[str, Any]:
        return follow(emulator(), arn)

    def run(self, definition: str = "parallel", **given: Any) -> dict[str, Any]:
        return self.wait(self.start(definition, **given))

    def history(self, arn: str) -> list[dict[str, Any]]:
        return history.read_events(self.states, arn)

    def rows(self, execution: dict[str, Any], sheet: str = "Sheet1") -> list[tuple[Any, ...]]:
        """A sheet of a succeeded execution's workbook, header first."""
        assert execution["status"] == "SUCCEEDED", execution["cause"]
        key = json.loads(execution["output"])
        path = self.folder / Path(key).name
        self.s3.download_file(emulator().bucket, key, str(path))
        return list(load_workbook(path)[sheet].values)


@pytest.fixture(scope="session")
def pipeline(make: Make, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    checked(make("create"))
    pipeline = Pipeline(tmp_path_factory.mktemp("workbooks"))
    for definition in MACHINES:
        machines.put(pipeline.states, definition)
    yield pipeline


@pytest.fixture(scope="session")
def guarded() -> Iterator[MiniStack]:
    """An emulator that enforces IAM."""
    emulator = MiniStack(f"http://localhost:{free_port()}")
    emulator.up()
    yield emulator
    emulator.down()
    shutil.rmtree(emulator.folder)

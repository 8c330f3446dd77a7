import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from openpyxl import load_workbook

from conftest import ROOT, Make
from harness.emulator import Emulator, free_port
from harness.ministack import MiniStack
from harness.target import emulator, endpoint
from test_pipeline import expected
from utils import members

TABLE = list(members(40, seed=1))


@pytest.fixture(scope="module")
def mini() -> Iterator[MiniStack]:
    emulator = MiniStack(f"http://localhost:{free_port()}")
    emulator.up()
    yield emulator
    emulator.down()


def make_at(endpoint: str, *targets: str) -> None:
    """Run root targets as a user with endpoint() in the environment does."""
    made = subprocess.run(
        ["make", "--no-print-directory", *targets],
        cwd=ROOT,
        env={**os.environ, "ENDPOINT": endpoint},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stdout + made.stderr


def workbook_of(endpoint: str) -> list[tuple[Any, ...]]:
    """The rows that the usual targets bring home from an emulator."""
    make_at(endpoint, "create", "bucket")
    put(endpoint, json.dumps(TABLE).encode())
    make_at(endpoint, "stepfunctions", "download")
    return list(load_workbook(ROOT / "result" / "test.xlsx")["Sheet1"].values)


def put(endpoint: str, body: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENDPOINT", endpoint)
        emulator().client("s3").put_object(Bucket=emulator().bucket, Key="test.json", Body=body)


def test_the_same_targets_give_the_same_workbook(mini: MiniStack) -> None:
    assert workbook_of(mini.endpoint) == workbook_of(endpoint()) == expected(TABLE)


def test_nothing_listens_beyond_loopback_while_everything_runs(mini: MiniStack) -> None:
    emulators = (mini, Emulator(endpoint()))
    for each in emulators:
        make_at(each.endpoint, "create", "bucket")
        put(each.endpoint, json.dumps(TABLE).encode())
    executions = [
        subprocess.Popen(
            ["make", "stepfunctions"], cwd=ROOT, env={**os.environ, "ENDPOINT": each.endpoint}
        )
        for each in emulators
    ]
    seen: list[set[str]] = [set(), set()]
    while any(execution.poll() is None for execution in executions):
        for each, addresses in zip(emulators, seen, strict=True):
            addresses |= listening(each)
    assert [execution.returncode for execution in executions] == [0, 0]
    assert seen == [{"127.0.0.1"}, {"127.0.0.1"}]


def listening(emulator: Emulator) -> set[str]:
    """The addresses that an emulator's processes listen on; some end meanwhile."""
    process = emulator.process()
    assert process
    found: set[str] = set()
    for each in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= {
                connection.laddr[0]
                for connection in each.net_connections("tcp")
                if connection.status == psutil.CONN_LISTEN
            }
    return found


def test_up_finds_what_runs(mini: MiniStack) -> None:
    assert mini.up() == f"MiniStack {mini.version()} answers at {mini.endpoint}"


def test_down_leaves_neither_processes_nor_files() -> None:
    emulator = MiniStack(f"http://localhost:{free_port()}")
    emulator.up()
    process = emulator.process()
    assert process
    assert emulator.down() == f"MiniStack at {emulator.endpoint} stopped"
    assert not process.is_running()
    assert emulator.version() is None
    assert not (emulator.folder / "tmp").exists()


def test_make_up_starts_it_and_make_down_stops_it(make: Make) -> None:
    endpoint = f"ENDPOINT=http://localhost:{free_port()}"
    assert "MiniStack" in make("up", "EMULATOR=ministack", endpoint).stdout
    assert "stopped" in make("down", "EMULATOR=ministack", endpoint).stdout

import contextlib
import json
import os
import subprocess

import psutil
import pytest
from openpyxl import load_workbook

from conftest import ROOT, Make, checked
from harness.emulator import Emulator, MiniStack, free_port
from harness.target import emulator, endpoint
from test_pipeline import expected
from utils import members

TABLE = list(members(10, seed=1))


def make_at(endpoint: str, *targets: str) -> None:
    """Run root targets as a user with endpoint() in the environment does."""
    env = {**os.environ, "ENDPOINT": endpoint}
    command = ["make", "--no-print-directory", *targets]
    checked(subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True))


def put(endpoint: str, body: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENDPOINT", endpoint)
        emulator().client("s3").put_object(Bucket=emulator().bucket, Key="test.json", Body=body)


def test_the_same_targets_give_the_same_workbook_and_nothing_listens_beyond_loopback(
    mini: MiniStack,
) -> None:
    for each in (mini, Emulator(endpoint())):
        make_at(each.endpoint, "create", "bucket")
        put(each.endpoint, json.dumps(TABLE).encode())
        execution = subprocess.Popen(
            ["make", "stepfunctions"], cwd=ROOT, env={**os.environ, "ENDPOINT": each.endpoint}
        )
        seen: set[str] = set()
        while execution.poll() is None:
            seen |= listening(each)
        assert (execution.returncode, seen) == (0, {"127.0.0.1"})
        make_at(each.endpoint, "download")
        workbook = load_workbook(ROOT / "result" / "test.xlsx")
        assert list(workbook["Sheet1"].values) == expected(TABLE)


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


def test_make_up_starts_it_and_make_down_leaves_neither_processes_nor_files(make: Make) -> None:
    emulator = MiniStack(f"http://localhost:{free_port()}")
    at = f"ENDPOINT={emulator.endpoint}"
    assert "MiniStack" in make("up", "EMULATOR=ministack", at).stdout
    process = emulator.process()
    assert process
    assert "stopped" in make("down", "EMULATOR=ministack", at).stdout
    assert not process.is_running()
    assert emulator.version() is None
    assert not (emulator.folder / "tmp").exists()

"""Start, find and stop LocalStack: whatever make was given, whichever signal comes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from conftest import ROOT, Make, checked, refused
from harness.emulator import Emulator, environment, free_port, remove_leftovers
from harness.fault import Fault
from harness.settings import endpoint

HARNESS = [sys.executable, "-m", "harness"]
NO_ENDPOINTS = (
    "localhost:4666",
    "http://localhost",
    "https://localhost:4566",
    "http://localhost:0",
    "http://localhost:99999",
    "http://localhost:4566/x",
    "http://user@localhost:4566",
    "",
)


@pytest.mark.parametrize("given", NO_ENDPOINTS)
def test_a_wrong_endpoint_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("ENDPOINT", given)
    must = "ENDPOINT: must be http://HOST:PORT, such as http://localhost:4566; found "
    with pytest.raises(Fault, match=re.escape(must + repr(given))):
        endpoint()


def test_make_refuses_a_wrong_endpoint_before_anything_starts(make: Make) -> None:
    made = make("bucket", "ENDPOINT=4566")
    said = refused(made)
    assert "error: ENDPOINT: must be" in said and "found '4566'" in said
    assert "started" not in made.stdout


@pytest.mark.parametrize(
    "given", ["http://localhost:1", "http://127.0.0.1:65535/", "http://[::1]:80"]
)
def test_an_endpoint_may_name_any_host(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("ENDPOINT", given)
    assert endpoint() == given.removesuffix("/")


@pytest.mark.parametrize("host", ["emulator.test", "[::1]"])
def test_an_emulator_is_started_at_localhost_alone(host: str) -> None:
    emulator = Emulator(f"http://{host}:{free_port()}")
    with pytest.raises(Fault, match="only one at localhost can be started"):
        emulator.up()
    shutil.rmtree(emulator.folder)


@pytest.mark.parametrize(
    ("flags", "left"),
    [
        (" --no-print-directory -- ENDPOINT=http://localhost:1", " --no-print-directory -- "),
        (" -- ENDPOINT=a\\ b ROWS=3", " --  ROWS=3"),
        (" -- INPUT=an\\ ENDPOINT=x", " -- INPUT=an\\ ENDPOINT=x"),
        ("", ""),
    ],
)
def test_an_endpoint_of_makes_command_line_is_not_handed_on(
    monkeypatch: pytest.MonkeyPatch, flags: str, left: str
) -> None:
    monkeypatch.setenv("MAKEFLAGS", flags)
    handed_on = environment("http://localhost:2")
    assert (handed_on["ENDPOINT"], handed_on["MAKEFLAGS"]) == ("http://localhost:2", left)


MAKEFILE = """
export ENDPOINT
outer: ; @{harness} with-emulator --at-once $(MAKE) --no-print-directory -f {itself} inner
inner: ; @echo $(ENDPOINT); {python} -c 'import signal; print(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)'
"""


def test_a_command_has_its_own_emulator_and_heeds_signals_whoever_calls(tmp_path: Path) -> None:
    """Of the user's own emulator, and of a script's background job, where SIGINT is ignored. It
    takes its emulator with it, which still starts.
    """
    makefile = tmp_path / "Makefile"
    makefile.write_text(
        MAKEFILE.format(harness=" ".join(HARNESS), itself=makefile, python=sys.executable)
    )
    background = 'trap "" INT; exec make -s -j2 -f "$0" ENDPOINT=http://localhost:1 outer'
    ran = subprocess.run(["sh", "-c", background, makefile], capture_output=True, text=True)
    used, ignored = checked(ran).splitlines()
    assert ignored == "False" and "jobserver" not in ran.stderr
    its = Emulator(used)
    assert its.host == "localhost" and its.port != 1
    assert its.version() is None and its.process() is None
    assert not its.folder.exists()


def test_a_command_that_is_ended_takes_its_emulator_with_it() -> None:
    said = "import json, os; print(json.dumps([os.environ['ENDPOINT'], os.getpid()]), flush=True); input()"
    command = subprocess.Popen(
        [*HARNESS, "with-emulator", sys.executable, "-c", said],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert command.stdout
    its_endpoint, child = json.loads(command.stdout.readline())
    its = Emulator(its_endpoint)
    assert its.version() and its.process()
    command.send_signal(signal.SIGHUP)
    assert command.wait() == 128 + signal.SIGHUP
    assert its.version() is None
    assert not psutil.pid_exists(child)
    assert not its.folder.exists()


@pytest.fixture
def killed() -> Iterator[Emulator]:
    """An emulator that was killed, and whose number a process of another kind has now."""
    emulator = Emulator(f"http://localhost:{free_port()}")
    (emulator.folder / "tmp").mkdir(parents=True)
    (emulator.folder / "tmp" / "leftover").touch()
    (emulator.folder / "lock").touch()
    emulator.pid_file.write_text(str(os.getpid()))
    yield emulator
    shutil.rmtree(emulator.folder)


def test_another_process_of_its_number_is_left_alone(killed: Emulator) -> None:
    assert killed.process() is None
    assert killed.down() == f"nothing to stop at {killed.endpoint}"


def test_what_a_killed_emulator_left_is_removed_and_what_another_has_is_not(
    killed: Emulator,
) -> None:
    with killed.locked():  # as one has that starts
        remove_leftovers()
        assert (killed.folder / "tmp" / "leftover").exists()
    remove_leftovers()
    assert not (killed.folder / "tmp").exists()
    assert (Emulator(endpoint()).folder / "tmp").exists()


def test_the_running_emulator_reads_the_index_of_services_and_makes_none() -> None:
    folder = Emulator(endpoint()).folder
    assert [*(folder / "usr" / "lib" / "localstack").glob("service-catalog-*")]
    assert not [*(folder / "var").rglob("service-catalog-*")]


def test_a_report_of_an_execution_elsewhere_starts_no_emulator(tmp_path: Path) -> None:
    at = f"http://localhost:{free_port()}"
    execution = "arn:aws:states:us-east-1:123456789012:execution:a:b"
    command = ["make", "report", "TARGET=aws", "REGION=us-east-1", f"EXECUTION={execution}"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    made = subprocess.run(
        [*command, f"ENDPOINT={at}"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert "to do: log in" in made.stderr
    assert Emulator(at).version() is None


def test_one_that_ends_before_it_answers_is_told_by_the_end_of_its_log() -> None:
    class Broken(Emulator):
        def argv(self) -> list[str]:
            return ["sh", "-c", "echo no; echo good"]

    emulator = Broken(f"http://localhost:{free_port()}")
    with pytest.raises(
        Fault, match=f"does not answer at .*; the end of {emulator.log}:\nno\ngood$"
    ):
        emulator.up()
    shutil.rmtree(emulator.folder)


def test_an_interrupted_up_says_what_runs_on_and_the_next_one_waits_for_it() -> None:
    endpoint = f"http://localhost:{free_port()}"
    emulator, env = Emulator(endpoint), {**os.environ, "ENDPOINT": endpoint}
    command = subprocess.Popen([*HARNESS, "up"], env=env, stdout=subprocess.PIPE, text=True)
    while emulator.process() is None:
        assert command.poll() is None
    command.send_signal(signal.SIGINT)
    assert command.stdout
    said = command.stdout.read()
    assert command.wait() == 130
    process = emulator.process()
    assert process
    assert said.endswith(
        f"LocalStack goes on starting at {endpoint} (pid {process.pid}): "
        f"make down ENDPOINT={endpoint} ends it\n"
    )
    for verb, done in (("up", "started"), ("down", "stopped")):
        ended = subprocess.run([*HARNESS, verb], env=env, capture_output=True, text=True)
        assert done in checked(ended)
    assert not process.is_running()
    shutil.rmtree(emulator.folder)

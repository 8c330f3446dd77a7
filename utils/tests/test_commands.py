"""What is typed after make reaches the commands as it is, and they do what they say."""

import inspect
import io
import json
import os
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from conftest import ROOT, Make, Pipeline, checked, refused, start_waiting
from harness import __main__ as command_line
from harness import functions, history, logs, machines, run
from harness.bucket import clean_segments, download
from harness.fault import Fault
from harness.functions import EVENTS, configuration, wait_until_active
from harness.settings import local_copy
from harness.show import show
from harness.target import STAGES, emulator, function_name
from test_formats import csv_of
from test_pipeline import EXAMPLE
from test_readmes import tracked
from utils import SAMPLE, members

# What make, the shell and argument parsers would read something into.
ODD = "-a  b'c'\"d\"&e;f|g>h`i`#j$HOME$$(k)${l}%m\\.json"
NO_DATE = ODD.replace("{", "").replace("}", "")  # which an input takes for a date


def test_a_file_that_is_no_table_ends_with_what_the_scatter_says(
    pipeline: Pipeline, make: Make, tmp_path: Path
) -> None:
    (tmp_path / "picture").write_bytes(b"\x89PNG\r")
    made = make("stepfunctions", f"FILE={tmp_path / 'picture'}")
    refused(made)
    assert "error    Invalid" in made.stdout
    assert "cause    picture" in made.stdout


def test_a_workbook_made_from_another_object_is_named_before_it_is_replaced(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    stem = f"{uuid.uuid4()}/ 注文 1%"
    tables = {f"{stem}.json": json.dumps(EXAMPLE).encode(), f"{stem}.csv": csv_of(EXAMPLE)}
    for key, body in tables.items():
        pipeline.s3.put_object(Bucket=emulator().bucket, Key=key, Body=body)
    ran = []
    for key in (f"{stem}.json", f"{stem}.json", f"{stem}.csv"):
        run.run(emulator(), {"input_obj": key})
        ran.append(capsys.readouterr().out.splitlines())
    said = f"replaces s3://{emulator().bucket}/{stem}.xlsx, which was made from {stem}.json"
    assert [lines.count(said) for lines in ran] == [0, 0, 1]
    assert ran[2][0] == said  # before anything runs


def test_a_file_and_its_workbook_are_named_as_typed(
    pipeline: Pipeline, make: Make, tmp_path: Path
) -> None:
    name = uuid.uuid4()
    (tmp_path / "a.csv").write_bytes(csv_of(EXAMPLE))
    key, workbook = f"in/{name}.csv", f"out/{name}-of a.xlsx"
    said = checked(
        make("stepfunctions", f"FILE={tmp_path}/a.csv", f"KEY={key}", f"WORKBOOK={workbook}")
    )
    assert said.startswith(f"s3://{emulator().bucket}/{key}\n")
    assert f"s3://{emulator().bucket}/{workbook}\n" in said
    local_copy(workbook).unlink()


def test_a_key_of_no_file_is_refused() -> None:
    with pytest.raises(Fault, match="^KEY: must be where a FILE goes; found 'a.csv' without one$"):
        run.run(emulator(), key="a.csv")


def body(pipeline: Pipeline, key: str) -> bytes:
    read: bytes = pipeline.s3.get_object(Bucket=emulator().bucket, Key=key)["Body"].read()
    return read


def test_odd_names_of_files_and_keys_arrive(pipeline: Pipeline, make: Make, tmp_path: Path) -> None:
    (tmp_path / ODD).write_text("[1]")
    said = checked(make("upload", f"FILE={tmp_path / ODD}"))
    assert said == f"s3://{emulator().bucket}/{ODD}\n"
    checked(make("download", f"WORKBOOK={ODD}"))
    assert local_copy(ODD).read_text() == "[1]"
    local_copy(ODD).unlink()


@pytest.mark.parametrize(
    ("target", "typed", "message"),
    [
        (
            "stepfunctions",
            f"INPUT={json.dumps({'input_obj': f'gone {NO_DATE}'})}",
            f"/gone {NO_DATE} does not",
        ),
        ("stop", f"EXECUTION={ODD}", f"found {ODD!r}"),
        ("report", f"EXECUTION={ODD}", f"{ODD}: there is no execution"),
        ("download", f"BUCKET={ODD}", f'"{ODD}"'),
    ],
)
def test_odd_names_arrive(
    pipeline: Pipeline, make: Make, target: str, typed: str, message: str
) -> None:
    assert message in refused(make(target, typed))


def test_a_value_of_the_environment_arrives_as_well() -> None:
    shown = subprocess.run(
        ["make", "help"], cwd=ROOT, env={**os.environ, "INPUT": ODD}, capture_output=True, text=True
    )
    assert f"INPUT='{ODD}'" in shown.stdout


def test_an_error_of_the_system_is_a_sentence() -> None:
    full = OSError(28, "No space left on device", "result/test.part")
    said = command_line.explained(full)
    assert said == "error: [Errno 28] No space left on device: 'result/test.part'"


@pytest.mark.parametrize(
    ("key", "fix"),
    [
        ("a.csv", "make upload FILE=a.csv"),
        ("a b.csv", "make upload FILE='a b.csv'"),
        ("sales/a.csv", "make upload FILE=sales/a.csv KEY=sales/a.csv"),
    ],
)
def test_what_is_said_of_an_object_that_is_not_there_puts_it_there(
    pipeline: Pipeline, key: str, fix: str
) -> None:
    with pytest.raises(Fault, match=f"/{key} does not exist: {fix}$"):
        run.check_object(emulator(), {"input_obj": key})


def test_a_result_folder_that_was_removed_is_made_again(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.settings.RESULT", tmp_path / "result")
    download(emulator(), pipeline.put(b"[]"))
    assert [path.read_bytes() for path in (tmp_path / "result").iterdir()] == [b"[]"]


def test_a_bucket_that_is_not_there_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BUCKET", "not-there")
    with pytest.raises(Fault, match="^the bucket not-there does not exist: make bucket$"):
        clean_segments(emulator())


def test_an_interrupted_upload_ends_at_once_and_leaves_nothing(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    path = tmp_path / f"{uuid.uuid4()}.csv"
    path.touch()
    os.truncate(path, 16 << 30)
    command = subprocess.Popen([sys.executable, "-m", "harness", "upload", path])
    while not unfinished(pipeline, path.name):
        assert command.poll() is None
    command.send_signal(signal.SIGINT)
    assert command.wait(30) == 130
    assert unfinished(pipeline, path.name) == []


def unfinished(pipeline: Pipeline, key: str) -> list[Any]:
    found = pipeline.s3.list_multipart_uploads(Bucket=emulator().bucket, Prefix=key)
    return list(found.get("Uploads", []))


def test_an_argument_that_is_no_utf_8_is_named() -> None:
    command = [sys.executable, "-m", "harness", "download", os.fsdecode(b"\xff.xlsx")]
    message = refused(subprocess.run(command, capture_output=True, text=True))
    assert message == "error: arguments: must be UTF-8; found '\\udcff.xlsx'\n"


def test_an_input_is_json() -> None:
    assert command_line.json_value('{"a": true, "b": null, "c": "x\\/y"}') == {
        "a": True,
        "b": None,
        "c": "x/y",
    }
    with pytest.raises(Fault, match=r"INPUT: must be JSON .*; found {'a': 1}"):
        command_line.json_value("{'a': 1}")


def test_another_bucket_than_the_functions_own_is_refused(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = emulator().bucket
    monkeypatch.setenv("BUCKET", "other-bucket")
    rule = f"BUCKET: must be that of scatter-lambda, {own}; found other-bucket"
    with pytest.raises(Fault, match=f"{rule}\n.*make create BUCKET=other-bucket"):
        run.run(emulator())


def test_create_makes_what_is_not_there_and_replaces_what_failed(
    pipeline: Pipeline, make: Make
) -> None:
    pipeline.states.delete_state_machine(stateMachineArn=emulator().machine())
    client, name, content = emulator().client("lambda"), function_name("gather"), io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("lambda.py", "as it was")
    client.delete_function(FunctionName=name)
    client.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="lambda.lambda_handler",
        Role=emulator().role,
        Code={"ZipFile": content.getvalue().replace(b"as it was", b"as it is!")},
    )
    with pytest.raises(Fault, match=f"^{name}: Error while creating lambda: Bad CRC-32"):
        wait_until_active(client, name)
    created = checked(make("create"))
    assert f"{name}: replaced" in created and "Aggregate: created" in created
    assert pipeline.run(input_obj=pipeline.put(EXAMPLE))["status"] == "SUCCEEDED"


def test_create_makes_the_bucket(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", f"made-{uuid.uuid4()}")
    functions.create([], whole=True)
    assert emulator().bucket in bucket_names(pipeline)
    pipeline.s3.delete_bucket(Bucket=emulator().bucket)


def bucket_names(pipeline: Pipeline) -> list[str]:
    return [each["Name"] for each in pipeline.s3.list_buckets()["Buckets"]]


@pytest.mark.parametrize("verb", command_line.VERBS)
def test_a_verb_has_a_function_that_takes_what_is_typed(verb: str) -> None:
    name, of, *words = command_line.VERBS[verb]
    parameters = list(inspect.signature(pkgutil.resolve_name(f"harness.{name}")).parameters)
    on_a_target = of in (command_line.PIPELINE, command_line.STACK)
    assert (parameters[:1] == ["target"]) == on_a_target
    assert set(words) <= set(parameters)


def test_a_functions_makefile_holds_numbers() -> None:
    with pytest.raises(Fault, match="^MEMORY, TIMEOUT: must be numbers; found lots, 900$"):
        configuration("lots", "900", "")


def test_a_misspelt_variable_is_named(make: Make) -> None:
    for typed in ("FIL=x", "file=x", "LAMBDA_KEEPALIVE_MS=x"):
        message = refused(make("help", typed, "FILE=y", "AWS_PROFILE=z"))
        assert f"no such variable: {typed.removesuffix('=x')}; there are ARCH BUCKET " in message
    checked(make("help", "FILE=y", "DEBUG=1", "SIZES=1"))


def test_what_the_readmes_type_after_make_is_known(make: Make) -> None:
    texts = "".join((ROOT / path).read_text() for path in tracked("*README.md"))
    code = re.findall(r"`[^`\n]+`|^(?:\$ )?make .*$", texts, re.MULTILINE)
    names = {*re.findall(r"(?<![\w'{-])([A-Z][A-Z_]+)=", "\n".join(code))}
    assert {"FILE", "PARAMETERS", "ROTATE_KEY", "FUZZ_S"} <= names
    checked(make("help", *(f"{name}=1" for name in names - {"ENDPOINT"})))


def test_a_function_is_created_from_its_own_folder(pipeline: Pipeline, make: Make) -> None:
    assert checked(make("-C", "demo-gather", "create")) == "gather-lambda: up to date\n"


def test_functions_called_by_themselves_leave_the_workbook_alone(
    pipeline: Pipeline, make: Make
) -> None:
    for key, content in (("test.json", json.dumps(EXAMPLE).encode()), ("test.xlsx", b"mine")):
        pipeline.s3.put_object(Bucket=emulator().bucket, Key=key, Body=content)
    checked(make("invoke"))
    assert body(pipeline, "test.xlsx") == b"mine"
    assert body(pipeline, EVENTS["gather"]["workbook"]).startswith(b"PK")
    for stage in STAGES:
        assert json.loads((ROOT / f"demo-{stage}" / "result.log").read_text())


def test_the_log_has_a_heading_a_function_and_no_carriage_return(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.s3.put_object(Bucket=emulator().bucket, Key="test.json", Body=b"[7]")
    with pytest.raises(Fault, match="^scatter-lambda: InvalidJSON: "):
        functions.invoke(emulator(), ["scatter"])
    assert "[ERROR] InvalidJSON" in capsys.readouterr().out
    # Not text: text mode makes newlines of them.
    shown = subprocess.run(["make", "log"], cwd=ROOT, capture_output=True).stdout
    headings = [line for line in shown.decode().splitlines() if line.startswith("── ")]
    assert headings == [f"── {function_name(stage)}" for stage in STAGES]
    assert b"Traceback (most recent call last):" in shown
    assert b"\r" not in shown


def test_a_log_is_in_order_of_time_whichever_environment_wrote_it() -> None:
    client = emulator().client("logs")
    function = f"ordered-{uuid.uuid4()}"
    client.create_log_group(logGroupName=logs.group(function))
    start_ms = int(time.time() * 1000) - 100
    for stream, offsets in (("b", (0, 20, 40)), ("a", (10, 30, 50))):
        client.create_log_stream(logGroupName=logs.group(function), logStreamName=stream)
        client.put_log_events(
            logGroupName=logs.group(function),
            logStreamName=stream,
            logEvents=[
                {"timestamp": start_ms + n, "message": f"{n} one\r{n} two\n"} for n in offsets
            ],
        )
    assert logs.last_lines(client, function, 5) == [
        "30 two",
        "40 one",
        "40 two",
        "50 one",
        "50 two",
    ]


@pytest.fixture
def waiting(pipeline: Pipeline) -> Iterator[dict[str, Any]]:
    """An execution that runs until it is stopped."""
    name = f"waits-{uuid.uuid4()}"
    arn = start_waiting(pipeline.states, emulator().machine(), name=name)
    machines.put(pipeline.states, "parallel")
    yield {"name": name, "arn": arn}
    pipeline.states.stop_execution(executionArn=arn)


def test_a_running_execution_is_stopped_by_its_name(
    pipeline: Pipeline, make: Make, waiting: dict[str, Any]
) -> None:
    name = waiting["name"]
    assert f"stopped {waiting['arn']}" in checked(make("stop", f"EXECUTION={name}"))
    assert pipeline.wait(waiting["arn"])["status"] == "ABORTED"
    with pytest.raises(Fault, match="must be one that runs"):
        machines.stop(emulator(), name)


def test_segment_files_of_a_running_execution_stay(
    pipeline: Pipeline, make: Make, waiting: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = emulator().bucket
    kept = [f"{folder}/{waiting['name']}/job_000.pkl" for folder in ("scatter", "gather")]
    for key in (*kept, "scatter/past/job_000.pkl", "gather/job_000.pkl"):
        pipeline.s3.put_object(Bucket=bucket, Key=key, Body=b"1")
    assert "2 of running executions stay" in checked(make("clean-segments"))
    assert segments(pipeline) == sorted(kept)
    machines.stop(emulator())
    assert capsys.readouterr().out == f"stopped {waiting['arn']}\n"
    clean_segments(emulator())
    assert segments(pipeline) == []


def segments(pipeline: Pipeline) -> list[str]:
    listed = pipeline.s3.list_objects_v2(Bucket=emulator().bucket).get("Contents", [])
    return sorted(obj["Key"] for obj in listed if obj["Key"].startswith(("scatter/", "gather/")))


def test_an_interrupted_command_says_that_its_execution_goes_on(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"input_obj": pipeline.put(list(members(300, seed=5))), "division_number": 1}
    command = subprocess.Popen(
        ["make", "--no-print-directory", "stepfunctions", f"INPUT={json.dumps(given)}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert command.stdout
    assert "scatter started" in command.stdout.readline()
    os.killpg(command.pid, signal.SIGINT)
    rest = command.stdout.read()
    assert command.wait() != 0
    assert "goes on: make stop ends it" in rest
    assert "Traceback" not in rest
    machines.stop(emulator())
    stopped = capsys.readouterr().out.removeprefix("stopped ").strip()
    assert stopped.split(":")[-1] in rest
    pipeline.wait(stopped)
    ran = history.read(pipeline.states, stopped)
    assert ran.status == "ABORTED", ran.ended


def test_a_workbook_in_a_folder_of_the_bucket_is_shown(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    book = Workbook()
    assert book.active
    book.active.append(["名前"])
    book.active.append(["x"])
    content = io.BytesIO()
    book.save(content)
    key = f"nightly/{uuid.uuid4()}.xlsx"
    pipeline.s3.put_object(Bucket=emulator().bucket, Key=key, Body=content.getvalue())
    download(emulator(), key)
    show(key)
    assert "1 rows in" in capsys.readouterr().out
    local_copy(key).unlink()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_command_that_is_ended_leaves_no_partial_file(
    pipeline: Pipeline, number: signal.Signals
) -> None:
    partial = SAMPLE.with_suffix(".part")
    command = subprocess.Popen([sys.executable, ROOT / "utils" / "utils.py", "50000000"], cwd=ROOT)
    while not partial.exists():
        assert command.poll() is None
    command.send_signal(number)
    assert command.wait() == 128 + number
    assert not partial.exists()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What make reads, in a folder of its own, as in a fresh clone."""
    for path in (
        "Makefile",
        "utils/lambda.mk",
        "utils/functions.mk",
        "utils/tools/tools.mk",
        "utils/checks/checks.mk",
        *(f"demo-{stage}/Makefile" for stage in STAGES),
    ):
        (tmp_path / "a clone" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / "a clone" / path)
    return tmp_path / "a clone"


def test_a_checkout_with_a_space_in_its_path_gets_one_sentence(clone: Path) -> None:
    for folder in (clone, clone / "demo-segment"):
        command = ["make", "--no-print-directory", "zip"]
        made = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert made.returncode != 0
        assert made.stdout == ""
        [line] = made.stderr.splitlines()
        assert f"must have no space in its path; found {folder}" in line


def test_clean_keeps_workbooks_and_installs_nothing(clone: Path) -> None:
    folder = clone.rename(clone.with_name("clone"))
    (folder / "result").mkdir()
    (folder / "utils" / "data").mkdir()
    for name in (
        "result/.gitkeep",
        "result/a.xlsx",
        "result/a.html",
        "result/a.part",
        "utils/data/sample_data.part",
    ):
        (folder / name).touch()
    checked(subprocess.run(["make", "clean"], cwd=folder, capture_output=True, text=True))
    assert sorted(path.name for path in (folder / "result").iterdir()) == [".gitkeep", "a.xlsx"]
    assert list((folder / "utils" / "data").iterdir()) == []
    assert not (folder / "utils" / "tools" / ".venv").exists()

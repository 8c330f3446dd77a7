"""The deployment's key: which functions have it, what keeps it, and that nothing shows it."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from conftest import ROOT, Make, Pipeline, checked, refused
from harness import cost, functions, logs, run
from harness.fault import Fault
from harness.report.write import report
from harness.settings import FOLDERS, RESULT
from harness.target import STAGES, emulator, endpoint, function_name
from test_faults import configure
from test_pipeline import EXAMPLE, failed

ANOTHER = "0123456789abcdef" * 4


def configuration(stage: str) -> dict[str, Any]:
    client = emulator().client("lambda")
    return dict(client.get_function_configuration(FunctionName=function_name(stage)))


def keys() -> list[str | None]:
    """Of the three functions."""
    found = [configuration(stage)["Environment"]["Variables"] for stage in STAGES]
    return [variables.get("SIGNING_KEY") for variables in found]


def give(stage: str, key: str | None) -> None:
    variables = configuration(stage)["Environment"]["Variables"]
    del variables["SIGNING_KEY"]
    if key is not None:
        variables["SIGNING_KEY"] = key
    configure(stage, Environment={"Variables": variables})


def settings(*stages: str) -> list[str]:
    """Those that functions have, as `make create` gives them."""
    found = {stage: configuration(stage) for stage in stages}
    return [
        text
        for stage, each in found.items()
        for text in (stage, str(each["MemorySize"]), str(each["Timeout"]))
    ]


@pytest.fixture
def key(pipeline: Pipeline) -> Iterator[str]:
    """The one that all functions have, before a test and after it."""
    before = {stage: configuration(stage)["Environment"] for stage in STAGES}
    [key] = set(keys())
    assert key
    yield key
    for stage in STAGES:
        if configuration(stage)["Environment"] != before[stage]:
            configure(stage, Environment=before[stage])


def test_nothing_shows_the_key(
    key: str,
    pipeline: Pipeline,
    make: Make,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither what the targets print, nor a page, a history, a log, or a file on the disk."""
    created = make("create")
    run.run(emulator(), {"input_obj": pipeline.put(EXAMPLE)})
    said = failed(capsys, input_obj=pipeline.put([EXAMPLE[0] | {"会員ランク": 9}]))
    own = {"Bucket": emulator().bucket, "Key": "test.json"}  # what scatter is invoked with
    pipeline.s3.put_object(**own, Body=json.dumps(EXAMPLE).encode())
    functions.invoke(emulator(), list(STAGES))
    functions.log(emulator(), list(STAGES))
    cost.last(emulator())
    report(emulator(), language="ja")
    shown = [created.stdout, created.stderr, said, *capsys.readouterr()]
    machine, client = emulator().machine(), emulator().client("logs")
    for ran in pipeline.states.list_executions(stateMachineArn=machine)["executions"][:2]:
        shown.append((RESULT / f"{ran['name']}.html").read_text())
        shown.append(json.dumps(pipeline.history(ran["executionArn"]), default=str))
    for stage in STAGES:
        shown += logs.last_lines(client, function_name(stage), 1000)
    assert "InvalidMember" in "".join(shown)
    assert key not in "".join(shown)
    # The emulator keeps what it unpacked of the zips in its own folder.
    kept = FOLDERS / endpoint().rpartition(":")[2]
    assert [*kept.glob("tmp/**/pipeline/keys.py")]
    folders = [kept, ROOT / "utils" / "harness", ROOT / "state-machine"]
    command = ["grep", "-rlF", f"--exclude-dir={FOLDERS.name}", key, *map(str, folders)]
    found = subprocess.run(command, capture_output=True, text=True)
    assert (found.stdout, found.returncode) == ("", 1)


def test_functions_that_have_no_key_get_one_for_all(key: str) -> None:
    for stage in STAGES:
        give(stage, None)
    functions.create(settings(*STAGES))
    [made] = set(keys())
    assert made and re.fullmatch("[0-9a-f]{64}", made) and made != key


def test_a_function_that_is_new_gets_the_key_of_the_others(
    key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = settings("gather")
    functions.delete(["gather"])
    functions.create(given)
    assert capsys.readouterr().out == "gather-lambda: deleted\ngather-lambda: created\n"
    assert keys() == [key] * 3


def test_the_key_is_kept_where_settings_change(key: str, make: Make) -> None:
    """What an execution has signed until then is good after it."""
    for stage in STAGES:
        configure(stage, MemorySize=1770)
    assert checked(make("create")).count("settings updated") == 3
    assert keys() == [key] * 3


def test_functions_with_different_keys_are_refused_with_what_to_do(key: str, make: Make) -> None:
    give("gather", ANOTHER)
    said = refused(make("create"))
    assert "SIGNING_KEY: must be the same in all functions; found another in" in said
    assert "in scatter-lambda, segment-lambda and in gather-lambda" in said
    assert "to do: make delete create" in said
    assert key not in said and ANOTHER not in said
    assert keys() == [key, key, ANOTHER]


@pytest.mark.parametrize("given", ["", ANOTHER[:-1], f"{ANOTHER[:-1]}x"])
def test_a_key_that_is_none_is_refused_and_not_replaced(given: str, key: str) -> None:
    give("segment", given)
    with pytest.raises(Fault) as refusal:
        functions.create(settings(*STAGES))
    said = str(refusal.value)
    assert f"segment-lambda: SIGNING_KEY: must be 64 hex digits; found {len(given)}" in said
    assert "to do: make delete create" in said
    assert not given or given not in said

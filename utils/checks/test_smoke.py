import re
from dataclasses import replace
from pathlib import Path

import pytest

from checks import smoke
from checks.smoke import Outcome, Smoke
from harness.execution import Attempt, Execution, Task
from harness.fault import Fault
from harness.target import emulator


@pytest.mark.parametrize("found", ["Runtime.ExitError", "Sandbox.Timedout"])
def test_a_segment_without_memory_is_killed_or_runs_into_its_timeout(found: str) -> None:
    assert Outcome("", smoke.KILLED_OR_STARVED, found, 1.0).passed
    assert not Outcome("", smoke.KILLED_OR_STARVED, "InvalidMember", 1.0).passed
    assert not Outcome("", smoke.KILLED_OR_STARVED, "", 1.0).passed
    given = dict(each.split("=") for each in smoke.TOO_LITTLE_MEMORY.split(","))
    assert int(given["SegmentTimeout"]) <= 60  # and not twice Lambda's 900 s


@pytest.mark.parametrize(
    ("region", "said"),
    [
        pytest.param("us-east-1", "REPORT lines have not come: 1\n", id="late lines"),
        pytest.param("eu-west-1", "no bill: REGION: there are prices for", id="no prices"),
    ],
)
def test_a_run_without_a_whole_bill_is_no_fault(
    region: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called = Attempt("", 1.0, "", 2.0)
    run = Execution("", "nightly", "SUCCEEDED", "{}", '"test.xlsx"')
    run.tasks.append(Task("ScatterLambda", None, "", 0.0, 2.0, attempts=[called]))
    place = replace(emulator(), region=region)
    assert Smoke(place, tmp_path).billed(run) == ""
    assert said in capsys.readouterr().out


def test_a_smoke_test_that_fails_half_way_still_destroys_its_stack_and_shows_what_ran(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(smoke, "TOO_LITTLE_MEMORY", "SigningKey=7")
    with pytest.raises(Fault, match="must not hold the key"):
        smoke.smoke(rows=10)
    told = capsys.readouterr().out
    [(stack, destroyed)] = re.findall(r"^stack (smoke-\w+) in .*: (\w+)$", told, re.MULTILINE)
    assert destroyed == "deleted"
    assert "no bill" not in told and "have not come" not in told
    table = told[told.index(destroyed, told.index(f"stack {stack} in")) :]
    ran = re.findall(r"│ (.*rows, \w+|a faulty record) +│ .*│ yes +│", table)
    assert len(ran) == 4
    listed = [
        *(each["Name"] for each in emulator().client("s3").list_buckets()["Buckets"]),
        *(each["RoleName"] for each in emulator().client("iam").list_roles()["Roles"]),
    ]
    assert not [name for name in listed if name.startswith(stack)]

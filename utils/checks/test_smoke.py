import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from checks import smoke
from checks.smoke import Outcome
from harness import deploy, functions
from harness.fault import Fault
from harness.target import STAGES, Target, emulator


@pytest.mark.parametrize("found", ["Runtime.ExitError", "Sandbox.Timedout"])
def test_a_segment_without_memory_is_killed_or_runs_into_its_timeout(found: str) -> None:
    assert Outcome("", smoke.KILLED_OR_STARVED, found, 1.0).passed
    assert not Outcome("", smoke.KILLED_OR_STARVED, "InvalidMember", 1.0).passed
    assert not Outcome("", smoke.KILLED_OR_STARVED, "", 1.0).passed
    given = dict(each.split("=") for each in smoke.TOO_LITTLE_MEMORY.split(","))
    assert int(given["SegmentTimeout"]) <= 60  # and not twice Lambda's 900 s


def test_a_run_without_a_bill_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    smoke.show_cost(replace(emulator(), region="eu-west-1"))
    assert capsys.readouterr().out.startswith("no bill: ")


def test_a_smoke_test_that_fails_half_way_still_destroys_its_stack_and_shows_what_ran(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Of functions that do nothing: no run ends as it should."""
    for archive in (tmp_path / f"demo-{stage}" / "bin" / "lambda.zip" for stage in STAGES):
        archive.parent.mkdir(parents=True)
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr("lambda.py", "def lambda_handler(event, context): ...")
    monkeypatch.setattr(functions, "ROOT", tmp_path)
    first = deploy.deploy

    def second(target: Target, **given: str) -> None:
        raise Fault("no network")

    def deploy_once(target: Target) -> None:
        first(target)
        monkeypatch.setattr(deploy, "deploy", second)

    monkeypatch.setattr(deploy, "deploy", deploy_once)
    with pytest.raises(Fault, match="no network"):
        smoke.smoke(rows=10)
    told = capsys.readouterr().out
    [(stack, destroyed)] = re.findall(r"^stack (smoke-\w+) in .*: (\w+)$", told, re.MULTILINE)
    assert destroyed == "deleted"
    table = told[told.index(destroyed, told.index(f"stack {stack} in")) :]
    ran = re.findall(r"│ (.*rows, \w+|a faulty record) +│ .*│ no: .*│", table)
    assert len(ran) == 3
    listed = [
        *(each["Name"] for each in emulator().client("s3").list_buckets()["Buckets"]),
        *(each["RoleName"] for each in emulator().client("iam").list_roles()["Roles"]),
    ]
    assert not [name for name in listed if name.startswith(stack)]

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import decode  # type: ignore[import-untyped]  # it ships no types

from conftest import ROOT
from harness.artifacts import TEMPLATE, read_definition, substitutable

STAGES = ("scatter", "segment", "gather")
DEFINITIONS = sorted(path.stem for path in (ROOT / "state-machine").glob("*.json"))

each_definition = pytest.mark.parametrize("name", DEFINITIONS)


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    loaded, problems = decode(str(TEMPLATE))
    assert not problems
    return dict(loaded)


def substituted(name: str, template: dict[str, Any]) -> str:
    """A definition as CloudFormation hands it to Step Functions."""
    definition = substitutable(read_definition(name))
    names = template["Resources"]["StateMachine"]["Properties"]["DefinitionSubstitutions"]
    for substitution in names:
        value = f"arn:aws:lambda:ap-northeast-1:123456789012:function:stack-{substitution.lower()}"
        definition = definition.replace(f"${{{substitution}}}", value)
    return definition


def test_cfn_lint_finds_nothing() -> None:
    lint = Path(sys.executable).with_name("cfn-lint")
    found = subprocess.run([lint, TEMPLATE], capture_output=True, text=True)
    assert found.stdout + found.stderr == ""


def problems(definition: str) -> list[str]:
    """What statelint says of a definition, but for where it is behind Step Functions."""
    statelint = [sys.executable, "-m", "statelint", definition]
    found = subprocess.run(statelint, capture_output=True, text=True)
    # It knows no field of a ReaderConfig but MaxItems; Step Functions requires this one:
    # https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html
    behind = 'Field "InputType" not allowed'
    return [line for line in found.stdout.splitlines()[1:] if behind not in line]


@each_definition
def test_a_definition_is_valid_states_language(name: str, template: dict[str, Any]) -> None:
    assert problems(substituted(name, template)) == []


@each_definition
def test_a_next_that_leads_nowhere_is_seen(name: str) -> None:
    definition = read_definition(name).replace('"Next": "GatherLambda"', '"Next": "Nowhere"')
    assert any("Nowhere" in problem for problem in problems(definition))


@each_definition
def test_a_deployed_definition_names_no_account_or_region_of_an_emulator(
    name: str, template: dict[str, Any]
) -> None:
    definition = substituted(name, template)
    for left in ("000000000000", "us-east-1", "${"):
        assert left not in definition


@pytest.mark.parametrize("stage", STAGES)
def test_a_function_has_the_memory_and_timeout_it_has_on_the_emulator(
    stage: str, template: dict[str, Any]
) -> None:
    makefile = (ROOT / f"demo-{stage}" / "Makefile").read_text()
    shared = (ROOT / "utils" / "lambda.mk").read_text()
    parameters = template["Parameters"]
    assert parameters[f"{stage.title()}Memory"]["Default"] == setting("MEMORY", makefile)
    assert parameters[f"{stage.title()}Timeout"]["Default"] == setting("TIMEOUT", makefile + shared)


def setting(name: str, makefile: str) -> int:
    found = re.search(rf"^{name} [:?]?= *(\d+)", makefile, re.MULTILINE)
    assert found, f"{name} is not set"
    return int(found[1])


def test_what_has_a_name_is_named_after_the_stack(template: dict[str, Any]) -> None:
    names = {
        f"{logical}.{key}": value
        for logical, resource in template["Resources"].items()
        for key, value in resource["Properties"].items()
        if key in ("BucketName", "RoleName", "StateMachineName")
        or key in ("AlarmName", "FunctionName", "LogGroupName")
    }
    assert len(names) == 9
    assert all("AWS::StackName" in str(value) for value in names.values())


def test_every_log_group_forgets(template: dict[str, Any]) -> None:
    groups = [each for each in template["Resources"].values() if each["Type"] == "AWS::Logs::LogGroup"]
    assert [group["Properties"]["RetentionInDays"] for group in groups] == [30] * 4


def test_the_template_uses_no_macros_and_no_yaml_that_cloudformation_does_not_read(
    template: dict[str, Any],
) -> None:
    assert "Transform" not in template
    text = TEMPLATE.read_text()
    assert not re.search(r"(: |- )[&*]\w", text), "CloudFormation reads no anchors"
    assert len(text.encode()) < 51_200, "a template in a request"

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cfnlint.decode import decode  # type: ignore[import-untyped]  # it ships no types

from conftest import ROOT
from harness.artifacts import (
    FUNCTIONS,
    TEMPLATE,
    VERSIONS,
    ZIPS,
    is_deployed,
    made_from,
    rendered,
    substitutable,
)
from harness.machines import read_definition
from harness.stack import Found
from harness.target import STAGES
from pipeline.s3.signed import signature
from test_limits import states_of

ARN = "arn:aws:lambda:ap-northeast-1:123456789012:function:stack-"
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
        value = f"{ARN}{substitution.lower()}"
        if substitution == "MaxConcurrency":
            value = names[substitution]["Fn::Sub"].replace("${MaxConcurrency}", "40")
        definition = definition.replace(f"${{{substitution}}}", value)
    return definition


def test_the_stacks_etl_is_that_of_executions_that_name_none(template: dict[str, Any]) -> None:
    variables = template["Resources"]["SegmentFunction"]["Properties"]["Environment"]["Variables"]
    assert (variables["ETL"], template["Parameters"]["Etl"]["Default"]) == ({"Ref": "Etl"}, "")


# As `make deploy` names the zips.
ZIP_KEYS = {name: f"{name}/{'0f' * 32}" for name in ZIPS}


def test_cfn_lint_finds_nothing_in_what_is_sent(tmp_path: Path) -> None:
    sent = tmp_path / "template.json"
    sent.write_text(rendered(ZIP_KEYS))
    lint = Path(sys.executable).with_name("cfn-lint")
    found = subprocess.run([lint, sent], capture_output=True, text=True)
    assert found.stdout + found.stderr == ""


def versions(parameters: dict[str, str]) -> dict[str, str]:
    """What is appended to each version's name, and to its function's description."""
    resources = json.loads(rendered({**ZIP_KEYS, "Architecture": "x86_64", **parameters}))[
        "Resources"
    ]
    names = [name for name, each in resources.items() if each["Type"] == "AWS::Lambda::Version"]
    found = {each[:-12]: each[-12:] for each in names}
    for version, digest in found.items():
        function = resources[version.replace("Version", "Function")]["Properties"]
        assert function["Description"]["Fn::Join"][1][-1] == digest, "Lambda publishes no other"
    return found


@pytest.mark.parametrize(
    ("changed", "published"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param({"AlarmTopic": "arn:topic"}, [], id="what no function has"),
        pytest.param({"SegmentMemory": "1024"}, ["SegmentVersion"], id="a setting"),
        pytest.param({"GatherZip": f"GatherZip/{'f0' * 32}"}, ["GatherVersion"], id="code"),
        pytest.param({"Architecture": "arm64"}, VERSIONS, id="a setting of all"),
        pytest.param({"SigningKeyNumber": "2"}, VERSIONS, id="another key"),
        # Its own account's number, for one, is what the function had before.
        pytest.param({"InputBucketOwner": "0" * 12}, ["ScatterVersion"], id="perhaps the same"),
    ],
)
def test_a_version_is_published_where_code_or_settings_change_and_its_function_changes_then(
    changed: dict[str, str], published: list[str]
) -> None:
    before, after = versions({}), versions(changed)
    assert list(before) == VERSIONS
    assert [name for name in before if before[name] != after[name]] == published


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


def test_a_next_that_leads_nowhere_is_seen() -> None:
    definition = read_definition("parallel").replace('"Next": "GatherLambda"', '"Next": "Nowhere"')
    assert any("Nowhere" in problem for problem in problems(definition))


@each_definition
def test_a_deployed_definition_names_no_account_or_region_of_an_emulator(
    name: str, template: dict[str, Any]
) -> None:
    definition = substituted(name, template)
    for left in ("000000000000", "us-east-1", "${"):
        assert left not in definition


@pytest.mark.parametrize("stage", STAGES)
def test_a_function_has_the_emulators_timeout_and_at_most_its_memory(
    stage: str, template: dict[str, Any]
) -> None:
    """One vCPU each: a second for the scatter and the gather costs more than it saves, see Cost."""
    makefile = (ROOT / f"demo-{stage}" / "Makefile").read_text()
    shared = (ROOT / "utils" / "lambda.mk").read_text()
    parameters = template["Parameters"]
    memory_mb = parameters[f"{stage.title()}Memory"]["Default"]
    assert memory_mb == 1769 <= setting("MEMORY", makefile)
    assert parameters[f"{stage.title()}Timeout"]["Default"] == setting("TIMEOUT", makefile + shared)


def setting(name: str, makefile: str) -> int:
    found = re.search(rf"^{name} [:?]?= *(\d+)", makefile, re.MULTILINE)
    assert found, f"{name} is not set"
    return int(found[1])


NAMES = ("BucketName", "RoleName", "StateMachineName", "AlarmName", "LogGroupName", "QueueName")


def test_what_has_a_name_is_named_after_the_stack(template: dict[str, Any]) -> None:
    names = {
        f"{logical}.{key}": value
        for logical, resource in template["Resources"].items()
        for key, value in resource["Properties"].items()
        if key in NAMES or (key == "FunctionName" and resource["Type"] == "AWS::Lambda::Function")
    }
    assert len(names) == 16
    assert all("AWS::StackName" in str(value) for value in names.values())


def of_type(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    resources = template["Resources"].values()
    return [each["Properties"] for each in resources if each["Type"] == f"AWS::{kind}"]


def where(condition: str, value: Any) -> dict[str, Any]:
    """A property that is there where a condition is met."""
    return {"Fn::If": [condition, value, {"Ref": "AWS::NoValue"}]}


KEY = {"Ref": "KmsKey"}


def test_every_log_group_forgets_and_every_role_has_the_boundary(template: dict[str, Any]) -> None:
    boundary = where("HasBoundary", {"Ref": "PermissionsBoundary"})
    roles, groups = of_type(template, "IAM::Role"), of_type(template, "Logs::LogGroup")
    assert [role["PermissionsBoundary"] for role in roles] == [boundary] * 7
    assert [group["RetentionInDays"] for group in groups] == [{"Ref": "LogRetentionDays"}] * 5
    assert template["Parameters"]["LogRetentionDays"]["Default"] == 30


def test_logs_variables_and_histories_are_encrypted_with_the_key_that_their_roles_may_use(
    template: dict[str, Any],
) -> None:
    groups = of_type(template, "Logs::LogGroup")
    assert [group["KmsKeyId"] for group in groups] == [where("HasKmsKey", KEY)] * 5
    for function in of_type(template, "Lambda::Function"):
        assert function["KmsKeyArn"] == where("HasKmsKey", KEY)
        [role, _] = function["Role"]["Fn::GetAtt"]
        policies = json.dumps(template["Resources"][role]["Properties"]["Policies"])
        assert (
            '"Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": {"Ref": "K' in policies
        )
    [machine] = of_type(template, "StepFunctions::StateMachine")
    encrypted = {"Type": "CUSTOMER_MANAGED_KMS_KEY", "KmsKeyId": KEY}
    assert machine["EncryptionConfiguration"] == where("HasKmsKey", encrypted)
    # In the role itself: a policy beside it would come after the state machine.
    [policy] = template["Resources"]["StateMachineRole"]["Properties"]["Policies"]
    allowed = ["kms:Decrypt", "kms:GenerateDataKey"]
    statement = {"Sid": "EncryptHistory", "Effect": "Allow", "Action": allowed, "Resource": KEY}
    assert policy["PolicyDocument"]["Statement"][-1] == where("HasKmsKey", statement)


def test_an_input_bucket_of_another_account_may_be_encrypted_with_its_own_key(
    template: dict[str, Any],
) -> None:
    """Across accounts the key's policy alone is not enough: the role's must allow it, too."""
    policies = template["Resources"]["ScatterRole"]["Properties"]["Policies"]
    [own] = [each["Fn::If"][1] for each in policies if "HasInputBucket" in str(each)]
    statements = {each["Action"]: each for each in own["PolicyDocument"]["Statement"]}
    bucket = statements["s3:ListBucket"]["Resource"]["Fn::Sub"]
    [allowed] = statements["kms:Decrypt"]["Condition"].values()
    # What S3 tells KMS of an object, or of its bucket where that has a key of its own.
    assert allowed == {
        "kms:EncryptionContext:aws:s3:arn": [{"Fn::Sub": bucket}, {"Fn::Sub": f"{bucket}/*"}]
    }


def test_no_function_runs_without_the_key(template: dict[str, Any]) -> None:
    functions = of_type(template, "Lambda::Function")
    variables = [each["Environment"]["Variables"] for each in functions]
    assert [each["SIGNING_KEY"] for each in variables] == [{"Ref": "SigningKey"}] * 4
    key = template["Parameters"]["SigningKey"]
    assert key["NoEcho"] and "Default" not in key


SIGNATURES = {
    "its own": ("gather/x/facts.json", b"{}", "0f" * 32),
    "other content": ("gather/x/facts.json", b"{} ", "0f" * 32),
    "another's": ("gather/xy/facts.json", b"{}", "0f" * 32),
    "another key": ("gather/x/facts.json", b"{}", "f0" * 32),
}


@pytest.fixture
def notify(template: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names of the function that notifies, as its source in the template defines them."""
    monkeypatch.setenv("SIGNING_KEY", "0f" * 32)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    defined: dict[str, Any] = {}
    exec(template["Resources"]["NotifyFunction"]["Properties"]["Code"]["ZipFile"], defined)
    return defined


def test_the_notifying_function_takes_what_the_functions_sign_and_nothing_else(
    notify: dict[str, Any],
) -> None:
    key, content, _ = SIGNATURES["its own"]
    metadata = {
        name: {"signature": signature(bytes.fromhex(k), of, body)}
        for name, (of, body, k) in SIGNATURES.items()
    } | {"unsigned": {}, "not ASCII": {"signature": "é"}}
    taken = [name for name, each in metadata.items() if notify["is_signed"](key, content, each)]
    assert taken == ["its own"]


@pytest.mark.parametrize(
    ("redriven", "said"),
    [({}, "3603.0 s"), ({"redriveDate": datetime(2026, 11, 27, 1, tzinfo=UTC)}, "3.0 s")],
    ids=["run at once", "redriven"],
)
def test_a_message_tells_the_time_since_the_last_redrive(
    notify: dict[str, Any], redriven: dict[str, Any], said: str
) -> None:
    began = datetime(2026, 11, 27, tzinfo=UTC)
    ended = {"name": "x", "startDate": began, "stopDate": began + timedelta(seconds=3603)}
    described = {**ended, **redriven, "status": "FAILED", "executionArn": "arn"}
    published: list[str] = []
    notify["states"] = SimpleNamespace(
        describe_execution=lambda executionArn: described,
        get_execution_history=lambda **_: {"events": []},
    )
    notify["sns"] = SimpleNamespace(publish=lambda Message, **_: published.append(Message))
    notify["handler"]({"detail": {"executionArn": "arn"}}, None)
    assert f"time      {said}" in published[0].splitlines()


def test_what_an_execution_leaves_stays_for_as_long_as_it_can_be_redriven(
    template: dict[str, Any],
) -> None:
    [bucket] = of_type(template, "S3::Bucket")
    rules = bucket["LifecycleConfiguration"]["Rules"]
    days = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "Prefix" in rule}
    assert days == {"scatter/": 15, "gather/": 15}
    assert len(rules) == len(days) + 1 and not any("TagFilters" in rule for rule in rules)


@each_definition
def test_an_execution_that_never_ends_is_told(name: str, template: dict[str, Any]) -> None:
    assert json.loads(read_definition(name))["TimeoutSeconds"] == 24 * 3600
    found = of_type(template, "CloudWatch::Alarm")
    alarms = {each["MetricName"]: each for each in found}
    assert alarms["ExecutionsTimedOut"]["Dimensions"] == alarms["ExecutionsFailed"]["Dimensions"]
    topic = where("HasAlarmTopic", [{"Ref": "AlarmTopic"}])
    assert [each["AlarmActions"] for each in found] == [topic] * 4


def test_what_executions_read_is_logged_only_when_asked(template: dict[str, Any]) -> None:
    [machine] = of_type(template, "StepFunctions::StateMachine")
    logged = machine["LoggingConfiguration"]["IncludeExecutionData"]
    assert logged == {"Ref": "IncludeExecutionData"}
    assert template["Parameters"]["IncludeExecutionData"]["Default"] == "false"


FITTING = {
    "Inbox": ["", "inbox/", "in/2026.1/_a-b/", "scattered/"],
    "ScheduleInput": [
        '{"input_obj": "sales/{yesterday:%Y-%m-%d}/", "etl": "sales"}',
        '{"input_obj": ["a.csv", "{today}.csv"], "workbook": "x/{last_month}.xlsx"}',
    ],
    "SigningKey": ["0f" * 32],
}
# No pattern and no folder that functions write; nothing into which no field could be put.
UNFIT = {
    "Inbox": [
        *("inbox", "/", "a//", "*/", "scatter/", "gather/", "gather/in/", "outbox/", "reference/")
    ],
    "ScheduleInput": ["", "{}", "[]", '{"a": {"b": 1}}', '{"a": "{"}', "x", '{"a"'],
    "SigningKey": ["", "0f" * 31, "0f" * 33, "0g" * 32],
}


@pytest.mark.parametrize("name", FITTING)
def test_a_parameter_is_taken_or_refused_by_its_pattern(
    name: str, template: dict[str, Any]
) -> None:
    pattern = re.compile(template["Parameters"][name]["AllowedPattern"])
    taken = [given for given in FITTING[name] + UNFIT[name] if pattern.fullmatch(given)]
    assert taken == FITTING[name]


def test_no_rule_has_a_wildcard_which_eventbridge_may_find_too_complex(
    template: dict[str, Any],
) -> None:
    rules = [each["EventPattern"] for each in of_type(template, "Events::Rule")]
    assert rules[0]["detail"]["object"]["key"] == [{"prefix": {"Ref": "Inbox"}}]
    assert "wildcard" not in json.dumps(rules)


@each_definition
def test_what_is_no_table_ends_an_execution_as_a_success(name: str) -> None:
    states = json.loads(read_definition(name))["States"]
    [caught] = states["ScatterLambda"]["Catch"]
    assert caught["ErrorEquals"] == ["NotATable"]
    assert states[caught["Next"]]["Type"] == "Succeed"


@pytest.mark.parametrize(
    ("condition", "starts", "queue", "alarm"),
    [
        ("HasInbox", "InboxRule", "InboxFailed", "UploadsFailed"),
        ("HasSchedule", "ScheduledExecutions", "ScheduleFailed", "SchedulesFailed"),
    ],
)
def test_what_starts_no_execution_is_kept_and_told(
    condition: str, starts: str, queue: str, alarm: str, template: dict[str, Any]
) -> None:
    found = {name: template["Resources"][name] for name in (starts, queue, alarm)}
    assert {each["Condition"] for each in found.values()} == {condition}
    properties = found[starts]["Properties"]
    target = properties["Target"] if "Target" in properties else properties["Targets"][0]
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": [queue, "Arn"]}}
    assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] < 24 * 3600
    [dimension] = found[alarm]["Properties"]["Dimensions"]
    assert dimension["Value"] == {"Fn::GetAtt": [queue, "QueueName"]}


def test_only_the_inboxs_rule_may_write_to_its_queue(template: dict[str, Any]) -> None:
    policy = template["Resources"]["InboxFailedPolicy"]["Properties"]["PolicyDocument"]
    [statement] = policy["Statement"]
    queue, rule = ({"Fn::GetAtt": [name, "Arn"]} for name in ("InboxFailed", "InboxRule"))
    assert (statement["Action"], statement["Resource"]) == ("sqs:SendMessage", queue)
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": rule}}


def input_of_schedule(template: dict[str, Any], zone: str, given: str) -> str:
    """What Scheduler is given, as CloudFormation's own functions make it of the parameters."""
    target = template["Resources"]["ScheduledExecutions"]["Properties"]["Target"]
    text, names = target["Input"]["Fn::Sub"]
    place, split = names["Fields"]["Fn::Select"]
    at, parameter = split["Fn::Split"]
    assert parameter == {"Ref": "ScheduleInput"}
    fields = given.split(at)[int(place)]
    return str(text).replace("${ScheduleZone}", zone).replace("${Fields}", fields)


@pytest.mark.parametrize("given", FITTING["ScheduleInput"])
def test_a_schedule_gives_executions_its_input_with_time_and_zone(
    given: str, template: dict[str, Any]
) -> None:
    assert json.loads(input_of_schedule(template, "Asia/Tokyo", given)) == {
        "scheduled_time": "<aws.scheduler.scheduled-time>",
        "zone": "Asia/Tokyo",
        **json.loads(given),
    }


@pytest.mark.parametrize(
    ("name", "service", "more"),
    [
        ("InboxRole", "events", []),
        ("ScheduleRole", "scheduler", [("sqs:SendMessage", ["ScheduleFailed", "Arn"])]),
    ],
)
def test_what_starts_executions_may_start_those_of_this_state_machine_alone(
    name: str, service: str, more: list[tuple[str, list[str]]], template: dict[str, Any]
) -> None:
    role = template["Resources"][name]["Properties"]
    [policy], [trust] = role["Policies"], role["AssumeRolePolicyDocument"]["Statement"]
    allowed = [(each["Action"], each["Resource"]) for each in policy["PolicyDocument"]["Statement"]]
    further = [(action, {"Fn::GetAtt": of}) for action, of in more]
    assert allowed == [("states:StartExecution", {"Ref": "StateMachine"}), *further]
    assert trust["Principal"] == {"Service": f"{service}.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


@each_definition
def test_the_scatter_is_told_when_the_execution_started(name: str) -> None:
    scatter = json.loads(read_definition(name))["States"]["ScatterLambda"]
    assert scatter["Parameters"]["started.$"] == "$$.Execution.StartTime"
    assert any("ConditionalRequestConflict" in each["ErrorEquals"] for each in scatter["Retry"])


@each_definition
def test_as_many_segments_run_at_once_as_on_the_emulator(
    name: str, template: dict[str, Any]
) -> None:
    [own] = [
        state for _, state in states_of(json.loads(read_definition(name))) if state["Type"] == "Map"
    ]
    assert template["Parameters"]["MaxConcurrency"]["Default"] == own["MaxConcurrency"]
    given = json.loads(substituted(name, template))
    assert [s["MaxConcurrency"] for _, s in states_of(given) if s["Type"] == "Map"] == [40]
    edited = read_definition(name).replace('"MaxConcurrency": 200', '"MaxConcurrency": 50')
    assert substitutable(edited) == substitutable(read_definition(name)), (
        "a stack has its parameter"
    )


@each_definition
def test_a_definition_is_known_with_what_cloudformation_filled_in(
    name: str, zips: dict[str, Path], template: dict[str, Any]
) -> None:
    made, _ = made_from(name)
    outputs = {function: f"{ARN}{function.lower()}" for function in FUNCTIONS}
    stack = Found("arn", "UPDATE_COMPLETE", {"MaxConcurrency": "40", **made}, {}, outputs)
    others = [each for each in DEFINITIONS if each != name]
    assert is_deployed(substituted(name, template), stack)
    assert not any(is_deployed(substituted(other, template), stack) for other in others)


def test_a_distributed_map_may_follow_and_redrive_its_iterations(template: dict[str, Any]) -> None:
    """Their ARNs are execution:NAME/LABEL:ID; the actions are documented on either form."""
    [policy] = of_type(template, "IAM::Policy")
    [follow] = [
        each
        for each in policy["PolicyDocument"]["Statement"]
        if "states:DescribeExecution" in each.get("Action", [])
    ]
    ends = {each["Fn::Sub"].split(":execution:")[1] for each in follow["Resource"]}
    assert ends == {"${StateMachine.Name}:*", "${StateMachine.Name}/*"}


def tasks(name: str) -> list[dict[str, Any]]:
    states = states_of(json.loads(read_definition(name)))
    return [state for _, state in states if state["Type"] == "Task"]


# https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
LAMBDAS_OWN = {
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
}


@each_definition
def test_lambdas_own_errors_are_retried_as_aws_recommends(name: str) -> None:
    for task in tasks(name):
        [retry] = [each for each in task["Retry"] if set(each["ErrorEquals"]) >= LAMBDAS_OWN]
        timing = {"IntervalSeconds": 2, "MaxAttempts": 6, "BackoffRate": 2.0}
        assert retry.items() >= timing.items()


@each_definition
def test_a_functions_timeout_ends_it_before_the_state_does(
    name: str, template: dict[str, Any]
) -> None:
    """Step Functions counts from LambdaFunctionStarted, before Lambda does: with the same
    number it would be States.Timeout, without a request id to find the log by."""
    longest = max(template["Parameters"][f"{stage.title()}Timeout"]["MaxValue"] for stage in STAGES)
    assert all(task["TimeoutSeconds"] > longest for task in tasks(name))


def test_the_template_uses_no_macros_and_no_yaml_that_cloudformation_does_not_read(
    template: dict[str, Any],
) -> None:
    assert "Transform" not in template
    text = TEMPLATE.read_text()
    assert not re.search(r"(: |- )[&*]\w", text), "CloudFormation reads no anchors"
    assert len(text.encode()) < 51_200, "a template in a request"

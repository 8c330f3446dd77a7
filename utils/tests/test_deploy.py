import io
import json
import os
import re
import shutil
import subprocess
import uuid
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from openpyxl import load_workbook

from conftest import ROOT, Make, checked, follow, pack, refused, start_waiting
from harness import artifacts, facts, history, machines
from harness.__main__ import main
from harness.deploy import check_bucket_stays, given_parameters, warnings
from harness.fault import Fault
from harness.run import is_as_deployed, start
from harness.stack import Stack
from harness.target import STAGES, connect, emulator, endpoint
from test_pipeline import EXAMPLE, expected
from utils import members

ORDERS = """
def process(df):
    return df.assign(金額=df["単価"] * df["数量"])
"""

Said = subprocess.CompletedProcess[str]
Deploy = Callable[..., Said]


def harness(*arguments: str) -> Said:
    """Run the command line as make does, in this process, and answer nothing that it asks."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
        patch.setattr("sys.stdin", io.StringIO())
        ended = main(arguments)
    code, message = (ended, "") if isinstance(ended, int) else (1, ended)
    return subprocess.CompletedProcess(arguments, code, said.getvalue(), message)


class Zips:
    """The functions' zips, in a folder where a test may change them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for stage in STAGES:
            self.path(stage).parent.mkdir(parents=True)

    def path(self, stage: str) -> Path:
        return self.folder / f"demo-{stage}" / "bin" / "lambda.zip"

    def write_idle(self, stage: str, comment: str = "") -> None:
        """A function that does nothing, and is deployed in no time."""
        with zipfile.ZipFile(self.path(stage), "w") as opened:
            opened.writestr("lambda.py", f"def lambda_handler(event, context): ... # {comment}")

    def deploy(self, *arguments: str) -> Said:
        """Run the command line, and deploy these."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("harness.functions.ROOT", self.folder)
            return harness(*arguments)


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Zips:
    """Of functions that do nothing."""
    made = Zips(tmp_path_factory.mktemp("idle"))
    for stage in STAGES:
        made.write_idle(stage, stage)
    return made


@pytest.fixture(scope="module")
def deploy(idle: Zips) -> Deploy:
    return idle.deploy


@pytest.fixture(scope="module")
def stack(deploy: Deploy) -> Iterator[str]:
    """Of idle functions, with whatever parameters a test gives it."""
    name = stack_name()
    checked(deploy(*at(name), "deploy"))
    yield name
    checked(deploy(*at(name), "destroy", "--empty", "--yes"))


# A segment waits while there is an object of this key, until there is another.
HOLD, GO = "scatter/hold", "scatter/go"
HELD = f"""
def lambda_handler(event: str, context: Any) -> str:
    import os

    bucket = {{"Bucket": os.environ["BUCKET"]}}
    if s3.list_objects_v2(**bucket, Prefix="{HOLD}")["KeyCount"]:
        patient = {{"Delay": 1, "MaxAttempts": 300}}
        s3.put_object(**bucket, Key="gather/held", Body=b"")
        s3.get_waiter("object_exists").wait(**bucket, Key="{GO}", WaiterConfig=patient)
    return SegmentHandler(event, context, s3).main()
"""


@pytest.fixture(scope="module")
def whole(zips: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Zips:
    """Of the pipeline's functions, with one more ETL, and a segment that can be held."""
    made = Zips(tmp_path_factory.mktemp("whole"))
    for stage in ("scatter", "gather"):
        shutil.copy(zips[stage], made.path(stage))
    own = (ROOT / "demo-segment" / "lambda.py").read_text()
    pack("segment", made.path("segment"), {"etl/orders.py": ORDERS, "lambda.py": own + HELD})
    return made


# A comma stands in a schedule and in JSON, too.
SCHEDULE = "cron(0 6 ? * MON-FRI,SUN *)"


class Subscriber:
    """A queue that gets what a topic of its own is told."""

    def __init__(self, name: str) -> None:
        self.name = name
        sns, self.sqs = emulator().client("sns"), emulator().client("sqs")
        self.topic = sns.create_topic(Name=name)["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        of_queue = {"QueueUrl": self.queue, "AttributeNames": ["QueueArn"]}
        arn = self.sqs.get_queue_attributes(**of_queue)["Attributes"]["QueueArn"]
        raw = {"RawMessageDelivery": "true"}
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn, Attributes=raw)

    def told(self, count: int, of: str) -> list[dict[str, str]]:
        """The next messages that tell of a key or an execution, as what stands in their lines."""
        messages: list[str] = []
        while len(messages) < count:
            got = self.sqs.receive_message(QueueUrl=self.queue, WaitTimeSeconds=20)
            assert got.get("Messages"), f"{len(messages)} of {count} messages: {messages}"
            for each in got["Messages"]:
                messages += [each["Body"]] if of in each["Body"] else []
                handle = each["ReceiptHandle"]
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=handle)
        lines = [[(line[:10].strip(), line[10:]) for line in m.splitlines()] for m in messages]
        return [dict(each) for each in lines]


@pytest.fixture(scope="module")
def input_bucket() -> str:
    name = f"input-{uuid.uuid4()}"
    emulator().client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="module")
def served(whole: Zips, input_bucket: str) -> Iterator[Subscriber]:
    """Who is told of a stack that makes workbooks: of its inbox, of another bucket, on schedule."""
    subscriber = Subscriber(stack_name())
    scheduled = {"input_obj": "sales/{yesterday:%Y-%m-%d}/", "etl": "orders"}
    given = {
        "Inbox": "inbox/",
        "InboxInput": json.dumps({"source_column": "ファイル", "orders": {"delimiter": ";"}}),
        "InputBucket": input_bucket,
        "NotifyTopic": subscriber.topic,
        "Schedule": SCHEDULE,
        "ScheduleZone": "Asia/Tokyo",
        "ScheduleInput": json.dumps({**scheduled, "input_bucket": input_bucket}),
    }
    typed = ",".join(f"{key}={value}" for key, value in given.items())
    checked(whole.deploy(*at(subscriber.name), "deploy", "--parameters", typed))
    yield subscriber
    checked(whole.deploy(*at(subscriber.name), "destroy", "--empty", "--yes"))


@pytest.fixture(scope="module")
def working(served: Subscriber) -> str:
    """The stack's name."""
    return served.name


def stack_name() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


def at(stack: str, target: str = "stack") -> list[str]:
    return ["--target", target, "--stack", stack]


def described(stack: str) -> dict[str, Any]:
    [found] = emulator().client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return dict(found)


def outputs(stack: str) -> dict[str, str]:
    return {each["OutputKey"]: each["OutputValue"] for each in described(stack)["Outputs"]}


def parameters(stack: str) -> dict[str, str]:
    return {each["ParameterKey"]: each["ParameterValue"] for each in described(stack)["Parameters"]}


def code_of(stack: str) -> dict[str, str]:
    functions = emulator().client("lambda")
    return {
        stage: functions.get_function_configuration(FunctionName=f"{stack}-{stage}")["RevisionId"]
        for stage in STAGES
    }


def run(stack: str, given: str) -> dict[str, Any]:
    """An execution on an input, which has ended."""
    arn = outputs(stack)["StateMachineArn"]
    states = emulator().client("stepfunctions")
    started = states.start_execution(stateMachineArn=arn, input=given)
    return follow(emulator(), started["executionArn"])


# What lists each service's things, and where the answer has their names.
LISTS = (
    ("s3", "list_buckets", "Buckets", "Name"),
    ("lambda", "list_functions", "Functions", "FunctionName"),
    ("iam", "list_roles", "Roles", "RoleName"),
    ("stepfunctions", "list_state_machines", "stateMachines", "name"),
    ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    ("scheduler", "list_schedules", "Schedules", "Name"),
)


def leftovers(stack: str) -> list[str]:
    """Everything of any service that bears the stack's name."""
    names = []
    for service, operation, field, name in LISTS:
        listed = getattr(emulator().client(service), operation)()
        names += [each[name] for each in listed[field]]
    return [name for name in names if stack in name]


def segments_of(execution: dict[str, Any]) -> int:
    return history.read(emulator().client("stepfunctions"), execution["executionArn"]).segments


def test_a_changed_segment_updates_that_function_and_keeps_the_zip_before_it(
    stack: str, idle: Zips
) -> None:
    before = code_of(stack)
    zips = []
    for number in range(2):
        idle.write_idle("segment", f"change {number}")
        checked(idle.deploy(*at(stack), "deploy"))
        zips.append(parameters(stack)["SegmentZip"])
    after = code_of(stack)
    assert [stage for stage in STAGES if before[stage] != after[stage]] == ["segment"]
    found = emulator().client("s3").list_objects_v2(Bucket=zips_of(stack), Prefix="SegmentZip/")
    assert sorted(each["Key"] for each in found["Contents"]) == sorted(zips)


def test_a_stack_beside_another_is_destroyed_whole_and_its_tables_only_when_asked(
    stack: str, deploy: Deploy
) -> None:
    """What runs in it is stopped before its bucket is emptied."""
    name = stack_name()
    given = "Inbox=inbox/,NotifyTopic=arn:aws:sns:us-east-1:000000000000:none,Schedule=rate(1 day)"
    checked(deploy(*at(name), "deploy", "--parameters", given))
    bucket, s3 = outputs(name)["BucketName"], emulator().client("s3")
    assert bucket != outputs(stack)["BucketName"]
    s3.put_object(Bucket=bucket, Key="test.json", Body=b"[]")
    kept = refused(deploy(*at(name), "destroy", "--yes"))
    assert f"s3://{bucket} holds objects" in kept and "EMPTY=1" in kept
    s3.head_object(Bucket=bucket, Key="test.json")
    states = emulator().client("stepfunctions")
    running = start_waiting(states, outputs(name)["StateMachineArn"])
    destroyed = checked(deploy(*at(name), "destroy", "--yes", "--empty"))
    assert f"  stopped {running}\n" in destroyed
    assert history.read(states, running).status == "ABORTED"
    assert leftovers(name) == []
    assert len(leftovers(stack)) > 10


def test_the_smoke_test_passes_and_leaves_nothing(make: Make) -> None:
    said = checked(make("smoke", "SMOKE_ROWS=2000"))
    assert "2,000 rows, distributed" in said
    assert "no bill" not in said and "have not come" not in said
    assert leftovers("smoke-") == []


def zips_of(stack: str) -> str:
    return f"{stack}-zips-000000000000-us-east-1-an"


def test_a_bucket_planted_by_another_account_is_refused(deploy: Deploy) -> None:
    name = stack_name()
    other = boto3.client(
        "s3",
        endpoint_url=endpoint(),
        region_name="us-east-1",
        aws_access_key_id="111111111111",
        aws_secret_access_key="test",
    )
    other.create_bucket(Bucket=zips_of(name))
    for command in (["deploy"], ["destroy", "--yes"]):
        said = refused(deploy(*at(name), *command))
        assert f"S3 refuses s3://{zips_of(name)} to the account 000000000000" in said
    other.delete_bucket(Bucket=zips_of(name))
    assert leftovers(name) == []


def test_a_planted_zip_never_runs_and_the_failed_creation_is_explained_until_it_is_destroyed(
    deploy: Deploy, idle: Zips
) -> None:
    """Lambda publishes no version of other code than the zip's."""
    name = stack_name()
    s3 = emulator().client("s3")
    s3.create_bucket(Bucket=zips_of(name))
    key = artifacts.key_of("SegmentZip", idle.path("segment").read_bytes())
    s3.put_object(Bucket=zips_of(name), Key=key, Body=idle.path("gather").read_bytes())
    assert "SegmentVersion" in refused(deploy(*at(name), "deploy"))
    again = refused(deploy(*at(name), "deploy"))
    assert f"to do: its creation failed: make destroy TARGET=stack STACK={name}" in again
    assert "SegmentVersion" in again
    checked(deploy(*at(name), "destroy", "--yes"))
    assert leftovers(name) == []


SOMEBODYS = json.dumps(
    {"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}, "Logs": {"Type": "AWS::Logs::LogGroup"}}}
)


def test_a_stack_of_somebody_else_is_neither_changed_nor_deleted(deploy: Deploy) -> None:
    cfn, name = emulator().client("cloudformation"), stack_name()
    cfn.create_stack(StackName=name, TemplateBody=SOMEBODYS)
    cfn.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    before = cfn.describe_stack_resources(StackName=name)["StackResources"]
    for command in (["deploy"], ["deploy", "--plan"], ["destroy", "--yes", "--empty"]):
        said = refused(deploy(*at(name), *command))
        assert f"the stack {name} is not of this project" in said
    assert cfn.describe_stack_resources(StackName=name)["StackResources"] == before
    assert leftovers(f"{name}-zips") == []
    cfn.delete_stack(StackName=name)


SET = {
    "Architecture": "arm64",
    "Definition": "distributed",
    "SegmentMemory": "3008",
    "AlarmTopic": "arn:aws:sns:us-east-1:000000000000:operators",
}


def keys_of(made: dict[str, str]) -> set[str]:
    """What the functions of a stack's outputs sign with."""
    functions = emulator().client("lambda")
    found = [
        functions.get_function_configuration(FunctionName=made[f"{stage.title()}Function"])
        for stage in STAGES
    ]
    return {each["Environment"]["Variables"]["SIGNING_KEY"] for each in found}


def test_what_was_set_stays_set_and_the_key_until_it_is_rotated(stack: str, deploy: Deploy) -> None:
    said = []

    def deployed(*more: str) -> tuple[str, dict[str, str]]:
        done = deploy(*at(stack), "deploy", *more)
        said.append(checked(done) + done.stderr + json.dumps(described(stack), default=str))
        [key] = keys_of(outputs(stack))
        return key, parameters(stack)

    given = ",".join(f"{key}={SET[key]}" for key in ("SegmentMemory", "AlarmTopic"))
    how = ["--arch", "arm64", "--definition", "distributed", "--parameters", given]
    key, before = deployed(*how, "--tags", "team=data")
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert before.items() >= SET.items()
    for plan in ([], ["--plan"]):
        assert deployed(*plan) == (key, before)
        assert ": up to date" in said[-1]
    more = {"GatherTimeout": "600", "Inbox": "inbox/", "Schedule": "rate(1 day)"}
    typed = ",".join(f"{name}={value}" for name, value in more.items())
    assert deployed("--parameters", typed) == (key, before | more)
    scheduler = emulator().client("scheduler")
    scheduler.get_schedule(Name=stack)
    assert {"Key": "team", "Value": "data"} in described(stack)["Tags"]
    first, number = outputs(stack), int(before["SigningKeyNumber"])
    assert deployed("--rotate-key", "--plan")[0] == key
    another, after = deployed("--rotate-key")
    assert another != key
    assert after == before | more | {"SigningKeyNumber": str(number + 1)}
    assert keys_of(first) == {key}, "an execution, or its redrive, goes on with these versions"
    deployed("--parameters", "Schedule=")
    with pytest.raises(scheduler.exceptions.ResourceNotFoundException):
        scheduler.get_schedule(Name=stack)
    assert not [text for text in said if key in text or another in text]


def test_a_plan_says_what_would_change_and_changes_nothing(deploy: Deploy) -> None:
    name = stack_name()
    planned = checked(deploy(*at(name), "deploy", "--plan"))
    assert "none is made" in planned
    assert "Add SegmentFunction" in planned
    assert leftovers(name) == []
    assert deploy(*at(name), "destroy").stdout.endswith("not there\n")


def test_a_bucket_with_tables_is_replaced_only_when_told(
    stack: str, deploy: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, bucket = "      BucketEncryption:", outputs(stack)["BucketName"]
    edited = tmp_path / "template.yaml"
    edited.write_text(
        artifacts.TEMPLATE.read_text().replace(first, f"      BucketName: {stack}-own\n{first}")
    )
    monkeypatch.setattr(artifacts, "TEMPLATE", edited)
    untold = refused(deploy(*at(stack), "deploy"))
    assert "Modify Bucket (replaced)" in untold and "REPLACE_BUCKET=1" in untold
    assert "Modify Bucket (replaced)" in checked(deploy(*at(stack), "deploy", "--plan"))
    assert outputs(stack)["BucketName"] == bucket


def test_a_bucket_that_cloudformation_may_replace_is_as_good_as_replaced() -> None:
    change = {"Action": "Modify", "LogicalResourceId": "Bucket", "Replacement": "Conditional"}
    with pytest.raises(Fault, match=r"Modify Bucket \(perhaps replaced\)"):
        check_bucket_stays([change])
    check_bucket_stays([{**change, "Replacement": "False"}])


def test_nothing_is_deleted_without_a_yes(stack: str, deploy: Deploy) -> None:
    unasked = deploy(*at(stack), "destroy", "--empty")
    assert outputs(stack)["BucketName"] in unasked.stdout
    assert "nothing is deleted" in refused(unasked) and "YES=1" in refused(unasked)
    assert code_of(stack)


def test_an_execution_that_has_the_definition_of_before_the_deploy_is_started_anew(
    stack: str, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Step Functions may start it for a moment."""
    states, target = emulator().client("stepfunctions"), replace(emulator(), stack=stack)
    checked(deploy(*at(stack), "deploy", "--parameters", "MaxConcurrency=3"))
    arn = outputs(stack)["StateMachineArn"]
    present = states.describe_state_machine(stateMachineArn=arn)["definition"]
    assert json.loads(present)["States"]["ProcessAllSegments"]["MaxConcurrency"] == 3
    there = {each["executionArn"] for each in machines.executions(target, arn)}
    before = json.dumps({**json.loads(present), "Comment": "of before"})
    states.update_state_machine(stateMachineArn=arn, definition=before)

    def settle(**_: Any) -> None:
        states.update_state_machine(stateMachineArn=arn, definition=present)

    def client(service: str, **config: Any) -> Any:
        made = emulator().client(service, **config)
        made.meta.events.register("after-call.stepfunctions.StopExecution", settle)
        return made

    monkeypatch.setattr("harness.run.POLL_S", 0)
    last = start(replace(target, client=client), arn, {})
    started = {each["executionArn"] for each in machines.executions(target, arn)} - there
    assert {each: is_as_deployed(target, each) for each in started} == {
        **dict.fromkeys(started, False),
        last: True,
    }
    assert len(started) == 2
    for each in started:
        follow(emulator(), each)


LOGS = json.dumps({"Resources": {"Logs": {"Type": "AWS::Logs::LogGroup"}}})
ROLE = "arn:aws:iam::000000000000:role/deployer"


def test_cloudformation_acts_with_the_role_that_is_given_and_else_with_the_one_before(
    stack: str, deploy: Deploy
) -> None:
    cfn, name = emulator().client("cloudformation"), stack_name()
    sent: list[Any] = []

    def keep(params: dict[str, Any], **_: Any) -> None:
        sent.append(params.get("RoleARN"))

    cfn.meta.events.register("provide-client-params.cloudformation.CreateChangeSet", keep)
    made = Stack(cfn, name, "")
    made.change(LOGS, {}, {}, lambda _: True, ROLE)
    made.change(LOGS.replace("Logs", "Others", 1), {}, {}, lambda _: True)
    assert sent == [ROLE, None]
    made.delete()
    # What is typed reaches CloudFormation, which says that it is no role's name.
    assert "RoleARN, value: 8" in refused(deploy(*at(stack), "deploy", "--role", "deployer"))


def told(status: str, physical: str) -> dict[str, Any]:
    """An event, as CloudFormation describes it."""
    event = {"StackId": OWN, "StackName": "own", "Timestamp": datetime.now(UTC)}
    event |= {"EventId": f"{physical} {status}", "LogicalResourceId": "own"}
    return {**event, "PhysicalResourceId": physical, "ResourceStatus": status}


OWN, WITHIN = "arn:own", "arn:within"


def test_an_update_is_done_when_the_stacks_own_event_says_so() -> None:
    """Neither when a stack within has its own, nor before the stack's description says it, too."""
    cfn = emulator().client("cloudformation")
    begun, done = told("UPDATE_IN_PROGRESS", OWN), told("UPDATE_COMPLETE", OWN)
    events = [begun, told("UPDATE_COMPLETE", WITHIN), done]
    stack = {"StackId": OWN, "StackName": "own", "CreationTime": datetime.now(UTC)}
    with Stubber(cfn) as answers:
        for count in (1, 2, 3):
            answers.add_response("describe_stack_events", {"StackEvents": events[:count][::-1]})
        described = {"Stacks": [{**stack, "StackStatus": "UPDATE_COMPLETE"}]}
        answers.add_response("describe_stacks", described)
        Stack(cfn, "own", "").follow(OWN, "UPDATE_COMPLETE", "")
        answers.assert_no_pending_responses()


@pytest.mark.parametrize("given", ["[1]", "inbox", '{"a": 1'])
def test_an_inbox_input_that_is_no_object_is_refused_before_anything_changes(given: str) -> None:
    fault = f"PARAMETERS: InboxInput must be a JSON object; found {given}"
    with pytest.raises(Fault, match=f"^{re.escape(fault)}$"):
        given_parameters(f"InboxInput={given}")


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ("SigningKey=7", "must not hold the key; found SigningKey\nto do: ROTATE_KEY=1"),
        (
            "SigningKeyNumber=7",
            "must not hold the key; found SigningKeyNumber\nto do: ROTATE_KEY=1",
        ),
        ("Architecture=arm64", "must be of .*, beside ARCH and DEFINITION; found Architecture"),
        ("Definition=distributed", "must be of .*, beside ARCH and DEFINITION; found Definition"),
        ("GatherTimout=9", "must be of .*, beside ARCH and DEFINITION; found GatherTimout"),
    ],
)
def test_what_is_no_parameter_or_is_given_in_another_way_is_refused(given: str, rule: str) -> None:
    with pytest.raises(Fault, match=f"^PARAMETERS: {rule}"):
        given_parameters(given)


def test_a_value_that_the_template_does_not_take_is_refused() -> None:
    with pytest.raises(Fault, match="^LogRetentionDays: must be 1 or 3 or .*; found 8$"):
        given_parameters("LogRetentionDays=8")


def test_an_accounts_own_limits_are_told_before_they_are_met() -> None:
    assert warnings(1000, {"ScatterMemory": "10240"}) == []
    [segments] = warnings(10, {"ScatterMemory": "1769", "Definition": "parallel"})
    assert "runs 10 functions at once" in segments
    [_, memory] = warnings(10, {"ScatterMemory": "3538", "Definition": "parallel"})
    assert "ScatterMemory=3538: a new account's" in memory


def test_aws_own_words_for_too_much_memory_get_a_remedy() -> None:
    said = (
        "  ScatterFunction: Resource handler returned message: \"'MemorySize' value failed to "
        'satisfy constraint: Member must have value less than or equal to 3008 (Service: Lambda)"'
    )
    failed = str(Stack(None, "x", "aws").failed("CREATE_FAILED", [said]))
    assert "PARAMETERS=ScatterMemory=3008" in failed


KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}


NOBODY = [
    pytest.param({"AWS_REGION": "us-east-1"}, "Unable to locate credentials.*to do: log in", id="no credentials"),
    pytest.param(KEYS, "You must specify a region.*REGION=us-east-1", id="no region"),
    pytest.param({**KEYS, "AWS_DEFAULT_REGION": "us-est-1"}, "REGION: must be a region of AWS that has Lambda; found us-est-1", id="none"),
    pytest.param({**KEYS, "AWS_REGION": "tokyo"}, "Unknown region.*REGION=us-east-1", id="no region's name"),
    pytest.param({"AWS_PROFILE": "none", "AWS_REGION": "us-east-1"}, r"The config profile \(none\) could not be found.*list-profiles", id="no such profile"),
]  # fmt: skip


@pytest.fixture
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Gives a process the AWS settings of its user, and no others."""

    def give(settings: dict[str, str]) -> None:
        for name in [each for each in os.environ if each.startswith("AWS_")]:
            monkeypatch.delenv(name)
        metadata = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
        for name, value in {**metadata, **settings}.items():
            monkeypatch.setenv(name, value)

    return give


@pytest.mark.parametrize(("settings", "said"), NOBODY)
def test_without_an_account_it_says_what_to_do(
    settings: dict[str, str], said: str, own_settings: Callable[..., None]
) -> None:
    own_settings(settings)
    message = refused(harness(*at("test", "aws"), "deploy"))
    assert re.search(said, message, re.DOTALL), message


@pytest.mark.parametrize("name", ["", "Upper", "9lives", "a" * 25, "under_score"])
def test_a_stack_name_must_fit_into_a_bucket_name(name: str) -> None:
    with pytest.raises(Fault, match=f"STACK: must be .*; found {name}"):
        connect("stack", name)


def test_every_verb_works_on_a_stack_and_nowhere_else(
    working: str, make: Make, tmp_path: Path
) -> None:
    table = tmp_path / f"{working}.json"
    table.write_text(json.dumps(EXAMPLE))
    bucket, elsewhere = outputs(working)["BucketName"], f"elsewhere-{working}"
    at = ("TARGET=stack", f"STACK={working}", f"BUCKET={elsewhere}", f"WORKBOOK={working}.xlsx")

    verbs = ("json", "upload", "stepfunctions", "invoke", "log", "cost", "stop")
    given = ("ROWS=10", f"FILE={table}", "KEY=a/b.json", 'INPUT={"division_number": 1}')
    said = checked(make(*verbs, *given, *at))
    last = machines.find(replace(emulator(), name="stack", stack=working))
    assert last
    name, workbook = last.split(":")[-1], ROOT / "result" / f"{working}.xlsx"
    for words in (
        *(f"s3://{bucket}/test.json", f"s3://{bucket}/a/b.json", "SUCCEEDED in"),
        *(f"\nresult/{working}.xlsx\n", '"invoke.xlsx"', f"── {working}-gather"),
    ):
        assert words in said
    assert said.count(name) > 1 and said.endswith("nothing runs\n")
    assert list(load_workbook(workbook)["Sheet1"].values) == expected(EXAMPLE)
    workbook.unlink()

    again = ("stepfunctions", "report", "download")
    said = checked(make(*again, *at, 'INPUT={"input_obj": "a/b.json"}'))
    *_, page, copied = said.splitlines()
    made = f"s3://{bucket}/{working}.xlsx"
    assert made in said and copied == f"result/{working}.xlsx"
    assert page != f"result/{name}.html" and made in (ROOT / page).read_text()
    workbook.unlink()
    assert elsewhere not in leftovers(working)


@pytest.mark.parametrize("verb", ["zip", "create", "down"])
def test_a_stack_is_not_for_the_emulators_own_verbs(verb: str, make: Make) -> None:
    said = refused(make(verb, "TARGET=aws"))
    assert "a stack has deploy and destroy for all of it; found aws" in said


def test_a_stack_that_is_not_there_is_named_with_what_to_do() -> None:
    said = refused(harness(*at("gone"), "stepfunctions"))
    assert "the stack gone does not exist: make deploy TARGET=stack STACK=gone" in said


def rows(bucket: str, key: str, folder: Path) -> list[tuple[Any, ...]]:
    path = folder / "x.xlsx"
    emulator().client("s3").download_file(bucket, key, str(path))
    return list(load_workbook(path)["Sheet1"].values)


def test_a_table_in_the_inbox_becomes_a_workbook_in_the_outbox(
    working: str, served: Subscriber, tmp_path: Path
) -> None:
    s3, bucket = emulator().client("s3"), outputs(working)["BucketName"]
    target, machine = replace(emulator(), stack=working), outputs(working)["StateMachineArn"]
    there = {each["executionArn"] for each in machines.executions(target, machine)}
    names = ("tables/x", "tables/a/x", "tables/a/b/x")
    tables = {name: list(members(20, seed=seed)) for seed, name in enumerate(names)}

    def put(item: tuple[str, Any]) -> None:
        s3.put_object(Bucket=bucket, Key=f"inbox/{item[0]}.json", Body=json.dumps(item[1]).encode())

    s3.put_object(Bucket=bucket, Key="inbox/tables/notes.txt", Body=b"[]")
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(put, tables.items()))
    *told, passed_over = sorted(served.told(4, "tables/"), key=lambda each: "no table" in each)
    workbooks = {f"s3://{bucket}/outbox/{name}.xlsx" for name in tables}
    assert {each["workbook"] for each in told} == workbooks
    assert {each["rows"] for each in told} == {"20"}
    assert passed_over.keys() == {"execution", "time", "no table"}
    found = 'found the text "inbox/tables/notes.txt", which is passed over'
    assert passed_over["no table"].endswith(found)
    for name, table in tables.items():
        made = rows(bucket, f"outbox/{name}.xlsx", tmp_path)
        assert [row[1:] for row in made] == expected(table)

    # The same once more makes the same once more, and what is faulty is told, too.
    put(("tables/x", tables["tables/x"]))
    put(("tables/faulty", [{**EXAMPLE[0], "会員ランク": 9}]))
    failed, again = sorted(served.told(2, "tables/"), key=lambda each: "workbook" in each)
    assert again["workbook"] == f"s3://{bucket}/outbox/tables/x.xlsx"
    assert failed["stage"] == "SegmentLambda"
    assert failed["error"] == "InvalidMember"
    assert failed["cause"].startswith(
        "inbox/tables/faulty.json record 0: 会員ランク must be 1 to 5"
    )
    assert f"EXECUTION={failed['execution']}" in failed["to do"]
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="outbox/tables/")["Contents"]
    assert {f"s3://{bucket}/{each['Key']}" for each in listed} == workbooks
    ran = [
        each for each in machines.executions(target, machine) if each["executionArn"] not in there
    ]
    assert sorted(each["status"] for each in ran) == ["FAILED", *5 * ["SUCCEEDED"]]
    # By the table's size, and not by the ten rows that show the emulator's own functions at work.
    assert {segments_of(each) for each in ran} == {0, 1}
    said = checked(
        harness(*at(working), "stepfunctions", '{"input_obj": "inbox/tables/notes.txt"}')
    )
    assert re.search("SUCCEEDED in .* s: input_obj: a table of the inbox must end in", said)


def test_a_table_of_an_etls_folder_in_the_inbox_runs_that_etl(
    working: str, served: Subscriber, tmp_path: Path
) -> None:
    s3, bucket = emulator().client("s3"), outputs(working)["BucketName"]
    s3.put_object(Bucket=bucket, Key="inbox/orders/1.csv", Body="単価;数量\n1;2\n".encode())
    [told] = served.told(1, "orders/1")
    assert told["workbook"] == f"s3://{bucket}/outbox/orders/1.xlsx"
    made = [("ファイル", "単価", "数量", "金額"), ("inbox/orders/1.csv", 1, 2, 2)]
    assert rows(bucket, "outbox/orders/1.xlsx", tmp_path) == made


def test_a_schedule_starts_executions_for_its_times_and_each_workbook_is_made_once(
    working: str, served: Subscriber, whole: Zips, input_bucket: str, tmp_path: Path
) -> None:
    """LocalStack keeps the schedule and never fires: the test starts what it would."""
    s3, scheduler = emulator().client("s3"), emulator().client("scheduler")
    s3.put_object(
        Bucket=input_bucket, Key="sales/2026-11-26/1.csv", Body="単価,数量\n2,3\n".encode()
    )
    schedule = scheduler.get_schedule(Name=working)
    assert schedule["ScheduleExpression"] == SCHEDULE
    assert schedule["ScheduleExpressionTimezone"] == "Asia/Tokyo"
    assert schedule["Target"]["Arn"] == outputs(working)["StateMachineArn"]
    given = schedule["Target"]["Input"].replace(
        "<aws.scheduler.scheduled-time>", "2026-11-26T21:00:00Z"
    )
    once, twice = run(working, given), run(working, given)
    assert once["status"] == "SUCCEEDED", once
    made = rows(outputs(working)["BucketName"], "sales/2026-11-26.xlsx", tmp_path)
    assert made == [("単価", "数量", "金額"), (2, 3, 6)]
    assert (twice["status"], twice["error"]) == ("FAILED", "ScheduledTwice")
    rule = "sales/2026-11-26.xlsx: one execution makes it for 2026-11-26T21:00:00Z; found "
    assert json.loads(twice["cause"])["errorMessage"].startswith(rule)

    kept = described(working)
    faulty = "Schedule=cron(0 6 * * * *)"
    said = refused(whole.deploy(*at(working), "deploy", "--parameters", faulty))
    assert "Schedule: must be rate(2 hours), or cron(" in said
    assert described(working) == kept


def test_the_way_to_aws_is_the_same_with_the_users_own_credentials(
    working: str, deploy: Deploy, own_settings: Callable[..., None], tmp_path: Path
) -> None:
    settings = {"AWS_ENDPOINT_URL": endpoint()}
    settings |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    own_settings({**settings, "AWS_REGION": "ap-northeast-1"})
    name = stack_name()
    made = checked(deploy(*at(name, "aws"), "deploy"))
    where = f"TARGET=aws STACK={name} REGION=ap-northeast-1"
    assert f"make stepfunctions {where} FILE=…" in made
    checked(deploy(*at(name, "aws"), "destroy", "--yes", "--empty"))

    table = tmp_path / f"{working}.json"
    table.write_text(json.dumps(EXAMPLE))
    here = [*at(working, "aws"), "--region", "us-east-1"]
    checked(harness(*here, "stepfunctions", f"--file={table}"))
    workbook = ROOT / "result" / f"{working}.xlsx"
    assert list(load_workbook(workbook)["Sheet1"].values) == expected(EXAMPLE)
    workbook.unlink()
    for verb in (["log", "scatter"], ["report"], ["cost"], ["stop"]):
        checked(harness(*here, *verb))


def test_an_execution_goes_on_with_the_code_and_the_key_that_it_began_with(
    working: str, served: Subscriber, whole: Zips
) -> None:
    """Its gather starts after a deploy of one that does nothing, and of another key: the last test
    of that stack.
    """
    s3, states = emulator().client("s3"), emulator().client("stepfunctions")
    bucket, arn = (outputs(working)[each] for each in ("BucketName", "StateMachineArn"))
    s3.put_object(Bucket=bucket, Key="test.json", Body=json.dumps(EXAMPLE).encode())
    s3.put_object(Bucket=bucket, Key=HOLD, Body=b"")
    started = states.start_execution(stateMachineArn=arn)["executionArn"]
    patient = {"Delay": 1, "MaxAttempts": 300}
    s3.get_waiter("object_exists").wait(Bucket=bucket, Key="gather/held", WaiterConfig=patient)
    before = keys_of(outputs(working))
    whole.write_idle("gather", "and gathers nothing")
    changed = ["--rotate-key", "--parameters", "DivisionNumber=2"]
    checked(whole.deploy(*at(working), "deploy", *changed))
    s3.put_object(Bucket=bucket, Key=GO, Body=b"")
    execution = follow(emulator(), started)
    assert execution.get("output") == '"test.xlsx"', execution
    assert keys_of(outputs(working)).isdisjoint(before)
    target = replace(emulator(), name="stack", stack=working)
    found = facts.read(target, history.read(states, started))
    assert found.workbook and found.workbook.rows == len(EXAMPLE)
    assert found.doubts == []
    # The function that notifies has the new key alone. LocalStack may lose the event: what polls
    # for a function that was changed takes one more while it ends.
    notice = json.dumps({"detail": {"executionArn": started}})
    emulator().client("lambda").invoke(FunctionName=f"{working}-notify", Payload=notice)
    [told] = served.told(1, execution["name"])
    assert told["rows"].startswith("not told: ")
    anew = run(working, "{}")
    assert anew["output"] == "null"
    assert (segments_of(execution), segments_of(anew)) == (1, 2)

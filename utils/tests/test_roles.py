"""The template's policies, in an emulator that enforces them: MiniStack with AUTH=true."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.waiter import WaiterModel, create_waiter_with_client

from harness.__main__ import main
from harness.deploy import deploy
from harness.target import STAGES, connect
from ministack import MiniStack
from test_pipeline import EXAMPLE

STACK = "guarded"
# The last record's column comes up late, so that the scatter reads and rewrites its segments.
TABLE = [*EXAMPLE, {**EXAMPLE[0], "備考": "late"}]
# boto3 has no waiter of Step Functions.
STATUS = {"matcher": "path", "argument": "status", "state": "success"}
ENDED = WaiterModel(
    {
        "version": 2,
        "waiters": {
            "Ended": {
                "operation": "DescribeExecution",
                "delay": 1,
                "maxAttempts": 300,
                "acceptors": [{**STATUS, "expected": end} for end in ("SUCCEEDED", "FAILED")],
            }
        },
    }
)


class Account:
    """An account on an emulator that enforces IAM, with the pipeline deployed in it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.s3 = self.client("s3")
        self.iam = self.client("iam")

    def client(
        self, service: Any, key_id: str = "test", secret: str = "test", token: str | None = None
    ) -> Any:
        """A client of the root user, or of a session."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(proxies={}, s3={"addressing_style": "path"}),
        )

    def deploy(self, definition: str) -> dict[str, str]:
        """Deploy the pipeline, or change its definition; returns the stack's outputs."""
        given = f"Inbox=inbox/,InputBucket={INPUT_BUCKET},Schedule=rate(1 day)"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ENDPOINT", self.endpoint)
            stack = connect("stack", STACK)
            deploy(stack, definition=definition, parameters=given)
            return stack.outputs

    def as_role(self, role: str, service: str = "s3") -> Any:
        """A client with a role's policies, as what has the role would have them."""
        twin = f"{service}-twin-of-{role}"
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        arn = self.iam.create_role(
            RoleName=twin, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]})
        )["Role"]["Arn"]
        for name in self.iam.list_role_policies(RoleName=role)["PolicyNames"]:
            policy = self.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            self.iam.put_role_policy(
                RoleName=twin, PolicyName=name, PolicyDocument=json.dumps(policy)
            )
        session = self.client("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
        return self.client(
            service, session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]
        )

    def resources(self) -> dict[str, str]:
        """The physical names of a stack's resources."""
        found = self.client("cloudformation").describe_stack_resources(StackName=STACK)
        return {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for each in found["StackResources"]
        }

    def run(self, arn: str, day: int) -> dict[str, Any]:
        """Run an execution as a schedule starts it, on some day."""
        states = self.client("stepfunctions")
        given: dict[str, Any] = {"scheduled_time": f"2026-11-{day}T21:00:00Z", "zone": "Asia/Tokyo"}
        given |= {"input_obj": "members.json", "division_number": 2}
        started = states.start_execution(stateMachineArn=arn, input=json.dumps(given))
        asked = {"executionArn": started["executionArn"]}
        create_waiter_with_client("Ended", ENDED, states).wait(**asked)
        return dict(states.describe_execution(**asked))


@pytest.fixture(scope="module")
def account(zips: dict[str, Path], guarded: MiniStack) -> Account:
    return Account(guarded.endpoint)


@pytest.fixture(scope="module")
def outputs(account: Account) -> dict[str, str]:
    """The stack's, with the parallel definition, beside another bucket and one that it may read."""
    account.s3.create_bucket(Bucket="another-bucket")
    account.s3.create_bucket(Bucket=INPUT_BUCKET)
    account.s3.put_object(Bucket=INPUT_BUCKET, Key="members.json")
    return account.deploy("parallel")


@pytest.fixture(scope="module")
def policy(account: Account, outputs: dict[str, str]) -> str:
    """That of the stack's bucket, which refuses plain HTTP. It is taken away: the emulator speaks
    no other.
    """
    policy: str = account.s3.get_bucket_policy(Bucket=outputs["BucketName"])["Policy"]
    account.s3.delete_bucket_policy(Bucket=outputs["BucketName"])
    return policy


@pytest.fixture(scope="module")
def bucket(outputs: dict[str, str], policy: str) -> str:
    return outputs["BucketName"]


@pytest.fixture(scope="module")
def as_stage(account: Account, bucket: str) -> dict[str, Any]:
    names = account.resources()
    return {stage: account.as_role(names[f"{stage.title()}Role"]) for stage in STAGES}


def test_an_execution_needs_nothing_that_its_roles_lack_even_to_render_a_segment_again(
    account: Account, bucket: str, outputs: dict[str, str]
) -> None:
    account.s3.put_object(Bucket=bucket, Key="members.json", Body=json.dumps(TABLE).encode())
    execution = account.run(outputs["StateMachineArn"], 27)
    assert execution["output"] == '"members.xlsx"', execution
    folder = f"gather/{execution['name']}/"

    def rendered() -> dict[str, str]:
        found = account.s3.list_objects_v2(Bucket=bucket, Prefix=folder)["Contents"]
        return {each["Key"]: each["ETag"] for each in found if each["Key"].endswith(".deflate")}

    # In another order no segment's rows are where it rendered them.
    before = rendered()
    results = [key.replace(".xml.deflate", ".pkl") for key in sorted(before, reverse=True)]
    answer = account.client("lambda").invoke(
        FunctionName=outputs["GatherFunction"],
        Payload=json.dumps({"segment_definitions": results, "segment_results": results}).encode(),
    )
    assert json.loads(answer["Payload"].read()) == "test.xlsx"
    assert not before.items() & rendered().items()


def test_a_distributed_execution_needs_nothing_that_its_roles_lack(
    account: Account, bucket: str
) -> None:
    machine = account.deploy("distributed")["StateMachineArn"]
    states = account.client("stepfunctions")
    assert "DISTRIBUTED" in states.describe_state_machine(stateMachineArn=machine)["definition"]
    account.s3.put_object(Bucket=bucket, Key="members.json", Body=json.dumps(TABLE).encode())
    execution = account.run(machine, 28)
    assert execution["output"] == '"members.xlsx"', execution


def test_the_bucket_refuses_plain_http(
    account: Account, bucket: str, policy: str, as_stage: dict[str, Any]
) -> None:
    ask(as_stage["scatter"], bucket, "get members.json")
    account.s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
        ask(as_stage["scatter"], bucket, "get members.json")
    account.s3.delete_bucket_policy(Bucket=bucket)


INPUT_BUCKET = "bucket-of-ones-own"
ALLOWED = {
    "scatter": [
        "get members.json",
        "get 2026/members.json",
        "get scatter/run/job_000.pkl",
        "put scatter/run/job_000.pkl",
        "put scatter/run/manifest.json",
        "put scatter/2026-11-27T21:00:00Z/0f.json",
        "get scatter/2026-11-27T21:00:00Z/0f.json",
        "put scatter/run/references.json",
        "list reference/",
        "list ",
    ],
    "segment": [
        "get scatter/run/job_000.pkl",
        "get scatter/run/references.json",
        "get reference/rates.csv",
        "put gather/run/job_000.pkl",
        "put gather/run/job_000.xml.deflate",
        "put gather/run/job_000.json",
        "put gather/run/rejects/job_000-7.pkl",
        "list gather/run/rejects/",
    ],
    "gather": [
        "list gather/run/job_0",
        "get gather/run/job_000.pkl",
        "get gather/run/job_000.json",
        "put gather/run/job_000.json",
        "get scatter/run/manifest.json",
        "put members.xlsx",
        "put 2026/members.xlsx",
        "upload members.xlsx",
    ],
}
DENIED = {
    "scatter": [
        "get gather/run/job_000.pkl",
        "put gather/run/job_000.pkl",
        "put members.json",
        "put members.xlsx",
        "put reference/rates.csv",
        "delete scatter/run/job_000.pkl",
        "delete members.json",
    ],
    "segment": [
        "get members.json",
        "get gather/run/job_000.pkl",
        "get gather/run/references.json",
        "put scatter/run/job_000.pkl",
        "put scatter/2026-11-27T21:00:00Z/0f.json",
        "put scatter/run/references.json",
        "put members.json",
        "put members.xlsx",
        "put reference/rates.csv",
        "delete gather/run/job_000.pkl",
        "list scatter/",
        "list reference/",
        "list gather/",
    ],
    "gather": [
        "get members.json",
        "get members.xlsx",
        "get scatter/run/job_000.pkl",
        "put scatter/run/job_000.pkl",
        "put scatter/2026-11-27T21:00:00Z/0f.json",
        "put members.json",
        "put reference/rates.csv",
        "delete gather/run/job_000.pkl",
        "delete members.xlsx",
        "list members",
        "list scatter/run/job_0",
        "list ",
    ],
}
OPERATIONS = {
    "get": "get_object",
    "put": "put_object",
    "delete": "delete_object",
    "list": "list_objects_v2",
    "upload": "create_multipart_upload",
}


def ask(s3: Any, bucket: str, call: str) -> None:
    verb, _, key = call.partition(" ")
    given = {"Prefix" if verb == "list" else "Key": key}
    getattr(s3, OPERATIONS[verb])(Bucket=bucket, **given)


def each(calls: dict[str, list[str]]) -> pytest.MarkDecorator:
    pairs = [(stage, call) for stage in STAGES for call in calls[stage]]
    return pytest.mark.parametrize(("stage", "call"), pairs)


@each(ALLOWED)
def test_a_stage_may(
    stage: str, call: str, as_stage: dict[str, Any], bucket: str, account: Account
) -> None:
    verb, _, key = call.partition(" ")
    if verb == "get":
        account.s3.put_object(Bucket=bucket, Key=key)
    ask(as_stage[stage], bucket, call)


@each(DENIED)
def test_a_stage_may_not(stage: str, call: str, as_stage: dict[str, Any], bucket: str) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        ask(as_stage[stage], bucket, call)


@each(ALLOWED)
def test_in_another_bucket_a_stage_may_do_nothing(
    stage: str, call: str, as_stage: dict[str, Any]
) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        ask(as_stage[stage], "another-bucket", call)


@pytest.mark.parametrize("call", ["get inbox/members.json", "get outbox/members.xlsx"])
def test_the_gather_may_look_at_uploads_and_their_workbooks(
    call: str, as_stage: dict[str, Any], bucket: str, account: Account
) -> None:
    account.s3.put_object(Bucket=bucket, Key=call.removeprefix("get "))
    ask(as_stage["gather"], bucket, call)


def test_a_schedule_may_start_its_own_state_machine_and_keep_what_failed_and_nothing_else(
    account: Account, bucket: str
) -> None:
    names = account.resources()
    role, queue = names["ScheduleRole"], names["ScheduleFailed"]
    states, sqs = account.as_role(role, "stepfunctions"), account.as_role(role, "sqs")
    own = names["StateMachine"]
    started = states.start_execution(stateMachineArn=own, input='{"input_obj": "none/"}')
    sqs.send_message(QueueUrl=queue, MessageBody="{}")
    other = {"QueueUrl": account.client("sqs").create_queue(QueueName="another")["QueueUrl"]}
    refused_calls: list[Callable[[], Any]] = [
        lambda: states.start_execution(stateMachineArn=f"{own}-of-another"),
        lambda: states.stop_execution(executionArn=started["executionArn"]),
        lambda: sqs.receive_message(QueueUrl=queue),
        lambda: sqs.send_message(**other, MessageBody="{}"),
        lambda: account.as_role(role).get_object(Bucket=bucket, Key="members.json"),
    ]
    for refused_call in refused_calls:
        with pytest.raises(ClientError, match="AccessDenied"):
            refused_call()


@pytest.mark.parametrize("call", ["get members.json", "list "])
def test_the_scatter_may_read_the_input_bucket(call: str, as_stage: dict[str, Any]) -> None:
    ask(as_stage["scatter"], INPUT_BUCKET, call)


READS = [(stage, call) for stage in ("segment", "gather") for call in ("get members.json", "list ")]
WRITES = [(stage, f"{verb} members.json") for stage in STAGES for verb in ("put", "delete")]


@pytest.mark.parametrize(("stage", "call"), READS + WRITES)
def test_nothing_else_may_be_done_in_the_input_bucket(
    stage: str, call: str, as_stage: dict[str, Any]
) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        ask(as_stage[stage], INPUT_BUCKET, call)


def test_keys_of_no_user_are_refused_with_advice(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", account.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA0000000000000000")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of nobody")
    said = str(main(["--target", "aws", "--stack", "test", "--region", "us-east-1", "deploy"]))
    assert "InvalidClientTokenId" in said
    assert "to do: these keys are of no user" in said

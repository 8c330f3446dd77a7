"""A redriven execution is read as one: its history as AWS writes it, its log, its cost, its report.

AWS numbers the events of a redrive on, and schedules what failed or was cut off anew, in the states
that it had entered: as radkawar/stackd captured it (testdata/aws/stepfunctions/redrive_execution.json).
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.session import Session
from botocore.validate import ParamValidator

from harness import calls, cost, machines, progress, run
from harness.advice import ADVICE, BY_MESSAGE, advice
from harness.facts import read
from harness.fault import Fault
from harness.history import Event, parse
from harness.settings import RESULT
from harness.target import MACHINES, Target
from replay import FUNCTIONS, Missing, Replay

T0 = 1_795_600_000.0
REST_S = 3596.0  # from the failure to the redrive
SLOW = {"error": "SlowDown", "cause": json.dumps({"errorMessage": "Please reduce your rate"})}
FAULTY = "redriven.json record 7: 会員ランク must be 1 to 5; found 9"
NAME = "redriven"
REQUEST = "4a775206-2814-4c09-ad1d-e68775e3a7b7"
ARN = f"arn:aws:states:us-east-1:123456789012:execution:Aggregate:{NAME}"
MAP_RUN = "arn:aws:states:us-east-1:123456789012:mapRun:Aggregate/x:y"


class History(list[dict[str, Any]]):
    """Events in AWS's order; each names the one that it follows, by default the one before."""

    def add(self, at_s: float, kind: str, after: int | None = None, /, **details: Any) -> int:
        number = len(self) + 1
        follows = number - 1 if after is None else after
        event = {"timestamp": T0 + at_s, "type": kind, "id": number, "previousEventId": follows}
        name = "StateEntered" if kind.endswith("StateEntered") else kind
        name = "StateExited" if kind.endswith("StateExited") else name
        if details:
            event[f"{name[0].lower()}{name[1:]}EventDetails"] = details
        self.append(event)
        return number

    def call(self, at_s: float, state: str, given: str, after: int | None = None) -> int:
        """Schedule and start a function."""
        resource = f"{FUNCTIONS}{state.removesuffix('Lambda').lower()}-lambda"
        self.add(at_s, "LambdaFunctionScheduled", after, resource=resource, input=given)
        return self.add(at_s, "LambdaFunctionStarted")

    def task(self, at_s: float, state: str, given: str, output: str) -> None:
        """A Task that succeeds after a second."""
        self.add(at_s, "TaskStateEntered", name=state, input=given)
        self.call(at_s, state, given)
        self.succeed(at_s + 1, state, output)

    def succeed(self, at_s: float, state: str, output: str, after: int | None = None) -> int:
        self.add(at_s, "LambdaFunctionSucceeded", after, output=output)
        return self.add(at_s, "TaskStateExited", name=state, output=output)


def key(index: int, execution: str = NAME) -> str:
    return json.dumps(f"scatter/{execution}/job_{index:03d}.pkl")


def redriven(error: dict[str, Any] | None = None) -> tuple[History, int]:
    """Of three segments one succeeds, one fails twice by S3, and one is cut off; and where it is redriven.

    Args:
        error: of the third segment in the second part.
    """
    events = History()
    events.add(0, "ExecutionStarted", 0, input="{}")
    events.task(0, "ScatterLambda", "{}", json.dumps({"segment_definitions": []}))
    events.add(1, "MapStateEntered", name="ProcessAllSegments", input="{}")
    begun = events.add(1, "MapStateStarted", length=3)
    entered, started = [], []
    for index in range(3):
        events.add(1, "MapIterationStarted", begun, name="ProcessAllSegments", index=index)
        entered.append(events.add(1, "TaskStateEntered", name="SegmentLambda", input=key(index)))
        started.append(events.call(1, "SegmentLambda", key(index)))
    left = events.succeed(2, "SegmentLambda", '"gather/x"', started[0])
    events.add(2, "MapIterationSucceeded", left, name="ProcessAllSegments", index=0)
    failed = events.add(2, "LambdaFunctionFailed", started[1], **SLOW)
    again = events.call(3, "SegmentLambda", key(1), failed)
    failed = events.add(4, "LambdaFunctionFailed", again, **SLOW)
    events.add(4, "MapIterationFailed", failed, name="ProcessAllSegments", index=1)
    events.add(4, "TaskStateAborted", failed)
    events.add(4, "MapStateFailed", failed)
    events.add(4, "ExecutionFailed", None, **SLOW)
    events.add(4 + REST_S, "ExecutionRedriven", redriveCount=1)
    where = len(events)
    again, last = (
        events.call(4 + REST_S, "SegmentLambda", key(index), entered[index]) for index in (1, 2)
    )
    left = events.succeed(5 + REST_S, "SegmentLambda", '"gather/x"', again)
    events.add(5 + REST_S, "MapIterationSucceeded", left, name="ProcessAllSegments", index=1)
    if error:
        events.add(6 + REST_S, "LambdaFunctionFailed", last, **error)
        events.add(6 + REST_S, "MapIterationFailed", name="ProcessAllSegments", index=2)
        events.add(6 + REST_S, "MapStateFailed")
        events.add(6 + REST_S, "ExecutionFailed", None, **error)
        return events, where
    left = events.succeed(6 + REST_S, "SegmentLambda", '"gather/x"', last)
    events.add(6 + REST_S, "MapIterationSucceeded", left, name="ProcessAllSegments", index=2)
    events.add(6 + REST_S, "MapStateSucceeded", left)
    events.add(6 + REST_S, "MapStateExited", left, name="ProcessAllSegments", output="{}")
    events.task(6 + REST_S, "GatherLambda", "{}", '"redriven.xlsx"')
    events.add(7 + REST_S, "ExecutionSucceeded", output='"redriven.xlsx"')
    return events, where


def distributed() -> History:
    """Of two segments in executions of their own one fails; its Map Run is redriven."""
    events, failed = History(), {"error": "States.ExceedToleratedFailureThreshold", "cause": "x"}
    events.add(0, "ExecutionStarted", 0, input="{}")
    events.task(
        0, "ScatterLambda", "{}", json.dumps({"manifest": "scatter/redriven/manifest.json"})
    )
    events.add(1, "MapStateEntered", name="ProcessAllSegments", input="{}")
    events.add(1, "MapStateStarted", length=0)
    events.add(1, "MapRunStarted", mapRunArn=MAP_RUN)
    events.add(4, "MapRunFailed", None, **failed)
    events.add(4, "MapStateFailed")
    events.add(4, "ExecutionFailed", None, **failed)
    events.add(4 + REST_S, "ExecutionRedriven", redriveCount=1)
    events.add(4 + REST_S, "MapRunRedriven", mapRunArn=MAP_RUN, redriveCount=1)
    events.add(6 + REST_S, "MapRunSucceeded")
    events.add(6 + REST_S, "MapStateSucceeded")
    events.add(6 + REST_S, "MapStateExited", name="ProcessAllSegments", output="{}")
    events.task(6 + REST_S, "GatherLambda", "{}", '"redriven.xlsx"')
    events.add(7 + REST_S, "ExecutionSucceeded", output='"redriven.xlsx"')
    return events


def logged(at_s: float, request: str, given: str = "", error: str = "") -> list[dict[str, Any]]:
    """What a call of one second logged, to its end."""
    report = f"REPORT RequestId: {request}\tDuration: 900 ms\tBilled Duration: 1000 ms\t"
    lines = [
        f"START RequestId: {request} Version: 1\n",
        *([f"SEGMENT RequestId: {request} Key: {given}\n"] if given else []),
        *([f"[ERROR] {error}\nTraceback (most recent call last):\n  File x\n"] if error else []),
        f"{report}Memory Size: 1024 MB\tMax Memory Used: 99 MB\t"
        + ("Status: error\tError Type: x\t\n" if error else "\n"),
    ]
    at = round((T0 + at_s) * 1000)
    return [{"timestamp": at, "logStreamName": request, "message": line} for line in lines]


LOGS = {
    "scatter-lambda": logged(1, "a0"),
    "gather-lambda": logged(7 + REST_S, "b0"),
    "segment-lambda": [
        *logged(2, "c0", key(0)),
        *logged(2, "c1", key(1), "SlowDown: slow"),
        *logged(4, "c2", key(1), "SlowDown: slow"),
        *logged(5, "c3", key(2)),  # cut off, and it ran on
        *logged(5 + REST_S, "c4", key(1)),
        *logged(5.5 + REST_S, "d0", key(0, "another")),
        *logged(6 + REST_S, "c5", key(2)),
    ],
}


def recorded(events: list[dict[str, Any]], status: str) -> dict[str, Any]:
    described = {
        "executionArn": ARN,
        "name": NAME,
        "status": status,
        "input": "{}",
        "output": '"redriven.xlsx"' if status == "SUCCEEDED" else None,
    }
    return {"described": described, "events": events, "logs": LOGS, "objects": {}}


def replay(events: list[dict[str, Any]], status: str) -> Replay:
    return Replay("two-faulty", **recorded(events, status))


@pytest.fixture
def whole() -> Replay:
    return replay(redriven()[0], "SUCCEEDED")


@pytest.mark.parametrize("history", [redriven()[0], distributed()], ids=["inline", "distributed"])
def test_the_history_has_the_shape_that_aws_documents(history: History) -> None:
    whole = replay(history, "SUCCEEDED")
    service = Session().get_service_model("stepfunctions")
    shape = service.operation_model("GetExecutionHistory").output_shape
    assert shape
    found = ParamValidator().validate({"events": whole.events()}, shape)
    assert not found.has_errors(), found.generate_report()
    kinds = service.shape_for("HistoryEventType").enum  # type: ignore[attr-defined]
    assert {event["type"] for event in whole.events()} <= set(kinds)


def test_what_a_redrive_healed_has_not_failed(whole: Replay) -> None:
    ran = whole.run()
    assert (ran.status, ran.ended, ran.failure) == ("SUCCEEDED", None, None)
    assert (ran.segments, ran.done, ran.failed) == (3, 3, 0)
    assert [ran.outcome(task) for task in ran.iterations] == ["succeeded", "retried", "retried"]
    assert [ran.state_outcome(state) for state in ran.visits] == ["succeeded"] * 3


def test_the_rest_between_the_parts_is_no_time_of_the_execution(whole: Replay) -> None:
    ran = whole.run()
    assert (ran.elapsed_s, [task.took_s for task in ran.iterations]) == (7, [1, 4, 5])
    assert [part.began_s - T0 for part in ran.parts] == [0, 4 + REST_S]
    view = whole.view()
    assert (view.data["elapsed"], max(row["end"] for row in view.rows)) == (7, 7)
    assert [part.timestamp() - T0 for part in view.parts] == [0, 4 + REST_S]


def test_each_call_of_each_part_has_its_own_report_line(whole: Replay) -> None:
    found = [[report.request_id for report in task.reports] for task in whole.run().iterations]
    assert found == [["c0"], ["c1", "c2", "c4"], ["c3", "c5"]]


def test_a_redrive_is_billed_with_what_it_kept_and_what_it_ran_again(whole: Replay) -> None:
    """By hand: 8 calls of a second in 1 GB; 6 states, 3 calls again and the redrive itself."""
    ran = whole.run()
    charges = cost.bill(ran, read(whole.target, ran), "us-east-1")
    amounts = {charge.unit: charge.amount for charge in charges}
    assert ran.unreported == 0
    assert (amounts["invocation"], amounts["GB-second x86_64"]) == (8, 8.0)
    assert amounts["state transition"] == 6 + 3 + 1


@pytest.mark.parametrize("length", range(1, len(redriven()[0]) + 1))
def test_every_beginning_of_a_redriven_history_can_be_read(length: int) -> None:
    events, where = redriven()
    ended = {where - 1: "FAILED", len(events): "SUCCEEDED"}.get(length, "RUNNING")
    ran = parse({"status": ended}, replay(events[:length], ended).events())
    assert (ran.failure is not None) == (length == where - 1)
    assert (ran.failed > 0) == (where - 4 <= length < where)
    assert 0 <= ran.elapsed_s <= 7


def test_a_redrive_that_waits_for_its_turn_runs_and_has_not_failed() -> None:
    events, where = redriven()
    ran = parse({"status": "PENDING_REDRIVE"}, replay(events[: where - 1], "").events())
    assert (ran.status, ran.failure) == ("RUNNING", None)


def test_a_redriven_map_run_is_one_with_the_calls_of_both_parts() -> None:
    whole = replay(distributed(), "SUCCEEDED")
    whole.recorded["map_run"] = {"total": 2, "succeeded": 2, "failed": 0}
    whole.recorded["logs"] = {
        **LOGS,
        "segment-lambda": [
            *logged(2, "c0", key(0)),
            *logged(3, "c1", key(1), "SlowDown: slow"),
            *logged(5.5 + REST_S, "d0", key(1, "another")),
            *logged(6 + REST_S, "c2", key(1)),
        ],
    }
    ran = whole.run()
    assert (ran.status, ran.segments, ran.done, ran.failed) == ("SUCCEEDED", 2, 2, 0)
    found = [[report.request_id for report in task.reports] for task in ran.iterations]
    assert found == [["c0"], ["c1", "c2"]]
    assert [ran.outcome(task) for task in ran.iterations] == ["succeeded", "retried"]
    assert (ran.elapsed_s, ran.transitions) == (7, 3 + 2 + 1 + 1)


def test_a_second_failure_is_blamed_with_its_own_log() -> None:
    cause = json.dumps({"errorMessage": FAULTY, "requestId": REQUEST})
    failed = replay(redriven({"error": "InvalidMember", "cause": cause})[0], "FAILED")
    lines = [line for line in LOGS["segment-lambda"] if line["logStreamName"] != "c5"]
    lines += logged(6 + REST_S, REQUEST, key(2), f"InvalidMember: {FAULTY}")
    failed.recorded["logs"] = {**LOGS, "segment-lambda": lines}
    ran = failed.run()
    assert ran.failure and ran.failure.task
    assert (ran.failure.error, ran.failure.task.index) == ("InvalidMember", 2)
    assert (ran.done, ran.failed) == (2, 1)
    assert f"[ERROR] InvalidMember: {FAULTY}" in calls.failure_lines(failed.target, ran)


def test_progress_counts_on_where_the_first_part_ended() -> None:
    events, where = redriven()
    ran = parse({"status": "RUNNING"}, replay(events[: where + 2], "RUNNING").events())
    state = progress.Snapshot(ran.before_s + 1, ran)
    assert (state.elapsed_s, state.took_s("segment")) == (5, 4)
    assert state.running == 2
    assert "segment: 1 failed: SlowDown" not in progress.milestones(state)


class Stack(Replay):
    """A stack in an account, with one execution that failed and can be redriven."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        events, self.where = redriven()
        super().__init__("two-faulty", **recorded(events, "SUCCEEDED"))
        self.target = Target("aws", "123456789012", "us-east-1", self.make_client, "nightly")
        vars(self.target)["outputs"] = {"StateMachineArn": MACHINE, "BucketName": "bucket"}

    @property
    def redriven(self) -> list[str]:
        return [each["executionArn"] for name, each in self.asked if name == "RedriveExecution"]

    def RedriveExecution(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self.refusal:
            raise Missing("ExecutionNotRedrivable", self.refusal)
        return {"redriveDate": datetime.fromtimestamp(T0 + 4 + REST_S, UTC)}

    def ListExecutions(self, asked: dict[str, Any]) -> dict[str, Any]:
        named = {"stopped": ("ABORTED", 30), NAME: ("FAILED", 20), "failed": ("FAILED", 10)}
        return {
            "executions": [
                {"executionArn": ARN.replace(NAME, name), "name": name, "startDate": at_s}
                for name, (status, at_s) in named.items()
                if asked.get("statusFilter") in (None, status)
            ]
        }

    def DescribeExecution(self, asked: dict[str, Any]) -> dict[str, Any]:
        return super().DescribeExecution(asked) | ({} if self.redriven else {"status": "FAILED"})

    def events(self) -> list[Event]:
        return super().events()[: None if self.redriven else self.where - 1]


MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:Aggregate"


@pytest.fixture
def page() -> Iterator[None]:
    """The report that a redrive writes goes again."""
    yield
    (RESULT / f"{NAME}.html").unlink(missing_ok=True)


@pytest.mark.usefixtures("page")
@pytest.mark.parametrize("named", ["", NAME, ARN])
def test_the_last_failed_execution_is_redriven_or_the_one_that_is_named(
    named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = Stack()
    run.redrive(stack.target, named)
    assert stack.redriven == [ARN]
    said = capsys.readouterr().out
    assert "SUCCEEDED in 7.0 s, redriven: s3://bucket/redriven.xlsx" in said
    assert "segment done in 5.0 s: 3 of 3 segments" in said
    assert "Redriven" in (RESULT / f"{NAME}.html").read_text()


def test_an_execution_that_cannot_be_redriven_is_refused_in_awss_words() -> None:
    refused = f"{ARN}: must be redrivable; found: Execution is 15 days old"
    with pytest.raises(Fault, match=refused):
        run.redrive(Stack("Execution is 15 days old").target)


def test_an_execution_that_is_not_there_is_not_redriven() -> None:
    stack = Stack()
    with pytest.raises(Fault, match="EXECUTION: must be one that failed; found gone"):
        run.redrive(stack.target, "gone")
    assert not stack.redriven


@pytest.mark.parametrize("stack", ["", "nightly"])
def test_localstack_is_said_to_have_no_redrive_before_anything_is_called(stack: str) -> None:
    def nothing(service: str) -> None:
        raise AssertionError(f"{service} was called")

    target = Target("stack" if stack else "localstack", "000000000000", "us-east-1", nothing, stack)
    with pytest.raises(Fault, match="LocalStack cannot redrive, AWS can: make redrive TARGET=aws"):
        run.redrive(target)


FLAGS = " TARGET=aws STACK=nightly REGION=us-east-1"
REDRIVE = f"make redrive{FLAGS} EXECUTION=x"
# These names leave open whether the code, its memory or a worker is to blame.
AMBIGUOUS = {"Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout", "WorkerDied"}


def retried() -> set[str]:
    """The errors that a state of either definition retries."""
    found: set[str] = set()

    def keep(node: dict[str, Any]) -> dict[str, Any]:
        for rule in node.get("Retry", []):
            found.update(rule["ErrorEquals"])
        return node

    for definition in MACHINES:
        json.loads(machines.read_definition(definition), object_hook=keep)
    return found


def advised(error: str, message: str = "", language: str = "en") -> str:
    return advice(error, message, flags=FLAGS, execution="x", language=language)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_redrive_is_advised_exactly_where_it_heals(language: str) -> None:
    """That is what passes, and what the role was not allowed."""
    healed = {error for error in ADVICE if REDRIVE in advised(error, language=language)}
    assert retried() - AMBIGUOUS <= healed
    # A TLS error inside a body is as transient as a reset.
    assert healed - retried() <= {"States.ItemReaderFailed", "SSLError"}


@pytest.mark.parametrize(
    ("error", "message", "heals"),
    [
        ("Lambda.Unknown", "RequestId: x Error: Runtime exited without providing a reason", True),
        ("ClientError", "An error occurred (SlowDown) when calling the GetObject operation", True),
        ("Exception", "Rate Exceeded.", True),
        ("Runtime.ExitError", "Error: Runtime exited with error: signal: killed", False),
        ("Runtime.ExitError", "Error: Runtime exited with error: exit status 1", False),
        ("Lambda.Unknown", "2026-11-27 Task timed out after 900.00 seconds", False),
        ("InvalidMember", FAULTY, False),
        ("KeyError", "'rank'", False),
    ],
)
def test_what_the_message_tells_decides_too(error: str, message: str, heals: bool) -> None:
    assert (REDRIVE in advised(error, message)) == heals


@pytest.mark.parametrize("flags", ["", " TARGET=stack STACK=nightly"])
def test_no_redrive_is_advised_where_there_is_none(flags: str) -> None:
    for error, message in [*((error, "") for error in ADVICE), *(("", m) for m in BY_MESSAGE)]:
        assert "make redrive" not in advice(error, message, flags=flags, execution="x")


def test_a_call_of_its_own_is_not_redriven() -> None:
    assert "redrive" not in advice("SlowDown", flags=FLAGS)

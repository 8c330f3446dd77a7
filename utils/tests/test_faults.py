"""Each fault, caused for real in each stage: what follows, how soon, and what stays as it was."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import psutil
import pytest

import executions
import history
from aws import BUCKET, ENDPOINT, client, function_name
from conftest import Make, Pipeline
from faults.proxy import FORWARD, RESET, Fault, Proxy
from test_pipeline import EXAMPLE, expected
from utils import members

STAGES = ("scatter", "segment", "gather")
READS = {"scatter": "members-", "segment": "/scatter/", "gather": "/gather/"}
WRITES = {"scatter": "/scatter/", "segment": "/gather/", "gather": ".xlsx"}
TABLE = list(members(60, seed=3))
QUICKLY_S = 60
SCREEN_LINES = 40

Record = Callable[[str, object], None]


def configure(stage: str, **settings: Any) -> None:
    functions = client("lambda")
    functions.update_function_configuration(FunctionName=function_name(stage), **settings)
    functions.get_waiter("function_updated_v2").wait(
        FunctionName=function_name(stage), WaiterConfig={"Delay": 0.05, "MaxAttempts": 600}
    )


def settings_of(stage: str) -> dict[str, Any]:
    found = client("lambda").get_function_configuration(FunctionName=function_name(stage))
    return {name: found[name] for name in ("Environment", "MemorySize", "Timeout")}


@pytest.fixture(scope="module")
def proxy(pipeline: Pipeline) -> Iterator[Proxy]:
    """The functions reach S3 through a proxy, for this module."""
    before = {stage: settings_of(stage) for stage in STAGES}
    with Proxy(ENDPOINT) as proxy:
        for stage in STAGES:
            variables = {"BUCKET": BUCKET, "AWS_ENDPOINT_URL_S3": proxy.endpoint}
            configure(stage, Environment={"Variables": variables})
        yield proxy
        for stage in STAGES:
            configure(stage, **before[stage])


@pytest.fixture
def set_up(proxy: Proxy) -> Iterator[Callable[..., None]]:
    """Change a function's settings for one test."""
    changed: dict[str, dict[str, Any]] = {}

    def change(stage: str, **settings: Any) -> None:
        changed[stage] = settings_of(stage)
        configure(stage, **settings)

    yield change
    for stage, before in changed.items():
        configure(stage, **before)


class Run:
    """An execution on a table whose workbook exists already."""

    def __init__(self, pipeline: Pipeline, proxy: Proxy, table: list[dict[str, Any]]) -> None:
        self.pipeline = pipeline
        self.proxy = proxy
        self.table = table
        self.key = pipeline.put(table)
        self.workbook = self.key.replace(".json", ".xlsx")
        self.previous = b"the previous workbook"
        pipeline.s3.put_object(Bucket=BUCKET, Key=self.workbook, Body=self.previous)

    def __call__(self, *faults: Fault, definition: str = "parallel", **given: Any) -> "Run":
        self.start = time.monotonic()
        given = {"division_number": -(-len(self.table) // 2), **given}
        with self.proxy.failing(*faults):
            self.execution = self.pipeline.run(definition, input_obj=self.key, **given)
        self.took_s = time.monotonic() - self.start
        self.errors = [
            details["error"]
            for event in self.pipeline.history(self.execution["executionArn"])
            if event["type"] in history.FAILURES
            for name, details in event.items()
            if name.endswith("EventDetails")
        ]
        return self

    def assert_right(self) -> None:
        assert self.pipeline.rows(self.execution) == expected(self.table)
        assert not self.unfinished_uploads()

    def assert_failed_and_changed_nothing(self, error: str) -> None:
        assert self.execution["status"] == "FAILED"
        assert error in self.execution["error"] + self.execution["cause"]
        body = self.pipeline.s3.get_object(Bucket=BUCKET, Key=self.workbook)["Body"].read()
        assert body == self.previous
        assert not self.unfinished_uploads()
        assert self.took_s < QUICKLY_S

    def unfinished_uploads(self) -> list[Any]:
        answer = self.pipeline.s3.list_multipart_uploads(Bucket=BUCKET, Prefix=self.workbook)
        return list(answer.get("Uploads", []))

    def screen(self, capsys: pytest.CaptureFixture[str]) -> str:
        executions.explain(self.pipeline.states, self.execution)
        screen = capsys.readouterr().out
        assert len(screen.splitlines()) <= SCREEN_LINES
        return screen


@pytest.fixture
def run(pipeline: Pipeline, proxy: Proxy) -> Callable[..., Run]:
    return lambda table=TABLE: Run(pipeline, proxy, table)


def workers(stage: str) -> list[psutil.Process]:
    """The processes that run a function for the emulator of this test run."""
    found = []
    for process in psutil.process_iter():
        try:
            env = process.environ()
        except psutil.Error:
            continue
        own = ENDPOINT.rpartition(":")[2] == env.get("AWS_ENDPOINT_URL", "").rpartition(":")[2]
        if own and env.get("AWS_LAMBDA_FUNCTION_NAME") == function_name(stage):
            found.append(process)
    return found


def kill_workers(stage: str) -> None:
    for process in workers(stage):
        process.kill()


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("action", ["read", "write"])
@pytest.mark.parametrize("answer", ["InternalError", "SlowDown", RESET])
def test_a_transient_fault_of_s3_is_retried(
    run: Callable[..., Run], stage: str, action: str, answer: str, record_property: Record
) -> None:
    part, method = (READS, "GET") if action == "read" else (WRITES, "PUT")
    fault = Fault(method, key_part(part[stage]), answer)
    done = run()(fault)
    assert fault.hits == 1
    done.assert_right()
    record_property("recovery_s", done.took_s)


def key_part(part: str) -> str:
    return ".json" if part == "members-" else part


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_worker_is_replaced(
    run: Callable[..., Run], stage: str, record_property: Record
) -> None:
    fault = Fault("PUT", WRITES[stage], FORWARD, before=lambda: kill_workers(stage))
    done = run()(fault)
    assert "Runtime.ExitError" in done.errors
    done.assert_right()
    record_property("recovery_s", done.took_s)


def test_a_worker_that_always_dies_fails_the_execution(
    run: Callable[..., Run], capsys: pytest.CaptureFixture[str], record_property: Record
) -> None:
    fault = Fault("PUT", WRITES["scatter"], FORWARD, None, before=lambda: kill_workers("scatter"))
    done = run()(fault)
    done.assert_failed_and_changed_nothing("Runtime.ExitError")
    screen = done.screen(capsys)
    assert "stage    scatter (scatter-lambda)" in screen
    assert "error    Runtime.ExitError" in screen
    assert "signal: killed" in screen
    assert "to do    the process ended by itself" in screen
    record_property("failed_s", done.took_s)


@pytest.fixture
def never() -> Iterator[Callable[[], bool]]:
    """What a request waits for that is answered only after the test."""
    over = threading.Event()
    yield lambda: bool(over.wait())
    over.set()


@pytest.mark.parametrize("stage", STAGES)
def test_a_request_that_hangs_once_is_retried_after_the_timeout(
    run: Callable[..., Run],
    set_up: Callable[..., None],
    never: Callable[[], bool],
    stage: str,
    record_property: Record,
) -> None:
    set_up(stage, Timeout=2)
    done = run()(Fault("GET", key_part(READS[stage]), FORWARD, before=never))
    assert "Sandbox.Timedout" in done.errors
    done.assert_right()
    record_property("recovery_s", done.took_s)


def test_a_request_that_always_hangs_fails_the_execution_as_timed_out(
    run: Callable[..., Run],
    set_up: Callable[..., None],
    never: Callable[[], bool],
    capsys: pytest.CaptureFixture[str],
    record_property: Record,
) -> None:
    set_up("segment", Timeout=2)
    done = run()(Fault("GET", READS["segment"], FORWARD, None, before=never))
    done.assert_failed_and_changed_nothing("Sandbox.Timedout")
    screen = done.screen(capsys)
    assert "stage    segment (segment-lambda)" in screen
    assert "job_00" in screen
    assert "error    Sandbox.Timedout" in screen
    assert "Task timed out after 2.00 seconds" in screen
    assert "to do    raise TIMEOUT in the function's Makefile" in screen
    record_property("failed_s", done.took_s)


# Names of random hexadecimal digits deflate to more than the 8 MiB of a multipart upload.
LONG_TABLE = [{**EXAMPLE[0], "名前": Random(n).randbytes(1000).hex()} for n in range(12_000)]


@pytest.mark.parametrize("stage", STAGES)
def test_out_of_memory_fails_the_execution_at_once(
    pipeline: Pipeline,
    run: Callable[..., Run],
    set_up: Callable[..., None],
    stage: str,
    capsys: pytest.CaptureFixture[str],
    record_property: Record,
) -> None:
    set_up(stage, MemorySize=128)
    big = run(LONG_TABLE)
    # A gather takes little memory unless it must render the rows of a segment itself.
    figures = Fault("GET", "list-type=2", FORWARD, before=lambda: delete_figures(pipeline))
    done = big(figures, division_number=len(LONG_TABLE))
    done.assert_failed_and_changed_nothing("Runtime.OutOfMemory")
    assert done.errors == ["Runtime.OutOfMemory"]
    screen = done.screen(capsys)
    assert f"stage    {stage} ({stage}-lambda)" in screen
    assert "MemorySize 128 MB" in screen
    assert "Memory Size: 128 MB" in screen
    assert "to do    raise MEMORY in the function's Makefile" in screen
    record_property("failed_s", done.took_s)


def delete_figures(pipeline: Pipeline) -> None:
    pages = pipeline.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="gather/")
    for page in pages:
        for obj in page.get("Contents", []):
            if obj["Key"].endswith(".json"):
                pipeline.s3.delete_object(Bucket=BUCKET, Key=obj["Key"])


@pytest.mark.parametrize("stage", STAGES)
def test_a_throttled_function_fails_the_execution_here(
    run: Callable[..., Run],
    stage: str,
    capsys: pytest.CaptureFixture[str],
    record_property: Record,
) -> None:
    """LocalStack names it `Exception`; AWS `Lambda.TooManyRequestsException`, which is retried."""
    functions = client("lambda")
    name = function_name(stage)
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        done = run()()
    finally:
        functions.delete_function_concurrency(FunctionName=name)
    done.assert_failed_and_changed_nothing("Rate Exceeded.")
    screen = done.screen(capsys)
    assert f"stage    {stage} ({name})" in screen
    assert "to do    the function's concurrency is used up" in screen
    record_property("failed_s", done.took_s)


@pytest.mark.parametrize("definition", executions.NAMES)
def test_throttling_is_retried_by_the_name_aws_gives_it(definition: str) -> None:
    text = (executions.DEFINITIONS / f"{definition}.json").read_text()
    assert text.count('"Lambda.TooManyRequestsException"') == len(STAGES)


def test_an_s3_that_never_recovers_fails_the_execution_by_name(
    run: Callable[..., Run], capsys: pytest.CaptureFixture[str], record_property: Record
) -> None:
    done = run(EXAMPLE)(Fault("PUT", WRITES["gather"], "SlowDown", None))
    done.assert_failed_and_changed_nothing("SlowDown")
    screen = done.screen(capsys)
    assert "stage    gather (gather-lambda)" in screen
    assert "SlowDown" in screen and "Please reduce your request rate" in screen
    assert "to do    S3 asks for fewer requests" in screen
    record_property("failed_s", done.took_s)


def test_a_gather_that_fails_during_its_upload_leaves_no_unfinished_one(
    run: Callable[..., Run],
) -> None:
    """An error of the gather itself: boto3 aborts what it began."""
    done = run(LONG_TABLE)(
        Fault("GET", "job_011.xml", "NoSuchKey", None), division_number=1000
    )
    done.assert_failed_and_changed_nothing("NoSuchKey")
    assert any("uploads" in path for _, path in done.proxy.seen)


def test_a_gather_killed_during_its_upload_is_retried_and_the_workbook_whole(
    run: Callable[..., Run], record_property: Record
) -> None:
    """What its upload had written stays invisible until a lifecycle rule aborts it."""
    long = run(LONG_TABLE)
    done = long(Fault("PUT", "partNumber=2", FORWARD, before=lambda: kill_workers("gather")))
    assert "Runtime.ExitError" in done.errors
    assert done.pipeline.rows(done.execution) == expected(LONG_TABLE)
    assert len(done.unfinished_uploads()) <= 1
    record_property("recovery_s", done.took_s)


def test_an_unfinished_workbook_is_never_seen(
    pipeline: Pipeline, run: Callable[..., Run]
) -> None:
    long = run(LONG_TABLE)
    seen: list[bytes] = []

    def look() -> None:
        seen.append(pipeline.s3.get_object(Bucket=BUCKET, Key=long.workbook)["Body"].read())

    done = long(Fault("PUT", "partNumber=", FORWARD, None, before=look))
    done.assert_right()
    assert seen == [long.previous] * len(seen) != []


@pytest.fixture(scope="module")
def finished(pipeline: Pipeline, proxy: Proxy) -> Run:
    return Run(pipeline, proxy, TABLE)()


def objects(pipeline: Pipeline, execution: str) -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for stage in ("scatter", "gather"):
        answer = pipeline.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{stage}/{execution}/")
        found |= {obj["Key"]: (obj["ETag"], obj["Size"]) for obj in answer["Contents"]}
    return found


def call(stage: str, event: Any) -> Any:
    answer = client("lambda").invoke(
        FunctionName=function_name(stage), Payload=json.dumps(event).encode()
    )
    assert "FunctionError" not in answer
    return json.loads(answer["Payload"].read())


def test_a_duplicated_invocation_of_any_stage_changes_nothing(
    pipeline: Pipeline, finished: Run
) -> None:
    name = finished.execution["name"]
    before = objects(pipeline, name)
    scattered = call(
        "scatter", {"input_obj": finished.key, "execution": name, "division_number": 30}
    )
    segments = scattered["segment_definitions"]
    results = [call("segment", segment) for segment in segments]
    call("gather", {**scattered, "segment_results": results})
    assert objects(pipeline, name) == before
    finished.assert_right()


def test_the_same_execution_name_runs_once(pipeline: Pipeline, finished: Run) -> None:
    before = objects(pipeline, finished.execution["name"])
    again = {
        "stateMachineArn": executions.machine_arn("parallel"),
        "name": finished.execution["name"],
    }
    with pytest.raises(pipeline.states.exceptions.ExecutionAlreadyExists):
        pipeline.states.start_execution(**again, input='{"input_obj": "another.json"}')
    assert objects(pipeline, finished.execution["name"]) == before


def test_concurrent_executions_touch_only_their_own_keys(
    pipeline: Pipeline, proxy: Proxy
) -> None:
    tables = [list(members(40 + n, seed=n)) for n in range(4)]
    keys = [pipeline.put(table) for table in tables]
    first = len(proxy.seen)
    arns = [pipeline.start(input_obj=key, division_number=10) for key in keys]
    for arn, table in zip(arns, tables):
        assert pipeline.rows(pipeline.wait(arn)) == expected(table)
    own = [(arn.rpartition(":")[2], key.removesuffix(".json")) for arn, key in zip(arns, keys)]
    written = [path for method, path in proxy.seen[first:] if method in ("PUT", "POST", "DELETE")]
    assert len(written) >= 4 * (5 + 3 * 5 + 1) - 4
    for path in written:
        owners = [o for o in own if f"/{o[0]}/" in path or f"/{o[1]}.xlsx" in path]
        assert len(owners) == 1, path


def test_a_distributed_execution_whose_segment_fails_tells_so(
    run: Callable[..., Run], capsys: pytest.CaptureFixture[str], record_property: Record
) -> None:
    table = [*TABLE[:3], {**TABLE[3], "会員ランク": 9}]
    done = run(table)(definition="distributed", division_number=1)
    done.assert_failed_and_changed_nothing("MissingSegment")
    screen = done.screen(capsys)
    assert "job_003.pkl" in screen
    assert f"[ERROR] InvalidMember: {done.key} record 3: 会員ランク must be 1 to 5; found the number 9" in screen
    record_property("failed_s", done.took_s)


def test_make_stepfunctions_explains_a_fault_on_one_screen(
    pipeline: Pipeline, make: Make, proxy: Proxy
) -> None:
    key = pipeline.put(b'[{"a": 1}, {"a" 1}, {"a": 1, "b": 2}]')
    made = make("stepfunctions", f'INPUT={{"input_obj": "{key}"}}')
    assert made.returncode != 0
    assert "error    InvalidJSON" in made.stdout
    assert f"cause    {key} record 1, byte 16: expected valid JSON" in made.stdout
    assert len(made.stdout.splitlines()) <= SCREEN_LINES

"""Each fault, caused for real in each stage: what follows, how soon, and what stays as it was."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any

import psutil
import pytest

from conftest import Pipeline, fault
from faulty_s3 import FORWARD, RESET, Proxy, Rule
from harness import facts, history, machines
from harness import run as executions
from harness.bucket import delete_keys, keys_of
from harness.functions import WAIT
from harness.report import write
from harness.target import MACHINES, STAGES, emulator, endpoint, function_name
from pipeline.keys import GATHER, SCATTER
from pipeline.s3.signed import METADATA, Objects, signing_key
from test_pipeline import EXAMPLE, expected
from utils import members

READS = {"scatter": ".json", "segment": "/scatter/", "gather": "/gather/"}
WRITES = {"scatter": "/scatter/", "segment": "/gather/", "gather": ".xlsx"}
TABLE = list(members(60, seed=3))
QUICKLY_S = 60
SCREEN_LINES = 40

RETRIED = ("retried, the workbook right", "再試行され、ワークブックは正しい")
FAILED = (
    "fails by its own name and is explained on one screen; the previous workbook stays",
    "その名前で失敗し、1画面で説明される。前のワークブックは残る",
)

Record = Callable[[str, object], None]
Start = Callable[..., "Run"]
Explained = Callable[..., None]
Recovered = Callable[["Run"], None]
Never = Callable[[], bool]


def configure(stage: str, **settings: Any) -> None:
    functions = emulator().client("lambda")
    name = function_name(stage)
    found = functions.get_function_configuration(FunctionName=name)
    if all(found[setting] == value for setting, value in settings.items()):
        return
    functions.update_function_configuration(FunctionName=name, **settings)
    functions.get_waiter("function_updated").wait(FunctionName=name, WaiterConfig=WAIT)


def settings_of(stage: str) -> dict[str, Any]:
    found = (
        emulator().client("lambda").get_function_configuration(FunctionName=function_name(stage))
    )
    return {name: found[name] for name in ("Environment", "MemorySize", "Timeout")}


@pytest.fixture(scope="module")
def proxy(pipeline: Pipeline) -> Iterator[Proxy]:
    """The functions reach S3 through a proxy, for this module."""
    before = {stage: settings_of(stage) for stage in STAGES}
    with Proxy(endpoint()) as proxy:
        for stage in STAGES:
            variables = before[stage]["Environment"]["Variables"]
            through = variables | {"AWS_ENDPOINT_URL_S3": proxy.endpoint}
            configure(stage, Environment={"Variables": through})
        yield proxy
        for stage in STAGES:
            configure(stage, **before[stage])


class Run:
    """An execution on a table whose workbook exists already."""

    def __init__(self, pipeline: Pipeline, proxy: Proxy, table: list[dict[str, Any]]) -> None:
        self.pipeline = pipeline
        self.proxy = proxy
        self.table = table
        self.key = pipeline.put(table)
        self.workbook = self.key.replace(".json", ".xlsx")
        self.previous = b"the previous workbook"
        pipeline.s3.put_object(Bucket=emulator().bucket, Key=self.workbook, Body=self.previous)

    def __call__(self, *rules: Rule, definition: str = "parallel", **given: Any) -> "Run":
        self.start = time.monotonic()
        given = {"division_number": -(-len(self.table) // 2), **given}
        with self.proxy.failing(*rules):
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
        assert self.seen() == self.previous
        assert not self.unfinished_uploads()
        assert self.took_s < QUICKLY_S

    def seen(self) -> bytes:
        """What a reader of the workbook gets."""
        at = {"Bucket": emulator().bucket, "Key": self.workbook}
        return bytes(self.pipeline.s3.get_object(**at)["Body"].read())

    def unfinished_uploads(self) -> list[Any]:
        answer = self.pipeline.s3.list_multipart_uploads(
            Bucket=emulator().bucket, Prefix=self.workbook
        )
        return list(answer.get("Uploads", []))


@pytest.fixture
def run(pipeline: Pipeline, proxy: Proxy) -> Start:
    return lambda table=TABLE: Run(pipeline, proxy, table)


@pytest.fixture
def recovered(record_property: Record) -> Recovered:
    """Check that an execution succeeded after all, and note how soon."""

    def check(done: Run) -> None:
        done.assert_right()
        record_property("recovery_s", done.took_s)

    return check


@pytest.fixture
def explained(capsys: pytest.CaptureFixture[str], record_property: Record) -> Explained:
    """Check that an execution failed by a name, changed nothing, and that one screen says why."""

    def check(done: Run, error: str, *texts: str) -> None:
        done.assert_failed_and_changed_nothing(error)
        ran = history.read(done.pipeline.states, done.execution["executionArn"])
        found = facts.read(emulator(), ran)
        executions.explain(write.collect(emulator(), ran, found, "en"))
        screen = capsys.readouterr().out
        assert len(screen.splitlines()) <= SCREEN_LINES
        assert [text for text in texts if text not in screen] == []
        record_property("failed_s", done.took_s)

    return check


def workers(stage: str) -> list[psutil.Process]:
    """The processes that run a function for the emulator of this test run."""
    found = []
    for process in psutil.process_iter():
        try:
            env = process.environ()
        except psutil.Error:
            continue
        own = endpoint().rpartition(":")[2] == env.get("AWS_ENDPOINT_URL", "").rpartition(":")[2]
        if own and env.get("AWS_LAMBDA_FUNCTION_NAME") == function_name(stage):
            found.append(process)
    return found


def kill_workers(stage: str) -> None:
    for process in workers(stage):
        process.kill()


@fault(
    "S3 answers 500 or 503 SlowDown, or resets half-way through a GET or PUT; each stage",
    "S3 が 500・503 SlowDown、GET・PUT 途中の切断(各ステージ)",
    *RETRIED,
)
@pytest.mark.parametrize("answer", ["InternalError", "SlowDown", RESET])
def test_a_transient_fault_of_s3_is_retried(run: Start, answer: str, recovered: Recovered) -> None:
    rules = [
        *(Rule("GET", READS[stage], answer) for stage in STAGES),
        *(Rule("PUT", WRITES[stage], answer) for stage in STAGES),
    ]
    done = run()(*rules)
    assert [rule.hits for rule in rules] == [1] * len(rules)
    recovered(done)


@fault("worker killed (SIGKILL); each stage", "ワーカーの SIGKILL(各ステージ)", *RETRIED)
def test_a_killed_worker_is_replaced(run: Start, recovered: Recovered) -> None:
    kill = (
        Rule("PUT", WRITES[stage], FORWARD, before=partial(kill_workers, stage)) for stage in STAGES
    )
    done = run()(*kill, division_number=len(TABLE))
    assert done.errors == ["Runtime.ExitError"] * len(STAGES)
    recovered(done)


@fault("worker killed every time", "ワーカーが毎回 SIGKILL", *FAILED)
def test_a_worker_that_always_dies_fails_the_execution(run: Start, explained: Explained) -> None:
    rule = Rule("PUT", WRITES["scatter"], FORWARD, None, before=lambda: kill_workers("scatter"))
    explained(
        run()(rule),
        "Runtime.ExitError",
        "stage    scatter (scatter-lambda)",
        "error    Runtime.ExitError",
        "signal: killed",
        # Lambda kills what outgrows its memory; it gives no other kill a name of its own.
        "raise MEMORY in demo-scatter/Makefile",
    )


# Names of random hexadecimal digits deflate to more than the 8 MiB of a multipart upload.
LONG_TABLE = [{**EXAMPLE[0], "名前": Random(n).randbytes(2000).hex()} for n in range(6000)]


def written(pipeline: Pipeline, name: str) -> list[str]:
    """The keys of that name that the execution wrote which runs."""
    machine = emulator().machine()
    found = pipeline.states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")
    [running] = found["executions"]
    return [
        key
        for folder in (SCATTER, GATHER)
        for key in keys_of(
            pipeline.s3, Bucket=emulator().bucket, Prefix=f"{folder}{running['name']}/{name}"
        )
    ]


@fault(
    "function throttled; each stage (LocalStack's name for it; AWS's is retried)",
    "関数のスロットリング(各ステージ。LocalStack での名前。AWS での名前なら再試行)",
    *FAILED,
)
@pytest.mark.parametrize("stage", STAGES)
def test_a_throttled_function_fails_the_execution_here(
    run: Start, stage: str, explained: Explained
) -> None:
    """LocalStack names it `Exception`; AWS `Lambda.TooManyRequestsException`, which is retried."""
    functions = emulator().client("lambda")
    name = function_name(stage)
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        done = run()()
    finally:
        functions.delete_function_concurrency(FunctionName=name)
    used_up = "to do    the function's concurrency is used up"
    explained(done, "Rate Exceeded.", f"stage    {stage} ({name})", used_up)


@pytest.mark.parametrize("definition", MACHINES)
def test_throttling_is_retried_by_the_name_aws_gives_it(definition: str) -> None:
    text = machines.read_definition(definition)
    assert text.count('"Lambda.TooManyRequestsException"') == len(STAGES)


@fault("S3 answers 503 SlowDown for ever", "S3 が 503 SlowDown を返し続ける", *FAILED)
def test_an_s3_that_never_recovers_fails_the_execution_by_name(
    run: Start, explained: Explained
) -> None:
    explained(
        run(EXAMPLE)(Rule("PUT", WRITES["gather"], "SlowDown", None)),
        "SlowDown",
        "stage    gather (gather-lambda)",
        "Please reduce your request rate",
        "to do    S3 asks for fewer requests",
    )


@fault(
    "gather fails while it writes",
    "書き込み中の gather の失敗",
    "the previous workbook, no unfinished upload",
    "前のワークブックが残り、未完のアップロードは残らない",
)
def test_a_gather_that_fails_during_its_upload_leaves_no_unfinished_one(run: Start) -> None:
    """An error of the gather itself: boto3 aborts what it began."""
    done = run(LONG_TABLE)(Rule("GET", "job_005.xml", "NoSuchKey", None), division_number=1000)
    done.assert_failed_and_changed_nothing("MissingSegment")
    assert any("uploads" in path for _, path in done.proxy.seen)


def summary_of(table: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The sheet 会員ランク別, a row of the table at a time."""
    rows: list[tuple[Any, ...]] = []
    for rank in [*sorted({member["会員ランク"] for member in table}), None]:
        group = [member for member in table if rank in (member["会員ランク"], None)]
        points = [member["ポイント"] for member in group]
        bonuses = [bonus for *_, bonus in expected(group)[1:]]
        rows.append((rank or "合計", len(group), sum(points), sum(bonuses) / len(group)))
    return rows


@fault(
    "segment killed between its rows and what it contributes to summaries",
    "行と部分集計の間での segment の SIGKILL",
    *RETRIED,
)
@fault("gather killed while it merges", "部分集計の統合中の gather の SIGKILL", *RETRIED)
@pytest.mark.parametrize(
    ("stage", "method"), [("segment", "PUT"), ("gather", "GET")], ids=["segment", "gather"]
)
def test_nothing_is_counted_twice_when_a_worker_dies(
    pipeline: Pipeline, run: Start, recovered: Recovered, stage: str, method: str
) -> None:
    killed = Rule(method, "job_001.json", FORWARD, before=lambda: kill_workers(stage))
    done = run()(killed)
    assert "Runtime.ExitError" in done.errors
    recovered(done)
    found = pipeline.rows(done.execution, sheet="会員ランク別")[1:]
    assert found == pytest.approx(summary_of(TABLE))


@fault(
    "workbook read while it is written",
    "書き込み中のワークブックの読み出し",
    "the previous workbook",
    "前のワークブックが見える",
)
@fault(
    "gather killed in the middle of its multipart upload",
    "マルチパートアップロード途中の gather の SIGKILL",
    *RETRIED,
)
def test_a_gather_killed_during_its_upload_is_retried_and_the_workbook_whole_when_seen(
    pipeline: Pipeline, run: Start, record_property: Record
) -> None:
    """What its upload had written stays invisible until a lifecycle rule aborts it."""
    long = run(LONG_TABLE)
    seen: list[bytes] = []
    done = long(
        Rule("PUT", "partNumber=2", FORWARD, before=lambda: kill_workers("gather")),
        Rule("PUT", "partNumber=", FORWARD, None, before=lambda: seen.append(long.seen())),
    )
    assert "Runtime.ExitError" in done.errors
    assert seen == [long.previous] * len(seen) != []
    assert pipeline.rows(done.execution) == expected(LONG_TABLE)
    assert len(done.unfinished_uploads()) <= 1
    record_property("recovery_s", done.took_s)


@pytest.fixture(scope="module")
def finished(pipeline: Pipeline, proxy: Proxy) -> Run:
    return Run(pipeline, proxy, TABLE)()


def objects(pipeline: Pipeline, execution: str) -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for stage in ("scatter", "gather"):
        answer = pipeline.s3.list_objects_v2(
            Bucket=emulator().bucket, Prefix=f"{stage}/{execution}/"
        )
        found |= {obj["Key"]: (obj["ETag"], obj["Size"]) for obj in answer["Contents"]}
    return found


def call(stage: str, event: Any) -> Any:
    """What a function answers by itself."""
    given = {"FunctionName": function_name(stage), "Payload": json.dumps(event).encode()}
    answer = emulator().client("lambda").invoke(**given)
    told = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, told
    return told


@fault(
    "a stage invoked twice with the same event; each stage",
    "同じイベントでの二重の呼び出し(各ステージ)",
    "nothing changes",
    "何も変わらない",
)
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


@fault(
    "an execution started twice under one name",
    "同名の実行を2回開始",
    "runs once",
    "1回だけ実行される",
)
def test_the_same_execution_name_runs_once(pipeline: Pipeline, finished: Run) -> None:
    before = objects(pipeline, finished.execution["name"])
    again = {
        "stateMachineArn": emulator().machine(),
        "name": finished.execution["name"],
    }
    with pytest.raises(pipeline.states.exceptions.ExecutionAlreadyExists):
        pipeline.states.start_execution(**again, input='{"input_obj": "another.json"}')
    assert objects(pipeline, finished.execution["name"]) == before


@fault(
    "four executions at once",
    "4つの同時実行",
    "each touches its own keys only",
    "各自のキーにしか触れない",
)
def test_concurrent_executions_touch_only_their_own_keys(pipeline: Pipeline, proxy: Proxy) -> None:
    tables = [list(members(40 + n, seed=n)) for n in range(4)]
    keys = [pipeline.put(table) for table in tables]
    first = len(proxy.seen)
    arns = [pipeline.start(input_obj=key, division_number=25) for key in keys]
    for arn, table in zip(arns, tables, strict=True):
        assert pipeline.rows(pipeline.wait(arn)) == expected(table)
    own = [
        (arn.rpartition(":")[2], key.removesuffix(".json"))
        for arn, key in zip(arns, keys, strict=True)
    ]
    written = [path for method, path in proxy.seen[first:] if method in ("PUT", "POST", "DELETE")]
    assert len(written) >= 4 * (2 + 3 * 2 + 1)
    for path in written:
        owners = [o for o in own if f"/{o[0]}/" in path or f"/{o[1]}.xlsx" in path]
        assert len(owners) == 1, path


@fault(
    "a segment fails in the distributed definition",
    "distributed 定義でのセグメントの失敗",
    "fails as MissingSegment, with the log of the segment; the previous workbook stays",
    "MissingSegment で失敗し、セグメントのログを表示。前のワークブックは残る",
)
def test_a_distributed_execution_whose_segment_fails_tells_so(
    run: Start, explained: Explained
) -> None:
    table = [*TABLE[:3], {**TABLE[3], "会員ランク": 9}]
    done = run(table)(definition="distributed", division_number=1)
    fault = f"{done.key} record 3: 会員ランク must be 1 to 5; found the number 9"
    explained(done, "MissingSegment", "job_003.pkl", f"[ERROR] InvalidMember: {fault}")


def change(pipeline: Pipeline, name: str) -> None:
    """One bit of the object of that name, under its signature."""
    for key in written(pipeline, name):
        at: Any = {"Bucket": emulator().bucket, "Key": key}
        found = pipeline.s3.get_object(**at)
        body = bytearray(found["Body"].read())
        body[len(body) // 2] ^= 1
        assert METADATA in found["Metadata"]
        pipeline.s3.put_object(**at, Body=bytes(body), Metadata=found["Metadata"])


@fault(
    "an object changed between two stages: segment file, figures, rendered rows",
    "ステージ間でのオブジェクトの改変: セグメントファイル、数値、描画済みの行",
    "fails as InvalidSignature in the stage that reads it, not retried, and is explained on one screen; the previous workbook stays",
    "それを読むステージで InvalidSignature として失敗し、再試行されず、1画面で説明される。前のワークブックは残る",
)
@pytest.mark.parametrize(
    ("stage", "read", "name"),
    [
        ("segment", "/job_000.pkl", "job_000.pkl"),
        ("gather", "prefix=gather", "job_000.json"),
        ("gather", "prefix=gather", "job_000.xml.deflate"),
    ],
    ids=["segment file", "figures", "rows"],
)
def test_what_somebody_changed_fails_the_execution_by_its_key(
    pipeline: Pipeline, run: Start, explained: Explained, stage: str, read: str, name: str
) -> None:
    changed = Rule("GET", read, FORWARD, before=lambda: change(pipeline, name))
    done = run()(changed, division_number=len(TABLE))
    assert (changed.hits, done.errors) == (1, ["InvalidSignature"])
    explained(
        done,
        "InvalidSignature",
        f"stage    {stage} ({stage}-lambda)",
        f"{name}: must be signed by this deployment; found another",
        "to do    something else wrote that object, or copied it without its metadata",
    )


@fault(
    "a segment's figures deleted",
    "セグメントの数値の削除",
    "fails as MissingSegment and is explained on one screen; the previous workbook stays",
    "MissingSegment で失敗し、1画面で説明される。前のワークブックは残る",
)
def test_figures_that_somebody_deleted_fail_the_execution(
    pipeline: Pipeline, run: Start, explained: Explained
) -> None:
    def delete() -> None:
        delete_keys(pipeline.s3, written(pipeline, "job_001.json"), Bucket=emulator().bucket)

    explained(
        run()(Rule("GET", "prefix=gather", FORWARD, before=delete)),
        "MissingSegment",
        "stage    gather (gather-lambda)",
        "job_001.json: must be the figures of the result",
        "found none",
    )


# From here on the functions stay as a test configures them, until the proxy ends: each change takes
# new workers. A stage that lacks memory is not reached by the tests of those before it.


@fault(
    "out of memory; each stage",
    "メモリ不足(各ステージ)",
    "retried once, fails as Runtime.ExitError and is explained on one screen; the previous workbook stays",
    "一度再試行され、Runtime.ExitError で失敗し、1画面で説明される。前のワークブックは残る",
)
@pytest.mark.parametrize("stage", STAGES[::-1])
def test_out_of_memory_fails_the_execution(
    pipeline: Pipeline, run: Start, stage: str, explained: Explained
) -> None:
    configure(stage, MemorySize=128)
    big = run(LONG_TABLE)
    # A gather takes little memory unless it must render the rows of a segment itself.
    moved = Rule("GET", "prefix=gather", FORWARD, before=lambda: move_rows(pipeline))
    # Its upload does not begin before the emulator, which looks at a worker's memory now and then,
    # has seen it: one that had begun would stay unfinished.
    seen = Rule(
        "POST",
        "?uploads",
        "InternalError",
        None,
        before=lambda: psutil.wait_procs(workers(stage), 30),
    )
    done = big(moved, seen, division_number=len(LONG_TABLE))
    # Retried once: AWS gives it the name of any other end of the process.
    assert done.errors == ["Runtime.ExitError"] * 2
    explained(
        done,
        "Runtime.ExitError",
        f"stage    {stage} ({stage}-lambda)",
        "signal: killed",
        "Memory Size: 128 MB",
        "Error Type: Runtime.OutOfMemory",
        f"raise MEMORY in demo-{stage}/Makefile",
    )


def move_rows(pipeline: Pipeline) -> None:
    """Let figures say that other rows come first, as those of an ETL that adds rows do."""
    variables = settings_of("gather")["Environment"]["Variables"]
    objects = Objects(pipeline.s3, emulator().bucket, signing_key(variables))
    for key in written(pipeline, "job_000.json"):
        figures = json.loads(objects.get(key))
        for part in figures["parts"]:
            part["position"] += 1
        objects.put(key, json.dumps(figures).encode())


@pytest.fixture
def never() -> Iterator[Never]:
    """What a request waits for that is answered only after the test."""
    over = threading.Event()
    yield lambda: bool(over.wait())
    over.set()


@fault(
    "a request hangs: timeout of 2 s; each stage",
    "応答なし: 2秒でタイムアウト(各ステージ)",
    *RETRIED,
)
def test_a_request_that_hangs_once_is_retried_after_the_timeout(
    run: Start, never: Never, recovered: Recovered
) -> None:
    for stage in STAGES:
        configure(stage, Timeout=2, MemorySize=1769)
    hang = (Rule("GET", READS[stage], FORWARD, before=never) for stage in STAGES)
    done = run()(*hang, division_number=len(TABLE))
    assert done.errors == ["Sandbox.Timedout"] * len(STAGES)
    recovered(done)


@fault("every request hangs: timeout of 2 s", "毎回応答なし: 2秒でタイムアウト", *FAILED)
def test_a_request_that_always_hangs_fails_the_execution_as_timed_out(
    run: Start, never: Never, explained: Explained
) -> None:
    configure("segment", Timeout=2)
    hang = Rule("GET", READS["segment"], FORWARD, None, before=never)
    explained(
        run()(hang, division_number=len(TABLE)),
        "Sandbox.Timedout",
        "stage    segment (segment-lambda)",
        "job_00",
        "error    Sandbox.Timedout",
        "Task timed out after 2.00 seconds",
        "raise TIMEOUT in demo-segment/Makefile",
    )

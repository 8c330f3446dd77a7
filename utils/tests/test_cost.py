import json

import pytest
from test_pipeline import EXAMPLE

from conftest import Make, Pipeline
from harness import cost
from harness.cost import Charge, Invocation
from harness.fault import Fault

TEXT = (
    "REPORT RequestId: 7c1f\tDuration: 577.54 ms\tBilled Duration: 1157 ms\tMemory Size: 1769 MB\t"
    "Max Memory Used: 58 MB\tInit Duration: 579.00 ms\t\n"
)
JSON = json.dumps(
    {
        "time": "2026-01-01T00:00:00.000Z",
        "type": "platform.report",
        "record": {
            "requestId": "7c1f",
            "status": "success",
            "metrics": {
                "durationMs": 577.54,
                "billedDurationMs": 1157,
                "memorySizeMB": 1769,
                "maxMemoryUsedMB": 58,
                "initDurationMs": 579.0,
            },
        },
    }
)


@pytest.mark.parametrize("line", [TEXT, JSON], ids=["text", "JSON"])
def test_a_report_line_is_read_in_either_format(line: str) -> None:
    other = ['{"type": "platform.start"}', '{"level": "INFO"}', "[1]", "REPORT", "Billed Duration: 1 ms"]
    assert cost.invocations([*other, line]) == [Invocation(billed_ms=1157, memory_mb=1769)]


def test_a_bill_is_amounts_times_prices() -> None:
    charges = cost.cost(
        [Invocation(1000, 1024), Invocation(500, 2048)],
        transitions=1000,
        s3_calls={"GET": 1000, "PUT": 900, "LIST": 100},
    )
    assert {charge.unit: charge.amount for charge in charges} == {
        "GB-second x86_64": 2.0,
        "invocation": 2,
        "state transition": 1000,
        "S3 PUT, LIST": 1000,
        "S3 GET": 1000,
    }
    dollars = [0.0000333334, 0.0000004, 0.025, 0.005, 0.0004]
    assert [charge.dollars for charge in charges] == pytest.approx(dollars)


def test_arm64_has_its_own_price() -> None:
    [duration, *_] = cost.cost([Invocation(1000, 1024)], 0, {}, "ap-northeast-1", "arm64")
    assert duration == Charge("GB-second arm64", 1.0, 0.0000133334)


def test_a_region_without_prices_is_refused() -> None:
    with pytest.raises(Fault, match="us-east-1 and ap-northeast-1; found eu-west-1"):
        cost.cost([], 0, {}, "eu-west-1")


def test_each_state_and_each_retry_is_a_transition() -> None:
    kinds = ["ExecutionStarted", "TaskStateEntered", "LambdaFunctionScheduled", "LambdaFunctionFailed"]
    kinds += ["LambdaFunctionScheduled", "TaskStateExited", "MapStateEntered", "MapIterationStarted"]
    assert cost.transitions([{"type": kind} for kind in kinds]) == 3


def test_make_cost_bills_the_last_execution(pipeline: Pipeline, make: Make) -> None:
    execution = pipeline.run(input_obj=pipeline.put(EXAMPLE), division_number=1)
    shown = make("cost")
    assert shown.returncode == 0, shown.stderr
    assert execution["name"] in shown.stdout
    rows = [line.split("│") for line in shown.stdout.splitlines() if line.startswith("│")]
    amounts = {cells[1].strip(): cells[2].strip() for cells in rows}
    # 3 segments: 5 functions ran, 6 states were entered, and each segment costs 3 GETs and 4 PUTs.
    assert amounts["invocation"] == "5"
    assert amounts["state transition"] == "6"
    assert amounts["S3 GET"] == "10"
    assert amounts["S3 PUT, LIST"] == "14"

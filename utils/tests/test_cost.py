import pytest

from conftest import Pipeline
from harness import cost
from harness.execution import Attempt, Execution, Task, Visit
from harness.facts import Facts, read
from harness.fault import Fault
from harness.logs import Report
from harness.target import emulator
from pipeline.facts.stages import ObjectFacts, ScatterFacts, SegmentCut, SegmentFacts, WorkbookFacts
from replay import Replay
from test_pipeline import EXAMPLE


def amounts(run: Execution, found: Facts) -> dict[str, float]:
    return {charge.unit: charge.amount for charge in cost.bill(run, found, "us-east-1")}


def test_a_bill_is_amounts_times_prices() -> None:
    """By hand: two calls of 1 s in 1 GB and 0.5 s in 2 GB; the prices are those of AWS's list."""
    replay = Replay("stopped")
    run = replay.run()
    calls = [Report("r", 1, 1000, 1000, 1024, 50), Report("r", 1, 500, 500, 2048, 50)]
    run.tasks = [Task("x", None, "", 0, attempts=[Attempt("f", 0, report=each)]) for each in calls]
    run.visits = dict.fromkeys(map(str, range(1000)), Visit(0))
    assert amounts(run, Facts()) == {
        "GB-second x86_64": 2.0,
        "invocation": 2,
        "state transition": 1000,
        "S3 PUT, LIST": 4,  # the workbook, two facts, the reference tables
        "S3 GET": 1,
        "GB-day stored": 0,
    }
    dollars = [0.0000333334, 0.0000004, 0.025, 0.00002, 0.0000004, 0]
    assert [charge.dollars for charge in cost.bill(run, Facts(), "us-east-1")] == pytest.approx(
        dollars
    )


def test_a_region_without_prices_is_refused() -> None:
    with pytest.raises(Fault, match="us-east-1 and ap-northeast-1; found eu-west-1"):
        cost.bill(Replay("stopped").run(), Facts(), "eu-west-1")


def test_an_execution_is_billed_by_its_reports_in_its_functions_architecture() -> None:
    replay = Replay("retried")
    for settings in replay.recorded["functions"].values():
        settings["Architectures"] = ["arm64"]
    run = replay.run()
    duration, calls, transitions, *_ = cost.bill(run, read(replay.target, run), "us-east-1")
    assert (duration.unit, duration.unit_price) == ("GB-second arm64", 0.0000133334)
    assert (calls.amount, transitions.amount) == (10, 3 + 6 + 2)


def test_a_throttled_call_that_never_ran_is_not_missing_from_the_bill(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Replay("succeeded").run()
    throttled = Attempt("f", 0, ended_s=1, error="Lambda.TooManyRequestsException", cause="x")
    run.tasks[0].attempts.insert(0, throttled)
    cost.show(run, cost.bill(run, Facts(), "us-east-1"))
    assert "REPORT lines have not come" not in capsys.readouterr().out


def test_what_a_run_leaves_is_stored_for_fifteen_days() -> None:
    """By hand: 2 segments, 20 MB each as file, 22 as result, 10 as rows; 2 of 1, 1.1 and 0.1 kB."""
    cuts = [SegmentCut("a", 100_000, 20_000_000)] * 2 + [SegmentCut("b", 1_000, 1_000)] * 2
    results = [(100_000, 22_000_000), (100_000, 22_000_000), (1_000, 1_100), (1_000, 1_100)]
    segments = {
        str(number): SegmentFacts(rows, rows, [], [], size)
        for number, (rows, size) in enumerate(results)
    }
    found = Facts(
        ScatterFacts("x.json", 202_000, cuts, []),
        segments,
        WorkbookFacts("x.xlsx", 20_200_000, 202_000, [], ["Sheet1"]),
    )
    run = Replay("succeeded").run()
    run.segments = 4
    bill = amounts(run, found)
    large = 2 * (20_000_000 + 22_000_000 + 10_000_000)
    small = 2 * (1_000 + 1_100 + 100_000)
    assert bill["GB-day stored"] == pytest.approx(15 * (large + small) / 1e9)
    # 4 segment files, 12 results, 2 facts, 3 parts of an upload and its two ends; 2 lists.
    assert bill["S3 PUT, LIST"] == 4 + 12 + 2 + 3 + 2 + 2


def test_a_distributed_execution_bills_each_child_and_its_state() -> None:
    """By hand: 3 states of the parent, 3 children of one state each, 5 calls."""
    replay = Replay("distributed")
    run = replay.run()
    bill = amounts(run, read(replay.target, run))
    assert (bill["invocation"], bill["state transition"]) == (run.segments + 2, 3 + run.segments)


def test_the_cost_is_that_of_the_last_execution(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    execution = pipeline.run(input_obj=pipeline.put(EXAMPLE), division_number=1)
    cost.last(emulator())
    shown = capsys.readouterr().out
    assert execution["name"] in shown
    rows = [line.split("│") for line in shown.splitlines() if line.startswith("│")]
    amounts = {cells[1].strip(): cells[2].strip() for cells in rows}
    # 3 segments: 5 functions ran, 6 states were entered, and each segment costs 3 GETs and 4 PUTs;
    # 1 PUT for the workbook, 2 for facts, 2 LISTs.
    assert amounts["invocation"] == "5"
    assert amounts["state transition"] == "6"
    assert amounts["S3 GET"] == "10"
    assert amounts["S3 PUT, LIST"] == "17"


def test_a_folder_costs_a_get_for_each_object_and_a_list_for_a_thousand() -> None:
    """By hand: of 1,500 tables and 600 other objects; a list of keys costs a HEAD each instead."""
    run = Replay("succeeded").run()
    objects = [ObjectFacts(f"sales/{n}.csv", 1, "e", 1, []) for n in range(1_500)]
    bills = []
    for told in (None, ScatterFacts("sales/", 1_500, [], objects, 600)):
        found = Facts(told)
        bills.append(amounts(run, found))
    assert bills[1]["S3 GET"] - bills[0]["S3 GET"] == 1_499
    assert bills[1]["S3 PUT, LIST"] - bills[0]["S3 PUT, LIST"] == 3

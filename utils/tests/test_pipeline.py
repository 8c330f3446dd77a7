import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from conftest import ROOT, Make, Pipeline, checked
from harness import calls, history, machines, run
from harness.target import MACHINES, emulator, endpoint
from utils import members

EXAMPLE = [
    {
        "会員番号": "000",
        "名前": "長野原 ひろし",
        "会員ランク": 4,
        "ポイント": 58,
        "タイムスタンプ": "2021-05-16",
    },
    {
        "会員番号": "001",
        "名前": "般若 竜門",
        "会員ランク": 2,
        "ポイント": 75,
        "タイムスタンプ": "2021-07-19",
    },
    {
        "会員番号": "002",
        "名前": "十河 アンナ",
        "会員ランク": 2,
        "ポイント": 57,
        "タイムスタンプ": "2021-09-06",
    },
]
HEADER = ("会員番号", "名前", "会員ランク", "ポイント", "タイムスタンプ", "ボーナスポイント")


def expected(table: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The workbook by the rule, a row at a time."""
    return [
        HEADER,
        *(
            (*member.values(), member["ポイント"] * (1.25 if member["会員ランク"] > 3 else 1))
            for member in table
        ),
    ]


def failed(capsys: pytest.CaptureFixture[str], **given: Any) -> str:
    """What `make stepfunctions` says of an execution that fails."""
    with pytest.raises(SystemExit):
        run.run(emulator(), given)
    return capsys.readouterr().out


def test_distributed_executions_that_overlap_have_their_own_segments_and_bills(
    pipeline: Pipeline,
) -> None:
    key = pipeline.put([*members(12, seed=1)])
    started = [
        pipeline.start("distributed", input_obj=key, division_number=rows) for rows in (4, 6)
    ]
    for arn, segments in zip(started, (3, 2), strict=True):
        name = pipeline.wait(arn)["name"]
        ran = history.read(pipeline.states, arn)
        calls.add_logs(emulator(), ran)
        assert [task.key for task in ran.iterations] == [
            f"scatter/{name}/job_{number:03d}.pkl" for number in range(segments)
        ]
        assert (len(ran.reports), ran.transitions) == (segments + 2, segments + 3)


@pytest.mark.parametrize("definition", MACHINES)
def test_the_example_gives_its_table(pipeline: Pipeline, definition: str) -> None:
    rows = pipeline.rows(pipeline.run(definition, input_obj=pipeline.put(EXAMPLE)))
    assert rows == [
        HEADER,
        ("000", "長野原 ひろし", 4, 58, "2021-05-16", 72.5),
        ("001", "般若 竜門", 2, 75, "2021-07-19", 75),
        ("002", "十河 アンナ", 2, 57, "2021-09-06", 57),
    ]
    assert [type(cell) for cell in rows[2]] == [str, str, int, int, str, int]


def test_targets_run_in_the_order_named_however_many_jobs_may_run(
    pipeline: Pipeline, make: Make
) -> None:
    made = make("-j4", "zip", "create", "json", "stepfunctions", "download", "ROWS=60")
    assert f"s3://{emulator().bucket}/test.xlsx" in checked(made)
    assert "jobserver" not in made.stderr
    table = json.loads((ROOT / "utils/data/sample_data.json").read_text())
    arn = machines.find(emulator())
    assert arn
    assert pipeline.rows(pipeline.wait(arn)) == expected(table)
    events = pipeline.history(arn)
    assert sum(event["type"] == "MapIterationSucceeded" for event in events) == 6
    # AWS allows 25,000 of them.
    assert len(events) <= 7 * 6 + 20


def test_an_empty_table_gives_headers_only(pipeline: Pipeline) -> None:
    assert pipeline.rows(pipeline.run(input_obj=pipeline.put([]))) == [HEADER]


def test_faulty_records_fail_the_execution_and_are_explained(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of the segments that had finished."""
    table = [{**EXAMPLE[0], "会員ランク": 9, "ポイント": "x"} for _ in range(30)]
    key = pipeline.put(table)
    said = failed(capsys, input_obj=key, division_number=30)
    causes = [line for line in said.splitlines() if line.startswith("cause")]
    assert causes == [
        f"cause    {key} record {number}: 会員ランク must be 1 to 5; found the number 9"
        for number in range(20)
    ]
    for line in (
        "stage    segment (segment-lambda)",
        "error    InvalidMember",
        "faulty   30 records in the segments that had finished",
        "to do    correct that record in the input object",
    ):
        assert line in said


@pytest.mark.parametrize("definition", MACHINES)
def test_faulty_records_are_left_out_where_the_input_asks_for_it(
    pipeline: Pipeline, definition: str
) -> None:
    table = list(members(12, seed=40))
    faulty = {3: ("会員ランク", 9), 4: ("ポイント", "x"), 11: ("名前", None)}
    broken = [
        {**member, **dict([faulty[number]] if number in faulty else [])}
        for number, member in enumerate(table)
    ]
    given = {"input_obj": pipeline.put(broken), "rejects": "sheet", "division_number": 6}
    execution = pipeline.run(definition, **given, max_rejects=3)
    kept = [member for number, member in enumerate(table) if number not in faulty]
    assert pipeline.rows(execution) == expected(kept)
    workbook = load_workbook(pipeline.folder / json.loads(execution["output"]))
    assert list(workbook["Rejects"].values) == [
        ("record", "column", "rule", "found", *HEADER[:-1]),
        (3, "会員ランク", "must be 1 to 5", "the number 9", *broken[3].values()),
        (4, "ポイント", "must be a number", 'the text "x"', *broken[4].values()),
        (11, "名前", "must be given", "nothing", *broken[11].values()),
    ]
    refused = pipeline.run(definition, **given, max_rejects=2)
    assert (refused["status"], refused["error"]) == ("FAILED", "TooManyRejects")


def test_summaries_alone_are_asked_for_by_make_and_told_everywhere(
    pipeline: Pipeline, make: Make
) -> None:
    table = list(members(40, seed=40))
    given = f'INPUT={{"input_obj": "{pipeline.put(table)}"}}'
    said = checked(make("stepfunctions", given, "SHEETS=summaries"))
    assert "\n40 rows, not in the workbook; 1 sheet with 1 summary: 会員ランク別\n" in said
    arn = machines.find(emulator())
    assert arn
    execution = pipeline.wait(arn)
    rows = pipeline.rows(execution, "会員ランク別")
    assert sum(row[1] for row in rows[1:-1]) == rows[-1][1] == 40
    assert load_workbook(pipeline.folder / json.loads(execution["output"])).sheetnames == [
        "会員ランク別"
    ]
    page = ROOT / "result" / f"{execution['name']}.html"
    assert 'id="no-table"' in page.read_text()


def aws(*arguments: str) -> dict[str, Any]:
    """The AWS command line of the tools, with the credentials file the README names."""
    credentials = dict(
        line.split("=", 1)
        for line in (ROOT / "stepfunctions-credentials.env").read_text().splitlines()
        if line and not line.startswith("#")
    )
    command = [str(Path(sys.executable).with_name("aws")), "--endpoint-url", endpoint(), *arguments]
    done = subprocess.run(
        command, capture_output=True, check=True, env={"PATH": os.environ["PATH"], **credentials}
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_start_execution_by_hand_without_an_input(pipeline: Pipeline) -> None:
    table = list(members(12, seed=12))
    body = json.dumps(table).encode()
    pipeline.s3.put_object(Bucket=emulator().bucket, Key="test.json", Body=body)
    machine = ("--state-machine-arn", emulator().machine())
    started = aws("stepfunctions", "start-execution", *machine)
    execution = pipeline.wait(started["executionArn"])
    assert json.loads(execution["output"]) == "test.xlsx"
    assert pipeline.rows(execution) == expected(table)

"""Time the pipeline on the emulator at ENDPOINT: `python -m checks.bench.pipeline JSON ROWS REPEAT`.

The emulator must be a fresh one: the first execution is the cold one. Prints the runs as JSON.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from harness import history, run
from harness.fault import Fault
from harness.history import Run
from harness.logs import Report
from harness.target import emulator
from checks.bench import localstack
from checks.bench.figures import STAGES, PipelineRun
from checks.bench.places import DATA, ROOT
from checks.bench.tables import check

KEY = "members.json"
POLL_S = 0.5  # each poll is work for the LocalStack that is timed

Execution = dict[str, Any]


class Pipeline:
    """The deployed functions and the state machine `Aggregate`, with one table in the bucket."""

    def __init__(self, source: Path, rows: int) -> None:
        self.source = source
        self.rows = rows
        self.localstack: psutil.Process = localstack.process()
        self.s3 = emulator().client("s3")
        self.states = emulator().client("stepfunctions")
        self.machine = run.put_state_machine(self.states, "parallel")
        self.s3.upload_file(str(source), emulator().bucket, KEY)

    def run(self) -> PipelineRun:
        """Run one execution; its workbook is still to be checked."""
        cpu_s = localstack.cpu_s(self.localstack)
        with localstack.PeakMemory(self.localstack) as memory:
            execution = self.execute()
        cpu_s = localstack.cpu_s(self.localstack) - cpu_s
        run = history.read(self.states, execution["executionArn"])
        history.add_logs(emulator(), run)
        reports = reports_by_stage(run)
        return PipelineRun(
            wall_s=(execution["stopDate"] - execution["startDate"]).total_seconds(),
            cpu_s=cpu_s,
            segments=run.segments,
            stage_s={
                stage: (visit.exited_s or 0) - visit.entered_s
                for stage, visit in run.stages.items()
            },
            peak_mb={stage: max(each.peak_mb for each in reports[stage]) for stage in STAGES},
            localstack_mb=memory.mb,
            gb_s=sum(report.gb_seconds for report in run.reports),
        )

    def execute(self) -> Execution:
        given = json.dumps({"input_obj": KEY})
        arn = self.states.start_execution(stateMachineArn=self.machine, input=given)["executionArn"]
        while True:
            execution: Execution = self.states.describe_execution(executionArn=arn)
            if execution["status"] == "SUCCEEDED":
                return execution
            if execution["status"] != "RUNNING":
                raise Fault(f"{execution['status']}: {execution['error']}: {execution['cause']}")
            time.sleep(POLL_S)

    def check(self) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=DATA) as folder:
            workbook = Path(folder, "members.xlsx")
            self.s3.download_file(emulator().bucket, workbook.name, str(workbook))
            self.s3.delete_object(Bucket=emulator().bucket, Key=workbook.name)
            return check(self.source, self.rows, workbook)


def reports_by_stage(run: Run) -> dict[str, list[Report]]:
    """
    Raises:
        Fault: a call has no REPORT line.
    """
    if len(run.reports) < len(run.attempts):
        raise Fault(f"expected {len(run.attempts)} REPORT lines; found {len(run.reports)}")
    return {
        stage: [a.report for t in run.tasks if t.stage == stage for a in t.attempts if a.report]
        for stage in STAGES
    }


def measure(source: Path, rows: int, repeat: int) -> dict[str, Any]:
    """One cold execution and `repeat` warm ones; none after a wrong workbook."""
    make = ["make", "--no-print-directory", "create", "bucket"]
    subprocess.run(make, cwd=ROOT, stdout=sys.stderr, check=True)
    pipeline = Pipeline(source, rows)
    runs, found = [], {"sheets": 0, "fault": None}
    for _ in range(1 + repeat):
        run = pipeline.run()
        found = pipeline.check()
        if found["fault"]:
            break
        runs.append(asdict(run))
    return {"cold": runs[:1], "warm": runs[1:], **found}


def main(source: str, rows: str, repeat: str) -> None:
    try:
        print(json.dumps(measure(Path(source), int(rows), int(repeat))))
    except Fault as fault:
        print(json.dumps({"cold": [], "warm": [], "sheets": 0, "fault": str(fault)}))


if __name__ == "__main__":
    main(*sys.argv[1:])

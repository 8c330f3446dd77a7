"""Time the pipeline on the emulator at ENDPOINT: `python -m checks.bench.executions JSON ROWS REPEAT`.

The emulator must be a fresh one: the first execution is the cold one. Prints JSON.
"""

import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from checks.bench.compare import SUMMARY, check, read_members
from checks.bench.figures import COLD, DATA, FOLDERS, MILLION, ROOT, WARM, Run
from harness import calls, history, machines
from harness.emulator import Emulator
from harness.fault import Fault
from harness.target import emulator, endpoint

KEY = "members.json"
UPLOADS = 8  # at once
POLL_S = 0.2  # each poll is work for the LocalStack that is timed


def measure(source: Path, rows: int, repeat: int) -> dict[str, Any]:
    """One cold execution and `repeat` warm ones, by what they are called.

    Raises:
        Fault: an execution failed, or its workbook is not the table.
    """
    create()
    machines.put(emulator().client("stepfunctions"), "parallel")
    emulator().client("s3").upload_file(str(source), emulator().bucket, KEY)
    runs = []
    for _ in range(1 + repeat):
        runs.append(asdict(execute(emulator().machine(), KEY)))
        check_workbook(KEY, source, rows, SUMMARY)
    found = {COLD: runs[:1], WARM: runs[1:]}
    for name, objects in FOLDERS.items() if rows == MILLION else ():
        found[name] = [*folder_runs(source, rows, objects, repeat)]
    return found


def folder_runs(source: Path, rows: int, objects: int, repeat: int) -> Iterator[dict[str, Any]]:
    """Executions on the same table, cut into so many objects of a folder."""
    s3, folder = emulator().client("s3"), f"of-{objects}"

    def put(number: int, members: tuple[Any, ...]) -> None:
        text = json.dumps(members, ensure_ascii=False)
        key = f"{folder}/{number:05}.json"
        s3.put_object(Bucket=emulator().bucket, Key=key, Body=text.encode())

    with ThreadPoolExecutor(UPLOADS) as threads:
        parts = itertools.batched(read_members(source), rows // objects)
        for _ in threads.map(put, *zip(*enumerate(parts))):
            pass
    for _ in range(repeat):
        yield asdict(execute(emulator().machine(), f"{folder}/"))
        check_workbook(f"{folder}.json", source, rows, SUMMARY)


def create() -> None:
    """The functions and the bucket."""
    make = ["make", "--no-print-directory", "create", "bucket"]
    subprocess.run(make, cwd=ROOT, stdout=sys.stderr, check=True)


def execute(machine: str, key: str) -> Run:
    """Run one execution; its workbook is still to be checked."""
    localstack = Emulator(endpoint()).process()
    if localstack is None:
        raise Fault(f"a bench needs an emulator of its own; nothing of ours runs at {endpoint()}")
    states = emulator().client("stepfunctions")
    before_s, memory = cpu_s(localstack), []
    given = json.dumps({"input_obj": key})
    arn = states.start_execution(stateMachineArn=machine, input=given)["executionArn"]
    while (found := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
        memory.append(localstack.memory_info().rss / (1 << 20))
        time.sleep(POLL_S)
    if found["status"] != "SUCCEEDED":
        raise Fault(f"{found['status']}: {found.get('error')}: {found.get('cause')}")
    stages = read_stages(states, arn)
    return Run(
        wall_s=(found["stopDate"] - found["startDate"]).total_seconds(),
        cpu_s=cpu_s(localstack) - before_s,
        peak_mb=max(stages["stage_mb"].values()),
        localstack_mb=max(memory),
        **stages,
    )


def read_stages(states: Any, arn: str) -> dict[str, Any]:
    """The fields of a Run that its history and its REPORT lines tell.

    Raises:
        Fault: a call has no REPORT line.
    """
    run = history.read(states, arn)
    calls.add_logs(emulator(), run)
    if len(run.reports) < len(run.attempts):
        raise Fault(f"expected {len(run.attempts)} REPORT lines; found {len(run.reports)}")
    stage_mb: dict[str, int] = {}
    for task in run.tasks:
        peaks = [attempt.report.peak_mb for attempt in task.attempts if attempt.report]
        stage_mb[task.stage] = max(stage_mb.get(task.stage, 0), *peaks)
    return {
        "segments": run.segments,
        "stage_s": {
            stage: (visit.exited_s or 0) - visit.entered_s for stage, visit in run.stages.items()
        },
        "stage_mb": stage_mb,
        "gb_s": sum(report.gb_seconds for report in run.reports),
    }


def check_workbook(key: str, *expected: object) -> None:
    """Take the workbook made of the object out of the bucket.

    Args:
        expected: as `check` takes it.

    Raises:
        Fault: it is wrong.
    """
    s3, name = emulator().client("s3"), key.replace(".json", ".xlsx")
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        workbook = Path(folder, name)
        s3.download_file(emulator().bucket, name, str(workbook))
        s3.delete_object(Bucket=emulator().bucket, Key=name)
        if fault := check(workbook, *expected):
            raise Fault(fault)


def cpu_s(localstack: psutil.Process) -> float:
    """User and system time so far, of LocalStack and of all workers that it has or had."""
    total = 0.0
    for process in [localstack, *localstack.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def main(source: str, rows: str, repeat: str) -> None:
    try:
        print(json.dumps(measure(Path(source), int(rows), int(repeat))))
    except Fault as fault:
        sys.exit(str(fault))


if __name__ == "__main__":
    main(*sys.argv[1:])

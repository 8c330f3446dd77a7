"""Run what the report's page is tested with, on the emulator: `report_scenarios.py FOLDER`.

Writes each execution's page, and beside it the answers from which the page was made; also the
prices that it was made with.
"""

import io
import json
import sys
import time
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.response import StreamingBody

from harness.cost import PRICES
from harness.report import write
from harness.target import EMULATED_ACCOUNT, EMULATED_REGION, emulator

ROOT = Path(__file__).resolve().parents[2]

ROLE = f"arn:aws:iam::{EMULATED_ACCOUNT}:role/DummyRole"
PARALLEL, DISTRIBUTED = (
    (ROOT / "state-machine" / f"{name}.json").read_text() for name in ("parallel", "distributed")
)
SCRIPT = "<script>alert('x')</script>"

# Ends its process at the first call for segments 1 and 3, then works.
FLAKY = """
import os
import boto3
from segment import SegmentHandler
s3 = boto3.client("s3")

def lambda_handler(event, context):
    mark = event.replace("scatter/", "marks/")
    found = s3.list_objects_v2(Bucket=os.environ["BUCKET"], Prefix=mark)
    if event.endswith(("_001.pkl", "_003.pkl")) and not found["KeyCount"]:
        s3.put_object(Bucket=os.environ["BUCKET"], Key=mark, Body=b"")
        os._exit(1)
    return SegmentHandler(event, context, s3).main()
"""


def members(count: int) -> list[dict[str, Any]]:
    return [
        {
            "会員番号": f"{number:03d}", "名前": f"{SCRIPT} {number}", "会員ランク": number % 5 + 1,
            "ポイント": 50 + number % 50, "タイムスタンプ": "2021-05-16",
        }
        for number in range(count)
    ]


def create_flaky() -> None:
    functions = emulator().client("lambda")
    functions.create_function(
        FunctionName="flaky-lambda", Runtime="python3.13", Role=ROLE, Handler="lambda.lambda_handler",
        Code={"ZipFile": flaky_zip()}, MemorySize=1769, Timeout=900,
        Environment={"Variables": {"BUCKET": emulator().bucket}},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="flaky-lambda")


def flaky_zip() -> bytes:
    """segment-lambda's package with another entry point."""
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(ROOT / "demo-segment" / "bin" / "lambda.zip") as built,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name in built.namelist():
            if not name.startswith(("lambda.", "__pycache__/lambda.")):
                archive.writestr(name, built.read(name))
        archive.writestr("lambda.py", FLAKY)
    return packed.getvalue()


def machine(name: str, definition: str) -> str:
    states = emulator().client("stepfunctions")
    arn: str = states.create_state_machine(name=name, definition=definition, roleArn=ROLE)["stateMachineArn"]
    return arn


def execute(machine_arn: str, name: str, table: list[dict[str, Any]], **given: Any) -> str:
    emulator().client("s3").put_object(Bucket=emulator().bucket, Key=f"{name}.json", Body=json.dumps(table).encode())
    states = emulator().client("stepfunctions")
    arn: str = states.start_execution(
        stateMachineArn=machine_arn, name=name, input=json.dumps({"input_obj": f"{name}.json", **given})
    )["executionArn"]
    while states.describe_execution(executionArn=arn)["status"] == "RUNNING":
        time.sleep(0.1)
    return arn


class Recorder:
    """Keeps what the clients of boto3's default session are asked and answer."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []
        session = boto3.Session()
        session.events.register("provide-client-params", self.asked)
        session.events.register("after-call", self.answered)
        boto3.DEFAULT_SESSION = session

    def asked(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["asked"] = dict(params)

    def answered(self, parsed: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        answer = {key: value for key, value in parsed.items() if key != "ResponseMetadata"}
        if "Body" in answer:
            body = answer["Body"].read()
            parsed["Body"] = StreamingBody(io.BytesIO(body), len(body))
            answer["Body"] = body.decode(errors="replace")
        self.answers.append({"operation": model.name, "asked": context["asked"], "answer": answer})

    def keep(self, folder: Path, arn: str, language: str = "en") -> None:
        """Write an execution's page, and beside it all that was answered for it."""
        self.answers.clear()
        page = write.write(arn, language, folder)
        page.with_suffix(".json").write_text(json.dumps(self.answers, default=datetime.timestamp))


def main(folder: Path) -> None:
    (folder / "prices.json").write_text(json.dumps(PRICES[EMULATED_REGION]))
    recorder = Recorder()
    pipeline = machine("ReportPages", PARALLEL)
    create_flaky()
    flaky = machine("ReportPagesFlaky", PARALLEL.replace("segment-lambda", "flaky-lambda"))
    distributed = machine("ReportPagesDistributed", DISTRIBUTED)
    broken = members(40)
    broken[37]["会員ランク"] = "<script>alert(1)</script>"
    recorder.keep(folder, execute(pipeline, "succeeded", members(30)))
    recorder.keep(folder, execute(flaky, "retried", members(60)))
    recorder.keep(folder, execute(pipeline, "wide", members(2000), division_number=10), "ja")
    recorder.keep(folder, execute(distributed, "distributed", members(30)))
    recorder.keep(folder, execute(distributed, "distributed-failed", broken))
    # Last, as its other segments may still be under way when it has failed.
    recorder.keep(folder, execute(pipeline, "failed", broken))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

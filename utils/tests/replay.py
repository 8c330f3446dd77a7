"""Recorded executions, answered to real boto3 clients as AWS's APIs answered: `replay.py FOLDER` writes their pages.

`recorded/*.json` were taken from LocalStack 4.14.0, shortened by what nobody reads;
the objects that functions write are as `pipeline.facts.stages` says. `recorded/expected.json` holds the
figures that follow from them, which other code counted, by the place on the page that says them.
"""

import gzip
import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.response import StreamingBody

from harness import facts
from harness.calls import add_logs
from harness.execution import Execution
from harness.history import Event, read
from harness.report import write
from harness.report.view import View
from harness.target import Target

RECORDED = Path(__file__).with_name("recorded")
EXPECTED: dict[str, Any] = json.loads((RECORDED / "expected.json").read_text())
SESSION = boto3.Session("test", "test", region_name="us-east-1")  # it keeps what it has loaded
FUNCTIONS = "arn:aws:lambda:us-east-1:000000000000:function:"
PAGE = 40  # events, so that every list has several pages


class Missing(Exception):
    """The code of the error that AWS answers, and its message."""


class Replay:
    """One recorded execution; `asked` holds each operation that was called and what was asked."""

    def __init__(self, name: str, **changed: Any) -> None:
        path = RECORDED / f"{name}.json"
        packed = RECORDED / f"{name}.json.gz"
        text = path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())
        self.recorded: dict[str, Any] = {**json.loads(text), **changed}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.clients: dict[str, Any] = {}
        self.target = Target("localstack", "000000000000", "us-east-1", self.make_client)

    def read(self) -> Execution:
        return read(self.target.client("stepfunctions"), self.recorded["described"]["executionArn"])

    def run(self) -> Execution:
        """The execution with all that its log tells."""
        run = self.read()
        add_logs(self.target, run)
        return run

    def view(self, language: str = "en") -> View:
        run = self.read()
        return write.collect(self.target, run, facts.read(self.target, run), language)

    def events(self) -> list[Event]:
        return [
            {**event, "timestamp": datetime.fromtimestamp(event["timestamp"], UTC)}
            for event in self.recorded["events"]
        ]

    def make_client(self, service: str, **_: Any) -> Any:
        if service not in self.clients:
            client: Any = SESSION.client(service)  # type: ignore[call-overload]
            client.meta.events.register("provide-client-params", self.keep)
            client.meta.events.register("before-call", self.answer)
            self.clients[service] = client
        return self.clients[service]

    def keep(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["asked"] = dict(params)

    def answer(self, model: Any, context: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        self.asked.append((model.name, context["asked"]))
        try:
            return SimpleNamespace(status_code=200), getattr(self, model.name)(context["asked"])
        except Missing as missing:
            error = dict(zip(("Code", "Message"), missing.args))
            return SimpleNamespace(status_code=400), {"Error": error}

    def DescribeExecution(self, asked: dict[str, Any]) -> dict[str, Any]:
        return dict(self.recorded["described"])

    def DescribeStateMachineForExecution(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"definition": json.dumps(self.recorded["definition"])}

    def DescribeMapRun(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {"itemCounts": self.recorded["map_run"]}

    def GetExecutionHistory(self, asked: dict[str, Any]) -> dict[str, Any]:
        return paged(self.events()[:: -1 if asked.get("reverseOrder") else 1], asked)

    def GetFunctionConfiguration(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["FunctionName"].removeprefix(FUNCTIONS)
        if (found := self.recorded["functions"].get(name)) is None:
            raise Missing("ResourceNotFoundException")
        return dict(found)

    def FilterLogEvents(self, asked: dict[str, Any]) -> dict[str, Any]:
        logged = self.recorded["logs"].get(asked["logGroupName"].removeprefix("/aws/lambda/"))
        if logged is None:
            raise Missing("ResourceNotFoundException")
        end = asked.get("endTime", float("inf"))
        streams = asked.get("logStreamNames")
        events = [
            event
            for event in logged
            if asked["startTime"] <= event["timestamp"] <= end
            and (streams is None or event["logStreamName"] in streams)
        ]
        return paged(events, asked)

    def GetObject(self, asked: dict[str, Any]) -> dict[str, Any]:
        given = self.recorded.get("input") or {}
        found = self.recorded["objects"].get(asked["Key"])
        body = json.dumps(found).encode() if found is not None else None
        if asked["Key"] == given.get("key"):
            if asked.get("IfMatch") != given["etag"]:
                raise Missing("PreconditionFailed")
            first, last = map(int, asked["Range"].removeprefix("bytes=").split("-"))
            body = given["body"].encode()[first : last + 1]
        if body is None:
            raise Missing("NoSuchKey")
        metadata = self.recorded.get("metadata", {}).get(asked["Key"], {})
        return {"Body": StreamingBody(io.BytesIO(body), len(body)), "Metadata": metadata}


def paged(events: list[dict[str, Any]], asked: dict[str, Any]) -> dict[str, Any]:
    start = int(asked.get("nextToken", 0))
    more = {"nextToken": str(start + PAGE)} if start + PAGE < len(events) else {}
    return {"events": events[start : start + PAGE], **more}


def main(folder: Path) -> None:
    for name in EXPECTED:
        replay = Replay(name)
        write.write(replay.view("ja" if name == "wide" else "en"), name, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""What the functions logged: the only reader of CloudWatch Logs and of REPORT lines."""

import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from pipeline.errors.lines import continues

Event = dict[str, Any]

DAY_S = 86_400
# What is needed of every call: where it starts and ends, the segment it was given, and its error. An
# emulator that cannot read a pattern returns all lines.
CALLS = (
    '?"START RequestId" ?"REPORT RequestId" ?"platform.start" ?"platform.report" '
    '?"SEGMENT RequestId" ?"[ERROR]" ?"errorType"'
)

# Of a REPORT line, and of the same record in the JSON log format; the last one of a cold start alone.
TEXT_FIGURES = ("Duration", "Billed Duration", "Memory Size", "Max Memory Used", "Init Duration")
JSON_FIGURES = (
    *("durationMs", "billedDurationMs"),
    *("memorySizeMB", "maxMemoryUsedMB", "initDurationMs"),
)


@dataclass(frozen=True)
class Report:
    """A REPORT line.

    Attributes:
        ended_s: when it was logged, since the epoch.
        init_ms: None in a warm environment.
        status: the error's name or `timeout`; None in a success.
        stream: the log stream of the line.
    """

    request_id: str
    ended_s: float
    duration_ms: float
    billed_ms: int
    memory_mb: int
    peak_mb: int
    init_ms: float | None = None
    status: str | None = None
    stream: str = ""

    @property
    def started_s(self) -> float:
        return self.ended_s - (self.duration_ms + (self.init_ms or 0)) / 1000

    @property
    def gb_seconds(self) -> float:
        """What Lambda bills: configured, not used, memory times billed time."""
        return self.memory_mb / 1024 * self.billed_ms / 1000

    @classmethod
    def parse(cls, message: str, timestamp_ms: int, stream: str = "") -> Self | None:
        """Read a line of either log format; None for any other line, such as one that a rule printed."""
        try:
            request_id, (*figures, init), status = _text_report(message) or _json_report(message)
            duration, billed, memory, peak = map(float, figures)
            return cls(
                request_id,
                ended_s=timestamp_ms / 1000,
                duration_ms=duration,
                billed_ms=int(billed),
                memory_mb=int(memory),
                peak_mb=int(peak),
                init_ms=None if init is None else float(init),
                status=None if status == "success" else status,
                stream=stream,
            )
        except (LookupError, AttributeError, TypeError, ValueError, OverflowError):
            return None


type _Told = tuple[str, list[Any], str | None]


def _text_report(message: str) -> _Told | None:
    """A REPORT line's request, its TEXT_FIGURES and its status; None for any other line."""
    if not message.startswith("REPORT RequestId: "):
        return None
    parts = (part.partition(": ") for part in message.split("\t"))
    record = {name: value.split()[0] for name, _, value in parts if value}
    figures = [record.get(name) for name in TEXT_FIGURES]
    return record["REPORT RequestId"], figures, record.get("Error Type") or record.get("Status")


def _json_report(message: str) -> _Told:
    """The same of a record in the JSON log format, and its JSON_FIGURES; KeyError for any other line."""
    record = platform_record(message, "platform.report")
    figures = [record["metrics"].get(name) for name in JSON_FIGURES]
    return record["requestId"], figures, record.get("errorType") or record["status"]


@dataclass
class Call:
    """One call of a function as its log tells it.

    Attributes:
        key: of the segment file that it was given, which a segment logs first.
        error: a name and a message.
    """

    request_id: str
    key: str = ""
    lines: list[str] = field(default_factory=list)
    error: tuple[str, str] | None = None
    report: Report | None = None

    def read(self, line: str) -> None:
        self.lines.append(line)
        if not self.key and (key := segment(line)):
            self.key = key
        elif error := logged_error(line):
            self.error = error
        elif self.error and continues(line):
            self.error = self.error[0], f"{self.error[1]}\n{line}"


def events(
    logs: Any, group: str, start_s: float, end_s: float | None = None, **asked: Any
) -> list[Event]:
    """All log events of a time, those of a stream in their order; [] where there is no log yet.

    Args:
        asked: more of FilterLogEvents' parameters, such as filterPattern.
    """
    if end_s is not None:
        asked["endTime"] = int(end_s * 1000)
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, startTime=int(start_s * 1000), **asked
    )
    try:
        return [event for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []


def calls(events: Iterable[Event]) -> list[Call]:
    """The calls whose beginning or end some log events tell."""
    found: dict[str, Call] = {}
    open_calls: dict[str, Call] = {}
    for event in events:
        stream, message = event["logStreamName"], event["message"]
        report = Report.parse(message, event["timestamp"], stream)
        request_id = report.request_id if report else started(message)
        if request_id:
            open_calls[stream] = found.setdefault(request_id, Call(request_id))
        call = open_calls.get(stream)
        if call is None:
            continue
        for line in text(message):
            call.read(line)
        if report:
            call.report = report
            del open_calls[stream]
    return list(found.values())


def last_lines(logs: Any, function: str, count: int) -> list[str]:
    """The last lines a function logged in a day, in the order of time."""
    logged = events(logs, group(function), time.time() - DAY_S)
    ordered = sorted(logged, key=lambda event: event["timestamp"])
    return [line for event in ordered for line in text(event["message"])][-count:]


def group(function: str) -> str:
    return f"/aws/lambda/{function}"


def text(message: str) -> list[str]:
    """The lines of a message; the runtime client joins a traceback's with carriage returns, on AWS not."""
    return re.split(r"[\r\n]", message.rstrip("\r\n").replace("\xa0", " "))


def started(message: str) -> str | None:
    """The request that a START line begins."""
    if found := re.match(r"START RequestId: ([-0-9a-f]+)", message):
        return found[1]
    return platform_record(message, "platform.start").get("requestId")


def segment(line: str) -> str:
    """The key that a segment's first line names; "" for any other line."""
    found = re.match(r"SEGMENT RequestId: \S+ Key: (.+)", line)
    return json_text(found[1]) if found else ""


def platform_record(message: str, kind: str) -> dict[str, Any]:
    """The record of one of Lambda's own lines in the JSON log format; {} for any other line."""
    fields = json_object(message)
    record = fields.get("record") if fields.get("type") == kind else None
    return record if isinstance(record, dict) else {}


def logged_error(line: str) -> tuple[str, str] | None:
    """The name and the message of an exception that a handler raised, in either log format."""
    if found := re.match(r"\[ERROR\] (\S+): (.*)", line):
        return found[1], found[2]
    fields = json_object(line)
    if {"errorType", "errorMessage"} <= fields.keys():
        return str(fields["errorType"]), str(fields["errorMessage"])
    return None


def json_object(text: str | None) -> dict[str, Any]:
    """{} for a text that is no JSON object."""
    try:
        parsed = json.loads(text or "")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def json_text(value: str | None) -> str:
    """A text that is one JSON text, else ""."""
    try:
        parsed = json.loads(value or "")
    except ValueError:
        return ""
    return parsed if isinstance(parsed, str) else ""

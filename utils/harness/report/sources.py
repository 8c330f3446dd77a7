"""Read what a report shows, from the emulator or from AWS, whichever the execution's ARN names."""

import codecs
import json
import os
import re
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from openpyxl import load_workbook

from harness.report.model import Attempt, Failure, LogReport, Node, Run, match_reports

VALUE, GROUP = "ボーナスポイント", "会員ランク"
FIRST_ROWS = 10
LOG_LINES = 60
LOG_WAIT_S = 15.0
READ_BYTES = 1024 * 1024
RECORD_CHARACTERS = 64 * READ_BYTES  # more is no record, but a broken file
MISSING = ("404", "NoSuchKey", "NoSuchBucket", "403", "AccessDenied")


_START = re.compile(r"[\s\[,]*")


def add_reports(logs: Any, run: Run) -> None:
    """Give the run's attempts their REPORT lines."""
    ended = sum(attempt.ended_s is not None for attempt in run.attempts)
    awaited(run, lambda: match_reports(run.attempts, reports(logs, run)), lambda found: found >= ended)


def awaited[Found](run: Run, read: Callable[[], Found], enough: Callable[[Found], bool]) -> Found:
    """What is read of the log, to which lines come a moment after the end."""
    deadline = time.monotonic() + LOG_WAIT_S
    while not enough(found := read()) and is_recent(run) and time.monotonic() < deadline:
        time.sleep(0.3)
    return found


def is_recent(run: Run) -> bool:
    return time.time() - (run.stopped_s or time.time()) < 60


def add_map_runs(states: Any, logs: Any, run: Run, nodes: list[Node]) -> None:
    """Count a DISTRIBUTED Map's segments, and show the calls of its child executions.

    Their histories are not this one's, and LocalStack does not list them: the calls are those in
    the log, in the order of their starts.
    """
    for arn in run.map_runs:
        counts = states.describe_map_run(mapRunArn=arn)["itemCounts"]
        run.segments = (run.segments or 0) + counts["total"]
        run.done += counts["succeeded"]
        run.failed += counts["failed"]
    if run.map_runs:
        for state, function in (pair for node in nodes for pair in node.inner.items()):
            run.add_calls(state, awaited_calls(logs, function, run))


def awaited_calls(logs: Any, function: str, run: Run) -> list[Attempt]:
    """A function's calls in the log, one at least for each segment that ended."""
    return awaited(
        run,
        lambda: logged_calls(log_events(logs, function, run, ""), function),
        lambda calls: len(calls) >= run.done + run.failed,
    )


def logged_calls(events: Iterable[dict[str, Any]], function: str) -> list[Attempt]:
    """The calls that a log tells of, with the error that each logged before its REPORT line."""
    calls: list[Attempt] = []
    errors: dict[str, tuple[str | None, str]] = {}
    for event in events:
        stream, message = event["logStreamName"], event["message"]
        if raised := logged_error(message):
            errors[stream] = raised
        if report := LogReport.parse(message, event["timestamp"], function):
            error, cause = errors.pop(stream, (report.status, ""))
            calls.append(
                Attempt(function, report.started_s, "", report.ended_s, error, cause, report)
            )
    return calls


def logged_error(message: str) -> tuple[str, str] | None:
    """The name and the message of an exception that a handler raised, in either log format."""
    if found := re.match(r"\[ERROR\] (\S+): ([^\r\n]*)", message):
        return found[1], found[2]
    try:
        fields = json.loads(message)
        return fields["errorType"], fields["errorMessage"]
    except (ValueError, KeyError, TypeError):
        return None


def reports(logs: Any, run: Run) -> list[LogReport]:
    functions = {attempt.function for attempt in run.attempts if attempt.function}
    return [line for function in sorted(functions) for line in reports_of(logs, function, run)]


def reports_of(logs: Any, function: str, run: Run) -> list[LogReport]:
    events = log_events(logs, function, run, '?"REPORT RequestId" ?"platform.report"')
    lines = (LogReport.parse(event["message"], event["timestamp"], function) for event in events)
    return [line for line in lines if line]


def log_events(logs: Any, function: str, run: Run, pattern: str) -> Iterator[dict[str, Any]]:
    """A function's log events of the run's time; LocalStack ignores the pattern."""
    window = {"startTime": int(run.started_s * 1000)}
    if run.stopped_s:
        window["endTime"] = int(run.stopped_s * 1000) + 10_000
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=f"/aws/lambda/{function}", filterPattern=pattern, **window
    )
    try:
        for page in pages:
            yield from page["events"]
    except logs.exceptions.ResourceNotFoundException:
        return


def failure_lines(logs: Any, run: Run, attempt: Attempt) -> list[str]:
    """The log of one failed call, from START to REPORT."""
    if not attempt.request_id:
        return []
    named = list(log_events(logs, attempt.function, run, f'"{attempt.request_id}"'))
    hit = next((e for e in named if attempt.request_id in e["message"]), None)
    if hit is None:
        return []
    stream = logs.get_log_events(
        logGroupName=f"/aws/lambda/{attempt.function}",
        logStreamName=hit["logStreamName"],
        startTime=int(attempt.scheduled_s * 1000) - 1000,
    )["events"]
    lines = [event["message"].rstrip("\n") for event in stream]
    places = [number for number, line in enumerate(lines) if attempt.request_id in line]
    return lines[places[0] : places[-1] + 1][-LOG_LINES:] if places else []


@dataclass(frozen=True)
class Settings:
    memory_mb: int
    timeout_s: int
    bucket: str


def settings(functions: Any, name: str) -> Settings | None:
    """None where the function is gone."""
    try:
        found = functions.get_function_configuration(FunctionName=name)
    except functions.exceptions.ResourceNotFoundException:
        return None
    variables = found.get("Environment", {}).get("Variables", {})
    bucket = variables.get("BUCKET", os.environ.get("BUCKET", "test-bucket"))
    return Settings(found["MemorySize"], found["Timeout"], bucket)


class Bucket:
    """The objects that an execution read and wrote, unless others replaced them since."""

    def __init__(self, s3: Any, name: str, run: Run) -> None:
        self.s3 = s3
        self.name = name
        self.run = run

    def input_bytes(self, key: str) -> int | None:
        """None where the object is gone, or younger than the execution."""
        head = self.head(key)
        if head is None or head["LastModified"].timestamp() > self.run.started_s:
            return None
        return int(head["ContentLength"])

    def output_bytes(self, key: str) -> int | None:
        """None where the object is gone, or younger than the execution."""
        head = self.head(key)
        # S3 keeps whole seconds.
        if head is None or head["LastModified"].timestamp() > (self.run.stopped_s or time.time()):
            return None
        return int(head["ContentLength"])

    def head(self, key: str) -> dict[str, Any] | None:
        try:
            head: dict[str, Any] = self.s3.head_object(Bucket=self.name, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return None
            raise
        return head

    def sizes(self, prefix: str) -> dict[str, int]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return {obj["Key"]: obj["Size"] for page in pages for obj in page.get("Contents", [])}

    def segment_rows(self, result: str) -> int | None:
        """By the figures that a segment writes beside its result."""
        key = result.removesuffix(".pkl") + ".json"
        try:
            figures = json.loads(self.s3.get_object(Bucket=self.name, Key=key)["Body"].read())
        except ClientError as error:
            if error.response["Error"]["Code"] in MISSING:
                return None
            raise
        return sum(int(part["rows"]) for part in figures["parts"])

    def rows(self, key: str) -> int | None:
        """None where the input is no table."""
        try:
            return sum(1 for _ in self.records(key))
        except ValueError:
            return None

    def records(self, key: str) -> Iterator[dict[str, Any]]:
        body = self.s3.get_object(Bucket=self.name, Key=key)["Body"]
        yield from records(body.iter_chunks(READ_BYTES))

    def download(self, key: str, folder: Path) -> Path:
        target = folder / Path(key).name
        partial = target.with_suffix(".part")
        self.s3.download_file(self.name, key, str(partial))
        os.replace(partial, target)
        return target


@dataclass(frozen=True)
class Table:
    """A workbook's header, its first rows of `total`, and how often each GROUP has each VALUE."""

    total: int
    columns: list[str]
    rows: list[list[str]]
    pairs: dict[tuple[float, float], int]


def read_table(path: Path) -> Table:
    book = load_workbook(path, read_only=True)
    lines = book.worksheets[0].iter_rows(max_row=FIRST_ROWS + 1, values_only=True)
    columns, *rows = [[text(cell) for cell in line] for line in lines] or [[]]
    total = sum(max(0, (sheet.max_row or 0) - 1) for sheet in book.worksheets)
    book.close()
    pairs = Counter[tuple[float, float]]()
    if VALUE in columns and GROUP in columns:
        pairs = count_pairs(path, letters(columns.index(GROUP)), letters(columns.index(VALUE)))
    return Table(total, columns, rows, dict(pairs))


def text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell)


def letters(index: int) -> str:
    """Excel's name of a zero-based column."""
    name = ""
    while index >= 0:
        name, index = chr(ord("A") + index % 26) + name, index // 26 - 1
    return name


def count_pairs(path: Path, group: str, value: str) -> Counter[tuple[float, float]]:
    """Count the numbers of two columns, row by row, on all sheets.

    A reader of whole cells takes five times as long for a million rows.
    """
    cell = re.compile(rf'r="({group}|{value})(\d+)"[^>]*><v>([^<]*)<'.encode())
    pairs: Counter[tuple[bytes, bytes]] = Counter()
    with zipfile.ZipFile(path) as archive:
        for sheet in (name for name in archive.namelist() if name.startswith("xl/worksheets/")):
            for xml in whole_rows(archive.open(sheet)):
                found = cell.findall(xml)
                groups = {row: number for column, row, number in found if column == group.encode()}
                pairs.update(
                    (groups[row], number)
                    for column, row, number in found
                    if column == value.encode() and row in groups
                )
    return Counter({(float(a), float(b)): rows for (a, b), rows in pairs.items()})


def whole_rows(sheet: Any) -> Iterator[bytes]:
    rest = b""
    while chunk := sheet.read(READ_BYTES):
        rest += chunk
        end = rest.rfind(b"</row>") + len(b"</row>")
        if end >= len(b"</row>"):
            yield rest[:end]
            rest = rest[end:]


def records(chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The objects of a JSON array, a chunk at a time; ValueError where it is none."""
    decoder, text = json.JSONDecoder(), ""
    for piece in codecs.iterdecode(chunks, "utf-8"):
        text += piece
        place = start_of(text, 0)
        while place < len(text) and text[place] == "{":
            try:
                record, end = decoder.raw_decode(text, place)
            except ValueError:
                break  # cut off, if not broken
            yield record
            place = start_of(text, end)
        text = text[place:]
        if len(text) > RECORD_CHARACTERS:
            break
    if text.strip() != "]":
        raise ValueError("not a JSON array of objects")


def start_of(text: str, place: int) -> int:
    """Where the next record starts, or the array's end."""
    found = _START.match(text, place)
    return found.end() if found else place


def failing_record(bucket: Bucket, failure: Failure) -> dict[str, Any] | None:
    """The record that the error names, if its object is still what it was."""
    if failure.record is None:
        return None
    key, number = failure.record
    if bucket.input_bytes(key) is None:
        return None
    try:
        records = bucket.records(key)
        return next((record for n, record in enumerate(records) if n == number), None)
    except ValueError:  # the input is what is broken
        return None

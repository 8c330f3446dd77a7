"""Read a function's log from CloudWatch Logs."""

import re
from typing import Any

from harness.target import emulator

REQUEST_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def last_lines(function: str, lines: int) -> list[str]:
    """The last lines a function logged, of all its environments; [] before its first run."""
    logs = emulator().client("logs")
    events: list[dict[str, Any]] = []
    try:
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group(function)):
            # A page may hold one environment's events after another's.
            events = sorted(events + page["events"], key=lambda event: event["timestamp"])[-lines:]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [line for event in events for line in plain_lines(event["message"])][-lines:]


def plain_lines(message: str) -> list[str]:
    """The runtime client ends a traceback's lines with \\r, to keep it one event."""
    return message.rstrip("\r\n").replace("\r\n", "\n").replace("\r", "\n").split("\n")


def invocation_lines(function: str, request_id: str, since_ms: int) -> list[str]:
    """The log of one invocation that began after `since_ms` (epoch)."""
    found = find(function, request_id, since_ms)
    if not found:
        return []
    messages = [
        event["message"].rstrip("\n")
        for event in emulator().client("logs").get_log_events(
            logGroupName=group(function), logStreamName=found[-1]["logStreamName"], startTime=since_ms
        )["events"]
    ]
    # Only START, END and REPORT are sure to carry the id.
    hits = [i for i, message in enumerate(messages) if request_id in message]
    shown = messages[hits[0] : hits[-1] + 1] if hits else []
    return [line for message in shown for line in plain_lines(message)]


def last_failure(function: str, since_ms: int) -> str | None:
    """The request id of a function's last invocation that ended in an error."""
    failed = [*find(function, "ERROR", since_ms), *find(function, "Status: ", since_ms)]
    ids = REQUEST_ID.findall("\n".join(event["message"] for event in failed))
    return ids[-1] if ids else None


def find(function: str, text: str, since_ms: int) -> list[dict[str, Any]]:
    """The log events that hold `text`; an emulator may ignore a pattern it cannot read."""
    logs = emulator().client("logs")
    try:
        events = logs.filter_log_events(
            logGroupName=group(function), startTime=since_ms, filterPattern=f'"{text}"'
        )["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [event for event in events if text in event["message"]]


def group(function: str) -> str:
    return f"/aws/lambda/{function}"

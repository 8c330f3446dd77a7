"""Read a function's log from CloudWatch Logs."""

from typing import Any

from aws import client


def last_lines(function: str, lines: int) -> list[str]:
    """The last lines a function logged, of all its environments; [] before its first run."""
    logs = client("logs")
    events: list[dict[str, Any]] = []
    try:
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group(function)):
            events = (events + page["events"])[-lines:]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [event["message"].rstrip("\n") for event in events]


def invocation_lines(function: str, text: str, since_ms: int) -> list[str]:
    """The log of the last invocation since `since_ms` (epoch) that logged `text`."""
    logs = client("logs")
    try:
        found = logs.filter_log_events(
            logGroupName=group(function), startTime=since_ms, filterPattern=f'"{text}"'
        )["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    if not found:
        return []
    events = logs.get_log_events(
        logGroupName=group(function), logStreamName=found[-1]["logStreamName"], startTime=since_ms
    )["events"]
    messages = [event["message"].rstrip("\n") for event in events]
    hit = max(i for i, message in enumerate(messages) if text in message)
    start = next((i for i in range(hit, -1, -1) if messages[i].startswith("START ")), hit)
    end = next((i for i in range(hit, len(messages)) if messages[i].startswith("REPORT ")), hit)
    # The runtime client ends a traceback's lines with \r, to keep it one event.
    return [line for message in messages[start : end + 1] for line in message.split("\r")]


def group(function: str) -> str:
    return f"/aws/lambda/{function}"

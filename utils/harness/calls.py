"""Join an execution's calls, which its history tells, with what the functions logged of them."""

import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from harness import logs
from harness.definition import inner_functions, read_states
from harness.execution import Attempt, Execution, Task
from harness.logs import Call, Report
from harness.target import Target
from pipeline.keys import segment_folder, segment_number

# The clock of the log and that of the history differ by the time an answer takes.
CLOCK_SLACK_S = 1.0
# Segments under way may log after an execution has failed.
LATE_S = 10.0
# Lines come to CloudWatch a moment after the call that logged them, and on AWS an account may ask 5
# times a second; by whether the target is emulated.
WAIT_S = {True: 10.0, False: 60.0}
POLL_S = {True: 0.1, False: 1.0}
# Of FilterLogEvents, which others use, too: until a second is free.
RETRIES = {"mode": "standard", "total_max_attempts": 10}
# A function is gone, or not ours to read.
UNREADABLE = ("ResourceNotFoundException", "AccessDeniedException", "AccessDenied")


def add_logs(target: Target, run: Execution) -> None:
    """Add what the log tells: REPORT lines, and the calls of a DISTRIBUTED Map.

    The segments of a DISTRIBUTED Map run in executions of their own, which LocalStack does not
    list: their calls are those in the log that name one of its segment files.
    """
    for function in sorted({attempt.function for attempt in run.attempts if attempt.function}):
        add_reports(target, run, function)
    if run.map_runs:
        states = read_states(target.client("stepfunctions"), run.arn)
        for name in list(run.visits):
            for inner, function in inner_functions(states[name]).items():
                add_segments(target, run, inner, function)


def add_reports(target: Target, run: Execution, function: str) -> None:
    own = [attempt for attempt in run.attempts if attempt.function == function]
    wanted = sum(attempt.is_reported for attempt in own)
    read_calls(target, run, function, lambda found: match_reports(own, found) >= wanted)


def add_segments(target: Target, run: Execution, state: str, function: str) -> None:
    """Take the calls in the log for the segments of a DISTRIBUTED Map, those of one key for its attempts.

    What died before it could name its key is a segment of its own, in the order of their starts.
    """

    def key(call: Call) -> str:
        return call.key or call.request_id

    wanted = run.done + run.failed
    found = read_calls(target, run, function, lambda found: len({*map(key, found)}) >= wanted)
    segments: dict[str, list[Attempt]] = {}
    for call in sorted(found, key=lambda call: call.report.started_s if call.report else 0):
        segments.setdefault(key(call), []).append(attempt_of(function, call))
    for position, (name, each) in enumerate(segments.items()):
        number, first, last = segment_number(name), each[0], each[-1]
        index = position if number is None else number
        exited_s = None if last.error else last.ended_s
        run.tasks.append(Task(state, index, first.input, first.scheduled_s, exited_s, None, each))


def attempt_of(function: str, call: Call) -> Attempt:
    """A call that no history tells of."""
    assert call.report
    report = call.report
    status = "Sandbox.Timedout" if report.status == "timeout" else report.status
    error, message = call.error or (status, "")
    given = json.dumps(call.key) if call.key else ""
    return Attempt(function, report.started_s, given, report.ended_s, error, message, report)


def read_calls(
    target: Target, run: Execution, function: str, enough: Callable[[list[Call]], bool]
) -> list[Call]:
    """What an execution's calls of a function logged, once their REPORT lines are enough or too late.

    Executions that overlap log side by side: a call that names another's segment file is not here.
    """
    folder, ended_s = segment_folder(run.name), run.parts[-1].ended_s or time.time()
    while True:
        logged = read_events(target, run, function, filterPattern=logs.CALLS)
        found = [
            call
            for call in logs.calls(logged)
            if call.report and (not call.key or call.key.startswith(folder))
        ]
        if enough(found) or time.time() > ended_s + WAIT_S[target.emulated]:
            return found
        time.sleep(POLL_S[target.emulated])


def read_events(
    target: Target, run: Execution, function: str, **asked: Any
) -> Iterator[logs.Event]:
    """What a function logged while an execution ran, in times of that execution.

    A call that outlived the end of a part ended with it.
    """
    configuration(target, run, function)
    client, group = target.client("logs", retries=RETRIES), run.log_group(function)
    begins = [*(part.began_s for part in run.parts), math.inf]
    for part, next_s in zip(run.parts, begins[1:]):
        ended_s = part.ended_s or time.time()
        until_s = min(ended_s + LATE_S, next_s)
        last_s = ended_s if next_s < math.inf else until_s
        for event in logs.events(client, group, part.began_s, until_s, **asked):
            at_s = min(event["timestamp"] / 1000, last_s) - part.rest_s
            yield {**event, "timestamp": round(at_s * 1000)}


def configuration(target: Target, run: Execution, function: str) -> dict[str, Any]:
    """Of a function's version that an execution called, or of what has no versions, as it is now.

    Where that may not be read, only why, as Lambda itself says it of an environment.
    """
    if function not in run.functions:
        functions, version = target.client("lambda"), run.versions.get(function, function)
        try:
            found = functions.get_function_configuration(FunctionName=version)
        except ClientError as error:
            if (code := error.response["Error"]["Code"]) not in UNREADABLE:
                raise
            found = {"Environment": {"Error": {"ErrorCode": code}}}
        run.functions[function] = found
    return run.functions[function]


def match_reports(attempts: list[Attempt], calls: list[Call]) -> int:
    """Give the attempts of one function their REPORT lines; returns how many found one.

    The history names a call's request only where it failed. Where the log names segments, and has a
    line for each attempt of one, these are in the same order. The other lines fall to the calls that
    ended as they did, in the order of their ends.
    """
    reports = sorted((c.report for c in calls if c.report), key=lambda report: report.ended_s)
    by_request = {report.request_id: report for report in reports}
    for attempt in attempts:
        attempt.report = by_request.pop(attempt.request_id or "", None)
    key_of = {call.request_id: call.key for call in calls}
    keys = set(key_of.values())

    def key(attempt: Attempt) -> str:
        named = logs.json_text(attempt.input)
        return named if named in keys else ""

    for each, own in itertools.groupby(sorted(attempts, key=key), key):
        left = [report for request, report in by_request.items() if key_of[request] == each]
        waiting = [attempt for attempt in own if not attempt.report]
        if each and len(waiting) == len(left):
            for attempt, report in zip(waiting, left):
                attempt.report = report
        else:
            match_ends(waiting, left)
    return sum(attempt.report is not None for attempt in attempts)


def match_ends(attempts: list[Attempt], reports: list[Report]) -> None:
    for failed in (False, True):
        match_in_order(
            [a for a in attempts if a.ended_s and (a.error is not None) == failed],
            [report for report in reports if (report.status is not None) == failed],
        )


def match_in_order(attempts: list[Attempt], reports: list[Report]) -> None:
    """Where there are more or fewer lines than calls, each line is within the time of its call."""
    as_many = len(attempts) == len(reports)
    for attempt in sorted(attempts, key=lambda attempt: attempt.ended_s or 0):
        attempt.report = next((r for r in reports if as_many or is_within(r, attempt)), None)
        if attempt.report:
            reports.remove(attempt.report)


def is_within(report: Report, attempt: Attempt) -> bool:
    earliest = attempt.scheduled_s + report.duration_ms / 1000 - CLOCK_SLACK_S
    return earliest <= report.ended_s <= (attempt.ended_s or 0) + CLOCK_SLACK_S


def failure_lines(target: Target, run: Execution) -> list[str]:
    """What the call that failed an execution logged; [] where it logged nothing."""
    attempt = run.failure.attempt if run.failure else None
    if attempt is None or attempt.report is None:
        return []
    report = attempt.report
    logged = read_events(target, run, attempt.function, logStreamNames=[report.stream])
    found = (call.lines for call in logs.calls(logged) if call.request_id == report.request_id)
    return next(found, [])

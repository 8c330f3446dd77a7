"""Join an execution's calls, which its history tells, with what the functions logged of them."""

import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from harness import logs
from harness.definition import inner_functions, read_states
from harness.execution import Attempt, Execution, Task, Visit
from harness.logs import Report
from harness.target import Target

# The clock of the log and that of the history differ by the time an answer takes.
CLOCK_SLACK_S = 1.0
# Segments under way may log after an execution has failed.
LATE_S = 10.0
# Lines come to CloudWatch a moment after the call that logged them.
WAIT_S = 10.0
POLL_S = 0.1
# A function is gone, or not ours to read.
UNREADABLE = ("ResourceNotFoundException", "AccessDeniedException", "AccessDenied")


def add_logs(target: Target, run: Execution) -> None:
    """Add what the log tells: REPORT lines, and the calls of a DISTRIBUTED Map.

    The segments of a DISTRIBUTED Map run in executions of their own, which LocalStack does not
    list: their calls are those in the log of the time in which the Map ran.
    """
    for function in sorted({attempt.function for attempt in run.attempts if attempt.function}):
        add_reports(target, run, function)
    if run.map_runs:
        states = read_states(target.client("stepfunctions"), run.arn)
        for name, visit in run.visits.items():
            for inner, function in inner_functions(states[name]).items():
                add_segments(target, run, visit, inner, function)


def add_reports(target: Target, run: Execution, function: str) -> None:
    own = [attempt for attempt in run.attempts if attempt.function == function]
    wanted = sum(attempt.is_reported for attempt in own)
    window = run.started_s, (run.stopped_s or time.time()) + LATE_S
    read_calls(target, run, function, window, lambda found: match_reports(own, found) >= wanted)


def add_segments(target: Target, run: Execution, visit: Visit, state: str, function: str) -> None:
    """Take the calls in the time of a DISTRIBUTED Map for its segments, in the order of their starts.

    Each is a state that was entered in an execution of its own, or a retry.
    """
    left_s = visit.exited_s or run.stopped_s or time.time()
    window = visit.entered_s, left_s + CLOCK_SLACK_S
    wanted = run.done + run.failed
    calls = read_calls(target, run, function, window, lambda found: len(found) >= wanted)
    reported = [(call.report, call.error) for call in calls if call.report]
    reported.sort(key=lambda pair: pair[0].started_s)
    for index, (report, logged) in enumerate(reported):
        begin_s, end_s = report.started_s, report.ended_s
        status = "Sandbox.Timedout" if report.status == "timeout" else report.status
        error, message = logged or (status, "")
        attempt = Attempt(function, begin_s, "", end_s, error, message, report)
        exited_s = None if error else end_s
        run.tasks.append(Task(state, index, "", begin_s, exited_s, None, [attempt]))
    run.entered += len(reported)


def read_calls(
    target: Target,
    run: Execution,
    function: str,
    window: tuple[float, float],
    enough: Callable[[list[Report]], bool],
) -> list[logs.Call]:
    """What a function logged in a time, once its REPORT lines are enough or too late."""
    configuration(target, run, function)
    client, until_s = target.client("logs"), (run.stopped_s or time.time()) + WAIT_S
    while True:
        logged = logs.events(client, run.log_group(function), *window, filterPattern=logs.CALLS)
        found = logs.calls(logged)
        if enough([call.report for call in found if call.report]) or time.time() > until_s:
            return found
        time.sleep(POLL_S)


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


def match_reports(attempts: list[Attempt], reports: list[Report]) -> int:
    """Give the attempts of one function their REPORT lines; returns how many found one.

    The history names a call's request only where it failed. The other lines fall to the calls that
    ended as they did, in the order of their ends.
    """
    by_request = {report.request_id: report for report in sorted(reports, key=lambda r: r.ended_s)}
    for attempt in attempts:
        attempt.report = by_request.pop(attempt.request_id or "", None)
    for failed in (False, True):
        match_in_order(
            [a for a in attempts if not a.report and a.ended_s and (a.error is not None) == failed],
            [report for report in by_request.values() if (report.status is not None) == failed],
        )
    return sum(attempt.report is not None for attempt in attempts)


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
    return logs.lines_of(target.client("logs"), run.log_group(attempt.function), attempt.report)

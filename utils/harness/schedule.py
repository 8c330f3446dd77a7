"""When executions start by themselves: a deploy says what Scheduler or the scatter would refuse."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import available_timezones

from harness.fault import Fault
from pipeline import dates


def field(first: int, last: int, names: str = "", more: str = "") -> str:
    """A list of values V, of ranges and steps of them, and of what `more` adds."""
    value = f"(?:0*(?:{'|'.join(map(str, range(first, last + 1)))}){names})"
    part = rf"(?:(?:\*|{value}(?:-{value})?)(?:/0*[1-9]\d*)?{more.replace('V', value)})"
    return f"{part}(?:,{part})*"


# https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
RULE = (
    "must be rate(2 hours), or cron(minutes hours day-of-month month day-of-week year): 0-59, 0-23, "
    "1-31, 1-12 or JAN-DEC, 1-7 or SUN-SAT, 1970-2199, and of the two days one is ?"
)
MONTH = field(1, 12, "|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC")
DAY_OF_WEEK = field(1, 7, "|SUN|MON|TUE|WED|THU|FRI|SAT", "|V?L|V#[1-5]")
DAYS = rf"(?:{field(1, 31, more=r'|LW?|L-\d+|VW')} +{MONTH} +\?|\? +{MONTH} +{DAY_OF_WEEK})"
CRON = rf"cron\( *{field(0, 59)} +{field(0, 23)} +{DAYS} +{field(1970, 2199)} *\)"
SCHEDULE = re.compile(rf"rate\(0*[1-9]\d* +(minute|hour|day)s?\)|{CRON}", re.IGNORECASE)


def check(parameters: Mapping[str, str]) -> None:
    """
    Raises:
        Fault: names the parameter, and what no schedule can have.
    """
    when, zone = parameters.get("Schedule", ""), parameters.get("ScheduleZone", "UTC")
    if when and not SCHEDULE.fullmatch(when):
        raise Fault(f"Schedule: {RULE}; found {when}")
    if zone not in (available_timezones() or {zone}):  # which a small system has not
        raise Fault(f"ScheduleZone: must be a time zone such as Asia/Tokyo; found {zone}")
    text = parameters.get("ScheduleInput", "{}")
    try:
        dates.filled(dict(json.loads(text)), datetime.now(UTC))
    except (TypeError, ValueError) as error:  # InvalidEvent, too
        like = '{"input_obj": "sales/{yesterday}/"}'
        rule = f"must be a JSON object such as {like}"
        raise Fault(f"ScheduleInput: {rule}; found {text}: {error}") from None

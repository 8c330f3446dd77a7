"""Dates in braces, which an input may hold: `sales/{yesterday:%Y-%m-%d}/`."""

import datetime as dt
import os
import re
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.errors.wording import quoted
from pipeline.keys import InvalidEvent

_DATE = re.compile(r"\{([a-z_]+)(?::([^{}]*))?\}")
_LETTER = re.compile("%(.?)", re.DOTALL)
LETTERS = "YymdHMjGVu"
DAY = dt.timedelta(days=1)
# What each name means of a time, and how it is written where nothing is said.
NAMES: dict[str, tuple[Callable[[dt.datetime], dt.datetime], str]] = {
    "today": (lambda at: at, "%Y-%m-%d"),
    "yesterday": (lambda at: at - DAY, "%Y-%m-%d"),
    "last_month": (lambda at: (at.replace(day=1) - DAY).replace(day=1), "%Y-%m"),
}


def local_time(text: str | None) -> dt.datetime:
    """A time such as 2026-11-27T06:00:00Z, or now, where the schedule's clocks are.

    Raises:
        InvalidEvent: it is no such time.
    """
    zone = ZoneInfo(os.environ.get("SCHEDULE_ZONE") or "UTC")
    try:
        return dt.datetime.fromisoformat(text).astimezone(zone) if text else dt.datetime.now(zone)
    except (TypeError, ValueError):
        raise InvalidEvent(f"scheduled: must be a time; found {quoted(str(text))}") from None


def filled(value: Any, at: dt.datetime) -> Any:
    """A text, or a list of texts, with dates in place of what stands in braces.

    Raises:
        InvalidEvent: that names no date, or a letter that is none of LETTERS.
    """
    if isinstance(value, list):
        return [filled(each, at) for each in value]
    return _DATE.sub(lambda found: _written(found, at), value) if isinstance(value, str) else value


def _written(found: re.Match[str], at: dt.datetime) -> str:
    name, code = found[1], found[2]
    if name not in NAMES:
        rule = f"knows the dates {', '.join(NAMES)} in braces"
        raise InvalidEvent(f"input_obj: {rule}; found {quoted(found[0])}")
    moved, usual = NAMES[name]
    day = moved(at)

    def letter(sign: re.Match[str]) -> str:
        if sign[1] not in LETTERS or not sign[1]:
            rule = f"a date in braces knows %{', %'.join(LETTERS)}"
            raise InvalidEvent(f"input_obj: {rule}; found {quoted(found[0])}")
        return day.strftime(sign[0])

    return _LETTER.sub(letter, usual if code is None else code)

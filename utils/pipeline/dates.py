"""Dates in braces of a key, such as `sales/{yesterday:%Y-%m-%d}/`, by a grammar of their own."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pipeline.errors.wording import found
from pipeline.keys import InvalidEvent

NAMES = ("input_obj", "workbook")
RULE = (
    "a date in braces must be {today}, {yesterday} or {last_month}, which may have letters after a "
    "colon, %Y %m %d %j %G %V %H %M, such as {yesterday:%Y/%m/%d}"
)
_BRACES = re.compile(r"\{[^{}]*\}?")
_DATE = re.compile(r"\{(today|yesterday|last_month)(?::((?:[^%{}]|%[YmdjGVHM])+))?\}")


def has(key: Any) -> bool:
    return isinstance(key, str) and "{" in key


def filled(
    fields: Mapping[str, Any], at: datetime, is_there: Callable[[str], bool] = lambda key: False
) -> dict[str, Any]:
    """The keys among an input's fields, with their dates by the clocks that `at` goes by.

    Args:
        is_there: whether an object has a key as it is written, braces and all.

    Raises:
        InvalidEvent: something else stands in braces.
    """
    month = at.replace(day=1) - timedelta(days=1)
    days = {"today": at, "yesterday": at - timedelta(days=1), "last_month": month.replace(day=1)}

    def with_dates(name: str, key: Any) -> Any:
        if isinstance(key, list):
            return [with_dates(name, each) for each in key]
        if not has(key) or (name == "input_obj" and is_there(key)):
            return key
        return _BRACES.sub(lambda braces: written(name, braces[0]), key)

    def written(name: str, braces: str) -> str:
        date = _DATE.fullmatch(braces)
        if not date:
            raise InvalidEvent(f"{name}: {RULE}; found {found(braces)}")
        form = date[2] or ("%Y-%m" if date[1] == "last_month" else "%Y-%m-%d")
        return re.sub("%.", lambda letter: days[date[1]].strftime(letter[0]), form)

    return {name: with_dates(name, fields[name]) for name in fields if name in NAMES}

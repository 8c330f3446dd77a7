"""Dates in braces are filled by a fixed grammar; what is none is named."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dates import RULE, filled
from pipeline.keys import InvalidEvent

AT = datetime(2026, 3, 1, 6, 30, tzinfo=ZoneInfo("Asia/Tokyo"))


def fill(key: str, at: datetime = AT) -> Any:
    return filled({"input_obj": key}, at)["input_obj"]


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("sales/{today}.csv", "sales/2026-03-01.csv"),
        ("sales/{yesterday:%Y-%m-%d}/", "sales/2026-02-28/"),
        ("sales/{yesterday:%Y/%m/%d}/*.csv", "sales/2026/02/28/*.csv"),
        ("sales/{last_month}/", "sales/2026-02/"),
        ("{last_month:%Y%m%d}-{today:%d}.csv", "20260201-01.csv"),
        ("{today:%Y-%j}T{today:%H%M}.csv", "2026-060T0630.csv"),
        ("{today:%G-W%V}.csv", "2026-W09.csv"),
        ("{today:%Y年%m月}.csv", "2026年03月.csv"),
        ("plain}.csv", "plain}.csv"),
    ],
)
def test_a_date_in_braces_is_that_of_the_time(key: str, meant: str) -> None:
    assert fill(key) == meant


@given(st.dates(date(2001, 1, 1), date(2099, 12, 31)))
def test_every_day_follows_its_yesterday_and_every_month_its_last(day: date) -> None:
    filled = fill(
        "{today} {yesterday} {last_month:%Y-%m-%d}", datetime(*day.timetuple()[:6], tzinfo=UTC)
    )
    today, yesterday, month = map(date.fromisoformat, filled.split())
    assert (today, yesterday) == (day, day - timedelta(days=1))
    assert month.day == 1 and (day.year - month.year) * 12 + day.month - month.month == 1


@pytest.mark.parametrize(
    "braces",
    [
        *("{}", "{", "{tomorrow}", "{Today}", "{ today }", "{today:}", "{today:%}", "{today:%B}"),
        *("{today:%Y", "{today:%s}", "{today:%-d}", "{today:%%}", "{today.year}", "{0}"),
        "{today!r}",
        *("{yesterday:{today}}", "{{today}", "{today:%Y}}{"),
    ],
)
def test_what_is_no_date_is_named_with_the_grammar(braces: str) -> None:
    with pytest.raises(InvalidEvent) as raised:
        filled({"workbook": f"a/{braces}/b.xlsx"}, AT)
    assert str(raised.value).startswith(f'workbook: {RULE}; found the text "{{')


def test_keys_alone_are_filled_and_each_of_a_list() -> None:
    fields = {
        "input_obj": ["{today}.csv", "b.csv", 7],
        "etl": "{today}",
        "workbook": "{today}.xlsx",
    }
    assert filled(fields, AT) == {
        "input_obj": ["2026-03-01.csv", "b.csv", 7],
        "workbook": "2026-03-01.xlsx",
    }


def test_a_key_that_is_there_as_it_is_written_has_no_date() -> None:
    there = {"{3F2504E0-4F89}.csv", "{today}.csv"}
    given = {"input_obj": [*sorted(there), "{yesterday}.csv"], "workbook": "{today}.xlsx"}
    assert filled(given, AT, there.__contains__) == {
        "input_obj": [*sorted(there), "2026-02-28.csv"],
        "workbook": "2026-03-01.xlsx",
    }

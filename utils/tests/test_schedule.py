"""What a deploy says of a schedule that EventBridge Scheduler, or the scatter, would refuse."""

import pytest

from harness import schedule
from harness.deploy import pairs
from harness.fault import Fault

# Of https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html and AWS's other examples.
TAKEN = """
rate(5 minutes); rate(1 hour); rate(10 days); rate(1 minutes); cron(0 6 * * ? *)
cron(15 10 ? * 6L 2022-2023); cron(0 8 1 * ? *); cron(0 18 ? * MON-FRI *); cron(0/15 * * * ? *)
cron(0/5 8-17 ? * 2-6 *); cron(0,30 6,18 L * ? *); cron(0 0 3W * ? *)
cron(0 9 ? JAN,jul 2#1 2026/2); cron(05 07 LW 01-12 ? 1970,2199); cron(*/10 20-2 ? * L *)
cron(0  6 * * ? *)
"""
REFUSED = """
daily; 0 6 * * ? *; rate(0 days); rate(1.5 hours); rate(30 seconds); rate(day)
at(2026-11-27T06:00:00); cron(0 6 * * ?); cron(0 6 * * * ? *); cron(); cron(0 6 * * ? *
cron(60 6 * * ? *); cron(0 24 * * ? *); cron(0 6 0 * ? *); cron(0 6 32 * ? *); cron(0 6 * 13 ? *)
cron(0 6 ? * 0 *); cron(0 6 ? * 8 *); cron(0 6 * * ? 1969); cron(0 6 * * ? 2200)
cron(0 6 * MAY-JUI ? *); cron(0 6 ? * FRY *); cron(? 6 * * ? *); cron(0 6 * * * *)
cron(0 6 ? * ? *); cron(0 6 1 * MON *); cron(0/0 6 * * ? *); cron(0 6 ? * 2#6 *)
cron(0 6 L-W * ? *); cron(0, 6 * * ? *); cron(0 6 1-2-3 * ? *)
"""


def listed(text: str) -> list[str]:
    return text.strip().replace("\n", "; ").split("; ")


@pytest.mark.parametrize("when", listed(TAKEN))
def test_a_schedule_of_awss_is_taken(when: str) -> None:
    schedule.check({"Schedule": when})


@pytest.mark.parametrize("when", listed(REFUSED))
def test_a_schedule_that_scheduler_refuses_is_refused_with_the_rule(when: str) -> None:
    with pytest.raises(Fault) as raised:
        schedule.check({"Schedule": when})
    assert str(raised.value) == f"Schedule: {schedule.RULE}; found {when}"


@pytest.mark.parametrize(
    ("parameter", "value", "said"),
    [
        ("ScheduleZone", "Asia/Edo", "must be a time zone such as Asia/Tokyo; found Asia/Edo"),
        ("ScheduleInput", "x", "must be a JSON object such as "),
        ("ScheduleInput", "[]x", "; found []x: "),
        ("ScheduleInput", '"{today}"', "must be a JSON object"),
        ("ScheduleInput", '{"input_obj": "{tomorrow}"}', 'found the text "{tomorrow}"'),
        ("ScheduleInput", '{"input_obj": ["a", "{%d}"]}', "input_obj: a date in braces must be {today}"),
        ("ScheduleInput", '{"workbook": "{today:%B}"}', "workbook: a date in braces must be {today}"),
    ],
)  # fmt: skip
def test_a_zone_or_an_input_that_no_execution_could_use_is_named(
    parameter: str, value: str, said: str
) -> None:
    with pytest.raises(Fault) as raised:
        schedule.check({parameter: value})
    assert str(raised.value).startswith(f"{parameter}: ") and said in str(raised.value)


def test_no_schedule_is_asked_for_nothing() -> None:
    schedule.check({})
    schedule.check({"Schedule": "", "ScheduleZone": "Asia/Tokyo"})


def test_parameters_may_hold_the_commas_of_a_schedule() -> None:
    given = {
        "Schedule": "cron(0 6 ? * MON,FRI *)",
        "ScheduleZone": "Asia/Tokyo",
        "ScheduleInput": '{"etl": "sales","input_obj": ["a,b.csv", "sales/dt={today},8/"]}',
        "Etl": "",
    }
    text = ",".join(f"{name}={value}" for name, value in given.items())
    assert pairs("PARAMETERS", f"A=1,{text},Z=2") == {"A": "1", **given, "Z": "2"}


@pytest.mark.parametrize("text", ["A", "=1", "A,B=1"])
def test_parameters_without_a_name_are_refused(text: str) -> None:
    with pytest.raises(Fault, match="PARAMETERS: must be like A=1,B=2"):
        pairs("PARAMETERS", text)

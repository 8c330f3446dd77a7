"""The scatter's event: one table, and how it is to be cut."""

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from typing import Any, Self
from zoneinfo import ZoneInfo

from pipeline import dates, endings
from pipeline.errors.wording import found, require
from pipeline.keys import GATHER, REFERENCE, SCATTER, InvalidEvent, is_key, segment_key
from pipeline.reading.csv_table import ENCODINGS
from pipeline.reading.cuts import SEGMENTS

# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
STATE_BYTES = 256 * 1024
ITERATIONS = 1_500  # of an inline Map; with three retries each, 16 of the 25,000 events
NAME_CHARACTERS = 80  # of an execution
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")

TOLD = ("etl", "rejects", "max_rejects", "sheets")  # what the segments are told with their rows
READING = ("encoding", "delimiter", "sheet")  # how objects are read, for those of a format
OVERRIDES = (
    *("input_obj", "input_bucket", "workbook", "source_column", "division_number"),
    *("scheduled_time", "zone"),
    *READING,
    *TOLD,
)
# Of an input that others write: the consoles', Step Functions' own and those of an EventBridge event.
IGNORED = {
    *("Comment", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"),
    *("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"),
}


class TooManySegments(ValueError):
    """The segments would not fit into one execution."""


class NotATable(ValueError):
    """An object of the inbox has no ending of a table; the state machine passes over it."""


def workbook_of(input_obj: str | list[str], written: bool = False) -> str:
    return endings.workbook_key(input_obj, os.environ.get("INBOX", ""), written)


def in_inbox(key: object) -> str | None:
    """`inbox/sales/a.csv` → `sales/a.csv`; None of a key beside the inbox."""
    inbox = os.environ.get("INBOX")
    if not inbox or not isinstance(key, str) or not key.startswith(inbox):
        return None
    return key.removeprefix(inbox)


def check_is_table(key: Any) -> None:
    """Everything that is put into the inbox starts an execution: a note, a job's _SUCCESS."""
    if in_inbox(key) is not None and not endings.ends(key)[0]:
        kinds = ", ".join(filter(None, endings.NAMES))
        raise NotATable(
            f"input_obj: a table of the inbox must end in {kinds}, or one of these with .gz; "
            f"found {found(key)}, which is passed over"
        )


def inbox_input(key: object) -> tuple[str, dict[str, Any]]:
    """Of a table of the inbox its first folder there, and what InboxInput adds to its input."""
    name = in_inbox(key)
    if name is None:
        return "", {}
    folder = name.partition("/")[0] if "/" in name else ""
    text = os.environ.get("INBOX_INPUT") or "{}"
    try:
        given = json.loads(text)
        folders = {name: own for name, own in given.items() if isinstance(own, dict)}
        asked = {name: own for name, own in given.items() if name not in folders}
        asked |= folders.get(folder, {})
    except (ValueError, AttributeError):
        raise InvalidEvent(f"InboxInput: must be a JSON object; found {found(text)}") from None
    check_known("InboxInput", asked)
    return folder, asked


def check_known(name: str, fields: dict[str, Any]) -> None:
    if unknown := fields.keys() - {*OVERRIDES, *IGNORED}:
        raise InvalidEvent(
            f"{name}: knows {', '.join(OVERRIDES)}; found {', '.join(sorted(unknown))}"
        )


def is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def is_whole(number: object, least: int) -> bool:
    return type(number) is int and number >= least


def is_execution(name: object) -> bool:
    return is_key(name) and "/" not in str(name) and len(str(name)) <= NAME_CHARACTERS


KEY = "must be the key of an object, a folder/, a pattern or a list of keys"
SHORT = f"must be short enough for its workbook, whose key has at most {endings.KEY_BYTES:,} bytes"
# Of an event's fields, the rule in words and what tells whether a value, or each key of a list, keeps it.
RULES: list[tuple[str, str, Callable[[Any], bool]]] = [
    ("input_obj", KEY, lambda key: isinstance(key, str) and is_key(key.removesuffix("/"))),
    ("input_obj", endings.RULE, lambda key: endings.is_many(key) or endings.is_read(key)),
    ("input_obj", SHORT, lambda key: len(workbook_of(key).encode()) <= endings.KEY_BYTES),
    ("workbook", "must be a key that ends in .xlsx", lambda it: is_key(it) and it[-5:] == ".xlsx"),
    ("source_column", "must be a column's name", is_text),
    ("division_number", "must be a whole number from 1", lambda n: n is None or is_whole(n, 1)),
    ("execution", "must be an execution's name", lambda name: name is None or is_execution(name)),
    ("encoding", f"must be {' or '.join(ENCODINGS)}", lambda name: name in ENCODINGS),
    (
        "delimiter",
        "must be one character, no quote and no line's end",
        lambda sign: is_text(sign) and len(sign) == 1 and sign not in '"\r\n\0',
    ),
    ("sheet", "must be a sheet's name", is_text),
    ("etl", "must be the name of an ETL", is_text),
    ("rejects", 'must be "sheet"', lambda place: place == "sheet"),
    ("max_rejects", "must be a whole number from 0", lambda n: is_whole(n, 0)),
    ("sheets", 'must be "summaries"', lambda which: which == "summaries"),
]


@dataclass(frozen=True)
class Job:
    """One table to scatter, as its event describes it.

    Attributes:
        input_obj: the key of an object, a folder, a pattern or a list of keys.
        reading: READING, as the input has it.
        told: the table's ETL, or the inbox's folder that may have its name, where faulty records go, and whether the workbook has summaries
            alone; {} where nobody asked.
        named: the workbook's key, where the input names it.
        source_column: of the objects' keys, where the input asks for it.
        input_bucket: that of the input, where it is not the pipeline's own.
        written: input_obj is an object's key, whatever it holds; known once it is looked for.
        scheduled_time: for which one execution makes the workbook; "" of no schedule.
    """

    input_obj: str | list[str]
    division_number: int | None
    execution: str | None
    manifest: bool = False
    reading: dict[str, str] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    named: str = ""
    source_column: str = ""
    input_bucket: str = ""
    written: bool = False
    scheduled_time: str = ""

    @classmethod
    def from_event(
        cls, event: dict[str, Any], is_there: Callable[[str, str], bool] = lambda key, bucket: False
    ) -> Self:
        """
        Args:
            is_there: whether there is an object of that key, in that bucket or, of "", the own one.

        Raises:
            InvalidEvent: names the field, its rule and what was found.
            NotATable: see `check_is_table`.
        """
        overrides = event.get("overrides") or {}
        require(
            isinstance(overrides, dict), "overrides: must be an object", overrides, InvalidEvent
        )
        check_known("overrides", overrides)
        others = bucket_of({**event, **overrides}) != ""
        folder, asked = ("", {}) if others else inbox_input(overrides.get("input_obj"))
        fields: dict[str, Any] = {"input_obj": None, **event, **asked, **overrides}
        at, bucket = time_of(fields), bucket_of(fields)
        fields |= dates.filled(fields, at, lambda key: is_key(key) and is_there(key, bucket))
        if not bucket:
            check_is_table(fields["input_obj"])
        check(fields)
        told = {"folder": folder} if folder and "etl" not in fields else {}
        scheduled = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if "scheduled_time" in fields else ""
        return cls(
            *(fields["input_obj"], fields.get("division_number"), fields.get("execution")),
            manifest=bool(event.get("manifest")),
            reading={name: fields[name] for name in READING if name in fields},
            told=told | {name: fields[name] for name in TOLD if name in fields},
            named=fields.get("workbook", ""),
            source_column=fields.get("source_column", ""),
            input_bucket=bucket,
            scheduled_time=scheduled,
        )

    def of(self, keys: Iterable[str], written: bool) -> Self:
        """The job of these objects; `written`: input_obj is the key of the only one."""
        job = replace(self, written=written)
        workbook = job.workbook
        if not workbook:
            rule = "must be named for a list of keys, and for a pattern that begins with a star"
            raise InvalidEvent(f"workbook: {rule}; found none")
        own = workbook.startswith((SCATTER, GATHER, REFERENCE)) or in_inbox(workbook) is not None
        rule = f"must lie outside {SCATTER}, {GATHER}, {REFERENCE} and the inbox"
        require(not own, f"workbook: {rule}", workbook, InvalidEvent)
        encoding = self.reading.get("encoding", "utf-8")
        for key in keys:
            is_new = key != workbook or self.input_bucket != ""
            require(is_new, "workbook: must be no object that is read", key, InvalidEvent)
            if encoding != "utf-8" and not endings.is_csv(key):
                rule = "only CSV has another than UTF-8"
                raise InvalidEvent(f"encoding: {rule}; found {found(encoding)} of {key}")
        return job

    @property
    def table(self) -> str:
        """What errors call it."""
        return endings.table_name(self.input_obj)

    @property
    def is_uploaded(self) -> bool:
        """Whether the input is an object of the inbox."""
        return self.written and not self.input_bucket and in_inbox(self.input_obj) is not None

    @property
    def added(self) -> list[str]:
        """The columns that the scatter adds, the first ones."""
        return [self.source_column] if self.source_column else []

    @property
    def workbook(self) -> str:
        return self.named or workbook_of(self.input_obj, self.written)

    @property
    def rows_per_segment(self) -> int | None:
        """As the event says, else as the function's environment does for executions that say nothing."""
        text = os.environ.get("DIVISION_NUMBER")
        if self.division_number is None and text is not None:
            return int(text)
        return self.division_number

    @property
    def most_segments(self) -> float:
        """That the table's size may choose."""
        return math.inf if self.manifest else SEGMENTS

    def segment_key(self, number: int) -> str:
        return segment_key(self.execution, number)


def time_of(fields: dict[str, Any]) -> datetime:
    """That which the execution is for, by its zone's clocks: scheduled, else of its start."""
    time = fields.get("scheduled_time", fields.get("started") or str(datetime.now(UTC)))
    zone = fields.get("zone", "UTC")
    with suppress(TypeError, ValueError, LookupError, OSError, OverflowError):
        at = datetime.fromisoformat(time)
        if at.tzinfo and MINYEAR < at.year < MAXYEAR:  # the days around it are dates, too
            return at.astimezone(ZoneInfo(zone))
    rule = "must be like 2026-11-27T21:00:00Z, and zone like Asia/Tokyo"
    raise InvalidEvent(f"scheduled_time: {rule}; found {found(time)}, {found(zone)}")


def bucket_of(fields: dict[str, Any]) -> str:
    """That of the input; "" where it is the pipeline's own, even if it is named."""
    bucket = fields.get("input_bucket", "")
    is_name = "input_bucket" not in fields or (is_text(bucket) and BUCKET.match(bucket))
    require(is_name, "input_bucket: must be a bucket's name", bucket, InvalidEvent)
    return "" if bucket == os.environ.get("BUCKET", "test-bucket") else bucket


def check(fields: dict[str, Any]) -> None:
    """Refuse a field whose rule does not hold, by its name."""
    keys = fields["input_obj"]
    given = {name: [value] for name, value in fields.items()}
    if isinstance(keys, list) and keys:
        check_list(keys)
        given["input_obj"] = keys
    for name, rule, holds in RULES:
        for value in given.get(name, []):
            require(holds(value), f"{name}: {rule}", value, InvalidEvent)
    if "max_rejects" in fields and "rejects" not in fields:
        raise InvalidEvent('rejects: must be "sheet"; found max_rejects alone')


def check_list(keys: list[Any]) -> None:
    for key in keys:
        require(is_key(key), "input_obj: a list holds keys of objects", key, InvalidEvent)
    for key, count in Counter(keys).most_common(1):
        if count > 1:
            raise InvalidEvent(f"input_obj: a list names a key once; found {found(key)} again")


def check_fits_execution(segments: int, key: str, job: Job) -> None:
    """Refuse a division that an inline Map cannot hold: of so many segments `key` is the last."""
    around = {"segment_definitions": [], "workbook": job.workbook, "segment_results": []}
    state = len(json.dumps(around)) + 2 * segments * len(json.dumps(key) + ", ")
    if segments > ITERATIONS or state > STATE_BYTES:
        raise TooManySegments(
            f"{job.table}: an execution holds at most {ITERATIONS} segments and {STATE_BYTES} "
            f"bytes of state; division_number {job.rows_per_segment} passes that at segment "
            f"{segments}: choose a larger one, or DEFINITION=distributed"
        )

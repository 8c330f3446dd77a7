"""The scatter's event: one table, and how it is to be cut."""

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self
from zoneinfo import ZoneInfo

from pipeline import dates, endings
from pipeline.errors.wording import found
from pipeline.keys import GATHER, REFERENCE, SCATTER, InvalidEvent, is_key, segment_key
from pipeline.reading.csv_table import ENCODINGS
from pipeline.reading.cuts import SEGMENTS

# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
STATE_BYTES = 256 * 1024
ITERATIONS = 1_500  # of an inline Map; with three retries each, 16 of the 25,000 events
NAME_CHARACTERS = 80  # of an execution
BUCKET_NAME = re.compile("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

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


def is_input(key: object) -> bool:
    """Whether it is an object's key, a folder's or a pattern."""
    return isinstance(key, str) and is_key(key.removesuffix("/"))


def workbook_of(input_obj: str | list[str], written: bool = False) -> str:
    return endings.workbook_key(input_obj, os.environ.get("INBOX", ""), written)


def check_is_table(key: object) -> None:
    """
    Raises:
        NotATable: the key is of the inbox, where everything that is put starts an execution: a
            note, a folder's marker, a job's _SUCCESS.
    """
    inbox = os.environ.get("INBOX")
    if inbox and isinstance(key, str) and key.startswith(inbox) and not endings.ends(key)[0]:
        kinds = ", ".join(filter(None, endings.NAMES))
        raise NotATable(
            f"input_obj: a table of the inbox must end in {kinds}, or one of these with .gz; "
            f"found {found(key)}, which is passed over"
        )


def inbox_input(key: object) -> tuple[str, dict[str, Any]]:
    """Of a table of the inbox its first folder there, and what InboxInput adds to its input.

    Raises:
        InvalidEvent: that is no input of an execution.
    """
    inbox = os.environ.get("INBOX")
    if not inbox or not isinstance(key, str) or not key.startswith(inbox):
        return "", {}
    folder, sign, _ = key.removeprefix(inbox).partition("/")
    text = os.environ.get("INBOX_INPUT") or "{}"
    try:
        given = json.loads(text)
        asked = {name: value for name, value in given.items() if not isinstance(value, dict)}
        asked |= given.get(folder, {}) if sign else {}
    except (ValueError, AttributeError):
        raise InvalidEvent(f"InboxInput: must be a JSON object; found {found(text)}") from None
    check_known("InboxInput", asked)
    return folder if sign else "", asked


def check_known(name: str, fields: dict[str, Any]) -> None:
    if unknown := fields.keys() - {*OVERRIDES, *IGNORED}:
        raise InvalidEvent(
            f"{name}: knows {', '.join(OVERRIDES)}; found {', '.join(sorted(unknown))}"
        )


def is_whole(number: object, least: int) -> bool:
    return type(number) is int and number >= least


# Of an event's fields, the rule in words and what tells whether a value keeps it.
RULES: list[tuple[str, str, Callable[[Any], bool]]] = [
    ("input_obj", "must be the key of an object, a folder/, a pattern or a list of keys", is_input),
    (
        "input_obj",
        endings.RULE,
        lambda key: endings.is_many(key) or endings.is_read(key),
    ),
    (
        "input_obj",
        f"must be short enough for its workbook, whose key has at most {endings.KEY_BYTES:,} bytes",
        lambda key: len(workbook_of(key).encode()) <= endings.KEY_BYTES,
    ),
    (
        "input_bucket",
        "must be a bucket's name",
        lambda name: isinstance(name, str) and bool(BUCKET_NAME.fullmatch(name)),
    ),
    (
        "workbook",
        "must be a key that ends in .xlsx",
        lambda key: is_key(key) and key.endswith(".xlsx"),
    ),
    ("source_column", "must be a column's name", lambda name: isinstance(name, str) and name != ""),
    ("division_number", "must be a whole number from 1", lambda n: n is None or is_whole(n, 1)),
    (
        "execution",
        "must be an execution's name",
        lambda name: (
            name is None or (is_key(name) and "/" not in name and len(name) <= NAME_CHARACTERS)
        ),
    ),
    ("encoding", f"must be {' or '.join(ENCODINGS)}", lambda name: name in ENCODINGS),
    (
        "delimiter",
        "must be one character, no quote and no line's end",
        lambda sign: isinstance(sign, str) and len(sign) == 1 and sign not in '"\r\n\0',
    ),
    ("sheet", "must be a sheet's name", lambda name: isinstance(name, str) and name != ""),
    ("etl", "must be the name of an ETL", lambda name: isinstance(name, str) and name != ""),
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
        overrides = overrides_of(event)
        folder, asked = inbox_input(overrides.get("input_obj"))
        fields: dict[str, Any] = {"input_obj": None, **event, **asked, **overrides}
        at, bucket = time_of(fields), fields.get("input_bucket", "")
        fields |= dates.filled(fields, at, lambda key: is_key(key) and is_there(key, bucket))
        keys = fields["input_obj"]
        check_is_table(keys)
        if isinstance(keys, list):
            check_list(keys)
        for name, rule, holds in RULES:
            for value in listed(fields[name]) if name in fields else ():
                if not holds(value):
                    raise InvalidEvent(f"{name}: {rule}; found {found(value)}")
        if "max_rejects" in fields and "rejects" not in fields:
            raise InvalidEvent('rejects: must be "sheet"; found max_rejects alone')
        number, execution = fields.get("division_number"), fields.get("execution")
        told = {name: fields[name] for name in fields if name in TOLD}
        if folder and "etl" not in fields:
            told["folder"] = folder
        named, column = fields.get("workbook", ""), fields.get("source_column", "")
        manifest = bool(event.get("manifest"))
        reading = {name: fields[name] for name in READING if name in fields}
        scheduled = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if "scheduled_time" in fields else ""
        given = (keys, number, execution, manifest, reading, told, named, column, bucket)
        return cls(*given, scheduled_time=scheduled)

    def of(self, keys: Iterable[str], written: bool) -> Self:
        """The job of these objects.

        Args:
            written: input_obj is the key of the only one.

        Raises:
            InvalidEvent: they cannot be read so, or the workbook has no place.
        """
        job = replace(self, written=written)
        workbook, inbox = job.workbook, os.environ.get("INBOX")
        if not workbook:
            rule = "must be named for a list of keys, and for a pattern that begins with a star"
            raise InvalidEvent(f"workbook: {rule}; found none")
        if workbook.startswith((SCATTER, GATHER, REFERENCE, *([inbox] if inbox else []))):
            rule = f"must lie outside {SCATTER}, {GATHER}, {REFERENCE} and the inbox"
            raise InvalidEvent(f"workbook: {rule}; found {found(workbook)}")
        for key in keys:
            if key == workbook and not self.input_bucket:
                raise InvalidEvent(f"workbook: must be no object that is read; found {found(key)}")
            encoding = self.reading.get("encoding", "utf-8")
            if encoding != "utf-8" and not endings.is_csv(key):
                told = found(encoding)
                raise InvalidEvent(
                    f"encoding: only CSV has another than UTF-8; found {told} of {key}"
                )
        return job

    @property
    def table(self) -> str:
        """What errors call it."""
        return endings.table_name(self.input_obj)

    @property
    def is_uploaded(self) -> bool:
        """Whether the input is an object of the inbox."""
        inbox = os.environ.get("INBOX")
        key = self.input_obj
        return bool(inbox) and self.written and isinstance(key, str) and key.startswith(inbox or "")

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
    """That which the execution is for, by its zone's clocks: scheduled, else of its start.

    Raises:
        InvalidEvent: it is none, or there is no such zone.
    """
    time = fields.get("scheduled_time", fields.get("started") or str(datetime.now(UTC)))
    zone = fields.get("zone", "UTC")
    try:
        return datetime.fromisoformat(time).astimezone(ZoneInfo(zone))
    except (TypeError, ValueError, LookupError, OSError, OverflowError):
        rule = "must be like 2026-11-27T21:00:00Z, and zone like Asia/Tokyo"
        raise InvalidEvent(f"scheduled_time: {rule}; found {found(time)}, {found(zone)}") from None


def listed(value: Any) -> list[Any]:
    """The keys of a list, or a value by itself."""
    return value if isinstance(value, list) and value else [value]


def check_list(keys: list[Any]) -> None:
    """
    Raises:
        InvalidEvent: names what is no key, or is there twice.
    """
    for key in keys:
        if not is_key(key):
            raise InvalidEvent(f"input_obj: a list holds keys of objects; found {found(key)}")
    for key, count in Counter(keys).most_common(1):
        if count > 1:
            raise InvalidEvent(f"input_obj: a list names a key once; found {found(key)} again")


def check_fits_execution(segments: int, key: str, job: Job) -> None:
    """Refuse a division that an inline Map cannot hold.

    Args:
        segments: how many there are so far.
        key: the latest one's, the longest.

    Raises:
        TooManySegments: beyond ITERATIONS, or STATE_BYTES with a definition and a result each.
    """
    around = {"segment_definitions": [], "workbook": job.workbook, "segment_results": []}
    state = len(json.dumps(around)) + 2 * segments * len(json.dumps(key) + ", ")
    if segments > ITERATIONS or state > STATE_BYTES:
        raise TooManySegments(
            f"{job.table}: an execution holds at most {ITERATIONS} segments and {STATE_BYTES} "
            f"bytes of state; division_number {job.division_number} passes that at segment "
            f"{segments}: choose a larger one, or DEFINITION=distributed"
        )


def overrides_of(event: dict[str, Any]) -> dict[str, Any]:
    """The fields that the execution's input overrides."""
    overrides = event.get("overrides") or {}
    if not isinstance(overrides, dict):
        raise InvalidEvent(f"overrides: must be an object; found {found(overrides)}")
    check_known("overrides", overrides)
    return overrides

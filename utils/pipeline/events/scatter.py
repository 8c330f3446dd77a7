"""The scatter's event: one table, and how it is to be cut."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from pipeline import endings
from pipeline.errors.wording import found
from pipeline.keys import InvalidEvent, is_key, segment_key
from pipeline.reading.csv_table import ENCODINGS
from pipeline.reading.cuts import SEGMENTS

# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
STATE_BYTES = 256 * 1024
ITERATIONS = 1_500  # of an inline Map; with three retries each, 16 of the 25,000 events
NAME_CHARACTERS = 80  # of an execution

TOLD = ("etl", "rejects", "max_rejects", "sheets")  # what the segments are told with their rows
OVERRIDES = ("input_obj", "division_number", "encoding", *TOLD)
# Of an input that others write: the consoles', Step Functions' own and those of an EventBridge event.
IGNORED = {
    *("Comment", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"),
    *("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"),
}


class TooManySegments(ValueError):
    """The segments would not fit into one execution."""


class NotATable(ValueError):
    """An object of the inbox has no ending of a table; the state machine passes over it."""


def workbook_of(input_obj: str) -> str:
    return endings.workbook_key(input_obj, os.environ.get("INBOX", ""))


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


def is_whole(number: object, least: int) -> bool:
    return type(number) is int and number >= least


# Of an event's fields, the rule in words and what tells whether a value keeps it.
RULES: list[tuple[str, str, Callable[[Any], bool]]] = [
    ("input_obj", "must be the key of an object", is_key),
    ("input_obj", endings.RULE, endings.is_read),
    (
        "input_obj",
        f"must be short enough for its workbook, whose key has at most {endings.KEY_BYTES:,} bytes",
        lambda key: len(workbook_of(key).encode()) <= endings.KEY_BYTES,
    ),
    ("division_number", "must be a whole number from 1", lambda n: n is None or is_whole(n, 1)),
    (
        "execution",
        "must be an execution's name",
        lambda name: (
            name is None or (is_key(name) and "/" not in name and len(name) <= NAME_CHARACTERS)
        ),
    ),
    ("encoding", f"must be {' or '.join(ENCODINGS)}", lambda name: name in ENCODINGS),
    ("etl", "must be the name of an ETL", lambda name: isinstance(name, str) and name != ""),
    ("rejects", 'must be "sheet"', lambda place: place == "sheet"),
    ("max_rejects", "must be a whole number from 0", lambda n: is_whole(n, 0)),
    ("sheets", 'must be "summaries"', lambda which: which == "summaries"),
]


@dataclass(frozen=True)
class Job:
    """One table to scatter, as its event describes it.

    Attributes:
        told: the table's ETL, where faulty records go, and whether the workbook has summaries
            alone; {} where nobody asked.
    """

    input_obj: str
    division_number: int | None
    execution: str | None
    manifest: bool = False
    encoding: str = "utf-8"
    told: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        """
        Raises:
            InvalidEvent: names the field, its rule and what was found.
            NotATable: see `check_is_table`.
        """
        fields: dict[str, Any] = {"input_obj": None, **event, **overrides_of(event)}
        check_is_table(fields["input_obj"])
        for name, rule, holds in RULES:
            if name in fields and not holds(fields[name]):
                raise InvalidEvent(f"{name}: {rule}; found {found(fields[name])}")
        key, encoding = fields["input_obj"], fields.get("encoding", "utf-8")
        if encoding != "utf-8" and endings.ends(key)[0] != ".csv":
            raise InvalidEvent(f"encoding: JSON is UTF-8; found {found(encoding)} of {key}")
        if "max_rejects" in fields and "rejects" not in fields:
            raise InvalidEvent('rejects: must be "sheet"; found max_rejects alone')
        number, execution = fields.get("division_number"), fields.get("execution")
        told = {name: fields[name] for name in fields if name in TOLD}
        return cls(key, number, execution, bool(event.get("manifest")), encoding, told)

    @property
    def workbook(self) -> str:
        return workbook_of(self.input_obj)

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
            f"{job.input_obj}: an execution holds at most {ITERATIONS} segments and {STATE_BYTES} "
            f"bytes of state; division_number {job.division_number} passes that at segment "
            f"{segments}: choose a larger one, or DEFINITION=distributed"
        )


def overrides_of(event: dict[str, Any]) -> dict[str, Any]:
    """The fields that the execution's input overrides."""
    overrides = event.get("overrides") or {}
    if not isinstance(overrides, dict):
        raise InvalidEvent(f"overrides: must be an object; found {found(overrides)}")
    unknown = overrides.keys() - {*OVERRIDES, *IGNORED}
    if unknown:
        raise InvalidEvent(
            f"overrides: knows {', '.join(OVERRIDES)}; found {', '.join(sorted(unknown))}"
        )
    return overrides

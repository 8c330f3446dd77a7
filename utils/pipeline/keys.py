"""The layout of the bucket: the key of each object that a stage writes, reads, or finds beside another.

    scatter/[<execution>/]job_000.pkl           a segment file
                          manifest.json         the keys of all segment files, where a state may not hold them
                          references.json       the versions of the reference tables that all segments see, if there are any
                          facts.json            what the scatter tells
    scatter/<time>/<digest>.json                which execution makes a workbook for a scheduled time
    gather/[<execution>/]job_000.pkl            a segment's result
                         job_000.xml.deflate    its rows, rendered
                         job_000.json           what the gather must know of those rows, and the segment's facts
                         job_000.partials       what it contributes to summaries, if that is much
                         rejects/job_000-7.pkl  the 7 records that it leaves out
                         facts.json             what the gather tells
    reference/                                  tables that an ETL looks something up in
    outbox/                                     workbooks of tables from the inbox

A workbook stands beside its table.
"""

import hashlib
import re
import unicodedata

from pipeline.endings import KEY_BYTES
from pipeline.errors.wording import found

SCATTER, GATHER = "scatter/", "gather/"
REFERENCE = "reference/"

_SEGMENT = re.compile(r".*/job_([0-9]+)\.pkl")
_REJECTS = re.compile(r"(.+/)rejects/([^/]+)-([0-9]+)\.pkl")


class InvalidEvent(ValueError):
    """The event does not say what to work on."""


def is_key(key: object) -> bool:
    """Whether the key names an object of S3, without climbing and without control characters."""
    if not isinstance(key, str) or any(unicodedata.category(each) in ("Cc", "Cs") for each in key):
        return False  # Cs: a lone surrogate has no UTF-8
    steps = key.split("/")
    return len(key.encode()) <= KEY_BYTES and not {"", ".", ".."}.intersection(steps)


def segment_folder(execution: str | None) -> str:
    return f"{SCATTER}{execution}/" if execution else SCATTER


def segment_key(execution: str | None, number: int) -> str:
    return f"{segment_folder(execution)}job_{number:03d}.pkl"


def segment_number(key: str) -> int | None:
    """`scatter/x/job_007.pkl` → 7; None for the key of another object."""
    match = _SEGMENT.fullmatch(key)
    return int(match[1]) if match else None


def manifest_key(execution: str | None) -> str:
    return f"{segment_folder(execution)}manifest.json"


def facts_key(key: str) -> str:
    """`scatter/x/job_000.pkl` → `scatter/x/facts.json`; the same of a gather's, or of a manifest."""
    folder, _, _ = key.rpartition("/")
    return f"{folder}/facts.json"


def claim_key(time: str, workbook: str) -> str:
    """Of the execution that makes a workbook for a scheduled time; on AWS no other's name holds a colon."""
    return f"{SCATTER}{time}/{hashlib.sha256(workbook.encode()).hexdigest()[:32]}.json"


def result_key(segment_key: str) -> str:
    """`scatter/job_000.pkl` → `gather/job_000.pkl`.

    Raises:
        InvalidEvent: not a segment file's key, or one that climbs.
    """
    steps = segment_key.split("/") if isinstance(segment_key, str) else [""]
    if steps[0] != "scatter" or segment_key[-4:] != ".pkl" or {"", ".", ".."} & set(steps):
        raise InvalidEvent(
            f"event: must be a key like scatter/job_000.pkl; found {found(segment_key)}"
        )
    return gathered(segment_key)


def gathered(key: str) -> str:
    """Where the results have what the scatter has here: `scatter/x/facts.json` → `gather/x/facts.json`."""
    return key.replace(SCATTER, GATHER, 1)


def segment_facts_key(result_key: str) -> str:
    return result_key.removesuffix(".pkl") + ".json"


def xml_key(result_key: str) -> str:
    return result_key.removesuffix(".pkl") + ".xml.deflate"


def partials_key(result_key: str) -> str:
    return result_key.removesuffix(".pkl") + ".partials"


def rejects_folder(result_key: str) -> str:
    """What all segments leave out lies apart, so that one list of keys tells of many segments."""
    folder, _, _ = result_key.rpartition("/")
    return f"{folder}/rejects/"


def rejects_key(result_key: str, count: int) -> str:
    """The count is in the name, so that a list of keys tells it, see `rejects_of`."""
    _, _, name = result_key.removesuffix(".pkl").rpartition("/")
    return f"{rejects_folder(result_key)}{name}-{count}.pkl"


def rejects_of(key: str) -> tuple[str, int] | None:
    """`gather/rejects/job_000-7.pkl` → `gather/job_000.pkl` and 7; None for another object."""
    match = _REJECTS.fullmatch(key)
    return (f"{match[1]}{match[2]}.pkl", int(match[3])) if match else None


def references_key(segment_key: str) -> str | None:
    """`scatter/x/job_000.pkl` → `scatter/x/references.json`; None without an execution in the key."""
    folder, _, _ = segment_key.rpartition("/")
    return f"{folder}/references.json" if "/" in folder else None

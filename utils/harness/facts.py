"""Read what the functions wrote of an execution beside its objects; see `pipeline.facts.stages`."""

import bisect
import csv
import gzip
import io
import itertools
import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from harness import calls
from harness.execution import Execution
from harness.logs import json_object
from harness.target import Target
from pipeline.facts.json_dataclass import Json
from pipeline.facts.stages import ObjectFacts, ScatterFacts, SegmentFacts, WorkbookFacts
from pipeline.keys import facts_key, gathered, segment_facts_key
from pipeline.s3.signed import VARIABLE, InvalidSignature, InvalidSigningKey, Objects, signing_key

# The object is gone, is another now, or is not ours to read.
MISSING = ("404", "NoSuchKey", "NoSuchBucket", "403", "AccessDenied", "412", "PreconditionFailed")
THREADS = 8
BETWEEN = re.compile(r"[\s,]*")  # what stands between two records
MOST_REFUSED = 3  # that are named
# Of an input's text, at most, are read to count its lines: from AWS, and from this machine.
COUNTED_BYTES = {False: 20_000_000, True: 500_000_000}
PIECE_BYTES = 1 << 20
MOST_SEGMENTS = 1000  # whose facts are read one by one, where there is no workbook


@dataclass
class Facts:
    """What is known of an execution's data: nothing, where its functions wrote nothing.

    Attributes:
        segments: by the key of the segment file, in the order of the table.
        unchecked: why no signature was compared; "" where each was.
        refused: the objects that are not as the functions wrote them, and were not used: in words.
    """

    scatter: ScatterFacts | None = None
    segments: dict[str, SegmentFacts] = field(default_factory=dict)
    workbook: WorkbookFacts | None = None
    unchecked: str = ""
    refused: list[str] = field(default_factory=list)

    @property
    def sizes(self) -> dict[str, int]:
        """Of the segment files, by their keys."""
        return {cut.key: cut.size for cut in self.scatter.segments} if self.scatter else {}

    @property
    def doubts(self) -> list[str]:
        """What whoever sees the facts must know."""
        if self.unchecked:
            return [f"not checked, as the functions' key is not known: {self.unchecked}"]
        more = len(self.refused) - MOST_REFUSED
        return self.refused[:MOST_REFUSED] + [f"and {more} more"] * (more > 0)


class Reader:
    """Reads what the functions of an execution wrote, and nothing that somebody else did."""

    def __init__(self, target: Target, run: Execution) -> None:
        secret, self.unchecked = secret_of(target, run)
        self.objects = Objects(target.client("s3"), target.bucket, secret)
        self.refused: list[str] = []

    def read[Kind: Json](self, kind: type[Kind], key: str | None) -> Kind | None:
        """What a function wrote; None where it is missing, of another form, or refused."""

        def read() -> Kind | None:
            try:
                return kind.from_json(self.objects.get(key)) if key else None
            except InvalidSignature as error:
                self.refused.append(str(error))
                return None

        return if_there(read)

    def segment(self, key: str) -> SegmentFacts | None:
        """What a segment told of its file, which has that key."""
        return self.read(SegmentFacts, segment_facts_key(gathered(key)))


def secret_of(target: Target, run: Execution) -> tuple[bytes | None, str]:
    """The key that the functions of an execution sign with; without, why it is not known."""
    function = next((call.function for call in run.attempts if call.function), None)
    if function is None:
        return None, "the history names no function"
    environment = calls.configuration(target, run, function).get("Environment", {})
    why = environment.get("Error", {}).get("ErrorCode", f"no {VARIABLE}")
    try:
        secret = signing_key(environment.get("Variables", {}))
    except InvalidSigningKey as error:
        secret, why = None, str(error)
    return secret, "" if secret else f"{function}: {why}"


def read_scatter(target: Target, run: Execution) -> ScatterFacts | None:
    """None before the scatter has ended, or where it wrote none."""
    return Reader(target, run).read(ScatterFacts, scatter_key(run))


def read(target: Target, run: Execution) -> Facts:
    """The facts of an execution: those of its scatter and of its gather, else of each segment."""
    reader, key = Reader(target, run), scatter_key(run)
    scatter = reader.read(ScatterFacts, key)
    if key is None or scatter is None:
        return Facts(refused=reader.refused)
    workbook = reader.read(WorkbookFacts, gathered(key))
    keys = [cut.key for cut in scatter.segments]
    told: Sequence[SegmentFacts | None] = workbook.segments if workbook else []
    if workbook is None and len(keys) <= MOST_SEGMENTS:
        with ThreadPoolExecutor(THREADS) as threads:
            told = [*threads.map(reader.segment, keys)]
    segments = {key: facts for key, facts in zip(keys, told) if facts}
    return Facts(scatter, segments, workbook, reader.unchecked, reader.refused)


def scatter_key(run: Execution) -> str | None:
    """Where the scatter wrote its facts: beside the segment files, or their manifest."""
    done = next((task for task in run.tasks if task.stage == "scatter" and task.output), None)
    output = json_object(done.output) if done else {}
    keys = [output.get("manifest"), *(output.get("segment_definitions") or [])]
    return next((facts_key(key) for key in keys if isinstance(key, str)), None)


@dataclass(frozen=True)
class Broken:
    """The record of the input that broke an execution, as far as it is known.

    Attributes:
        segment: the number of the segment that it is in.
        record: None where the input is not known to hold it still.
        line: on which it begins in its object, counted from 1; None where the object has no lines,
            or is too large to count them.
    """

    segment: int | None = None
    record: dict[str, Any] | None = None
    line: int | None = None


def broken(target: Target, scatter: ScatterFacts | None, place: tuple[str, int] | None) -> Broken:
    """Look a record up.

    Args:
        place: its object and its number there, as an error names it.
    """
    if scatter is None or place is None:
        return Broken()
    key, number = place
    before = [*itertools.takewhile(lambda each: each.key != key, scatter.objects)]
    given = next(iter(scatter.objects[len(before) :]), None)
    if given is None or number >= given.rows:
        return Broken()
    row = sum(each.rows for each in before) + number
    ends = itertools.accumulate(cut.rows for cut in scatter.segments)
    segment = next((index for index, end in enumerate(ends) if row < end), None)
    found = if_there(lambda: read_record(target, scatter, given, number)) if given.index else None
    return Broken(segment, *(found or ()))


def read_record(
    target: Target, scatter: ScatterFacts, given: ObjectFacts, number: int
) -> tuple[dict[str, Any] | None, int | None]:
    """A record and its line, see `Broken`, from an object's bytes up to the end of the record's block.

    Where too many come before the block, they are not read, and no line is told.

    Raises:
        ClientError: the object is another now.
        ValueError: it does not hold that record.
    """
    at = bisect.bisect_right(given.index, number, key=lambda entry: entry[1])
    (start, first), *later = given.index[at - 1 : at + 1]
    end = later[0][0] if later else None
    counted = start <= COUNTED_BYTES[target.emulated]
    skipped = start if given.packed or counted else 0
    asked = {"Bucket": scatter.bucket or target.bucket, "Key": given.key, "IfMatch": given.etag}
    if not given.packed:
        asked["Range"] = f"bytes={start - skipped}-{(end or given.size) - 1}"
    body = target.client("s3").get_object(**asked)["Body"]
    with gzip.open(body) if given.packed else closing(body) as text:
        before = count_lines(text, skipped)
        block = text.read(end - start if end else None)
    record, line = record_of(block, number - first, given, scatter.encoding)
    line += before
    has_lines = line > 0 or not number
    return record, line + 1 if counted and has_lines else None


def count_lines(text: Any, size: int) -> int:
    """How many lines end in the next bytes of a text."""
    sizes = (min(PIECE_BYTES, size - start) for start in range(0, size, PIECE_BYTES))
    return sum(text.read(each).count(b"\n") for each in sizes)


def record_of(
    data: bytes, number: int, given: ObjectFacts, encoding: str = "utf-8"
) -> tuple[dict[str, Any] | None, int]:
    """A record of a slice of an object's text, which begins before a record, and how many lines of
    the slice end before it.

    Raises:
        ValueError: it is no such slice, or ends before that record does.
    """
    text = data.decode(encoding)
    if given.header:
        rows, line = csv.reader(io.StringIO(text, newline=""), delimiter=given.delimiter), 0
        for row in rows:
            if row and not number:
                return dict(zip(given.header, row, strict=True)), line
            number, line = number - bool(row), rows.line_num
        raise ValueError("the slice must hold the record; found its end")
    record, start, end, decoder = None, 0, 0, json.JSONDecoder()
    for _ in range(number + 1):
        between = BETWEEN.match(text, end)
        start = between.end() if between else end
        record, end = decoder.raw_decode(text, start)
    return record if isinstance(record, dict) else None, text.count("\n", 0, start)


def if_there[Kind](read: Callable[[], Kind]) -> Kind | None:
    """What is read of an object; None where it is missing, or of another form."""
    try:
        return read()
    except ClientError as error:
        if error.response["Error"]["Code"] in MISSING:
            return None
        raise
    except ValueError:
        return None

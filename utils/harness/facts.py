"""Read what the functions wrote of an execution beside its objects; see `pipeline.facts.stages`."""

import bisect
import csv
import gzip
import io
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from harness import calls
from harness.execution import Execution
from harness.logs import json_object
from harness.target import Target
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
class Trust:
    """How far what was read is known to be the functions' own.

    Attributes:
        unchecked: why no signature was compared; "" where each was.
        refused: the objects that are not as the functions wrote them, and were not used: in words.
    """

    unchecked: str = ""
    refused: list[str] = field(default_factory=list)

    @property
    def doubts(self) -> list[str]:
        """What whoever sees the facts must know."""
        unchecked = f"not checked, as the functions' key is not known: {self.unchecked}"
        more = f"and {len(self.refused) - MOST_REFUSED} more"
        said = [unchecked] if self.unchecked else self.refused[:MOST_REFUSED]
        return [*said, more] if len(self.refused) > MOST_REFUSED else said


@dataclass
class Facts:
    """What is known of an execution's data: nothing, where its functions wrote nothing.

    Attributes:
        segments: by the key of the segment file, in the order of the table.
    """

    bucket: str
    scatter: ScatterFacts | None = None
    segments: dict[str, SegmentFacts] = field(default_factory=dict)
    workbook: WorkbookFacts | None = None
    trust: Trust = field(default_factory=Trust)

    @property
    def sizes(self) -> dict[str, int]:
        """Of the segment files, by their keys."""
        return {cut.key: cut.size for cut in self.scatter.segments} if self.scatter else {}


class Reader:
    """Reads what the functions of an execution wrote, and nothing that somebody else did."""

    def __init__(self, target: Target, run: Execution) -> None:
        secret, self.unchecked = secret_of(target, run)
        self.objects = Objects(target.client("s3"), target.bucket, secret)
        self.trust = Trust()
        self.key = scatter_key(run)

    def scatter(self) -> ScatterFacts | None:
        """None before the scatter has ended, or where it wrote none."""
        return self.read(self.key, ScatterFacts.from_json) if self.key else None

    def segment(self, key: str) -> SegmentFacts | None:
        """
        Args:
            key: of the segment file.
        """
        return self.read(segment_facts_key(gathered(key)), SegmentFacts.from_json)

    def workbook(self) -> WorkbookFacts | None:
        """None before the gather has ended, or where it wrote none."""
        return self.read(gathered(self.key), WorkbookFacts.from_json) if self.key else None

    def read[Kind](self, key: str, parse: Callable[[bytes], Kind]) -> Kind | None:
        """An object that a function wrote; None where it is missing, of another form, or refused."""

        def read() -> Kind | None:
            try:
                found = parse(self.objects.get(key))
            except InvalidSignature as error:
                self.trust.refused.append(str(error))
                return None
            self.trust.unchecked = self.unchecked
            return found

        return if_there(read)


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


def read(target: Target, run: Execution) -> Facts:
    """The facts of an execution: those of its scatter and of its gather, else of each segment."""
    reader = Reader(target, run)
    found = Facts(target.bucket, reader.scatter(), trust=reader.trust)
    if found.scatter is None:
        return found
    keys = [cut.key for cut in found.scatter.segments]
    found.workbook = reader.workbook()
    if found.workbook:
        told: Iterable[SegmentFacts | None] = found.workbook.segments
    else:
        with ThreadPoolExecutor(THREADS) as threads:
            told = threads.map(reader.segment, keys if len(keys) <= MOST_SEGMENTS else [])
    found.segments = {key: facts for key, facts in zip(keys, told) if facts}
    return found


def segment_of(scatter: ScatterFacts | None, record: tuple[str, int] | None) -> int | None:
    """The number of the segment that a record of the input is in.

    Args:
        record: its object and its number there, as an error names it.
    """
    found = object_of(scatter, record)
    if scatter is None or record is None or found is None:
        return None
    row = found[1] + record[1]
    ends = itertools.accumulate(cut.rows for cut in scatter.segments)
    return next((index for index, end in enumerate(ends) if row < end), None)


def object_of(
    scatter: ScatterFacts | None, record: tuple[str, int] | None
) -> tuple[ObjectFacts, int] | None:
    """The object that holds a record, and the number of its first one in the whole table."""
    start = 0
    for each in scatter.objects if scatter and record else ():
        if record and each.key == record[0]:
            return (each, start) if record[1] < each.rows else None
        start += each.rows
    return None


def record(target: Target, facts: Facts, place: tuple[str, int] | None) -> dict[str, Any] | None:
    """A record of the input, from the bytes of its block alone.

    Returns:
        None where the input is not known to hold that record still.
    """
    block = block_of(facts.scatter, place)
    if facts.scatter is None or place is None or block is None:
        return None
    given, (key, number) = block.given, place
    encoding, bucket = facts.scatter.encoding, facts.scatter.bucket or facts.bucket
    asked = {"IfMatch": given.etag}
    if not given.packed:
        asked["Range"] = f"bytes={block.start}-{(block.end or given.size) - 1}"

    def read(body: Any) -> bytes:
        if not given.packed:
            return bytes(body.read())
        with gzip.open(body) as text:
            text.seek(block.start)
            return text.read(block.end - block.start if block.end else -1)

    s3 = target.client("s3")
    return if_there(
        lambda: record_of(
            read(s3.get_object(Bucket=bucket, Key=key, **asked)["Body"]),
            number - block.first,
            given.header,
            encoding,
            given.delimiter,
        )
    )


def line(target: Target, facts: Facts, place: tuple[str, int] | None) -> int | None:
    """The line of the input on which a record begins, counted from 1.

    Returns:
        None where the input is not known to hold that record still, has no lines, or is too large
        to count them.
    """
    block = block_of(facts.scatter, place)
    if facts.scatter is None or place is None or block is None:
        return None
    if block.start > COUNTED_BYTES[target.emulated]:
        return None
    given, (key, number), before = block.given, place, 0
    encoding, bucket = facts.scatter.encoding, facts.scatter.bucket or facts.bucket

    def read(body: Any) -> bytes:
        nonlocal before
        with gzip.open(body) if given.packed else closing(body) as text:
            for count in pieces(block.start):
                before += text.read(count).count(b"\n")
            return bytes(text.read(block.end - block.start if block.end else None))

    def parse(data: bytes) -> int:
        return (
            1
            + before
            + located(data, number - block.first, given.header, encoding, given.delimiter)[1]
        )

    s3 = target.client("s3")
    asked = {"IfMatch": given.etag}
    if not given.packed:
        asked["Range"] = f"bytes=0-{(block.end or given.size) - 1}"
    found = if_there(lambda: parse(read(s3.get_object(Bucket=bucket, Key=key, **asked)["Body"])))
    return None if found == 1 and number else found


def pieces(size: int) -> Iterator[int]:
    """How much to read at a time, of so many bytes."""
    return (min(PIECE_BYTES, size - start) for start in range(0, size, PIECE_BYTES))


class Block(NamedTuple):
    """Bytes of an object's text, and the number of the record that begins there; no end: to the end."""

    given: ObjectFacts
    start: int
    end: int | None
    first: int


def block_of(scatter: ScatterFacts | None, place: tuple[str, int] | None) -> Block | None:
    """The block that holds a record; None where none does."""
    found = object_of(scatter, place)
    if place is None or found is None:
        return None
    index = found[0].index
    number = bisect.bisect_right(index, place[1], key=lambda entry: entry[1]) - 1
    if number < 0:
        return None
    (start, first), *later = index[number:]
    return Block(found[0], start, later[0][0] if later else None, first)


def record_of(
    data: bytes,
    number: int,
    header: Sequence[str] = (),
    encoding: str = "utf-8",
    delimiter: str = ",",
) -> dict[str, Any] | None:
    """A record of a slice of the input's text, which begins before a record.

    Args:
        header, delimiter: of CSV; without a header it is JSON, an array's or a record a line.

    Raises:
        ValueError: it is no such slice, or ends before that record does.
    """
    return located(data, number, header, encoding, delimiter)[0]


def located(
    data: bytes,
    number: int,
    header: Sequence[str] = (),
    encoding: str = "utf-8",
    delimiter: str = ",",
) -> tuple[dict[str, Any] | None, int]:
    """A record, and how many lines of the slice end before it begins; see `record_of`."""
    text, start, end, decoder = data.decode(encoding), 0, 0, json.JSONDecoder()
    if header:
        rows, lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 0
        for row in rows:
            if row and not number:
                return dict(zip(header, row, strict=True)), lines
            number, lines = number - bool(row), rows.line_num
        return None, lines
    record = None
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


def scatter_key(run: Execution) -> str | None:
    """Where the scatter wrote its facts: beside the segment files, or their manifest."""
    done = next((task for task in run.tasks if task.stage == "scatter" and task.output), None)
    output = json_object(done.output) if done else {}
    keys = [output.get("manifest"), *(output.get("segment_definitions") or [])]
    return next((facts_key(key) for key in keys if isinstance(key, str)), None)

"""How an error names faulty records: some of them line by line, and their number."""

import itertools
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.errors.places import named

LINES = 20
LINE_BYTES = 12 * 1024  # as JSON; AWS keeps 32 KiB of an error, with its stack

_LINE = re.compile(r"(.+?) record (\d+)\b.*")
_COUNT = re.compile(r"in this segment: (\d+) faulty records")


def message(attrs: Mapping[Any, Any], faults: Mapping[int, object]) -> str:
    """A line for each of the lowest records, and how many there are if that is more than one.

    Args:
        attrs: of the frame, which tell the objects of its rows.
        faults: what is wrong, by row numbers; at least one.
    """
    lines = [f"{named(attrs, number)}: {faults[number]}" for number in sorted(faults)[:LINES]]
    sizes = itertools.accumulate(len(json.dumps(line)) for line in lines[1:])
    kept = lines[:1] + [line for line, size in zip(lines[1:], sizes) if size <= LINE_BYTES]
    count = [f"in this segment: {len(faults)} faulty records"] if len(faults) > 1 else []
    return "\n".join(kept + count)


def gathered(messages: Iterable[str]) -> tuple[list[str], int]:
    """The lines of the lowest records of several errors, and the number of all."""
    found: dict[str, tuple[str, int]] = {}
    count = 0
    for text in dict.fromkeys(messages):  # each segment names the same record of a reference
        lines = [match for line in text.splitlines() if (match := _LINE.fullmatch(line))]
        found |= {match[0]: (match[1], int(match[2])) for match in lines}
        told = _COUNT.search(text)
        count += int(told[1]) if told else len(lines)
    return sorted(found, key=lambda line: found[line])[:LINES], count


def continues(line: str) -> bool:
    """Whether a line follows the first one of such an error, in a log that cuts it into lines."""
    return bool(_LINE.fullmatch(line) or _COUNT.fullmatch(line))


def record_of(line: str) -> tuple[str, int] | None:
    """The object and the record that an error's message begins with."""
    match = _LINE.match(line)
    return (match[1], int(match[2])) if match else None

"""The gather's event: the results of all segments, in order."""

import itertools
from collections import Counter
from typing import Any

from pipeline.errors.wording import found
from pipeline.keys import InvalidEvent


class MissingSegment(ValueError):
    """A segment has no result, or not all of it; a workbook without its rows would look whole."""


def result_keys(event: dict[str, Any]) -> list[str]:
    """The segment results; where the event names the definitions, too, one for each of them.

    Raises:
        InvalidEvent: there are none, or not lists of keys.
        MissingSegment: a definition has no result.
    """
    results = key_list(event, "segment_results")
    definitions = (
        key_list(event, "segment_definitions") if "segment_definitions" in event else results
    )
    if not definitions:
        raise InvalidEvent("event: segment_results must hold a key; found an empty list")
    if len(results) > len(definitions):
        raise InvalidEvent(f"event: found {len(results)} results for {len(definitions)} segments")
    pairs = itertools.zip_longest(definitions, results)
    if missing := [segment for segment, result in pairs if not isinstance(result, str)]:
        count = len(definitions)
        raise MissingSegment(
            f"{missing[0] or 'event'}: each segment must have one result; "
            f"found {count - len(missing)} results for {count} segments"
        )
    if repeated := [key for key, count in Counter(results).items() if count > 1]:
        raise InvalidEvent(f"event: each result must be another; found {repeated[0]} again")
    return results


def key_list(event: dict[str, Any], name: str) -> list[Any]:
    keys = event.get(name)
    if not isinstance(keys, list):
        raise InvalidEvent(f"event: {name} must be a list of keys; found {found(keys)}")
    return keys

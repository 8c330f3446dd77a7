"""Which record of which object a row of a table is, as the attributes of a segment's frame tell.

`source` is what the table is called. Where it is made of several objects, `origins` is a JSON text
(pandas copies attributes deeply, and of a text nothing) of pairs: the number of a row of the whole
table, and the key of the object whose first record it is.
"""

import bisect
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from numbers import Integral
from operator import itemgetter
from typing import Any

type Origins = list[tuple[int, str]]


def written(begun: Sequence[tuple[int, str]], start: int, stop: int) -> dict[str, str]:
    """The attribute of rows from start to stop, of which objects are told in order."""
    first = max(0, bisect.bisect_right(begun, start, key=itemgetter(0)) - 1)
    last = max(first + 1, bisect.bisect_left(begun, stop, key=itemgetter(0)))
    return {"origins": json.dumps(begun[first:last], ensure_ascii=False)}


def named(attrs: Mapping[Any, Any], row: Any, source: str = "members") -> str:
    """Such as `members.json record 17`; see `record_of`."""
    key, record = record_of(attrs, row, source)
    return f"{key} record {record}"


def record_of(attrs: Mapping[Any, Any], row: Any, source: str = "members") -> tuple[str, Any]:
    """The object of a row, and the number of its record there.

    Args:
        row: its label in the frame's index, which an ETL may have given it.
        source: of a frame that tells none.
    """
    origins = _origins(attrs.get("origins", ""))
    if not origins or not isinstance(row, Integral):
        return str(attrs.get("source", source)), row
    number = int(row)
    start, key = origins[max(0, bisect.bisect_right(origins, number, key=itemgetter(0)) - 1)]
    return key, number - start


def objects_of(attrs: Mapping[Any, Any], start: int, stop: int) -> Iterator[str]:
    """The object of each row from start to stop."""
    origins = origins_of(attrs)
    ends = [*(row for row, _ in origins[1:]), stop]
    for (row, key), end in zip(origins, ends):
        yield from itertools.repeat(key, end - max(row, start))


def origins_of(attrs: Mapping[Any, Any]) -> Origins:
    """The first row and the key of each object; of a table of one, that one."""
    return _origins(attrs.get("origins", "")) or [(0, str(attrs["source"]))]


@lru_cache(4)
def _origins(text: str) -> Origins:
    return [(row, key) for row, key in json.loads(text)] if text else []

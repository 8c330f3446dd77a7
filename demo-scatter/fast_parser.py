"""The fast parser: orjson, for texts that it is proven to read as the exact parser does.

orjson itself refuses what is not strict JSON. It keeps the last of equal keys, makes a float of an
integer beyond 64 bits, and 0 of a number too small for a float: texts that may hold one of these
are declined.
"""

import itertools
import re
from collections.abc import Iterator
from types import NoneType
from typing import Any

import numpy as np
import orjson

from columns import Block

_FLAT = {str, int, float, bool, NoneType}
_SPACES = re.compile(rb"[ \t\r\n]*")
_COMMA = re.compile(rb"[ \t\r\n]*,")


def parse(text: bytes, first: bool) -> Block | None:
    """Parse whole, flat records.

    Args:
        text: begins as the exact parser's, and ends with a closing brace. Only the brace that ends
            a record makes a valid array of it: in a string or an object something stays open.
        first: no record comes before this text.

    Returns:
        The records; None if the parser declines the text: the exact parser must take it.
    """
    start = _SPACES.match(text) if first else _COMMA.match(text)
    if not start:
        return None
    try:
        records = orjson.loads(b"".join((b"[", memoryview(text)[start.end() :], b"]")))
    except ValueError:
        return None
    if set(map(type, records)) != {dict}:
        return None
    block = Block(records)
    return block if _is_exact(text, block) else None


def _is_exact(text: bytes, block: Block) -> bool:
    kinds = set().union(*block.kinds.values())
    return (
        kinds <= _FLAT
        and _keys_are_unique(text, block)
        and (float not in kinds or _floats_are_exact(text, block))
    )


def _keys_are_unique(text: bytes, block: Block) -> bool:
    """Whether the records have all the text's colons: a dropped key takes one with it."""
    colons = int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(":")))
    keys = sum(map(len, block.records))
    if colons == keys:
        return True
    if b"\\u003" in text:  # an escaped colon
        return False
    strings = itertools.chain(itertools.chain.from_iterable(block.records), _values(block, str))
    return colons == keys + "".join(strings).count(":")


def _floats_are_exact(text: bytes, block: Block) -> bool:
    """Whether no float stands for a large integer, and no 0.0 for a number close to zero.

    Such a number is written with a negative exponent, or with hundreds of zeros.
    """
    floats = list(_values(block, float))
    if max(floats) >= 2**63 or min(floats) <= -(2**63):
        return False
    return 0.0 not in floats or not any(sign in text for sign in (b"e-", b"E-", b"0" * 300))


def _values(block: Block, kind: type) -> Iterator[Any]:
    for name, values in block.columns.items():
        if kind in block.kinds[name]:
            yield from (value for value in values if type(value) is kind)

"""The fast parser: orjson, for texts that it is proven to read as the exact parser does.

orjson itself refuses what is not strict JSON. It keeps the last of equal keys, makes a float of an
integer beyond 64 bits, and 0 of a number too small for a float: texts that may hold one of these
are declined.
"""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson

from pipeline.reading.columns import Block

SPACE = b" \t\r\n"
_SPACES = re.compile(rb"[ \t\r\n]*")
_COMMA = re.compile(rb"[ \t\r\n]*,")


def parse(text: bytes, first: bool) -> Block | None:
    """Parse whole records.

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
    return _checked(text, records)


def parse_lines(text: bytes) -> Block | None:
    """Parse whole lines, each a record or blank; None if there is none, or they are declined."""
    lines = text.removesuffix(b"\n")
    characters = np.frombuffer(lines, np.uint8)
    braces, ends = characters == ord("}"), characters == ord("\n")
    count = np.count_nonzero(ends) + 1
    try:
        # Where each line ends with its only brace, nothing else can stand before a comma that
        # separates records: as many records as lines means one in each.
        if np.count_nonzero(braces) == count == np.count_nonzero(braces[:-1] & ends[1:]) + 1:
            records = orjson.loads(b"".join((b"[", lines.replace(b"\n", b","), b"]")))
            if len(records) != count:
                return None
        else:
            records = [orjson.loads(line) for line in lines.split(b"\n") if line.strip(SPACE)]
    except ValueError:
        return None
    return _checked(text, records)


def _checked(text: bytes, records: list[Any]) -> Block | None:
    if set(map(type, records)) != {dict}:
        return None
    block = Block.of(records)
    return block if _is_exact(text, block) else None


def _is_exact(text: bytes, block: Block) -> bool:
    """Whether no key was dropped, which its colon would show, and no number was changed."""
    keys, nested = _unfold([*_values(block, list), *_values(block, dict)])
    keys += sum(map(len, block.records))
    colons = int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(":")))
    if colons > keys:
        if b"\\u003" in text:  # a text may hold a colon that was not counted
            return False
        names = itertools.chain.from_iterable(block.records)
        strings = itertools.chain(names, _values(block, str), _of(nested, str))
        colons -= "".join(strings).count(":")
    floats = [*_values(block, float), *_of(nested, float)]
    return colons == keys and _floats_are_exact(text, floats)


def _values(block: Block, kind: type) -> Iterator[Any]:
    columns = (values for name, values in block.columns.items() if kind in block.kinds[name])
    return itertools.chain.from_iterable(_of(values, kind) for values in columns)


def _of(values: list[Any], kind: type) -> Iterator[Any]:
    return (value for value in values if type(value) is kind)


def _unfold(values: list[Any]) -> tuple[int, list[Any]]:
    """What arrays and objects hold, at any depth: how many keys, and all values and keys."""
    keys, held = 0, []
    while values:
        value = values.pop()
        if type(value) is dict:
            keys += len(value)
            values += [*value, *value.values()]
        elif type(value) is list:
            values += value
        else:
            held.append(value)
    return keys, held


def _floats_are_exact(text: bytes, floats: list[float]) -> bool:
    """Whether no float stands for a large integer, and no 0.0 for a number close to zero.

    Such a number is written with a negative exponent, or with hundreds of zeros.
    """
    if floats and (max(floats) >= 2**63 or min(floats) <= -(2**63)):
        return False
    return 0.0 not in floats or not any(sign in text for sign in (b"e-", b"E-", b"0" * 300))

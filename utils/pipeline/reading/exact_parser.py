"""The exact parser: strict JSON, and where and how a text breaks it. It does no I/O.

It is Python's own JSON decoder with five rules added: a key occurs once in an object; a number is
finite; an integer has no more digits than Python converts; a number with a fraction or an exponent
is within a float's range, so that it becomes neither infinite nor zero (within that range it is the
nearest float, however many digits it has); and values are no deeper than a pickle takes.
"""

import itertools
import json
import math
import re
import sys
from collections import Counter
from typing import Any, NoReturn

from pipeline.errors.wording import found, quoted

Record = dict[str, Any]

SHOWN = 20  # characters of a faulty text
# An error this close to the end of a text may be a token that goes on in the next text: the longest
# that json does not report as unterminated are \ud83d\ude00 and -Infinity.
TOKEN = 16
DEPTH = 2_000  # of arrays and objects: more than the fast parser takes, less than pickle does

_SPACE = re.compile(r"[ \t\r\n]*")
_NOT_ZERO = re.compile(r"[-0.]*[1-9]")
_END = "found the end of the file"
_LINE_END = "found the end of the line"
TOO_DEEP = f"values are nested at most {DEPTH} deep; found more"


class Broken(ValueError):
    """A text breaks a rule.

    Attributes:
        at: the character where it does.
        by_the_end: perhaps only because the text ends too early.
        records: how many are complete before it.
    """

    def __init__(self, at: int, rule: str, by_the_end: bool = False, records: int = 0) -> None:
        super().__init__(rule)
        self.at, self.by_the_end, self.records = at, by_the_end, records


def parse(text: str, first: bool, last: bool) -> tuple[list[Record], int]:
    """Parse an array's records.

    Args:
        text: begins behind the array's bracket, or behind a record; it may end anywhere.
        first: no record comes before this text.
        last: the file ends with this text.

    Returns:
        The complete records, and the character where the last of them ends.
    """
    decoder = _Decoder()
    records: list[Record] = []
    end = 0
    try:
        while (start := _next_record(text, end, first and not records)) is not None:
            record, end = decoder.decode(text, start)
            records.append(record)
    except Broken as broken:
        if last or not broken.by_the_end:
            raise Broken(broken.at, str(broken), records=len(records)) from None
    return records, end


def parse_lines(text: str) -> tuple[list[Record], int]:
    """Parse whole lines, each a record or blank; returns what `parse` does."""
    decoder = _Decoder()
    records: list[Record] = []
    start = 0
    for line in text.split("\n"):
        try:
            if (at := _skip_space(line, 0)) < len(line):
                record, end = decoder.decode(line, at)
                after = _skip_space(line, end)
                if after < len(line):
                    raise Broken(after, f"a line holds one object; {shown(line, after)}")
                records.append(record)
        except Broken as broken:
            rule = str(broken).replace(_END, _LINE_END)
            raise Broken(start + broken.at, rule, records=len(records)) from None
        start += len(line) + 1
    return records, len(text)


def shown(text: str, at: int = 0) -> str:
    """What an error found: the text's characters from there on."""
    return f"found the characters {quoted(text[at : at + SHOWN])}" if at < len(text) else _END


def _next_record(text: str, end: int, first: bool) -> int | None:
    """Where the record behind `end` starts; None where the array ends."""
    at = _skip_space(text, end)
    if at == len(text):
        raise Broken(at, f"the array must end with ]; {_END}", by_the_end=True)
    if text[at] == "]":
        after = _skip_space(text, at + 1)
        if after < len(text):
            raise Broken(after, f"nothing may follow the array; {shown(text, after)}")
        return None
    if first:
        return at
    if text[at] != ",":
        raise Broken(at, f"expected , or ]; {shown(text, at)}")
    start = _skip_space(text, at + 1)
    if start == len(text):
        raise Broken(at, f"a record must be complete; {_END}", by_the_end=True)
    return start


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _depth(value: Any) -> int:
    """How deep a value's arrays and objects are nested; found without recursion."""
    inner, depth = [value], 0
    while inner := [each for each in inner if type(each) in (dict, list)]:
        held = (each.values() if type(each) is dict else each for each in inner)
        inner, depth = list(itertools.chain.from_iterable(held)), depth + 1
    return depth


class _Decoder:
    """Python's JSON decoder, and the rules that it lacks.

    A number that breaks a rule is refused when its object is complete: the end of the text may
    have cut the number in two.
    """

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.start = 0
        self.json = json.JSONDecoder(
            parse_int=self._integer,
            parse_float=self._float,
            parse_constant=self._constant,
            object_pairs_hook=self._object,
        )

    def decode(self, text: str, start: int) -> tuple[Record, int]:
        self.refused.clear()
        self.start = start
        try:
            record, end = self.json.raw_decode(text, start)
        except json.JSONDecodeError as error:
            self._explain(text, start, error)
        except RecursionError:
            raise Broken(start, TOO_DEEP) from None
        if type(record) is not dict:
            rule = f"expected an object; found {found(record)}"
            raise Broken(start, rule, by_the_end=end + TOKEN >= len(text))
        brackets = text.count("[", start, end) + text.count("{", start, end)
        if brackets > DEPTH and _depth(record) > DEPTH:
            raise Broken(start, TOO_DEEP)
        return record, end

    def _explain(self, text: str, start: int, error: json.JSONDecodeError) -> NoReturn:
        if error.pos == len(text) or error.msg.startswith("Unterminated string"):
            raise Broken(start, f"a record must be complete; {_END}", by_the_end=True) from None
        rule = f"expected valid JSON ({error.msg}); {shown(text, error.pos)}"
        raise Broken(error.pos, rule, by_the_end=error.pos + TOKEN >= len(text)) from None

    def _integer(self, token: str) -> int:
        try:
            return int(token)
        except ValueError:
            most, digits = sys.get_int_max_str_digits(), len(token.lstrip("-"))
            self.refused.append(f"an integer has at most {most} digits; found {digits}")
            return 0

    def _float(self, token: str) -> float:
        value = float(token)
        if math.isinf(value) or (value == 0 and _NOT_ZERO.match(token)):
            number = token if len(token) <= SHOWN else token[:SHOWN] + "…"
            self.refused.append(f"numbers must be within a float's range; found {number}")
        return value

    def _constant(self, token: str) -> float:
        self.refused.append(f"numbers must be finite; found {token}")
        return math.nan

    def _object(self, pairs: list[tuple[str, Any]]) -> Record:
        if self.refused:
            raise Broken(self.start, self.refused[0])
        record = dict(pairs)
        if len(record) < len(pairs):
            [(again, _)] = Counter(key for key, _ in pairs).most_common(1)
            raise Broken(
                self.start, f"a key may occur once in an object; found {quoted(again)} again"
            )
        return record

"""The exact parser: strict JSON, and where and how a text breaks it. It does no I/O.

It is Python's own JSON decoder with four rules added: a key occurs once in an object; a number is
finite; an integer has no more digits than Python converts; and a number with a fraction or an
exponent is within a float's range, so that it becomes neither infinite nor zero. Within that range
it is the nearest float, however many digits it has.
"""

import json
import math
import re
import sys
from collections import Counter
from typing import Any, NamedTuple, NoReturn

from pipeline.errors.wording import found, quoted

Record = dict[str, Any]

SHOWN = 20  # characters of a faulty text
# An error this close to the end of a text may be a token that goes on in the next text: the longest
# that json does not report as unterminated are \ud83d\ude00 and -Infinity.
TOKEN = 16

_SPACE = re.compile(r"[ \t\r\n]*")
_NOT_ZERO = re.compile(r"[-0.]*[1-9]")
_END = "found the end of the file"
_LINE_END = "found the end of the line"


class Fault(NamedTuple):
    """The rule broken at a character of the text, and what was found there."""

    at: int
    rule: str


class Parsed(NamedTuple):
    """What a text holds.

    Attributes:
        records: the complete ones.
        end: where the last of them ends, in characters.
        fault: of the text behind them; None where more text may complete it, or the array ends.
    """

    records: list[Record]
    end: int
    fault: Fault | None = None


def parse(text: str, first: bool, last: bool) -> Parsed:
    """Parse an array's records.

    Args:
        text: begins behind the array's bracket, or behind a record; it may end anywhere.
        first: no record comes before this text.
        last: the file ends with this text.
    """
    decoder = _Decoder()
    records: list[Record] = []
    end = 0
    try:
        while (start := _next_record(text, end, first and not records)) is not None:
            record, end = decoder.decode(text, start)
            records.append(record)
    except _Broken as broken:
        if last or not broken.by_the_end:
            return Parsed(records, end, broken.fault)
    return Parsed(records, end)


def parse_lines(text: str) -> Parsed:
    """Parse whole lines, each a record or blank."""
    decoder = _Decoder()
    records: list[Record] = []
    start = 0
    for line in text.split("\n"):
        try:
            if (at := _skip_space(line, 0)) < len(line):
                record, end = decoder.decode(line, at)
                after = _skip_space(line, end)
                if after < len(line):
                    raise _Broken(after, f"a line holds one object; {shown(line, after)}")
                records.append(record)
        except _Broken as broken:
            at, rule = broken.fault
            return Parsed(records, start, Fault(start + at, rule.replace(_END, _LINE_END)))
        start += len(line) + 1
    return Parsed(records, len(text))


def shown(text: str, at: int = 0) -> str:
    """What an error found: the text's characters from there on."""
    return f"found the characters {quoted(text[at : at + SHOWN])}" if at < len(text) else _END


class _Broken(Exception):
    """The text breaks a rule; `by_the_end`: perhaps only because it ends too early."""

    def __init__(self, at: int, rule: str, by_the_end: bool = False) -> None:
        self.fault = Fault(at, rule)
        self.by_the_end = by_the_end


class _Refused(ValueError):
    """A complete object breaks a rule."""


def _next_record(text: str, end: int, first: bool) -> int | None:
    """Where the record behind `end` starts; None where the array ends."""
    at = _skip_space(text, end)
    if at == len(text):
        raise _Broken(at, f"the array must end with ]; {_END}", by_the_end=True)
    if text[at] == "]":
        after = _skip_space(text, at + 1)
        if after < len(text):
            raise _Broken(after, f"nothing may follow the array; {shown(text, after)}")
        return None
    if first:
        return at
    if text[at] != ",":
        raise _Broken(at, f"expected , or ]; {shown(text, at)}")
    start = _skip_space(text, at + 1)
    if start == len(text):
        raise _Broken(at, f"a record must be complete; {_END}", by_the_end=True)
    return start


def _skip_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


class _Decoder:
    """Python's JSON decoder, and the rules that it lacks.

    A number that breaks a rule is refused when its object is complete: the end of the text may
    have cut the number in two.
    """

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.json = json.JSONDecoder(
            parse_int=self._integer,
            parse_float=self._float,
            parse_constant=self._constant,
            object_pairs_hook=self._object,
        )

    def decode(self, text: str, start: int) -> tuple[Record, int]:
        self.refused.clear()
        try:
            record, end = self.json.raw_decode(text, start)
        except json.JSONDecodeError as error:
            self._explain(text, start, error)
        except RecursionError:
            raise _Broken(start, "values are nested too deeply") from None
        except _Refused as error:
            raise _Broken(start, str(error)) from None
        if type(record) is not dict:
            rule = f"expected an object; found {found(record)}"
            raise _Broken(start, rule, by_the_end=end + TOKEN >= len(text))
        return record, end

    def _explain(self, text: str, start: int, error: json.JSONDecodeError) -> NoReturn:
        if error.pos == len(text) or error.msg.startswith("Unterminated string"):
            raise _Broken(start, f"a record must be complete; {_END}", by_the_end=True) from None
        rule = f"expected valid JSON ({error.msg}); {shown(text, error.pos)}"
        raise _Broken(error.pos, rule, by_the_end=error.pos + TOKEN >= len(text)) from None

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
            raise _Refused(self.refused[0])
        record = dict(pairs)
        if len(record) < len(pairs):
            [(again, _)] = Counter(key for key, _ in pairs).most_common(1)
            raise _Refused(f"a key may occur once in an object; found {quoted(again)} again")
        return record

"""Formulas over the columns of a summary: `金額 / 数量`, computed exactly and rounded once."""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from pipeline.errors.wording import quoted
from pipeline.summaries.exact import Fractions

_TOKEN = re.compile(
    r"""
    (?P<number> [0-9]+(?:\.[0-9]+)? )
    | (?P<over> total | running ) \s*\(
      (?: \s* (?: (?P<word> [^\W\d]\w* ) | `(?P<ticked>[^`]*)` ) \s*\) )?
    | (?P<name> [^\W\d]\w* ) | `(?P<quoted>[^`]*)` | \S
    """,
    re.VERBOSE,
)
_ASCII = str.maketrans("−×÷", "-*/")
_BINDS = {"+": 1, "-": 1, "*": 2, "/": 2, "negative": 3}
END = "the end"
STARTS = ("", "(", "-")  # may stand where a value is due: a value, …
GOES_ON = (")", "+", "-", "*", "/", END)  # … and after one
_OPERATORS: dict[str, Callable[..., Fractions]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "negative": operator.neg,
}


class InvalidFormula(ValueError):
    """A text that is no formula: says the rule, and what was found."""


class Name(NamedTuple):
    """A column that a formula computes with.

    Attributes:
        over: total, of all records; running, of the rows down to this one; "" of the row itself.
    """

    column: str
    over: str = ""


Step = Fraction | Name | str  # a number, a column, one of _OPERATORS or a bracket


@dataclass(frozen=True)
class Formula:
    """A formula in the order in which it is computed, each sign after its operands.

    `(a + b) / 2` has the steps a, b, +, 2, /.
    """

    steps: list[Step]

    @property
    def names(self) -> list[Name]:
        return [step for step in self.steps if isinstance(step, Name)]

    def value(self, operand: Callable[[Name], Fractions], rows: int) -> Fractions:
        """Of each of the rows."""
        stack: list[Fractions] = []
        for step in self.steps:
            if isinstance(step, Fraction):
                stack.append(Fractions.constant(step, rows))
            elif isinstance(step, Name):
                stack.append(operand(step))
            else:
                operands = [stack.pop() for _ in range(1 if step == "negative" else 2)]
                stack.append(_OPERATORS[step](*reversed(operands)))
        return stack.pop()


def read_formulas(texts: Mapping[str, str]) -> dict[str, Formula]:
    """The formulas of columns, each after those that it computes with.

    Raises:
        InvalidFormula: one is none, or computes with itself; names the column.
    """
    left = {}
    for name, text in texts.items():
        try:
            left[name] = Formula([*_in_order(_tokens(text))])
        except InvalidFormula as error:
            raise InvalidFormula(f"{name}: {error}") from None
    ordered: dict[str, Formula] = {}
    while left:
        ready = {
            name: each
            for name, each in left.items()
            if not any(operand.column in left for operand in each.names)
        }
        if not ready:
            raise InvalidFormula(f"a formula must not compute with itself; found {', '.join(left)}")
        ordered |= ready
        left = {name: each for name, each in left.items() if name not in ready}
    return ordered


def _tokens(text: str) -> Iterator[Step]:
    for match in _TOKEN.finditer(text):
        name = match["name"] or match["quoted"]
        sign = match[0].translate(_ASCII)
        if match["number"]:
            yield Fraction(match["number"])
        elif over := match["over"]:
            column = match["word"] or match["ticked"]
            if column is None:
                raise InvalidFormula(f"{over}(…) is of one column; found {quoted(match[0])}")
            yield Name(column, over)
        elif name is not None:
            yield Name(name)
        elif sign in _BINDS or sign in ("(", ")"):
            yield sign
        else:
            rule = (
                "a formula has + − × ÷, brackets, numbers and names of columns, in ` ` if need be"
            )
            raise InvalidFormula(f"{rule}; found {quoted(match[0])}")


def _in_order(tokens: Iterable[Step]) -> Iterator[Step]:
    """E. Dijkstra's shunting yard: a sign waits until what binds more tightly is computed."""
    waiting: list[str] = []
    value_next = True  # or a sign
    for token in tokens:
        sign = token if isinstance(token, str) else ""
        _check(sign, value_next)
        if not sign:
            yield token
        elif sign == "(":
            waiting.append(sign)
        elif value_next:
            waiting.append("negative")
        else:
            yield from _computed_before(sign, waiting)
        value_next = sign not in ("", ")")
    _check(END, value_next)
    yield from _computed_before(END, waiting)


def _check(sign: str, value_next: bool) -> None:
    """Raise InvalidFormula unless the sign may stand here; "" is a value."""
    if sign not in (STARTS if value_next else GOES_ON):
        wanted = "value" if value_next else "sign"
        raise InvalidFormula(f"a formula must have a {wanted} there; found {sign or 'a value'}")


def _computed_before(sign: str, waiting: list[str]) -> Iterator[Step]:
    """The signs that bind at least as tightly; before a closing bracket all since it was opened."""
    while waiting and waiting[-1] != "(" and _BINDS[waiting[-1]] >= _BINDS.get(sign, 0):
        yield waiting.pop()
    if sign in _BINDS:
        waiting.append(sign)
    elif bool(waiting) != (sign == ")"):
        raise InvalidFormula("a formula must have its brackets in pairs; found one alone")
    elif sign == ")":
        waiting.pop()

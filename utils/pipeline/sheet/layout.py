"""What an ETL says of its sheets' looks, in `LAYOUT`."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.errors.wording import require
from pipeline.excel import COLUMN_WIDTH, is_printable

TITLE_CHARACTERS = 100  # of the 255 UTF-16 units that the header of a page takes, & counted twice


class InvalidLayout(ValueError):
    """A layout that no sheet can have."""


@dataclass(frozen=True)
class Layout:
    """
    Attributes:
        title: above each page.
        freeze: the last column that stays in view; "" for none.
        hidden: columns that are there and not shown.
        widths: of columns, in digits.
    """

    title: str = ""
    freeze: str = ""
    hidden: list[str] = field(default_factory=list)
    widths: dict[str, float] = field(default_factory=dict)


def layout_of(declared: Mapping[str, Any]) -> Layout:
    """
    Raises:
        InvalidLayout: names what is declared, the rule and what was found.
    """
    for holds, rule, value in _rules(declared):
        require(holds, f"LAYOUT: {rule}", value, InvalidLayout)
    return Layout(**declared)


def _rules(declared: Mapping[str, Any]) -> Iterator[tuple[bool, str, Any]]:
    known = asdict(Layout())
    for name in declared:
        yield name in known, f"has {', '.join(known)} and nothing else", name
    layout = known | dict(declared)
    title, hidden, widths = layout["title"], layout["hidden"], layout["widths"]
    short = isinstance(title, str) and len(title) <= TITLE_CHARACTERS and is_printable(title)
    yield short, f"title must be a text of up to {TITLE_CHARACTERS} printable characters", title
    yield isinstance(layout["freeze"], str), "freeze must name a column", layout["freeze"]
    yield isinstance(hidden, list), "hidden must be a list of columns", hidden
    for name in hidden:
        yield isinstance(name, str), "hidden must name columns", name
    yield isinstance(widths, dict), "widths must be a dictionary: column → width", widths
    for name, width in widths.items():
        yield isinstance(name, str), "widths must name columns", name
        fits = type(width) in (int, float) and 0 < width <= COLUMN_WIDTH
        yield fits, f"the width of {name} must be above 0 and at most {COLUMN_WIDTH}", width

"""An ETL of the user's: a module whose `process` makes rows of rows, and what it declares beside it."""

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from pipeline.errors.wording import require
from pipeline.etl_names import names
from pipeline.excel import check_formats
from pipeline.keys import InvalidEvent
from pipeline.reading.references import References, check_references
from pipeline.segments.rules import check_columns
from pipeline.sheet.layout import Layout, layout_of
from pipeline.summaries.summary import Summary, check_summaries

# What a module declares: the type of it, and of what it holds.
DECLARED: dict[str, tuple[Any, type]] = {
    "columns": (list | tuple, str),
    "numbers": (list | tuple, str),
    "summaries": (list | tuple, Summary),
    "formats": (dict, str),
    "layout": (dict, str),
    "references": (dict, str),
}
WORDS: dict[Any, str] = {dict: "dictionary", str: "names", Summary: "Summary(…)"}


class InvalidEtl(ValueError):
    """A module declares something else than an ETL does."""


_require = partial(require, error=InvalidEtl)


@dataclass(frozen=True)
class Etl:
    """
    Attributes:
        process: of a table and, if it takes two, its references.
        columns: that a table must have, and an empty one gets.
        numbers: whose plain numbers in CSV are numbers.
        summaries, formats, layout, references: see SUMMARIES, FORMATS, LAYOUT and REFERENCES in the
            README.
    """

    name: str
    process: Callable[..., pd.DataFrame]
    columns: list[str] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    summaries: list[Summary] = field(default_factory=list)
    formats: dict[str, str] = field(default_factory=dict)
    layout: Layout = field(default_factory=Layout)
    references: dict[str, str] = field(default_factory=dict)

    def apply(self, df: pd.DataFrame, references: References) -> pd.DataFrame:
        """
        Raises:
            MissingColumn: one of `columns` is not there.
        """
        texts = {name: object for name in self.columns if name not in self.numbers}
        table = df if len(df.columns) else df.reindex(columns=self.columns).astype(texts)
        check_columns(table, self.columns)
        return self.process(*[table, references][: arguments(self.process)])

    def check_sheets(self, sheets: str | None) -> None:
        """Raise InvalidEvent if the execution's input asks for summaries alone, and there are none."""
        rule = f"sheets: must not be given where the ETL, {self.name}, has no SUMMARIES"
        require(self.summaries or not sheets, rule, sheets, InvalidEvent)


def arguments(process: Callable[..., Any]) -> int:
    """How many it takes: 1 for df, 2 for df and references, 0 for neither."""
    signature = inspect.signature(process)
    for count in (1, 2):
        with suppress(TypeError):
            signature.bind(*range(count))
            return count
    return 0


@cache
def load(folder: Path, name: str) -> Etl:
    """
    Args:
        name: one of `names(folder)`.

    Raises:
        InvalidEtl, InvalidSummary, InvalidSheetName, InvalidFormat, InvalidLayout,
            InvalidReference: names what is declared, the rule and what was found.
        Any other error: that of the module.
    """
    module = run(folder / f"{name}.py")
    process: Any = getattr(module, "process", None)
    _require(callable(process), "process: must be a function process(df)", process)
    rule = "process: must take df, or df and references, and nothing else without a default"
    _require(arguments(process), rule, str(inspect.signature(process)))
    there = [each for each in DECLARED if hasattr(module, each.upper())]
    declared: dict[str, Any] = {each: getattr(module, each.upper()) for each in there}
    for each, value in declared.items():
        kind, of = DECLARED[each]
        rule = f"{each.upper()}: must be a {WORDS.get(kind, 'list')}"
        _require(isinstance(value, kind), rule, value)
        for held in value:
            _require(isinstance(held, of), f"{each.upper()}: must hold {WORDS[of]}", held)
    etl = Etl(name, process, **declared | {"layout": layout_of(declared.get("layout", {}))})
    check_formats(etl.formats)
    check_summaries(etl.summaries)
    check_references(etl.references)
    return etl


def run(path: Path) -> ModuleType:
    """The module of a file, under the name by which its tests import it."""
    spec = importlib.util.spec_from_file_location(f"etl.{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def check_all(folder: Path) -> None:
    """Load each ETL of a folder, as the function will.

    Raises:
        SystemExit: says which is faulty, where and why.
    """
    if faults := [fault for name in names(folder) if (fault := fault_of(folder, name))]:
        sys.exit("\n".join(faults))


def fault_of(folder: Path, name: str) -> str:
    """Such as `demo-segment/etl/orders.py: InvalidSummary: summary 商品別: …`; "" without a fault."""
    path = folder / f"{name}.py"
    try:
        load(folder, name)
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [each.lineno for each in frames if each.filename == str(path)]
        line = f":{lines[-1]}" if lines else ""
        return f"{'/'.join(path.parts[-3:])}{line}: {type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    check_all(Path(sys.argv[1]))

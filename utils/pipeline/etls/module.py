"""An ETL of the user's: a module whose `process` makes rows of rows, and what it declares beside it."""

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from pipeline.errors.wording import found, require
from pipeline.etl_names import names
from pipeline.excel import check_formats
from pipeline.keys import InvalidEvent
from pipeline.reading.references import References, check_references
from pipeline.segments.refused import check_columns
from pipeline.sheet.layout import layout_of
from pipeline.summaries.summary import Summary, check_summaries


class InvalidEtl(ValueError):
    """A module declares something else than an ETL does."""


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
    layout: dict[str, Any] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)

    def apply(self, df: pd.DataFrame, references: References) -> pd.DataFrame:
        """
        Raises:
            MissingColumn: one of `columns` is not there.
        """
        table = df if len(df.columns) else df.reindex(columns=self.columns)
        check_columns(table, self.columns)
        return self.process(*[table, references][: arguments(self.process)])

    def check_sheets(self, sheets: str | None) -> None:
        """Raise InvalidEvent if the execution's input asks for summaries alone, and there are none."""
        if sheets and not self.summaries:
            rule = f"must not be given where the ETL, {self.name}, has no SUMMARIES"
            raise InvalidEvent(f"sheets: {rule}; found {found(sheets)}")

    def check(self) -> None:
        """
        Raises:
            InvalidEtl, InvalidSummary, InvalidSheetName, InvalidFormat, InvalidLayout,
            InvalidReference: names what is declared, the rule and what was found.
        """
        for name, kind, of in (
            ("COLUMNS", list | tuple, str),
            ("NUMBERS", list | tuple, str),
            ("SUMMARIES", list | tuple, Summary),
            ("FORMATS", dict, str),
            ("LAYOUT", dict, str),
            ("REFERENCES", dict, str),
        ):
            value = getattr(self, name.lower())
            what = "dictionary" if kind is dict else "list"
            _require(isinstance(value, kind), f"{name}: must be a {what}", value)
            for each in value:
                _require(isinstance(each, of), f"{name}: must hold {WORDS[of]}", each)
        check_formats(self.formats)
        layout_of(self.layout)
        check_summaries(self.summaries)
        check_references(self.references)


WORDS: dict[type, str] = {str: "names", Summary: "Summary(…)"}


def _require(holds: bool, rule: str, value: Any) -> None:
    require(holds, rule, value, InvalidEtl)


def arguments(process: Callable[..., Any]) -> int:
    """How many of df and references it takes."""
    given = inspect.signature(process).parameters.values()
    return sum(each.default is each.empty for each in given)


@cache
def load(folder: Path, name: str) -> Etl:
    """
    Args:
        name: one of `names(folder)`.

    Raises:
        InvalidEtl, …: see Etl.check; and whatever the module raises.
    """
    module = run(folder / f"{name}.py")
    process: Any = getattr(module, "process", None)
    _require(callable(process), "process: must be a function process(df)", process)
    rule = "process: must take df, or df and references, and nothing else without a default"
    _require(arguments(process) in (1, 2), rule, str(inspect.signature(process)))
    declared = {
        each: getattr(module, each.upper())
        for each in ("columns", "numbers", "summaries", "formats", "layout", "references")
        if hasattr(module, each.upper())
    }
    etl = Etl(name, process, **declared)
    etl.check()
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
    faults = [fault for name in names(folder) if (fault := fault_of(folder, name))]
    if faults:
        sys.exit("\n".join(faults))


def fault_of(folder: Path, name: str) -> str:
    """Such as `demo-segment/etl/orders.py: InvalidSummary: summary 商品別: …`; "" without a fault."""
    path = folder / f"{name}.py"
    try:
        load(folder, name)
    except Exception as error:
        lines = [
            each.lineno
            for each in traceback.extract_tb(error.__traceback__)
            if each.filename == str(path)
        ]
        line = f":{lines[-1]}" if lines else ""
        shown = "/".join(path.parts[-3:])
        return f"{shown}{line}: {type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    check_all(Path(sys.argv[1]))

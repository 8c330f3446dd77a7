"""Write an ETL and its tests from a table of the user's: what `make etl` runs."""

import datetime as dt
import itertools
import json
import keyword
import os
import sys
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import endings
from pipeline.errors.wording import printable
from pipeline.reading import formats
from pipeline.reading.columns import Table
from pipeline.reading.csv_table import CSVColumns
from pipeline.reading.gunzip import unpack
from pipeline.segments.rules import is_number

PIECE_BYTES = 240_000
PIECES = 40  # of the table, that are looked at
SAMPLE_ROWS = 3  # of the tests
GROUPS = 50  # of a first summary, at most
SUMS = 3  # of it
WIDTH = 100  # of a line
# How CSV may be written, as the execution's input says it: the likeliest first.
WAYS: list[dict[str, str]] = [
    {},
    {"encoding": "cp932"},
    {"delimiter": ";"},
    {"encoding": "cp932", "delimiter": ";"},
]
# Names that no column of a Summary can have as an argument.
TAKEN = {*keyword.kwlist, "by", "across", "total", "sort", "top", "chart"}

MODULE = '''"""{name}: what its rule makes of each record, and what they sum to.{start}"""

import pandas as pd

from pipeline.etl import Summary, is_number, refuse

COLUMNS = {columns}
NUMBERS: list[str] = {numbers}
SUMMARIES = [
    {summary},
]
FORMATS: dict[str, str] = {{}}


def process(df: pd.DataFrame) -> pd.DataFrame:
    """Refuse what is no number. New columns go last: df.assign(name=…)."""
    for name in NUMBERS:
        refuse(df, name, df[name].notna() & ~is_number(df[name]), "must be a number")
    return df
'''
START = """ Start it with
INPUT='{given}'.
"""
TESTS = """import pandas as pd
import pytest

from etl.{name} import COLUMNS, NUMBERS, SUMMARIES, process
from pipeline.etl import InvalidMember, summarize

ROWS: list = {rows}
TABLE = pd.DataFrame(ROWS, columns=COLUMNS)


def test_the_table_keeps_its_columns():
    assert list(process(TABLE).columns)[: len(COLUMNS)] == COLUMNS


def test_a_text_in_place_of_a_number_is_named():
    for name in NUMBERS:
        faulty = TABLE.astype({{name: object}})
        faulty.loc[0, name] = "free"
        with pytest.raises(InvalidMember, match='must be a number; found the text "free"'):
            process(faulty)


def test_every_record_is_counted():
    summary = summarize(process(TABLE), SUMMARIES[0])
    assert summary[{count}].iloc[-1] == len(TABLE)
"""


def main(name: str, file: str, folder: Path) -> str:
    """Returns what was written.

    Raises:
        SystemExit: the name is none or taken, or the file is no table.
    """
    module, tests = folder / f"{name}.py", folder / "tests" / f"test_{name}.py"
    if not name or name != argument(name) or name.startswith("_") or name == tests.parent.name:
        rule = "must be a name of Python's, such as sales, and not tests"
        sys.exit(f"error: NAME: {rule}; found {name!r}")
    for path in (module, tests):
        if path.exists():
            sys.exit(f"error: NAME: {os.path.relpath(path)} must not be there; found it")
    if not Path(file).is_file():
        sys.exit(f"error: FILE: must be a file; found {file!r}")
    try:
        draft = Draft(name, *read(Path(file)))
    except (OSError, ValueError) as error:
        sys.exit(f"error: FILE: {error}")
    if not len(draft.df.columns):
        sys.exit(f"error: FILE: {file} must have a record; found none")
    tests.parent.mkdir(parents=True, exist_ok=True)
    module.write_text(draft.module(), encoding="utf-8")
    tests.write_text(draft.tests(), encoding="utf-8")
    columns, numbers = len(draft.df.columns), len(draft.numbers)
    summary = f"by {draft.by}" if draft.by else "of all"
    wrote = f"{os.path.relpath(module)} and {os.path.relpath(tests)}"
    counted = f"{columns} column{'s' * (columns != 1)}"
    return f"{wrote}: {counted}, {numbers} of numbers; a summary {summary}"


def read(path: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """The beginning of a table, and what the input must say of it: one of WAYS.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no table; names the record and the line or byte.
    """
    faults: list[ValueError] = []
    found: list[tuple[pd.DataFrame, dict[str, str]]] = []
    for given in WAYS if endings.is_csv(path.name) else WAYS[:1]:
        try:
            df = beginning(path, given)
        except ValueError as error:
            faults.append(error)
            continue
        if len(df.columns) > 1:
            return df, given
        if "delimiter" not in given:  # whatever a file holds, a wrong delimiter makes it one column
            found.append((df, given))
    if found:
        return found[0]
    raise faults[0]


def beginning(path: Path, given: dict[str, str], texts: Any = ()) -> pd.DataFrame:
    with path.open("rb") as file:
        form = formats.tell(path.name, file.read(PIECE_BYTES), path.stat().st_size)
        file.seek(0)
        chunks = iter(partial(file.read, PIECE_BYTES), b"")
        text = unpack(chunks, path.name, PIECE_BYTES) if form.packed else chunks
        columns = CSVColumns(texts)
        reader = form.reader(text, path.name, columns, **given)
        table = Table(itertools.islice(reader.blocks(PIECE_BYTES), PIECES))
    if columns.mixed:
        return beginning(path, given, columns.texts)
    return pd.DataFrame(table.arrays(), columns=reader.header or None, copy=False)


@dataclass(frozen=True)
class Draft:
    """An ETL as the beginning of a table suggests it."""

    name: str
    df: pd.DataFrame
    given: dict[str, str] = field(default_factory=dict)  # of WAYS

    @cached_property
    def numbers(self) -> list[str]:
        """The columns that hold numbers, and nothing else."""
        given = self.df.notna()
        return [
            name
            for name in self.df.columns
            if given[name].any() and is_number(self.df[name]).equals(given[name])
        ]

    @cached_property
    def by(self) -> str | None:
        """The column of texts with the fewest values, if it makes groups."""
        texts = [name for name in self.df.columns if name and self.df[name].dtype == "str"]
        counts = {name: self.df[name].nunique() for name in texts}
        groups = [name for name in texts if 1 < counts[name] <= min(GROUPS, len(self.df) - 1)]
        return min(groups, key=lambda name: counts[name], default=None)

    @cached_property
    def words(self) -> dict[str, str]:
        """In the language of the table's header."""
        if all(str(name).isascii() for name in self.df.columns):
            return {"sheet": "Summary", "total": "total", "count": "count"}
        return {"sheet": "集計", "total": "合計", "count": "件数"}

    @property
    def count(self) -> str:
        """The column that counts, unlike any of the table's."""
        name = self.words["count"]
        while name in self.df.columns:
            name += "2"
        return name

    def module(self) -> str:
        taken = {*self.df.columns, self.count}
        sums = {argument(name): name for name in self.numbers[:SUMS] if name}
        pairs = {self.count: f'({literal(self.df.columns[0])}, "size")'} | {
            key: f'({literal(name)}, "sum")'
            for key, name in sums.items()
            if key == name or key not in taken
        }
        arguments = [literal(self.words["sheet"])]
        if self.by:
            arguments += [f"by={literal(self.by)}", f"total={literal(self.words['total'])}"]
        arguments += [f"{key}={pair}" for key, pair in pairs.items()]
        return MODULE.format(
            name=self.name,
            start=START.format(given=json.dumps(self.given)) if self.given else "",
            columns=bracketed("[]", map(literal, self.df.columns)),
            numbers=bracketed("[]", map(literal, self.numbers)),
            summary="Summary" + bracketed("()", arguments, "    "),
        )

    def tests(self) -> str:
        rows = self.df.head(SAMPLE_ROWS).astype(object).to_numpy(dtype=object).tolist()
        lines = [bracketed("[]", map(literal, row), "    ") for row in rows]
        return TESTS.format(name=self.name, rows=bracketed("[]", lines), count=literal(self.count))


def argument(column: str) -> str:
    """A name for what a summary makes of a column: that of the column, as far as Python has it."""
    signs = unicodedata.normalize("NFKC", column)
    name = "".join(sign if f"_{sign}".isidentifier() else "_" for sign in signs)
    return "_" * (not name.isidentifier()) + name + "_" * (name in TAKEN)


def literal(value: Any) -> str:
    """As Python's source writes it, a text in double quotes."""
    if isinstance(value, str):
        return printable(json.dumps(value, ensure_ascii=False))
    if not isinstance(value, list | dict) and pd.isna(value):
        return "None"
    if isinstance(value, dt.timedelta):
        return f"pd.{pd.Timedelta(value)!r}"
    return f"pd.{pd.Timestamp(value)!r}" if isinstance(value, dt.datetime) else repr(value)


def bracketed(brackets: str, items: Iterable[str], indent: str = "") -> str:
    """In one line, or where that is long in one for each."""
    listed = list(items)
    line = brackets[0] + ", ".join(listed) + brackets[1]
    if len(indent + line) < WIDTH - 20 and "\n" not in line:
        return line
    inner = "".join(f"\n{indent}    {item}," for item in listed)
    return f"{brackets[0]}{inner}\n{indent}{brackets[1]}"


if __name__ == "__main__":
    pd.set_option("mode.string_storage", "python")  # as deployed, where pyarrow is not
    print(main(sys.argv[1], sys.argv[2], Path(os.environ["ETL_FOLDER"])))

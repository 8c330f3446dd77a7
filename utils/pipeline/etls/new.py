"""Write an ETL and its tests from a table of the user's: `python -m new_etl sales sales.csv`."""

import itertools
import keyword
import os
import sys
import unicodedata
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import endings
from pipeline.excel import InvalidSheetName, check_sheet_names
from pipeline.reading import formats
from pipeline.reading.columns import Table
from pipeline.reading.csv_table import ENCODINGS, CSVColumns
from pipeline.reading.gunzip import unpack
from pipeline.segments.refused import is_number
from pipeline.sheet.table import REJECTS

API = "pipeline.etl"  # what a rule imports from
PIECE_BYTES = 240_000
PIECES = 40  # of the table, that are looked at
SAMPLE_ROWS = 3  # of the tests
GROUPS = 50  # of a first summary, at most
SUMS = 3  # of it
WIDTH = 100  # of a line
# Arguments of Summary that no column of it can be named after.
ARGUMENTS = {"by", "across", "total", "sort", "top", "chart"}

MODULE = '''"""{name}: what its rule makes of each record, and what they sum to.{encoding}"""
{typing}
import pandas as pd

from {api} import Summary, is_number, refuse

COLUMNS = {columns}
NUMBERS{of_texts} = {numbers}
{named}SUMMARIES = [
    {summary},
]
FORMATS{of_pairs} = {formats}


def process(df: pd.DataFrame) -> pd.DataFrame:
    """Refuse what is no number. New columns go last: df.assign(name=…)."""
    for name in NUMBERS:
        refuse(df, name, df[name].notna() & ~is_number(df[name]), "must be a number")
    return df
'''
ENCODING = """ It is in CP932: start it with
INPUT='{"encoding": "cp932"}'.
"""
TESTS = """import pandas as pd
import pytest

from etl.{name} import COLUMNS, NUMBERS, SUMMARIES, process
from {api} import InvalidMember, summarize

ROWS = {rows}
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
    whole = name.isidentifier() and name == unicodedata.normalize("NFKC", name)
    if not whole or keyword.iskeyword(name) or name.startswith("_"):
        sys.exit(f"error: NAME: must be a name of Python's, such as sales; found {name!r}")
    for path in (module, tests):
        if path.exists():
            sys.exit(f"error: NAME: {os.path.relpath(path)} must not be there; found it")
    try:
        df, encoding = read(Path(file))
    except (OSError, ValueError) as error:
        sys.exit(f"error: FILE: {error}")
    if not len(df.columns):
        sys.exit(f"error: FILE: {file} must have a record; found none")
    made = {module: module_text(name, df, encoding), tests: text_of_tests(name, df)}
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    numbers, by = len(numbers_of(df)), text_with_few_values(df)
    wrote = " and ".join(os.path.relpath(path) for path in made)
    return f"{wrote}: {len(df.columns)} columns, {numbers} of numbers; a summary {f'by {by}' if by else 'of all'}"


def read(path: Path) -> tuple[pd.DataFrame, str]:
    """The beginning of a table, and its encoding.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no table; names the record and the line or byte.
    """
    encodings = ENCODINGS if endings.is_csv(path.name) else ENCODINGS[:1]
    faults = []
    for encoding in encodings:
        try:
            return beginning(path, encoding), encoding
        except ValueError as error:
            faults.append(error)
    raise faults[0]


def beginning(path: Path, encoding: str, texts: Any = ()) -> pd.DataFrame:
    with path.open("rb") as file:
        chunks: Iterator[bytes] = iter(partial(file.read, PIECE_BYTES), b"")
        head = next(chunks, b"")
        form = formats.tell(path.name, head, path.stat().st_size)
        chunks = itertools.chain([head], chunks)
        if form.packed:
            chunks = iter(unpack(chunks, path.name, PIECE_BYTES))
        columns = CSVColumns(texts)
        reader = form.reader(chunks, path.name, columns, encoding)
        table = Table(itertools.islice(reader.blocks(PIECE_BYTES), PIECES))
    if columns.mixed:
        return beginning(path, encoding, columns.texts)
    return pd.DataFrame(table.arrays(), columns=reader.header or None, copy=False)


def numbers_of(df: pd.DataFrame) -> list[str]:
    """The columns that hold numbers, and nothing else."""
    return [
        name
        for name in df.columns
        if is_number(df[name]).equals(df[name].notna()) and df[name].notna().any()
    ]


def text_with_few_values(df: pd.DataFrame) -> str | None:
    """The column of texts with the fewest values, if it makes groups."""
    counts = {
        name: df[name].nunique()
        for name in df.columns
        if name and df[name].dtype == "str" and 1 < df[name].nunique() <= min(GROUPS, len(df) - 1)
    }
    return min(counts, key=lambda name: counts[name]) if counts else None


def module_text(name: str, df: pd.DataFrame, encoding: str = "utf-8") -> str:
    numbers = numbers_of(df)
    sums = {each: (each, "sum") for each in numbers if each not in ("", *ARGUMENTS)}
    named = {count_name(df): (str(df.columns[0]), "size"), **dict(list(sums.items())[:SUMS])}
    arguments = [literal(sheet_name(df))]
    if by := text_with_few_values(df):
        arguments += [f"by={literal(by)}", f"total={literal(words(df)['total'])}"]
    pairs = {key: f"({literal(column)}, {literal(how)})" for key, (column, how) in named.items()}
    shown = {key: pair for key, pair in pairs.items() if is_keyword_argument(key)}
    others = [f"{literal(key)}: {pair}" for key, pair in pairs.items() if key not in shown]
    arguments += [f"{key}={pair}" for key, pair in shown.items()] + ["**NAMED"] * bool(others)
    number_formats = [f'{literal(each)}: "#,##0"' for each in large(df, numbers)]
    return MODULE.format(
        name=name,
        api=API,
        encoding=ENCODING if encoding == "cp932" else "",
        typing="\nfrom typing import Any\n" if others else "",
        columns=bracketed("[]", map(literal, df.columns)),
        numbers=bracketed("[]", map(literal, numbers)),
        named=f"NAMED: dict[str, Any] = {bracketed('{}', others)}\n" if others else "",
        summary="Summary" + bracketed("()", arguments, "    "),
        formats=bracketed("{}", number_formats),
        # What is empty does not tell its type.
        of_texts="" if numbers else ": list[str]",
        of_pairs="" if number_formats else ": dict[str, str]",
    )


def text_of_tests(name: str, df: pd.DataFrame) -> str:
    rows = df.head(SAMPLE_ROWS).astype(object).to_numpy(dtype=object).tolist()
    lines = (bracketed("[]", map(literal, row), "    ") for row in rows)
    shown = bracketed("[]", lines) if rows else "[]"
    return TESTS.format(name=name, api=API, rows=shown, count=literal(count_name(df)))


def words(df: pd.DataFrame) -> dict[str, str]:
    """In the language of the table's header."""
    if all(str(name).isascii() for name in df.columns):
        return {"total": "total", "count": "count", "by": "by {}", "all": "Summary"}
    return {"total": "合計", "count": "件数", "by": "{}別", "all": "集計"}


def count_name(df: pd.DataFrame) -> str:
    """Of the column that counts, unlike any of the table's."""
    word = words(df)["count"]
    names = itertools.chain([word], (f"{word}{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in df.columns)


def sheet_name(df: pd.DataFrame) -> str:
    by = text_with_few_values(df)
    name = words(df)["by"].format(by) if by else words(df)["all"]
    try:
        check_sheet_names([REJECTS, name])
    except InvalidSheetName:
        return words(df)["all"]
    return name


def large(df: pd.DataFrame, numbers: list[str]) -> list[str]:
    """The whole numbers of thousands and more."""
    return [
        name
        for name in numbers
        if (df[name].dropna() % 1 == 0).all() and df[name].abs().max() >= 1000
    ]


def is_keyword_argument(name: str) -> bool:
    """Whether Python takes it as it is: it makes others of half-width signs."""
    same = name == unicodedata.normalize("NFKC", name)
    return name.isidentifier() and same and not keyword.iskeyword(name)


def literal(value: Any) -> str:
    """As Python's source writes it, a text in double quotes where it can be."""
    if isinstance(value, str):
        text = repr(str(value))
        plain = not {'"', "'"} & set(value)
        return f'"{text[1:-1]}"' if plain else text
    missing = not isinstance(value, list | dict) and pd.isna(value)
    return "None" if missing else repr(value)


def bracketed(brackets: str, items: Any, indent: str = "") -> str:
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

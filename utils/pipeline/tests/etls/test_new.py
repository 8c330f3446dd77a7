"""What `make etl` writes runs at once, whatever the columns of the table are called."""

import ast
import datetime as dt
import json
import random
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import openpyxl
import pytest

from pipeline.etls.new import Draft, main, read

ROOT = Path(__file__).resolve().parents[4]
SIGNS = "a _'\"\\{}\n\t\0あ漢 #%ﾎﾟ１😀\ud800"
WORDS = ["class", "by", "total", "sort", "top", "chart", "name", "self", "件数", "count", "__x"]
KINDS: list[list[Any]] = [
    [1, 20_000, None],
    [0.5, 1e9],
    ["東", "西"],
    ["a", "a", 'b"'],
    [None],
    [None, 1, 2.5, 10**20, True, "", "x", "'\"", "\ud800", [1], {"a": {}}],
]


def records(seed: int) -> list[dict[str, Any]]:
    """Records of some columns, each with cells of one kind or of any."""
    rng = random.Random(seed)
    texts = ["".join(rng.choices(SIGNS, k=rng.randrange(7))) for _ in range(4)]
    kinds = {name: rng.choice(KINDS) for name in rng.sample([*texts, *WORDS], rng.randint(1, 5))}
    return [
        {name: rng.choice(kind) for name, kind in kinds.items()} for _ in range(rng.randint(1, 8))
    ]


def executed(source: str, name: str) -> ModuleType:
    module = ModuleType(name)
    exec(compile(source.encode(), name, "exec"), module.__dict__)
    return module


@pytest.mark.parametrize("seed", range(40))
def test_any_table_has_an_etl_whose_tests_pass(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, path = records(seed), tmp_path / "t.json"
    path.write_text(json.dumps(table))
    draft = Draft("own", *read(path))
    etl = executed(draft.module(), "etl.own")
    assert list(table[0]) == etl.COLUMNS
    for name in table[0]:
        given_cells = [row[name] for row in table if row[name] is not None]
        whole = bool(given_cells) and {*map(type, given_cells)} <= {int, float}
        assert (name in etl.NUMBERS) == whole
    for summary in etl.SUMMARIES:
        summary.declared.check()
    monkeypatch.setitem(sys.modules, "etl.own", etl)
    tests = executed(draft.tests(), "test_own")
    ran = [test() for name, test in [*vars(tests).items()] if name.startswith("test_")]
    assert len(ran) == 3


def test_what_a_workbook_holds_is_of_the_tests_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, path = openpyxl.Workbook(), tmp_path / "t.xlsx"
    day, night = dt.datetime(2024, 2, 29), dt.timedelta(hours=30, milliseconds=5)
    for row in (
        ["day", "some", "night"],
        [day, day, night],
        [None, "x", None],
        [day, night, night],
    ):
        book.worksheets[0].append(row)
    book.save(path)
    draft = Draft("own", *read(path))
    monkeypatch.setitem(sys.modules, "etl.own", executed(draft.module(), "etl.own"))
    tests = executed(draft.tests(), "test_own")
    assert [[day, day, night], [None, "x", None], [day, night, night]] == tests.ROWS
    tests.test_every_record_is_counted()


CSV = "日,店,売上,備考\n1/1,東京,1200,\n1/2,大阪,80,x\n1/3,東京,,y\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_a_first_summary_is_by_the_texts_with_few_values(tmp_path: Path, encoding: str) -> None:
    table = tmp_path / "sales.csv"
    table.write_text(CSV, encoding)
    said = main("sales", str(table), tmp_path / "etl")
    assert said.endswith("test_sales.py: 4 columns, 1 of numbers; a summary by 店")
    source = (tmp_path / "etl" / "sales.py").read_text(encoding="utf-8")
    assert ('{"encoding": "cp932"}' in source) == (encoding == "cp932")
    etl = executed(source, "etl.sales")
    assert etl.NUMBERS == ["売上"]
    [summary] = etl.SUMMARIES
    assert summary.declared.by == ["店"]
    assert summary.named == {"件数": ("日", "size"), "売上": ("売上", "sum")}


@pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
def test_a_semicolon_that_cuts_a_table_is_found(tmp_path: Path, encoding: str) -> None:
    table = tmp_path / "sales.csv"
    table.write_text("日;店;売上;率\n1/1;東京;1200;1,5\n1/2;大阪;80;2,25\n", encoding)
    said = main("sales", str(table), tmp_path / "etl")
    assert said.endswith("test_sales.py: 4 columns, 1 of numbers; a summary of all")
    source = (tmp_path / "etl" / "sales.py").read_text(encoding="utf-8")
    [told] = re.findall("INPUT='(.*)'", ast.get_docstring(ast.parse(source)) or "")
    shift_jis = {"encoding": "cp932"} if encoding == "cp932" else {}
    assert json.loads(told) == {**shift_jis, "delimiter": ";"}


def test_a_table_of_one_column_needs_no_delimiter(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("a;b\n1\n2\n")
    df, given = read(table)
    assert (df.columns.tolist(), given) == (["a;b"], {})


def test_a_fault_of_a_table_is_that_of_the_likeliest_way_to_read_it(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text('a,b\n1,2\n"x"y,2\n')
    with pytest.raises(ValueError, match=r"record 1, line 3: a quote must end its cell"):
        read(table)


def test_a_name_that_python_has_not_is_made_one(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    names = {"Unit price ($)": "Unit_price____", "2026": "_2026", "by": "by_"}
    path.write_text(json.dumps([dict.fromkeys(names, 1)]))
    etl = executed(Draft("own", *read(path)).module(), "etl.own")
    sums = {key: (name, "sum") for name, key in names.items()}
    assert etl.SUMMARIES[0].named == {"count": ("Unit price ($)", "size"), **sums}


def test_what_is_written_empty_for_a_header_alone_has_a_type(tmp_path: Path) -> None:
    """Mypy cannot tell it."""
    table = tmp_path / "t.csv"
    table.write_text("a,b\n")
    draft = Draft("own", *read(table))
    statements = ast.parse(draft.module()).body + ast.parse(draft.tests()).body
    empty = [each for each in statements if ast.unparse(each).endswith((" = []", " = {}"))]
    assert [type(each) for each in empty] == [ast.AnnAssign] * 3


def test_what_is_there_is_not_touched(tmp_path: Path) -> None:
    table = tmp_path / "sales.csv"
    table.write_text(CSV)
    main("sales", str(table), tmp_path)
    written = {path: path.read_bytes() for path in tmp_path.rglob("*.py")}
    assert len(written) == 2
    for removed in written:
        removed.unlink()
        with pytest.raises(SystemExit, match=r"error: NAME: .* must not be there; found it"):
            main("sales", str(table), tmp_path)
        assert not removed.exists()
        removed.write_bytes(written[removed])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.py")} == written


@pytest.mark.parametrize(
    "name", ["", "a-b", "../x", "class", "_x", "1", "x.py", "ﾎﾟｲﾝﾄ", "a\nb", "tests"], ids=repr
)
def test_a_name_that_no_module_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SystemExit, match="^error: NAME: must be a name of Python's, .*; found '"):
        main(name, "absent.csv", tmp_path)
    assert list(tmp_path.iterdir()) == []


NO_TABLES = {
    "absent": (None, "must be a file; found '"),
    "no record": (b"[]", "must have a record; found none"),
    "no JSON": (b'[{"a": }]', "record 0, byte 7"),
}


@pytest.mark.parametrize(("data", "fault"), NO_TABLES.values(), ids=NO_TABLES)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, data: bytes | None, fault: str) -> None:
    path = tmp_path / "t.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(SystemExit, match=f"^error: FILE: .*{fault}"):
        main("own", str(path), tmp_path / "etl")
    assert not (tmp_path / "etl").exists()


def test_lines_of_a_wide_table_are_short(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps([{f"column {n}": n for n in range(300)}]))
    source = Draft("own", *read(path)).module()
    assert ast.parse(source)
    assert max(map(len, source.splitlines())) <= 100


def test_the_readme_says_what_is_said_of_its_example(tmp_path: Path) -> None:
    readme = (ROOT / "demo-segment" / "README.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```csv\n(注文番号.*?)```", readme, re.DOTALL)
    table = tmp_path / "orders.csv"
    table.write_text(example, encoding="utf-8")
    _, said = main("sales", str(table), tmp_path / "etl").split("test_sales.py: ")
    assert f"test_sales.py: {said}\n```" in readme

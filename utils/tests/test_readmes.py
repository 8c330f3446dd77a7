"""The READMEs of a room say the same in both languages, and fit."""

import ast
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ROOT

FRONT_LINES = 150


def tracked(pattern: str) -> list[str]:
    listed = subprocess.run(["git", "ls-files", pattern], cwd=ROOT, capture_output=True, text=True)
    return listed.stdout.split()


ENGLISH = [path for path in tracked("*README.md") if (ROOT / path).with_suffix(".ja.md").exists()]


def headings(text: str) -> list[str]:
    """Their levels, in order; a # in a code block is a comment."""
    return re.findall(r"^(#+) ", without_code(text), re.MULTILINE)


def code(text: str) -> list[str]:
    """Code blocks; comments, which are translated, and drawings apart."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [re.sub(r" +# .*|<[^>]*>", "", block) for kind, block in blocks if kind != "mermaid"]


def tables(text: str) -> list[tuple[int, int]]:
    """Rows and columns of each table, in order."""
    found = re.findall(r"(?:^\|.*\|\n)+", without_code(text), re.MULTILINE)
    return [(table.count("\n"), table.split("\n")[0].count("|") - 1) for table in found]


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", ENGLISH)
@pytest.mark.parametrize("part", [headings, code, tables])
def test_both_languages_have_the_same(path: str, part: Callable[[str], object]) -> None:
    english = (ROOT / path).read_text()
    japanese = (ROOT / path).with_suffix(".ja.md").read_text()
    assert part(japanese) == part(english)


def test_each_room_with_a_readme_has_both() -> None:
    japanese = {str(Path(path).parent) for path in tracked("*README.ja.md")}
    assert {str(Path(path).parent) for path in ENGLISH} == japanese
    assert {".", "demo-segment", "state-machine", "utils/checks", "utils/harness"} <= japanese


@pytest.mark.parametrize("path", ["README.md", "README.ja.md"])
def test_the_front_page_is_short(path: str) -> None:
    assert len((ROOT / path).read_text().splitlines()) <= FRONT_LINES


def test_the_front_page_declares_what_the_example_does() -> None:
    [declared] = ast.parse(code((ROOT / "README.md").read_text())[0]).body
    example = ast.parse((ROOT / "utils" / "tests" / "etl" / "members.py").read_text()).body
    assert ast.dump(declared) in map(ast.dump, example)


def anchors(text: str) -> set[str]:
    """Of headings, as GitHub makes them, and of elements with an id."""
    names = re.findall(r"^#+ (.*)", without_code(text), re.MULTILINE)
    made = {re.sub(r"[^\w -]", "", name).lower().replace(" ", "-") for name in names}
    return made | set(re.findall(r'<a id="(.*?)"', text))


@pytest.mark.parametrize("path", tracked("*.md"))
def test_each_link_leads_somewhere(path: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", (ROOT / path).read_text())
    for link, anchor in links:
        found = (ROOT / path).parent / link if link else ROOT / path
        assert found.exists(), link
        assert not anchor or anchor in anchors(found.read_text()), f"{link}#{anchor}"

"""Who may import whom: the rooms of the house stand on each other in one direction."""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from conftest import ROOT

FUNCTIONS = {"demo-scatter", "demo-segment", "demo-gather"}
# The library's rooms by floors: each imports only what is below its own.
FLOORS = [
    {
        *("pipeline", "pipeline.arrays", "pipeline.endings", "pipeline.errors"),
        *("pipeline.etl_names", "pipeline.facts", "pipeline.workers"),
    },
    {"pipeline.excel", "pipeline.keys", "pipeline.s3"},
    {"pipeline.dates", "pipeline.reading", "pipeline.sheet"},
    {"pipeline.events", "pipeline.summaries"},
    {"pipeline.segments"},
    {"pipeline.etl", "pipeline.etls"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
LIBRARY = set(FLOOR_OF)
# What stages tell, where, and how their errors name records; it needs no package.
TOLD = {
    f"pipeline.{room}"
    for room in ("dates", "endings", "errors", "etl_names", "facts", "keys", "s3")
}
# What a room may import besides itself.
BELOW: dict[str, set[str]] = {
    **{room: set().union(*FLOORS[:floor]) for floor, rooms in enumerate(FLOORS) for room in rooms},
    "pipeline.tests": LIBRARY,
    **{function: {*LIBRARY, "pipeline.tests"} for function in FUNCTIONS},
    "process-executor": set(),
    "tools": set(),
    "harness": TOLD,
    "utils.py": {"harness"},
    "tests": {"harness", "utils.py", *TOLD, "pipeline.etl"},
    "checks": {"harness", "utils.py", *LIBRARY, "pipeline.tests", *FUNCTIONS},
}


def python_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return [Path(path) for path in listed if (ROOT / path).exists()]


FILES = python_files()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def room(path: Path) -> str:
    """`utils/harness/run.py` → `harness`, `utils/pipeline/sheet/chart.py` → `pipeline.sheet`."""
    if path.parts[:2] == ("utils", "pipeline"):
        return ".".join(path.with_suffix("").parts[1:3]).removesuffix(".__init__")
    return path.parts[1] if path.parts[0] == "utils" else path.parts[0]


def names(path: Path) -> set[str]:
    """The names under which a file can be imported: of its package, or of a folder on the path."""
    within = path.relative_to("utils") if path.parts[0] == "utils" else path
    dotted = ".".join(within.with_suffix("").parts).removesuffix(".__init__")
    return {dotted} if within.parts[0] in ("harness", "pipeline") else {dotted, path.stem}


NAMED: dict[str, list[Path]] = {}
for file in FILES:
    for name in names(file):
        NAMED.setdefault(name, []).append(file)


def imports(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The modules that statements import, `from a import b` as `a.b`."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def found(name: str, importer: Path) -> Path | None:
    """The file of ours that a name means, if any: in the importer's own room before another."""
    if name.partition(".")[0] in sys.stdlib_module_names:
        return None
    files = NAMED.get(name) or NAMED.get(name.rpartition(".")[0], [])
    return min(files, key=lambda path: room(path) != room(importer), default=None)


def arrows(nodes: Callable[[ast.Module], Iterable[ast.AST]]) -> set[tuple[Path, Path]]:
    pairs = {(path, found(name, path)) for path in FILES for name in imports(nodes(tree(path)))}
    return {(path, other) for path, other in pairs if other is not None and other != path}


ARROWS = arrows(ast.walk)


def allowed(importer: Path, imported: Path) -> bool:
    return room(imported) in {room(importer), *BELOW[room(importer)]}


def test_every_file_is_in_a_room_with_a_rule() -> None:
    assert {room(path) for path in FILES} == set(BELOW)


def test_rooms_import_only_what_is_below_them() -> None:
    assert [f"{a} → {b}" for a, b in sorted(ARROWS) if not allowed(a, b)] == []


def test_arrows_are_seen_and_those_that_run_up_refused() -> None:
    run, execution = Path("utils/harness/run.py"), Path("utils/harness/execution.py")
    assert (run, execution) in ARROWS and allowed(run, execution)
    assert (Path("demo-gather/gather.py"), Path("utils/pipeline/segments/frames.py")) in ARROWS
    assert not allowed(run, Path("utils/checks/soak.py"))
    assert not allowed(run, Path("utils/pipeline/segments/frames.py"))
    assert not allowed(Path("utils/pipeline/sheet/chart.py"), Path("utils/pipeline/etl.py"))
    assert not allowed(Path("demo-gather/gather.py"), Path("demo-segment/segment.py"))


def doors(path: Path) -> set[str]:
    """The modules of a room of the library that its `__init__` lets others use."""
    [names] = [
        ast.literal_eval(node.value)
        for node in tree(path.with_name("__init__.py")).body
        if isinstance(node, ast.Assign)
    ]
    return set(names)


def test_a_room_of_the_library_is_entered_by_its_doors() -> None:
    """Tests and checks look inside."""
    inside = {path for path in FILES if room(path) in LIBRARY and len(path.parts) == 4}
    entered = {
        (importer, module)
        for importer, module in ARROWS
        if module in inside and room(importer) != room(module)
        if "tests" not in importer.parts and room(importer) != "checks"
    }
    assert entered and [f"{a} → {b}" for a, b in entered if b.stem not in doors(b)] == []


def test_the_readme_draws_the_rooms_as_they_are() -> None:
    """Of an arrow that others make up for, the picture has none."""
    rooms = {
        (room(a), room(b))
        for a, b in ARROWS
        if {room(a), room(b)} <= LIBRARY and room(a) != room(b)
    }
    below: dict[str, set[str]] = {}
    for above, under in sorted(rooms, key=lambda pair: FLOOR_OF[pair[0]]):
        below.setdefault(above, set()).update({under}, below.get(under, set()))
    needed = {
        (above, under)
        for above, under in rooms
        if not any(under in below.get(other, ()) for a, other in rooms if a == above)
    }
    for name in ("README.md", "README.ja.md"):
        drawn = re.findall(
            r"^ *(\w+) --> (\w+)$", (ROOT / "utils/pipeline" / name).read_text(), re.M
        )
        assert {(f"pipeline.{a}", f"pipeline.{b}") for a, b in drawn} == needed


def test_no_module_needs_itself_to_be_imported() -> None:
    """Imports inside functions apart."""
    graph: dict[Path, set[Path]] = {}
    for importer, imported in arrows(lambda module: module.body):
        graph.setdefault(importer, set()).add(imported)
    assert list(graphlib.TopologicalSorter(graph).static_order())


def touches_the_path(path: Path) -> bool:
    """Whether a file reads or changes the list of folders that Python imports from."""
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "path"
        and isinstance(node.value, ast.Name)
        and node.value.id == "sys"
        for node in ast.walk(tree(path))
    )


@pytest.mark.parametrize(
    ("module", "other"),
    [
        ("harness.run", "awscli"),
        ("harness.bucket", "rich"),
        ("harness.show", "botocore"),
        ("utils", "rich"),
    ],
)
def test_no_verb_waits_for_what_another_needs(module: str, other: str) -> None:
    loaded = f"import sys, {module}; sys.exit({other!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", loaded]).returncode == 0


def test_only_the_executors_bootstrap_touches_the_path_of_imports() -> None:
    tests = Path("utils/process-executor/tests")
    touching = [path for path in FILES if touches_the_path(path)]
    others = [path for path in touching if tests not in path.parents]
    assert [path.name for path in others] == ["bootstrap.py"]

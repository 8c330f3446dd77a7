"""Pack a function: the same files give the same bytes, wherever and whenever it runs.

make_zip.py packages ZIP FOLDER       the packages that a function needs, once for each lock
make_zip.py function ZIP PACKAGES SOURCE…   the function: that zip, and its sources
"""

import compileall
import os
import py_compile
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UTILS = ROOT / "utils"
LIBRARY = UTILS / "pipeline"
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
ZIP_BYTES = 50 * 1024 * 1024
UNZIPPED_BYTES = 250 * 1024 * 1024
EPOCH = (1980, 1, 1, 0, 0, 0)
LEVEL = 4  # of deflate: 6, zlib's own, takes twice as long for a zip that is 4 % smaller
LEFT_OUT = {"tests", "__pycache__", "bin"}
# Checked against nothing at import: zip times are not file times, so that ordinary bytecode would
# be compiled anew in every worker.
UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH


def pack_packages(target: Path, packages: Path) -> None:
    """Zip installed packages, with their bytecode and without their tests."""
    with tempfile.TemporaryDirectory(dir=target.parent) as staged:
        for file in packed_files(packages):
            copy = Path(staged, file.relative_to(packages))
            copy.parent.mkdir(parents=True, exist_ok=True)
            os.link(file, copy)
        compileall.compile_dir(staged, quiet=1, stripdir=staged, invalidation_mode=UNCHECKED)
        with zipfile.ZipFile(target, "w") as archive:
            add_folder(archive, Path(staged))


def packed_files(packages: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(packages):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        for name in names:
            if not name.startswith(".") and name != "RECORD":
                yield Path(folder, name)


def pack_function(target: Path, packages: Path, sources: list[Path]) -> None:
    """Zip a function's sources and their bytecode behind its packages.

    Raises:
        SystemExit: a source does not compile, or the zip is larger than Lambda takes.
    """
    name = Path.cwd().name.replace("demo-", "") + "-lambda"
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        staged, whole = Path(temporary, "staged"), Path(temporary, "whole.zip")
        staged.mkdir()
        for source in sources:
            try:
                stage(source, staged)
            except py_compile.PyCompileError as error:
                sys.exit(f"{name}: {located(source, error)}")
        shutil.copyfile(packages, whole)
        with zipfile.ZipFile(whole, "a") as archive:
            add_folder(archive, staged)
            unzipped = sum(entry.file_size for entry in archive.infolist())
        zipped = whole.stat().st_size
        for size, limit, what in (
            (zipped, ZIP_BYTES, "zipped"),
            (unzipped, UNZIPPED_BYTES, "unzipped"),
        ):
            if size > limit:
                sys.exit(f"{name}: Lambda takes at most {limit} bytes {what}; found {size}")
        os.replace(whole, target)
    print(f"{name}: {target}, {zipped / 1e6:.1f} MB, {unzipped / 1e6:.1f} MB unzipped")


def place_of(source: Path) -> Path:
    """An ETL is in a folder of its own, the library as it is in utils/, all else on top."""
    if source.parent.name == "etl":
        return Path("etl", source.name)
    return source.relative_to(UTILS) if LIBRARY in source.parents else Path(source.name)


def stage(source: Path, staged: Path) -> None:
    """Copy a source to its place in the zip, with its bytecode."""
    place = place_of(source.resolve())
    copy = staged / place
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, copy)
    py_compile.compile(str(copy), dfile=str(place), doraise=True, invalidation_mode=UNCHECKED)


def located(source: Path, error: py_compile.PyCompileError) -> str:
    """Where in the project a source does not compile, and why."""
    line = getattr(error.exc_value, "lineno", None)
    place = f"{os.path.relpath(source, ROOT)}:{line}" if line else os.path.relpath(source, ROOT)
    return f"{place}: {error.exc_type_name}: {getattr(error.exc_value, 'msg', error.exc_value)}"


def add_folder(archive: zipfile.ZipFile, folder: Path) -> None:
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        info = zipfile.ZipInfo(str(file.relative_to(folder)), EPOCH)
        info.external_attr = 0o644 << 16
        archive.writestr(info, file.read_bytes(), zipfile.ZIP_DEFLATED, LEVEL)


def main(arguments: list[str]) -> None:
    match arguments:
        case ["packages", target, folder]:
            pack_packages(Path(target), Path(folder))
        case ["function", target, packages, *sources]:
            pack_function(Path(target), Path(packages), [Path(source) for source in sources])
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)

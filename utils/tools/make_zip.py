"""Pack a function: the same files give the same bytes, wherever and whenever it runs."""

import compileall
import io
import os
import py_compile
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
ZIP_BYTES = 50 * 1024 * 1024
UNZIPPED_BYTES = 250 * 1024 * 1024
EPOCH = (1980, 1, 1, 0, 0, 0)
LEFT_OUT = {"tests", "__pycache__", "bin"}


def packed_files(packages: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(packages):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        for name in names:
            if not name.startswith(".") and name != "RECORD":
                yield Path(folder, name)


def stage(target: Path, packages: Path, sources: list[Path]) -> None:
    """Lay out what the function unzips to, with its bytecode.

    Bytecode is checked against nothing at import: zip times are not file times, so that ordinary
    bytecode would be compiled anew in every worker.
    """
    for file in packed_files(packages):
        copy = target / file.relative_to(packages)
        copy.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, copy)
    for source in sources:
        shutil.copy(source, target / source.name)
    compileall.compile_dir(
        target,
        quiet=1,
        stripdir=str(target),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        workers=0,
    )


def pack(folder: Path) -> tuple[bytes, int]:
    """Zip a folder; returns the archive and the size it unzips to, in bytes."""
    buffer = io.BytesIO()
    unzipped = 0
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = zipfile.ZipInfo(str(file.relative_to(folder)), EPOCH)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            data = file.read_bytes()
            unzipped += len(data)
            archive.writestr(info, data)
    return buffer.getvalue(), unzipped


def main(target: str, packages: str, *sources: str) -> None:
    with tempfile.TemporaryDirectory(dir=Path(target).parent) as staged:
        stage(Path(staged), Path(packages), [Path(source) for source in sources])
        archive, unzipped = pack(Path(staged))
    name = Path.cwd().name.replace("demo-", "") + "-lambda"
    for size, limit, what in (
        (len(archive), ZIP_BYTES, "zipped"),
        (unzipped, UNZIPPED_BYTES, "unzipped"),
    ):
        if size > limit:
            sys.exit(f"{name}: Lambda takes at most {limit} bytes {what}; found {size}")
    Path(target).write_bytes(archive)
    print(f"{name}: {target}, {len(archive) / 1e6:.1f} MB, {unzipped / 1e6:.1f} MB unzipped")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Where a function's code lies on disk, and whether it has changed."""

import hashlib
import os
import shutil
import struct
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from stat import S_ISLNK
from typing import IO
from zipfile import ZipFile, ZipInfo

from localstack.services.lambda_.invocation.lambda_models import LayerVersion, S3Code

from process_executor.faults import NotRunnable
from process_executor.workspace import scratch_folder

# Inode, size, and when it last changed, in ns: that moves even where the time of writing is set.
type State = tuple[int, int, int] | None

LENGTHS_AT = 26  # in the header that stands before a member's bytes


class CodeStore:
    """One folder per code or list of layers, for as long as a version or a worker holds it.

    LocalStack would delete its own copy the moment a function is updated, under workers that are
    still to finish their invocation. A file that lies in another folder, too, is a hard link to
    it: functions share most of their packages, and creating files is what takes the time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folders: dict[str, Path] = {}
        self._files: dict[bytes, Path] = {}
        self._holders: Counter[str] = Counter()

    def hold(self, archives: Sequence[S3Code], holder: ExitStack) -> Path:
        """The folder of their files, later ones over earlier ones, which stays until `holder` closes."""
        key = " ".join(archive.code_sha256 for archive in archives)
        with self._lock:
            if key not in self._folders:
                self._folders[key] = self._unpacked(archives)
            self._holders[key] += 1
            holder.callback(self._let_go, key)
            return self._folders[key]

    def _let_go(self, key: str) -> None:
        with self._lock:
            self._holders[key] -= 1
            if self._holders[key]:
                return
            del self._holders[key]
            folder = self._folders.pop(key)
        shutil.rmtree(folder, ignore_errors=True)

    def _unpacked(self, archives: Sequence[S3Code]) -> Path:
        folder = scratch_folder("code")
        with ExitStack() as failed:  # as on a full disk
            failed.callback(shutil.rmtree, folder, ignore_errors=True)
            for archive in reversed(archives):
                self._unpack(archive, folder)
            failed.pop_all()
        return folder

    def _unpack(self, archive: S3Code, folder: Path) -> None:
        """Write an archive's files, but for those that a later archive has written."""
        with tempfile.TemporaryFile() as file:
            archive._download_archive_to_file(file)
            with ZipFile(file) as zipped:
                members = {safe_name(member.filename): member for member in zipped.infolist()}
                for parent in {parent_of(name, member) for name, member in members.items()}:
                    (folder / parent).mkdir(parents=True, exist_ok=True)
                for name, member in members.items():
                    path = folder / name
                    if not os.path.lexists(path):
                        self._write(path, zipped, member, digest(name, member, file))

    def _write(self, path: Path, zipped: ZipFile, member: ZipInfo, digest: bytes) -> None:
        if S_ISLNK(member.external_attr >> 16):
            path.symlink_to(zipped.read(member).decode())
            return
        try:
            os.link(self._files[digest], path)
        except (KeyError, OSError):  # it is new, or the folder that held it has gone
            path.write_bytes(zipped.read(member))
            path.chmod(0o755)  # as LocalStack sets it
            self._files[digest] = path


def parent_of(name: str, member: ZipInfo) -> str:
    return name if member.is_dir() else os.path.dirname(name)


def digest(name: str, member: ZipInfo, file: IO[bytes]) -> bytes:
    """Of a member's name and of its bytes as the archive has them: who compares these need not inflate."""
    file.seek(member.header_offset + LENGTHS_AT)
    lengths = struct.unpack("<HH", file.read(4))  # of the name and of the extra field
    file.seek(sum(lengths), os.SEEK_CUR)
    found = hashlib.sha256(f"{name} {member.compress_type} ".encode())
    found.update(file.read(member.compress_size))
    return found.digest()


def safe_name(name: str) -> str:
    """A member's path without what would lead out of the folder."""
    return "/".join(part for part in name.split("/") if part not in ("", ".", ".."))


def archive_of(layer: LayerVersion) -> S3Code:
    if not isinstance(layer.code, S3Code):
        raise NotRunnable(
            f"layer {layer.layer_version_arn} cannot be unpacked: the process executor takes zip"
            " archives that were published to this LocalStack, and no hot-reloading layers"
        )
    return layer.code


class ChangeDetector:
    """Counts the changes of a folder, looking when asked: that sees them on any file system."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._lock = threading.Lock()
        self._looked = -1
        self._seen: dict[str, State] = {self._folder: None}
        self._generation = 0

    def generation(self) -> int:
        """A number that has grown if any file below the folder was edited, added or removed.

        It reflects what happened before the call; callers that wait for one another share a look.
        """
        called = time.monotonic_ns()
        with self._lock:
            if self._looked <= called:
                self._looked = time.monotonic_ns()
                self._look()
            return self._generation

    def _look(self) -> None:
        if any(state(path) != seen for path, seen in self._seen.items()):
            self._generation += 1
            found = {path: state(path) for path in walk(self._folder)}
            self._seen = found or {self._folder: None}


def state(path: str) -> State:
    """None for what has gone; a folder's changes with what it lists."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_ctime_ns


def walk(folder: str) -> Iterator[str]:
    """The folder, and all files and folders below it.

    Symbolic links are followed, each folder once; __pycache__ is left out, as importing writes it.
    """
    entered = set[State]()
    for path, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name != "__pycache__"]
        if state(path) in entered:
            folders.clear()
            continue
        entered.add(state(path))
        yield path
        yield from (os.path.join(path, name) for name in files)

"""Where a function's code lies on disk, and whether it has changed."""

import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from localstack.services.lambda_.invocation.lambda_models import (
    HotReloadingCode,
    LayerVersion,
    S3Code,
)

from process_executor.faults import NotRunnable
from process_executor.workspace import scratch_folder

type Code = S3Code | HotReloadingCode
# Inode, size, and when it last changed, in ns: that moves even where the time of writing is set.
type State = tuple[int, int, int] | None


class CodeStore:
    """One folder per code hash or list of layers, for as long as a version or a worker holds it.

    LocalStack deletes its own unzipped copy the moment a function is updated, under workers that
    are still to finish their invocation; hard links outlive that and cost no space.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folders: dict[str, Path] = {}
        self._holders: Counter[str] = Counter()

    def hold(self, code: Code) -> Path:
        """The folder of `code`, which stays until it has been `let_go` as often as held."""
        if code.is_hot_reloading():
            return Path(code.get_unzipped_code_location())
        return self._hold(code.code_sha256, "code", [code])

    def let_go(self, code: Code) -> None:
        if not code.is_hot_reloading():
            self._let_go(code.code_sha256)

    def hold_layers(self, layers: list[LayerVersion]) -> Path | None:
        """The folder that is /opt in Lambda, later layers over earlier ones; None without layers.

        Raises:
            NotRunnable: LocalStack has no archive of a layer.
        """
        if not layers:
            return None
        return self._hold(layers_key(layers), "opt", [archive_of(layer) for layer in layers])

    def let_go_layers(self, layers: list[LayerVersion]) -> None:
        if layers:
            self._let_go(layers_key(layers))

    def _hold(self, key: str, kind: str, archives: Sequence[Code]) -> Path:
        with self._lock:
            if key not in self._folders:
                self._folders[key] = unzip(kind, archives)
            self._holders[key] += 1
            return self._folders[key]

    def _let_go(self, key: str) -> None:
        with self._lock:
            self._holders[key] -= 1
            if self._holders[key]:
                return
            del self._holders[key]
            folder = self._folders.pop(key)
        shutil.rmtree(folder, ignore_errors=True)


def layers_key(layers: list[LayerVersion]) -> str:
    return " ".join(archive_of(layer).code_sha256 for layer in layers)


def archive_of(layer: LayerVersion) -> S3Code:
    if not isinstance(layer.code, S3Code):
        raise NotRunnable(
            f"layer {layer.layer_version_arn} cannot be unpacked: the process executor takes zip"
            " archives that were published to this LocalStack, and no hot-reloading layers"
        )
    return layer.code


def unzip(kind: str, archives: Sequence[Code]) -> Path:
    folder = scratch_folder(kind)
    for archive in archives:
        archive.prepare_for_execution()
        shutil.copytree(
            archive.get_unzipped_code_location(),
            folder,
            symlinks=True,
            copy_function=link_or_copy,
            dirs_exist_ok=True,
        )
    return folder


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except FileExistsError:  # of an earlier layer
        os.unlink(target)
        link_or_copy(source, target)
    except OSError:
        shutil.copy2(source, target)


class ChangeDetector:
    """Counts the changes of a folder, looking when asked: that sees them on any file system."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._lock = threading.Lock()
        self._looked = -1
        self._paths = [self._folder]
        self._states: list[State] = []
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
        if self._states == [state(path) for path in self._paths]:
            return
        self._generation += 1
        self._paths = list(walk(self._folder)) or [self._folder]
        self._states = [state(path) for path in self._paths]


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

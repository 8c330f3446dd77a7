"""The folder where one LocalStack keeps its workers' files: their /tmp and the code they run."""

import atexit
import fcntl
import os
import shutil
import tempfile
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

PREFIX = "lambda-process-"
LOCK = ".lock"
_creating = threading.Lock()


def scratch_folder(kind: str) -> Path:
    """A new empty folder below this LocalStack's own, which goes when LocalStack exits."""
    with _creating:
        root = workspace()
    return Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=root))


@cache
def workspace() -> Path:
    remove_abandoned()
    root = create_locked()
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


def create_locked() -> Path:
    """A new folder, locked before it has a name by which another LocalStack would look at it.

    The system frees the lock when this process ends, however it does.
    """
    unnamed = Path(tempfile.mkdtemp(prefix=f".{PREFIX}"))
    fcntl.flock(os.open(unnamed / LOCK, os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX)
    return unnamed.rename(unnamed.with_name(unnamed.name.removeprefix(".")))


def remove_abandoned() -> None:
    """Remove what LocalStacks that were killed have left behind."""
    for root in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        # Another holds the lock, or no LocalStack made the folder.
        with suppress(OSError), (root / LOCK).open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(root, ignore_errors=True)

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
    """A new folder, locked before it has a name by which another LocalStack would look at it."""
    unnamed = Path(tempfile.mkdtemp(prefix=f".{PREFIX}"))
    (unnamed / LOCK).touch(mode=0o600)
    lock(unnamed)
    return unnamed.rename(unnamed.with_name(unnamed.name.removeprefix(".")))


def lock(root: Path) -> int:
    """Hold a lock that the system frees when this process ends, however it does.

    Raises:
        BlockingIOError: another process holds it.
        FileNotFoundError: the folder has gone, or no LocalStack made it.
    """
    descriptor = os.open(root / LOCK, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    return descriptor


def remove_abandoned() -> None:
    """Remove what LocalStacks that were killed have left behind."""
    for root in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            descriptor = lock(root)
            shutil.rmtree(root, ignore_errors=True)
            os.close(descriptor)

"""What the system tells of a worker's processes. Memory is resident memory, in bytes."""

import glob
import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil

# Linux lists a process's children only where CONFIG_PROC_CHILDREN is set; most kernels have it.
LISTS_CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children").exists()
PF_EXITING = 0x4
SIGKILL_BIT = 1 << (signal.SIGKILL - 1)


def is_dying(pid: int) -> bool:
    """Whether a process that cannot be waited for yet has been killed or is ending.

    Only Linux tells; taking down a large process lasts some milliseconds. Fields: proc_pid_stat(5).
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            state, *fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return False
    flags, pending = int(fields[5]), int(fields[27])
    return state in b"ZX" or bool(flags & PF_EXITING or pending & SIGKILL_BIT)


def resident_bytes(pid: int) -> int:
    """What a process and its descendants hold, or what it alone has held if that is more."""
    family = descendants(pid)
    held = sum(map(share_bytes, [pid, *family])) if family else 0
    return max(peak_bytes(pid), held)


def share_bytes(pid: int) -> int:
    """Its memory; 0 for a process that has ended.

    What a fork shares with others counts in equal parts, as in Lambda; only Linux tells.
    """
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return int(process.memory_full_info().pss if psutil.LINUX else process.memory_info().rss)
    return 0


def peak_bytes(pid: int) -> int:
    """The most that a process has held so far; what it holds now where the system keeps no peak."""
    try:
        with open(f"/proc/{pid}/status", "rb") as status:
            _, found, rest = status.read().partition(b"VmHWM:")
    except OSError:
        return share_bytes(pid)
    return int(rest.split(None, 1)[0]) * 1024 if found else 0


def descendants(pid: int) -> list[int]:
    """Every process that `pid` started, directly or not; [] once it has ended."""
    if not LISTS_CHILDREN:
        with suppress(psutil.Error):
            return [child.pid for child in psutil.Process(pid).children(recursive=True)]
        return []
    found = [pid]
    for parent in found:
        # Each thread lists those that it started.
        for thread in glob.glob(f"/proc/{parent}/task/*/children"):
            with suppress(OSError), open(thread, "rb") as listing:
                found += map(int, listing.read().split())
    return found[1:]

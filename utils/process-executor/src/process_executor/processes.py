"""What the system tells of a worker's processes. Memory is resident memory, in bytes."""

import glob
import os
from contextlib import suppress
from pathlib import Path

import psutil

# Linux lists a process's children only where CONFIG_PROC_CHILDREN is set; most kernels have it.
LISTS_CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children").exists()


def resident_bytes(pid: int) -> int:
    """What a process and its descendants hold, or what it alone has held if that is more."""
    family = descendants(pid)
    held = sum(map(share_bytes, [pid, *family])) if family else 0
    return max(peak_bytes(pid), held)


def share_bytes(pid: int) -> int:
    """Its memory, of which what a fork shares with others counts in equal parts, as in Lambda.

    Only Linux tells; 0 for a process that has ended.
    """
    if not psutil.LINUX:
        return current_bytes(pid)
    with suppress(psutil.Error):
        return int(psutil.Process(pid).memory_full_info().pss)
    return 0


def peak_bytes(pid: int) -> int:
    """The most that a process has held so far; what it holds now where the system keeps no peak."""
    try:
        with open(f"/proc/{pid}/status", "rb") as status:
            _, found, rest = status.read().partition(b"VmHWM:")
    except OSError:
        return current_bytes(pid)
    return int(rest.split(None, 1)[0]) * 1024 if found else 0


def current_bytes(pid: int) -> int:
    """0 for a process that has ended."""
    with suppress(psutil.Error):
        return psutil.Process(pid).memory_info().rss
    return 0


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

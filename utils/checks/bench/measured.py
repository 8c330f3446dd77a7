"""Run a command and print what it took: `python measured.py COMMAND…`.

A small process in between: the system counts a process's peak memory from its parent's on.
"""

import json
import resource
import subprocess
import sys
import time

RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, KiB elsewhere


def main(command: list[str]) -> int:
    began = time.perf_counter()
    returncode = subprocess.run(command, stdout=sys.stderr).returncode
    wall_s = time.perf_counter() - began
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = {
        "wall_s": wall_s,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss * RSS_UNIT / (1 << 20),
    }
    print(json.dumps(run))
    return returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) != 0)

"""Ask pip-audit about each lock; the functions' must have no known vulnerability."""

import os
import subprocess
import sys


def audit(lock: str) -> int:
    """pip-audit's exit code for a hash-locked list; nothing is installed or resolved.

    Strict: a package that the advisory service does not answer for is a failure, not a skip.
    """
    print(lock, flush=True)
    command = [
        *(sys.executable, "-m", "pip_audit", "--strict", "--progress-spinner", "off"),
        *("--disable-pip", "--require-hashes", "--requirement", lock),
    ]
    return subprocess.run(command, env={"PIP_INDEX_URL": "", **os.environ}).returncode


def main(locks: list[str]) -> int:
    """Vulnerabilities in the tools do not fail the audit: they are never deployed."""
    failed = [lock for lock in locks if audit(lock)]
    return int(any(lock.startswith("demo-") for lock in failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Ask pip-audit about each lock; the functions' must have no known vulnerability."""

import os
import subprocess
import sys
from pathlib import Path

OFFLINE = (
    *("NameResolutionError", "ConnectionError", "ProxyError", "Max retries"),
    "could not be audited",
)


def audit(lock: str) -> tuple[int, str]:
    """pip-audit's exit code and output for a hash-locked list; nothing is installed or resolved.

    Strict: a package that the advisory service does not answer for is a failure, not a skip.
    """
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--strict", "--progress-spinner", "off"),
            *("--disable-pip", "--require-hashes", "--requirement", lock),
        ],
        capture_output=True,
        text=True,
        env={"PIP_INDEX_URL": "", **os.environ},
    )
    return done.returncode, done.stdout + done.stderr


def main(locks: list[str]) -> int:
    worst = 0
    for lock in locks:
        packages = sum("==" in line for line in Path(lock).read_text().splitlines())
        code, output = audit(lock)
        if code and any(sign in output for sign in OFFLINE):
            last = output.strip().splitlines()[-1][:150]
            print(f"{lock}: NOT AUDITED: {packages} packages; {last}")
            worst = max(worst, 2)
        elif code:
            print(f"{lock}: {packages} packages\n{output}")
            # Vulnerabilities in the tools do not fail the audit: they are never deployed.
            worst = max(worst, 1) if lock.startswith("demo-") else worst
        else:
            print(f"{lock}: no known vulnerability in {packages} packages")
    if worst == 2:
        print("error: the advisory service does not answer from here: run this where it does")
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Where things are: the emulator and the bucket, as the environment says, and their copies."""

import os
import re
from pathlib import Path, PurePosixPath

from harness.fault import Fault

FOLDERS = Path(__file__).resolve().parent / ".localstack"  # of emulators, one for each port
NAME_BYTES = 255  # of a file, on the disks of Linux and macOS
ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "result"
ENDPOINT = re.compile(r"http://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):(\d{1,5})/?")


def endpoint() -> str:
    """
    Raises:
        Fault: ENDPOINT is no HTTP address with a port.
    """
    given = os.environ.get("ENDPOINT", "http://localhost:4566")
    found = ENDPOINT.fullmatch(given)
    if not found or not 0 < int(found[2]) < 65_536:
        raise Fault(
            f"ENDPOINT: must be http://HOST:PORT, such as http://localhost:4566; found {given!r}"
        )
    return given.removesuffix("/")


def bucket() -> str:
    return os.environ.get("BUCKET", "test-bucket")


def etl_folder() -> Path:
    """Of the ETLs that are packed; the project's tests bring their own."""
    return Path(os.environ.get("ETL_FOLDER", ROOT / "demo-segment" / "etl"))


def local_copy(key: str) -> Path:
    """Where an object of the bucket is copied to; its folders in the bucket are not made."""
    name = PurePosixPath(key).name
    if name in ("", ".."):
        raise Fault(f"WORKBOOK: must be the key of an object; found {key!r}")
    if len(os.fsencode(name)) > NAME_BYTES:
        raise Fault(
            f"WORKBOOK: its name must have at most {NAME_BYTES} bytes, as a file's; "
            f"found {len(os.fsencode(name))}: {name}"
        )
    return RESULT / name

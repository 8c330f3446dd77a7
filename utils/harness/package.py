"""A stack as files, for whoever deploys by other means, or looks at it first."""

import json
from pathlib import Path

from harness import artifacts, schedule
from harness.deploy import checked, pairs
from harness.fault import Fault
from harness.machines import DEFINITIONS

# What the folder says of itself, by the names that these have there.
README = {"README.md": "PACKAGE.md", "README.ja.md": "PACKAGE.ja.md"}
BUCKET = "ArtifactBucket"


def package(out: str, arch: str = "", definition: str = "", parameters: str = "") -> None:
    """Write the template, its parameters, what it is made from and how to use them; always the same bytes.

    Args:
        out: a folder that is not there, or is empty.
        arch: of the zips.
        parameters: of the template's, such as "GatherTimeout=600"; not the key.
    """
    folder = Path(out)
    if not out or folder.is_file() or (folder.exists() and any(folder.iterdir())):
        raise Fault(f"OUT: must be a new or an empty folder; found {out!r}")
    if arch not in ("", "x86_64", "arm64"):
        raise Fault(f"ARCH: must be x86_64 or arm64; found {arch}")
    made, objects = artifacts.made_from(definition or "parallel")
    given = checked(pairs("PARAMETERS", parameters))
    schedule.check(given)
    given |= {"Architecture": arch or "x86_64", **made}
    # The key and the bucket are of the place.
    known = {name: each for name, each in artifacts.declarations().items() if name != BUCKET}
    template = json.loads(artifacts.rendered(given))
    texts = {"template.json": template, "parameters.json": artifacts.with_defaults(known, given)}
    files = {name: (json.dumps(text, indent=1) + "\n").encode() for name, text in texts.items()}
    files |= {name: (DEFINITIONS / text).read_bytes() for name, text in README.items()}
    files |= {f"artifacts/{key}": body for key, body in objects.items()}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        print(folder / name)

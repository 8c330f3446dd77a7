"""A stack as files, for whoever deploys by other means, or looks at it first."""

import json
from pathlib import Path

from harness import artifacts, schedule
from harness.deploy import pairs
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
    chosen = {"Architecture": arch or "x86_64", "Definition": definition or "parallel"}
    made = artifacts.bodies(chosen["Definition"])
    keys = {name: artifacts.key_of(name, body) for name, body in made.items()}
    fixed = chosen | keys
    given = checked(pairs("PARAMETERS", parameters), {BUCKET, *fixed}) | fixed
    template = json.loads(artifacts.rendered(given))
    texts = {"template.json": template, "parameters.json": with_defaults(given)}
    files = {name: (json.dumps(text, indent=1) + "\n").encode() for name, text in texts.items()}
    files |= {name: (DEFINITIONS / text).read_bytes() for name, text in README.items()}
    files |= {f"artifacts/{keys[name]}": body for name, body in made.items()}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        print(folder / name)


def checked(given: dict[str, str], fixed: set[str]) -> dict[str, str]:
    """
    Raises:
        Fault: one is no parameter, is none to give, or has a value that it may not have.
    """
    known = artifacts.declarations()
    for name, value in given.items():
        if name not in known or name in fixed:
            free = ", ".join(each for each in known if each not in fixed)
            raise Fault(f"PARAMETERS: must be of {free}; found {name}")
        allowed = [str(each) for each in known[name].get("AllowedValues", [value])]
        if value not in allowed:
            raise Fault(f"{name}: must be {' or '.join(allowed)}; found {value}")
    schedule.check(given)
    return given


def with_defaults(given: dict[str, str]) -> dict[str, str]:
    """Every parameter but the key and the bucket, which are of the place."""
    known = artifacts.declarations()
    return {
        name: given.get(name, str(each.get("Default")))
        for name, each in known.items()
        if name != BUCKET
    }

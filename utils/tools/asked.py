"""What a Pipfile asks for and its lock lacks: asked.py packages|dev-packages, in the folder of both."""

import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

SECTIONS = {"packages": "default", "dev-packages": "develop"}


def asked(section: str) -> Iterator[str]:
    """The requirements that no locked version meets."""
    wanted = tomllib.loads(Path("Pipfile").read_text()).get(section, {})
    locked = json.loads(Path("Pipfile.lock").read_text())[SECTIONS[section]]
    for name, given in wanted.items():
        fields = {"version": given} if isinstance(given, str) else given
        specifier = fields.get("version", "*").removeprefix("*")
        extras = f"[{','.join(fields['extras'])}]" if "extras" in fields else ""
        pin = locked.get(canonicalize_name(name), {}).get("version", "").removeprefix("==")
        if not pin or not SpecifierSet(specifier).contains(pin, prereleases=True):
            yield f"{name}{extras}{specifier}"


if __name__ == "__main__":
    print(*asked(sys.argv[1]))

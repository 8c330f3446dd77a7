"""Run uv or Pipenv with pip's settings: as_pip.py COMMAND…

Whoever told pip of an index, a certificate or a proxy has told these two as well.
"""

import os
import sys
from collections.abc import Mapping
from optparse import Values
from pathlib import Path

from pip._internal.commands import create_command

BIN = Path(sys.executable).parent
# Of the user's own settings of uv only these: others may ask for another Python or index.
KEPT = {"UV_CACHE_DIR", "UV_LINK_MODE", "UV_OFFLINE"}


def environment(pip: Values, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command: what is given, and pip's options in uv's and Pipenv's words."""
    links = [link for link in pip.find_links if "://" in link or Path(link).exists()]
    env = {name: value for name, value in given.items() if name in KEPT or name[:3] != "UV_"}
    env |= {
        "PATH": f"{BIN}:{given['PATH']}",
        "PIP_INDEX_URL": pip.index_url,  # Pipfiles name it
        "UV_DEFAULT_INDEX": pip.index_url,
        "UV_EXTRA_INDEX_URL": " ".join(pip.extra_index_urls),
        "UV_INDEX_STRATEGY": "unsafe-best-match",  # pip asks every index, too; the hashes decide
        "UV_FIND_LINKS": ",".join(links),
        "UV_INSECURE_HOST": " ".join(pip.trusted_hosts),
        "UV_HTTP_TIMEOUT": str(int(pip.timeout)),
        "UV_SYSTEM_CERTS": "true",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_CONFIG": "true",
    }
    if pip.no_index:
        env["UV_OFFLINE"] = "true"
    if cert := pip.cert or given.get("REQUESTS_CA_BUNDLE") or given.get("CURL_CA_BUNDLE"):
        place = "SSL_CERT_DIR" if Path(cert).is_dir() else "SSL_CERT_FILE"
        env |= {place: cert, "PIP_CERT": cert, "REQUESTS_CA_BUNDLE": cert}
    if pip.client_cert:
        env["SSL_CLIENT_CERT"] = pip.client_cert
    if pip.proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            env |= {name: pip.proxy, name.upper(): pip.proxy}
    if "UV_CACHE_DIR" not in given and not can_write(uvs_cache(given)):
        env["UV_CACHE_DIR"] = str(BIN.parent / ".cache")
    return env


def uvs_cache(given: Mapping[str, str]) -> Path:
    """Where uv keeps what it downloads, unless told otherwise."""
    return Path(given.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "uv")


def can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


if __name__ == "__main__":
    options, _ = create_command("install").parse_args([])
    os.execvpe(sys.argv[1], sys.argv[1:], environment(options, os.environ))

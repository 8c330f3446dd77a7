"""Print the package index that pip uses: the configured one, else its own default."""

import os
import subprocess
import sys

from pip._internal.models.index import PyPI

configured = subprocess.run(
    [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True
)
print(os.environ.get("PIP_INDEX_URL") or configured.stdout.strip() or PyPI.simple_url)

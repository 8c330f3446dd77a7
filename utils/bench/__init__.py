"""`make bench`: the pipeline beside other writers of workbooks, on the same data."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

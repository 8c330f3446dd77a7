"""Atheris, guided by coverage of the scatter's parsers, looks for bytes that they read as json would not.

fuzz_json_array.py -max_total_time=60
"""

import sys

import atheris

with atheris.instrument_imports(include=["pipeline.reading"]):
    from pipeline.reading import json_records  # noqa: F401

from pipeline.tests.reading import test_json_array_fuzz


def one(data: bytes) -> None:
    """The first two bytes choose how the rest arrives."""
    if len(data) > 2:
        test_json_array_fuzz.agrees(data[2:], 1 + data[0], 1 + data[1])


test_json_array_fuzz.event = lambda _: None  # counts for hypothesis only
atheris.Setup(sys.argv, one)
atheris.Fuzz()

"""Atheris, guided by coverage of records.py, looks for bytes that it reads as json would not.

    fuzz_records.py -max_total_time=60
"""

import sys

import atheris

with atheris.instrument_imports(include=["records"]):
    import records  # noqa: F401

import test_records_fuzz


def one(data: bytes) -> None:
    """The first two bytes choose how the rest arrives."""
    if len(data) > 2:
        test_records_fuzz.agrees(data[2:], 1 + data[0], 1 + data[1])


test_records_fuzz.event = lambda _: None  # counts for hypothesis only
atheris.Setup(sys.argv, one)
atheris.Fuzz()

"""Drives the three functions, on an emulator or on AWS: `python -m harness --help`."""

"""What a terminal shows: the data's text as it is, whatever is in it."""

import io
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def print_anything() -> None:
    """Have what UTF-8 has no bytes for, such as a lone surrogate of the data, printed as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def console() -> "Console":
    """One that reads no markup, emoji codes or numbers in a text."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)

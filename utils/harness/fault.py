"""What ends a command with a message instead of a traceback."""


class Fault(Exception):
    """What went wrong, and what to do about it."""

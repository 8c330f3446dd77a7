"""Which signals end a command, and that it tidies up first."""

import signal
import sys
from types import FrameType


def heed_interrupts() -> None:
    """Let SIGINT interrupt this process and what it starts: shells let scripts' jobs ignore it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def exit_on_signals() -> None:
    """End by an exception at SIGTERM, and at SIGHUP where nohup does not ignore it."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, leave)


def ignore_signals() -> None:
    """Let nothing but SIGKILL interrupt what tidies up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)

"""The signals that ask a program to end in order."""

from __future__ import annotations

import signal

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def stop_signals() -> tuple[signal.Signals, ...]:
    """SIGTERM, SIGINT, and SIGHUP unless the program was started to ignore it (``nohup``)."""
    return tuple(
        each for each in STOP_SIGNALS if each is not signal.SIGHUP or signal.getsignal(each) is not signal.SIG_IGN
    )

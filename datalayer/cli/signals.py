"""Which signals came while something else handled them: for a command whose workers end well on Ctrl-C."""

from __future__ import annotations

import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress

__all__ = ["noticing_signals"]


@contextmanager
def noticing_signals() -> Generator[set[int]]:
    """Give the signals that came, whoever handled them; complete when the block ends."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    seen: set[int] = set()
    before = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    try:
        yield seen
    finally:
        signal.set_wakeup_fd(before)
        with suppress(BlockingIOError):
            seen.update(ours.recv(4096))
        ours.close()
        theirs.close()

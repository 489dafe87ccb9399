"""What the processes of these tests do; each opens the database itself."""

from __future__ import annotations

import os
import signal
import sys
import traceback

from datalayer.store import connect

__all__ = ["breed_archivers"]


def breed_archivers(target: str, batch: int) -> None:
    """For each line that comes in make a process that archives all there is, and tell its id.

    Forked, since to start one and import everything takes longer than it lives.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while sys.stdin.readline():
        child = os.fork()
        if child == 0:
            try:
                with connect(target, busy_timeout_s=30) as store:
                    store.activity.archive(older_than_days=90, batch=batch)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(child, flush=True)

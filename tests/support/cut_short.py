"""A repair in processes of its own, each killed at another step of those that leave a trace on the disk."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from datalayer.errors import DataLayerError
from datalayer.schema.repair.repairing import repair, undo
from support.damaged import expectation

__all__ = ["keep_open", "killed", "limited_repair"]

_TRACES = {
    "rename", "replace", "unlink", "remove", "fsync", "open", "write", "mkdir", "execute", "executemany",
    "copyfile", "chmod", "rmdir", "backup", "close",
}  # fmt: skip


def killed(what: str, template: str, folder: str, last: int) -> list[int]:
    """Do it once to the end and count the steps; then on a copy each, killed before each of the `last` steps.

    Of the steps before those a few. Gives their numbers; the copies are called killedN.
    """
    count = _count(0, what, Path(shutil.copytree(template, Path(folder) / "counted")) / "app.db")
    first = max(count - last, 1)
    numbers = [*range(1, first, max(first // 15, 1)), *range(first, count + 1)]
    for number in numbers:
        path = Path(shutil.copytree(template, Path(folder) / f"killed{number}")) / "app.db"
        child = os.fork()
        if not child:
            _count(number, what, path)
            os._exit(0)
        os.waitpid(child, 0)
    return numbers


def keep_open(path: str) -> int:
    """Read once and keep the connection, say so, and read again when told to."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT count(*) FROM owners").fetchone()
        print("open", flush=True)
        sys.stdin.readline()
        return int(connection.execute("SELECT count(*) FROM owners").fetchone()[0])


def limited_repair(path: str, limit: int) -> str:
    """Repair where no file can grow beyond a limit; give the name of the error, or an empty text."""
    wanted = expectation(Path(path).parent)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        repair(path, wanted, yes=True)
    except DataLayerError as exc:
        return type(exc).__name__
    return ""


def _count(number: int, what: str, path: Path) -> int:
    """Count the steps of a repair or an undo, and be killed before one of them."""
    wanted = expectation(path.parent)
    done = 0

    def note(_: Any, event: str, called: Any) -> None:
        nonlocal done
        if event == "c_call" and getattr(called, "__name__", "") in _TRACES:
            done += 1
            if done == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(note)
    try:
        if what == "repair":
            repair(path, wanted, yes=True)
        else:
            undo(path)
    finally:
        sys.setprofile(None)
    return done

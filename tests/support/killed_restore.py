"""Restores that are killed on their way, and programs that are at the database meanwhile; each a process."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import sys
from pathlib import Path

from datalayer.engine.opening import open_engine
from datalayer.errors import DataLayerError
from datalayer.schema.reset import reset
from datalayer.schema.restore import restore

__all__ = [
    "append_rows",
    "append_rows_to_server",
    "hold_open",
    "reset_killed",
    "restore_killed_in_step",
    "restore_killed_in_system",
]

_EVENTS = ("open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.truncate", "sqlite3.connect")


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def restore_killed_in_step(target: str, backup: str, step: int) -> str:
    """Restore; die when progress is told for the `step`th time."""
    seen = 0

    def die(_: int, __: int) -> None:
        nonlocal seen
        if seen == step:
            _kill()
        seen += 1

    restore(target, Path(backup), progress=die)
    return "done"


def _die_at(number: int, folder: str) -> None:
    seen = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in _EVENTS and any(folder in str(one) for one in arguments):
            if seen == number:
                _kill()
            seen += 1

    sys.addaudithook(watch)


def restore_killed_in_system(target: str, backup: str, number: int) -> str:
    """Restore; die before the `number`th time that a file of the database's folder is asked for."""
    _die_at(number, str(Path(target).parent))
    restore(target, Path(backup))
    return "done"


def reset_killed(target: str, number: int) -> str:
    """Empty a database; die before the `number`th statement."""
    engine = open_engine(target)
    seen = 0

    def watch(_: object) -> None:
        nonlocal seen
        if seen == number:
            _kill()
        seen += 1

    engine.statements.add_hook(watch)
    reset(engine)
    engine.close()
    return "done"


def append_rows(target: str) -> None:
    """Insert numbers, each printed once it is committed, until killed."""
    connection = sqlite3.connect(target, isolation_level=None, timeout=30)
    number = 0
    while True:
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("INSERT INTO seen (number) VALUES (?)", (number + 1,))
            number += 1
            print(number, flush=True)


def append_rows_to_server(target: str) -> None:
    """Insert numbers, each printed once it is committed, until killed; one that failed is tried again."""
    engine = open_engine(target)
    number = 0
    while True:
        try:
            engine.write("INSERT INTO seen (number) VALUES (%s)", (number + 1,))
        except DataLayerError:
            continue
        number += 1
        print(number, flush=True)


def hold_open(target: str) -> str:
    """Keep a connection open until killed."""
    connection = sqlite3.connect(target)
    with contextlib.suppress(sqlite3.DatabaseError):
        connection.execute("SELECT * FROM item").fetchone()
    print("open", flush=True)
    sys.stdin.read()
    return "closed"


def hold_write_lock(target: str) -> str:
    """Be in the middle of a write transaction until killed."""
    connection = sqlite3.connect(target, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    print(os.getpid(), flush=True)
    sys.stdin.read()
    return "over"

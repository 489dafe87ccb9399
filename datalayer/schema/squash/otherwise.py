"""Another clock and other random numbers for a SQLite connection, to see what depends on them.

Takes the place of SQLite's own functions, in defaults and triggers too; knows nothing of migrations.
https://sqlite.org/lang_datefunc.html
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from functools import partial
from random import Random
from typing import Any

__all__ = ["run_otherwise"]

_MOMENT = "2001-02-03 04:05:06.789"
# the place of the argument that may be 'now', or be left out and mean it
_TIMES = {"date": 0, "time": 0, "datetime": 0, "julianday": 0, "unixepoch": 0, "strftime": 1}
_CURRENT = {"current_timestamp": "datetime", "current_date": "date", "current_time": "time"}


@contextmanager
def run_otherwise(connection: sqlite3.Connection) -> Generator[None]:
    """Let it be the third of February 2001 for the connection, until the block ends."""
    with closing(sqlite3.connect(":memory:")) as plain:
        # a schema that is not trusted calls no functions of ours
        connection.execute("PRAGMA trusted_schema = ON")
        for name, place in _TIMES.items():
            connection.create_function(name, -1, partial(_at, plain, name, place), deterministic=True)
        for name, function in _CURRENT.items():
            connection.create_function(name, 0, partial(_at, plain, function, 0), deterministic=True)
        random = Random(1)
        integer: Callable[[], int] = partial(random.randrange, -(2**63), 2**63)
        connection.create_function("random", 0, integer)
        connection.create_function("randomblob", 1, partial(_blob, random))
        yield


def _at(plain: sqlite3.Connection, name: str, place: int, *values: Any) -> Any:
    given = [*values, "now"] if len(values) <= place else list(values)
    if isinstance(given[place], str) and given[place].lower() == "now":
        given[place] = _MOMENT
    try:
        row = plain.execute(f"SELECT {name}({', '.join('?' * len(given))})", given).fetchone()
    except sqlite3.Error:
        return None
    return row[0]


def _blob(random: Random, size: int) -> bytes:
    return random.randbytes(max(1, int(size)))

"""A script of SQL run by SQLite in memory: the statements that make a schema, and nothing beyond it.

Knows no schema as values: what comes of the script is read by snapshot.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import lru_cache

from datalayer.errors import MigrationRefused
from datalayer.schema.tokens import Statement, fold, split

__all__ = ["load", "no_attach", "runnable"]


def load(
    script: str, *, source: str = "the schema", place_of: Callable[[int], str] | None = None
) -> sqlite3.Connection:
    """Run a script in a new database in memory and return its open connection, rows that it inserts included.

    Touches no file: ATTACH (and so VACUUM INTO) is refused. BEGIN, COMMIT and connection settings in the
    script are passed over. Raises MigrationRefused naming the line where SQLite refuses a statement; of a
    script put together of files, `place_of` tells what a line of it is.
    """
    # the empty cache_name of plain ":memory:" is private to this connection
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)
    connection.set_authorizer(no_attach)
    for statement in runnable(script):
        try:
            connection.execute(statement.text).fetchall()
        except sqlite3.Error as exc:
            connection.close()
            is_of_shell = statement.tokens[0].text == "."
            what = "is a command of the sqlite3 program, no SQL" if is_of_shell else "is refused"
            line = statement.line
            place = f"{source}, line {line}" if place_of is None else place_of(line)
            raise MigrationRefused(
                f"{place}: {_opening(statement)} {what}",
                why=str(exc),
                hint=f"{'leave it out' if is_of_shell else 'correct the statement'}; nothing was changed",
            ) from exc
    return connection


def runnable(script: str) -> tuple[Statement, ...]:
    """Give the statements of a script that make its schema and rows.

    Passed over: BEGIN, COMMIT, END (the whole script is one transaction) and every PRAGMA but user_version
    and application_id, which are the only ones that belong to the schema. The last scripts are remembered.
    """
    return _runnable(script)


@lru_cache(maxsize=4)
def _runnable(script: str) -> tuple[Statement, ...]:
    return tuple(statement for statement in split(script) if _is_run(statement))


def _is_run(statement: Statement) -> bool:
    if statement.verb == "PRAGMA":
        return _is_header_pragma(statement)
    return statement.verb not in ("BEGIN", "COMMIT", "END", "VACUUM", "ANALYZE")


def _is_header_pragma(statement: Statement) -> bool:
    words = {fold(token.text) for token in statement.tokens}
    return bool(words & {"user_version", "application_id"}) and bool(words & {"=", "("})


def no_attach(action: int, *_: str | None) -> int:
    """Authorize everything but ATTACH, and so VACUUM INTO: a connection with it reaches no other file."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


def _opening(statement: Statement) -> str:
    if statement.tokens[0].text == ".":
        return statement.text.split("\n")[0]
    return " ".join(token.text for token in statement.tokens[:4])

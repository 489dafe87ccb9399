"""From a driver's error to the one a caller handles: by `sqlite_errorname` and `sqlstate`, never by prose.

SQLite puts table, columns and rule names of a violation into its message only, in a fixed form; these are
read from there as facts, once the code has decided what happened. Codes: sqlite.org/rescode.html and
postgresql.org/docs/current/errcodes-appendix.html.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from datalayer.errors import (
    CheckViolation,
    ConstraintViolation,
    DatabaseBusy,
    DatabaseCorrupt,
    DatabaseUnavailable,
    DataLayerError,
    ForeignKeyViolation,
    NotNullViolation,
    SchemaMismatch,
    TransactionDied,
    UniqueViolation,
)

__all__ = ["StatementRefused", "from_postgres", "from_sqlite", "sentence"]


class StatementRefused(DataLayerError):
    """The database did not accept a statement's text: a repository finds out whether a column is missing."""


_MIGRATE_HINT = "run `datalayer migrate`, or point the program at the right database"
_REPAIR_HINT = "run `datalayer check-db`, and put the newest backup in its place if it is damaged"
# the one situation that SQLite has no code for; PostgreSQL has 42P01 and 42703
_SQLITE_LACKS = ("no such table: ", "no such column: ", " has no column named ", "no such index: ")
# SQLITE_CONSTRAINT_DATATYPE, which Python's sqlite3 calls "unknown"
_DATATYPE = 3091
_WITHOUT_CASE = re.compile(r'lower\(("?\w+"?)(?: COLLATE "C")?\)')
_RETRY_HINT = "try again; store.run_transaction() does so by itself"

_SQLITE_UNAVAILABLE = {
    "SQLITE_CANTOPEN": (
        "cannot open the database file",
        "check that the folder exists and can be read and written",
    ),
    "SQLITE_PERM": (
        "no permission for the database file",
        "check the owner and mode of the file and its folder",
    ),
    "SQLITE_AUTH": ("no permission for this operation", "check what the connection is allowed to do"),
    "SQLITE_READONLY": (
        "the database is read-only",
        "check the mode of the file and its folder, or open it for writing",
    ),
    "SQLITE_FULL": ("the disk is full", "free some room; nothing of the block was kept"),
    "SQLITE_IOERR": (
        "the disk gave an error",
        "check the disk and the system's log; nothing of the block was kept",
    ),
    "SQLITE_NOLFS": (
        "the file is too large for this file system",
        "move the database to another file system",
    ),
    "SQLITE_PROTOCOL": (
        "the locking protocol failed",
        "close other programs that use the file, then try again",
    ),
    "SQLITE_NOMEM": ("out of memory", "free some memory, then try again"),
}


def from_sqlite(exc: BaseException, where: str) -> DataLayerError:
    """Give the datalayer error for one of sqlite3's; `where` names the database."""
    name = getattr(exc, "sqlite_errorname", None)
    if name is None:
        return _from_python(exc, where)
    if getattr(exc, "sqlite_errorcode", None) == _DATATYPE:
        name = "SQLITE_CONSTRAINT_DATATYPE"
    primary = "_".join(name.split("_")[:2])
    if primary == "SQLITE_CONSTRAINT":
        return _sqlite_violation(name, str(exc), where)
    if primary in ("SQLITE_BUSY", "SQLITE_LOCKED"):
        return DatabaseBusy(f"{where} is locked", why="another connection is writing to it", hint=_RETRY_HINT)
    if primary in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
        why = "it is another kind of file, or encrypted" if primary == "SQLITE_NOTADB" else str(exc)
        what = f"{where} is not a database" if primary == "SQLITE_NOTADB" else f"{where} is damaged"
        return DatabaseCorrupt(what, why=why, hint=_REPAIR_HINT)
    if primary in _SQLITE_UNAVAILABLE:
        why, hint = _SQLITE_UNAVAILABLE[primary]
        return DatabaseUnavailable(f"{where} cannot be used", why=f"{why} ({name})", hint=hint)
    if primary in ("SQLITE_MISMATCH", "SQLITE_TOOBIG", "SQLITE_RANGE"):
        return CheckViolation(
            f"{where} refused a value", why=str(exc), hint="check the value's type and size"
        )
    if primary == "SQLITE_ERROR" and any(words in str(exc) for words in _SQLITE_LACKS):
        return SchemaMismatch(f"{where} lacks what the code needs", why=str(exc), hint=_MIGRATE_HINT)
    return StatementRefused(f"{where} refused a statement", why=str(exc), hint="check the statement")


def _from_python(exc: BaseException, where: str) -> DataLayerError:
    """Give the error for what the driver itself refuses (a number of 65 bits, a lone surrogate)."""
    if isinstance(exc, OverflowError | UnicodeError):
        why = "a number is too large" if isinstance(exc, OverflowError) else "a text is not valid Unicode"
        return CheckViolation(f"{where} refused a value", why=why, hint="check the value's type and size")
    if isinstance(exc, sqlite3.ProgrammingError) and "closed" in str(exc):
        return DatabaseUnavailable(f"{where} is closed", hint="open it again")
    return StatementRefused(
        f"{where} refused a statement", why=str(exc), hint="check the statement and its parameters"
    )


def _sqlite_violation(name: str, message: str, where: str) -> ConstraintViolation:
    _, _, detail = message.partition(": ")
    if name in ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_ROWID"):
        if detail.startswith("index '"):
            return UniqueViolation(f"the value is taken in {where}", constraint=detail[7:-1])
        table, columns = _split_columns(detail)
        return UniqueViolation(f"{detail} is taken already", table=table, columns=columns)
    if name == "SQLITE_CONSTRAINT_NOTNULL":
        table, columns = _split_columns(detail)
        return NotNullViolation(f"{detail} must have a value", table=table, columns=columns)
    # ON DELETE RESTRICT has the code of a trigger, which it is inside (sqlite.org, src/fkey.c)
    if name == "SQLITE_CONSTRAINT_FOREIGNKEY" or message == "FOREIGN KEY constraint failed":
        return ForeignKeyViolation(
            f"a reference does not hold in {where}", why="the row referred to is missing, or still used"
        )
    if name == "SQLITE_CONSTRAINT_CHECK":
        return CheckViolation(f"the rule {detail} does not hold", constraint=detail)
    if name == "SQLITE_CONSTRAINT_TRIGGER":
        # rules in triggers say RAISE(ABORT, 'rule_name: what is wrong')
        rule, separator, why = message.partition(": ")
        if separator and rule.isidentifier():
            return CheckViolation(f"the rule {rule} does not hold", constraint=rule, why=why)
        return CheckViolation("a trigger refused the change", why=message)
    if name == "SQLITE_CONSTRAINT_DATATYPE":
        # cannot store TEXT value in INTEGER column t.c
        table, columns = _split_columns(message.partition(" column ")[2])
        return CheckViolation(f"{message}", table=table, columns=columns)
    return ConstraintViolation(f"{where} refused the change", why=message)


def _split_columns(detail: str) -> tuple[str | None, tuple[str, ...]]:
    """Take `t.a, t.b` apart."""
    pairs = [part.partition(".") for part in detail.split(", ")]
    if not all(dot for _, dot, _ in pairs):
        return None, ()
    return pairs[0][0], tuple(column for _, _, column in pairs)


_POSTGRES_UNAVAILABLE = {
    "08": ("the connection broke", "check the server and the network, then try again"),
    "28": ("the server refused the login", "check the user name and password"),
    "3D": ("the server has no such database", "create it, or check the name in the URL"),
    "53": (
        "the server is out of room (connections, memory or disk)",
        "free some, or lower the number of connections",
    ),
    "57": ("the server is shutting down or starting up", "wait until it answers, then try again"),
    "58": ("the server's system gave an error", "check the server's log"),
}
_POSTGRES_BUSY = frozenset({"40001", "40P01", "55P03", "57014"})
_POSTGRES_VIOLATIONS: dict[str, type[ConstraintViolation]] = {
    "23505": UniqueViolation,
    "23P01": UniqueViolation,
    "23503": ForeignKeyViolation,
    "23001": ForeignKeyViolation,
    "23502": NotNullViolation,
    "23514": CheckViolation,
}


def from_postgres(exc: Any, where: str) -> DataLayerError:
    """Give the datalayer error for one of psycopg's; values that the server quotes are left out."""
    state: str | None = getattr(exc, "sqlstate", None)
    if state is None:
        return _without_state(exc, where)
    message: str = exc.diag.message_primary or ""
    if state in _POSTGRES_VIOLATIONS:
        return _postgres_violation(exc.diag, state, message)
    if state in _POSTGRES_BUSY:
        return DatabaseBusy(f"{where} is busy", why=message, hint=_RETRY_HINT)
    if state in ("42P01", "42703", "3F000"):
        return SchemaMismatch(f"{where} lacks what the code needs", why=message, hint=_MIGRATE_HINT)
    if state in ("25P02", "25P03", "25P04"):
        return TransactionDied(f"the transaction on {where} has ended", why=message, hint="begin a new one")
    if state == "25006":
        return DatabaseUnavailable(
            f"{where} cannot be written",
            why=f"the server, the role or the transaction is read-only: {message}",
            hint="connect to the primary server, or as a role whose default_transaction_read_only is off",
        )
    if state == "42501":
        return DatabaseUnavailable(
            f"{where} cannot be used", why=message, hint="ask for the right, or use another user"
        )
    if state[:2] == "XX":
        return DatabaseCorrupt(f"{where} is damaged", why=message, hint=_REPAIR_HINT)
    if state[:2] == "22":
        return CheckViolation(f"{where} refused a value", why=f"it does not fit its column ({state})")
    if state[:2] in _POSTGRES_UNAVAILABLE:
        why, hint = _POSTGRES_UNAVAILABLE[state[:2]]
        return DatabaseUnavailable(f"{where} cannot be used", why=f"{why} ({state})", hint=hint)
    return StatementRefused(f"{where} refused a statement", why=message, hint="check the statement")


def _without_state(exc: Any, where: str) -> DataLayerError:
    """Tell a failed login from a server that is not there: libpq gives no code for either."""
    kind = type(exc).__name__
    if kind in ("OperationalError", "ConnectionTimeout", "InterfaceError", "PoolTimeout"):
        return DatabaseUnavailable(
            f"{where} does not answer",
            why=_first_line(exc),
            hint="check that the server runs there, and the user and password",
        )
    if kind == "DataError" or isinstance(exc, OverflowError | UnicodeError):
        return CheckViolation(f"{where} refused a value", why="it does not fit its column")
    return StatementRefused(
        f"{where} refused a statement", why=_first_line(exc), hint="check the statement and parameters"
    )


def _first_line(exc: BaseException) -> str:
    lines = str(exc).strip().splitlines()
    return lines[0] if lines else type(exc).__name__


def _postgres_violation(diag: Any, state: str, message: str) -> ConstraintViolation:
    constraint: str | None = diag.constraint_name
    columns = (diag.column_name,) if diag.column_name else _detail_columns(diag.message_detail)
    # a rule in a trigger says `rule_name: what is wrong`; the server's own sentences would only repeat `what`
    rule, _, why = message.partition(": ")
    error = _POSTGRES_VIOLATIONS[state](
        message,
        table=diag.table_name,
        columns=columns,
        constraint=constraint,
        why=why if rule == constraint else None,
    )
    error.what = sentence(error)
    if state == "23P01":
        error.what = f"{_subject(error)} conflicts with another row"
    error.args = (error.what,)
    return error


def _detail_columns(detail: str | None) -> tuple[str, ...]:
    """Take the column names out of `Key (a, b)=(1, 2) ...`; the values stay out of errors.

    A column whose case does not count, `lower(a COLLATE "C")`, is told by its name, as on SQLite.
    Where a row is still referred to they are those of the row, not of the table that the error names.
    """
    if not detail or not detail.startswith("Key ("):
        return ()
    if detail.rpartition(")")[2].startswith(" is still referenced from "):
        return ()
    names = detail[5:].partition(")=(")[0]
    return tuple(_WITHOUT_CASE.sub(r"\1", name).strip('"') for name in names.split(", "))


def sentence(error: ConstraintViolation) -> str:
    """Say what a violation is, from its facts: the same on both engines."""
    if isinstance(error, UniqueViolation):
        return f"{_subject(error)} is taken already"
    if isinstance(error, NotNullViolation):
        return f"{_subject(error)} must have a value"
    if isinstance(error, ForeignKeyViolation):
        return f"a reference of {_subject(error)} does not hold"
    return f"the rule {error.constraint} does not hold" if error.constraint else error.what


def _subject(error: ConstraintViolation) -> str:
    if error.columns:
        return ", ".join(f"{error.table}.{column}" for column in error.columns)
    return error.table or "the row"

"""Applying files to a SQLite database: all of them in one transaction, with a proof of the references.

foreign_keys is off around it, because dropping a table would else delete the rows that refer to it
(https://sqlite.org/foreignkeys.html, section 5); before COMMIT every reference that broke is named.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from time import monotonic, sleep

from datalayer.engine.connection import Engine
from datalayer.engine.sqlite import SqliteEngine
from datalayer.errors import DatabaseBusy, MigrationRefused
from datalayer.schema.declaration import read_table
from datalayer.schema.numbered.manner import foreign_keys_wish
from datalayer.schema.numbered.pending import Pending, finding
from datalayer.schema.numbered.work import Work
from datalayer.schema.tokens import Statement, fold, quote, unquote

__all__ = ["run_on_sqlite"]

_MOST_ROWS = 10
_Broken = Counter[tuple[str, object, str]]


def run_on_sqlite(work: Work, deadline: float) -> None:
    """Apply what is pending, whole or not at all; waits for the write lock until `deadline`.

    Raises DatabaseBusy when it does not come, MigrationRefused with everything rolled back, and the backup
    that was made for it removed where SQL alone was run.
    """
    engine = work.engine
    assert isinstance(engine, SqliteEngine)
    enforces = _enforces(work.look())
    while True:
        try:
            with ExitStack() as stack:
                with engine.waiting_at_most(deadline - monotonic()):
                    stack.enter_context(_foreign_keys(engine, enforces=enforces))
                    stack.enter_context(engine.transaction())
                found = work.look()
                if enforces == _enforces(found):
                    _apply(work, found, enforces=enforces)
                    return
                enforces = not enforces
        except MigrationRefused:
            work.remove_backup()
            raise
        except DatabaseBusy:
            if work.has_begun or monotonic() >= deadline:
                raise
            sleep(0.05)


def _apply(work: Work, found: Pending, *, enforces: bool) -> None:
    if found.is_nothing_to_do:
        return
    engine = work.engine
    work.begin(found)
    before, unclear = _broken(engine)
    for file in found.files:
        with _renames(engine):
            if enforces and file.kind == "sql":
                _refuse_cascading_drops(engine, work.statements(file))
            work.apply_inside(file)
            work.keep()
    after, unclear_now = _broken(engine)
    _refuse_new_breaks(engine, after - before)
    work.findings += [
        finding("X003", "error", engine.display_url, f"a reference of {table} is to columns without a key")
        for table in sorted(unclear_now - unclear)
    ]


def _enforces(found: Pending) -> bool:
    """Say whether references are enforced during the run: one file turns them on first, and none off."""
    wishes = {file.name: foreign_keys_wish(file.statements()) for file in found.files}
    return True in wishes.values() and False not in wishes.values()


@contextmanager
def _foreign_keys(engine: Engine, *, enforces: bool) -> Generator[None]:
    """Set foreign_keys around a transaction: inside one it is ignored."""
    row = engine.fetch_one("PRAGMA foreign_keys")
    engine.execute(f"PRAGMA foreign_keys = {int(enforces)}")
    try:
        yield
    finally:
        engine.execute(f"PRAGMA foreign_keys = {row[0] if row else 1}")


@contextmanager
def _renames(engine: Engine) -> Generator[None]:
    """Let one file's PRAGMA legacy_alter_table not reach the next."""
    row = engine.fetch_one("PRAGMA legacy_alter_table")
    try:
        yield
    finally:
        # the driver's connection: the engine takes nothing more in a block that failed
        engine.connection().execute(f"PRAGMA legacy_alter_table = {row[0] if row else 0}")


def _broken(engine: Engine) -> tuple[_Broken, set[str]]:
    """Count the rows whose reference does not hold, by table, rowid and the table referred to.

    And give the tables of which SQLite cannot tell, since the columns referred to have no key ("foreign key
    mismatch"): it would refuse every change of their rows.
    """
    connection: sqlite3.Connection = engine.connection()
    tables = [str(row[0]) for row in engine.fetch_all(engine.dialect.tables_sql)]
    found: _Broken = Counter()
    unclear: set[str] = set()
    for table in tables:
        try:
            # not by the engine, where an error would doom the block
            rows = connection.execute(f"PRAGMA main.foreign_key_check({quote(table)})").fetchall()
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorname != "SQLITE_ERROR":
                raise engine.translate(exc) from exc
            unclear.add(table)
        else:
            found.update((fold(table), rowid, fold(str(parent))) for _, rowid, parent, _ in rows)
    return found, unclear


def _refuse_new_breaks(engine: Engine, new: _Broken) -> None:
    if not new:
        return
    by_pair: dict[tuple[str, str], list[object]] = {}
    for (table, rowid, parent), count in new.items():
        by_pair.setdefault((table, parent), []).extend([rowid] * count)
    findings = [
        {
            "id": "reference",
            "severity": "error",
            "table": table,
            "object": parent,
            "count": len(rows),
            "message": f"{len(rows)} row{'s'[: len(rows) != 1]} of {table} would lose the row of {parent}",
            "rows": [row for row in rows[:_MOST_ROWS] if row is not None],
        }
        for (table, parent), rows in by_pair.items()
    ]
    first = findings[0]
    shown = ", ".join(map(str, by_pair[next(iter(by_pair))][:_MOST_ROWS]))
    raise MigrationRefused(
        f"the migrations would break {new.total()} reference{'s'[: new.total() != 1]};"
        f" nothing was changed in {engine.display_url}",
        findings=findings,
        why=f"{first['message']} (rowid {shown})",
        hint="move or delete these rows in the migration itself",
    )


def _refuse_cascading_drops(engine: Engine, statements: list[Statement]) -> None:
    """Refuse DROP TABLE where references are enforced and rows of other tables would go or change with it."""
    for statement in statements:
        words = [token.upper for token in statement.tokens[:4]]
        if words[:2] != ["DROP", "TABLE"]:
            continue
        name = unquote(statement.tokens[-1])
        children = [child for child in _children(engine, name) if _has_rows(engine, child)]
        if children:
            raise MigrationRefused(
                f"DROP TABLE {name} would reach rows of {', '.join(children)}; nothing was changed",
                findings=[
                    finding("D002", "error", engine.display_url, f"DROP TABLE {name}", line=statement.line)
                ],
                why="the file turns foreign_keys on, and with it dropping a table deletes what refers to it",
                hint="take PRAGMA foreign_keys = ON out of the file: references are checked anyway",
            )


def _children(engine: Engine, name: str) -> list[str]:
    rows = engine.fetch_all(
        "SELECT name, sql FROM main.sqlite_schema WHERE type = 'table' AND sql IS NOT NULL"
    )
    found: list[str] = []
    for table, sql in rows:
        if str(sql)[:20].upper().startswith("CREATE VIRTUAL"):
            continue
        if any(fold(key.parent) == fold(name) for key in read_table(str(sql)).foreign_keys) and table != name:
            found.append(str(table))
    return found


def _has_rows(engine: Engine, table: str) -> bool:
    return engine.fetch_one(f"SELECT 1 FROM {quote(table)} LIMIT 1") is not None

"""An existing SQLite database brought to a schema: planned, then done in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from datalayer.engine.connection import Engine
from datalayer.schema.change import schema_text
from datalayer.schema.change.applying import apply
from datalayer.schema.change.consent import Consent
from datalayer.schema.change.losses import refuse_losses
from datalayer.schema.change.meter import Meter, interruptible
from datalayer.schema.change.pairing import pair_up
from datalayer.schema.change.planning import Plan, make_plan
from datalayer.schema.snapshot import Schema, read

__all__ = ["Wanted", "looking", "perform", "plan_change", "unguarded"]

Progress = Callable[[int, int], object]
_SETTINGS = {"foreign_keys": 0, "legacy_alter_table": 0, "temp_store": 1, "cache_size": -2000}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The schema to reach.

    `order` is the (type, name) of each row of its sqlite_schema, `header` the numbers (user_version,
    application_id) that it sets. `exact`: it is the whole schema; else tables that it lacks belong to
    somebody else.
    """

    schema: Schema
    order: tuple[tuple[str, str], ...]
    header: frozenset[str]
    exact: bool


def plan_change(connection: sqlite3.Connection, wanted: Wanted, consent: Consent) -> Plan:
    """Plan the way from what the database holds now to the wanted schema.

    Take a transaction around it. Raises MigrationRefused for renames that lead nowhere, and where rows would
    be dropped that nobody let go.
    """
    found = read(connection)
    pairing = pair_up(found, wanted.schema, consent, exact=wanted.exact)
    refuse_losses(connection, found, pairing, consent)
    return make_plan(
        found,
        wanted.schema,
        pairing,
        exact=wanted.exact,
        can_retell=schema_text.can_write(connection),
        header=wanted.header,
    )


def perform(
    connection: sqlite3.Connection, plan: Plan, consent: Consent, wanted: Wanted, progress: Progress | None
) -> None:
    """Do a plan in the transaction that is open; see `applying.apply`. `progress` is called with rows."""
    meter = Meter(connection, progress)
    with interruptible(connection, meter):
        apply(connection, plan, consent, wanted.order, meter)


@contextmanager
def looking(engine: Engine) -> Generator[None]:
    """Look at all rows of large tables in little memory, and so that Ctrl-C ends it.

    Take it outside of a transaction: within one, temp_store cannot be set.
    """
    connection: sqlite3.Connection = engine.connection()
    before = {name: _setting(connection, name) for name in ("temp_store", "cache_size")}
    try:
        for name in before:
            connection.execute(f"PRAGMA {name} = {_SETTINGS[name]}")
        with interruptible(connection):
            yield
    finally:
        _set_again(engine, connection, before)


@contextmanager
def unguarded(engine: Engine) -> Generator[None]:
    """Set what a migration needs, outside its transaction: inside one, foreign_keys would be ignored.

    Sorting goes to temporary files, so that memory stays bounded; with SQLite's own small page cache an index
    is made in two thirds of the time that a cache of 16 MiB takes. At the end the schema is read anew: after
    a rollback this connection may remember one that never was.
    """
    connection: sqlite3.Connection = engine.connection()
    before = {name: _setting(connection, name) for name in _SETTINGS}
    try:
        for name, value in _SETTINGS.items():
            connection.execute(f"PRAGMA {name} = {value}")
        yield
    finally:
        _set_again(engine, connection, before, reads_schema=True)


def _set_again(
    engine: Engine, connection: sqlite3.Connection, before: dict[str, int], *, reads_schema: bool = False
) -> None:
    if not engine.has_connection or engine.connection() is not connection:
        # it was closed, as it could not be rolled back
        return
    try:
        if reads_schema:
            connection.execute("PRAGMA writable_schema = RESET")
        for name, value in before.items():
            connection.execute(f"PRAGMA {name} = {value}")
    except sqlite3.Error:
        # a disk that fails may not even let the schema be read: the next statement opens a new connection
        engine.discard(engine.state())


def _setting(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])

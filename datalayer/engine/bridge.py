"""An engine as a Peewee database, so that Peewee's query builder and models' own methods run through it.

The one module that leans on how Peewee's Database is made inside; peewee is pinned to a minor range and
tests/engine/test_bridge.py says which of its names are needed. Statements go to the engine, so they are
logged, translated and held to its transactions like all others.
"""

# Peewee's stubs promise its own transactions and cursors; here they are the engine's
# pyright: reportIncompatibleMethodOverride=false, reportAssignmentType=false

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import peewee
from playhouse.postgres_ext import Psycopg3Database

from datalayer.errors import DataLayerError

if TYPE_CHECKING:
    from datalayer.engine.connection import Engine
    from datalayer.engine.transaction import Transaction

__all__ = ["PeeweeFace", "PostgresFace", "SqliteFace"]


class PeeweeFace(peewee.Database):
    """What both faces share: everything that Peewee would do to a connection is the engine's to do."""

    engine: Engine

    def connect(self, reuse_if_open: bool = False) -> bool:
        """Open this thread's connection."""
        was_open = self.engine.has_connection
        self.engine.state()
        return not was_open

    def close(self) -> bool:
        """Close this thread's connection."""
        was_open = self.engine.has_connection
        self.engine.release()
        return was_open

    def is_closed(self) -> bool:
        """Say whether this thread has no connection."""
        return not self.engine.has_connection

    def connection(self) -> Any:
        """Give the driver's connection of this thread."""
        return self.engine.connection()

    def cursor(self, named_cursor: bool | None = None) -> Any:
        """Give a driver's cursor of this thread's connection."""
        return self.engine.connection().cursor()

    def execute_sql(self, sql: str, params: Sequence[Any] | None = None, **_: Any) -> Any:
        """Execute through the engine."""
        return self.engine.execute(sql, params or ())

    def execute(self, query: Any, **context_options: Any) -> Any:
        """Render a query and execute it through the engine."""
        context: Any = self.get_sql_context(**context_options)
        sql, params = context.sql(query).query()
        return self.engine.execute(sql, params)

    def in_transaction(self) -> bool:
        """Say whether this thread is inside a block."""
        return self.engine.in_transaction

    def transaction_depth(self) -> int:
        """Say how many blocks this thread is inside."""
        return self.engine.depth

    def atomic(self, *_: Any, **__: Any) -> Transaction:
        """Give a block of the engine's."""
        return self.engine.transaction()

    transaction = savepoint = atomic

    def after_commit(self, fn: Callable[[], object]) -> Callable[[], object]:
        """Call back when the outermost block is committed, unless its own block is undone."""
        self.engine.on_commit(fn)
        return fn

    def create_tables(self, models: Sequence[type[peewee.Model]], **options: Any) -> None:
        """Create tables from models, bound or not; a schema file and `migrate` do more."""
        for model in cast("Any", peewee).sort_models(models):
            peewee.SchemaManager(model, self).create_all(**options)

    def manual_commit(self) -> contextlib.AbstractContextManager[None]:
        """Refuse: transactions are the engine's."""
        raise DataLayerError("manual_commit() is not available", hint="use store.transaction()")

    begin = commit = rollback = session_start = session_commit = session_rollback = manual_commit


class SqliteFace(PeeweeFace, peewee.SqliteDatabase):
    """A SQLite engine as Peewee sees it."""

    field_types: ClassVar = {**peewee.SqliteDatabase.field_types, "UTC": "TEXT"}

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        super().__init__(engine.display_url, autoconnect=True, returning_clause=True)

    def init(self, database: str, *args: Any, **kwargs: Any) -> None:
        """Take Peewee's settings without opening or closing anything."""
        self.database = database
        self.deferred = False
        self.returning_clause = True
        self._timeout = self.engine.options.busy_timeout_s


class PostgresFace(PeeweeFace, Psycopg3Database):
    """A PostgreSQL engine as Peewee sees it."""

    field_types: ClassVar = {**Psycopg3Database.field_types, "UTC": "TIMESTAMPTZ"}

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        super().__init__(engine.display_url)

    def init(self, database: str, *args: Any, **kwargs: Any) -> None:
        """Take Peewee's settings without opening or closing anything."""
        self.database = database
        self.deferred = False
        self._encoding = None
        self._isolation_level = None
        self._adapter = self.psycopg3_adapter()

"""Every difference between SQLite and PostgreSQL that code above the engine can meet.

The only place that asks which engine it is; what is above takes the piece of SQL or the number from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["POSTGRES", "SQLITE", "Dialect", "EngineName"]

EngineName = Literal["sqlite", "postgresql"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One engine's ways, as values.

    `row_lock` and `row_lock_skip` end a SELECT whose rows are to be changed (nothing on SQLite, where a write
    transaction is the lock). `parameter_limit` bounds the values of one statement. `has_row_id` says that the
    driver gives the key of an inserted row without RETURNING.
    """

    name: EngineName
    placeholder: str
    parameter_limit: int
    row_lock: str
    row_lock_skip: str
    has_row_id: bool
    has_copy: bool
    nulls_first: bool
    columns_sql: str
    listen_sql: str
    notify_sql: str

    def sql(self, text: str) -> str:
        """Give hand-written SQL, whose parameters are `?`, with this engine's placeholders.

        The text must hold no `?` but parameters; a literal `%` is kept as it is.
        """
        if self.placeholder == "?":
            return text
        return text.replace("%", "%%").replace("?", self.placeholder)

    def quote(self, name: str) -> str:
        """Give an identifier in quotes, whatever is in it."""
        return '"' + name.replace('"', '""') + '"'

    def json_number(self, column: str) -> str:
        """Give an expression for the integer that a JSON column holds."""
        if self.name == "sqlite":
            return f"CAST({column} AS INTEGER)"
        return f"({column} #>> '{{}}')::bigint"

    def json_from_number(self, expression: str) -> str:
        """Give an expression that stores an integer expression in a JSON column."""
        if self.name == "sqlite":
            return f"CAST({expression} AS TEXT)"
        return f"to_jsonb({expression})"

    def json_type(self, column: str) -> str:
        """Give an expression for the JSON type's name (an integer is a `number` on PostgreSQL)."""
        return f"json_type({column})" if self.name == "sqlite" else f"jsonb_typeof({column})"

    def begin(self, *, read: bool, isolation: str | None) -> tuple[str, ...]:
        """Give the statements that open a transaction.

        Read: a snapshot that cannot write, on both engines. Write: SQLite takes the write lock at once
        (IMMEDIATE), PostgreSQL uses the isolation asked for (its default is READ COMMITTED).
        """
        if self.name == "sqlite":
            # query_only makes a forgotten write fail at once instead of as BUSY_SNAPSHOT under load
            return ("PRAGMA query_only = 1", "BEGIN DEFERRED") if read else ("BEGIN IMMEDIATE",)
        if read:
            return ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",)
        return (f"BEGIN ISOLATION LEVEL {isolation}" if isolation else "BEGIN",)

    def after_read(self) -> tuple[str, ...]:
        """Give the statements that undo what `begin(read=True)` set on the connection."""
        return ("PRAGMA query_only = 0",) if self.name == "sqlite" else ()


SQLITE = Dialect(
    name="sqlite",
    placeholder="?",
    parameter_limit=32_000,
    row_lock="",
    row_lock_skip="",
    has_row_id=True,
    has_copy=False,
    nulls_first=True,
    columns_sql="SELECT name FROM pragma_table_xinfo(?)",
    listen_sql="",
    notify_sql="",
)

POSTGRES = Dialect(
    name="postgresql",
    placeholder="%s",
    parameter_limit=65_000,
    row_lock=" FOR UPDATE",
    row_lock_skip=" FOR UPDATE SKIP LOCKED",
    has_row_id=False,
    has_copy=True,
    nulls_first=False,
    columns_sql=(
        "SELECT attname FROM pg_attribute"
        " WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 0 AND NOT attisdropped"
    ),
    listen_sql="LISTEN {channel}",
    notify_sql="SELECT pg_notify(%s, '')",
)

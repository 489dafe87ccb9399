"""Every difference between SQLite and PostgreSQL that code above the engine can meet.

The only place that asks which engine it is; what is above takes the piece of SQL or the number from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

__all__ = ["POSTGRES", "SQLITE", "WRITES", "Dialect", "EngineName"]

WRITES = "datalayer_writes"
"""The channel that hears of every commit."""

EngineName = Literal["sqlite", "postgresql"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One engine's ways, as values.

    `row_lock` and `row_lock_skip` end a SELECT whose rows are to be changed (nothing on SQLite, where a write
    transaction is the lock). `parameter_limit` bounds the values of one statement. `has_row_id` says that the
    driver gives the key of an inserted row without RETURNING, `tells_violations` that the error of a broken
    rule names its table and constraint.
    """

    name: EngineName
    placeholder: str
    parameter_limit: int
    row_lock: str
    row_lock_skip: str
    has_row_id: bool
    tells_violations: bool
    has_copy: bool
    nulls_first: bool
    columns_sql: str
    listen_sql: str
    notify_sql: str
    tables_sql: str
    table_sizes_sql: str
    database_size_sql: str
    settings_sql: str

    def sql(self, text: str) -> str:
        """Give hand-written SQL, whose parameters are `?`, with this engine's placeholders.

        The text must hold no `?` but parameters; a literal `%` is kept as it is.
        """
        if self.placeholder == "?":
            return text
        return text.replace("%", "%%").replace("?", self.placeholder)

    def quote(self, name: str) -> str:
        """Give an identifier in quotes, whatever is in it.

        Backticks on SQLite: there a name in double quotes that is no column is silently a string, so a
        missing column would answer with its own name (sqlite.org/quirks.html, section 8).
        """
        mark = "`" if self.name == "sqlite" else '"'
        return mark + name.replace(mark, mark * 2) + mark

    def each_text(self, name: str = "value") -> str:
        """Give a query for the texts of a JSON array, which is its one parameter (`?`), under this name."""
        if self.name == "sqlite":
            return f"SELECT value AS {name} FROM json_each(?)"
        return f"SELECT jsonb_array_elements_text(CAST(? AS jsonb)) AS {name}"

    def in_few(self, column: str, query: str) -> str:
        """Give a condition: the column is among the few values of a query, which is evaluated once.

        PostgreSQL re-evaluates an IN query at will, which would lock other rows each time, and may scan the
        table for it; an array is made once and sought by the index.
        """
        if self.name == "sqlite":
            return f"{column} IN ({query})"
        return f"{column} = ANY (ARRAY({query}))"

    def by_index(self, table: str, alias: str, index: str) -> str:
        """Give a table in a FROM clause, to be read by this index; ask for its order, with LIMIT.

        Left alone both engines take another one: SQLite without statistics, PostgreSQL with statistics from a
        time when the index was empty, which says that one row is as cheap by any index and sorted at once.
        Seemingly joined to a thousand rows, in truth to one, it wants them in order. The key is `id`.
        """
        if self.name == "sqlite":
            return f"{table} AS {alias} INDEXED BY {index}"
        once = f"generate_series(1, num_nonnulls({alias}.id)) AS once"
        return f"{table} AS {alias} CROSS JOIN LATERAL {once}"

    def first_of_each(self, outer: str, alias: str, table: str, condition: str, order: str) -> str:
        """Give a FROM clause: each row of `outer` with the first rows of a table that meet a condition.

        `table` is as `by_index` gives it under this alias; its key is `id`. `order` is what follows ORDER BY,
        with the LIMIT. The rows are locked; those that others have locked are skipped.
        """
        query = f"FROM {table} WHERE {condition} ORDER BY {order}"
        if self.name == "sqlite":
            name = table.partition(" AS ")[0]
            return f"{outer} CROSS JOIN {name} AS {alias} ON {alias}.id IN (SELECT {alias}.id {query})"
        return f"{outer} CROSS JOIN LATERAL (SELECT {alias}.* {query}{self.row_lock_skip}) AS {alias}"

    @property
    def picks_in_order(self) -> bool:
        """Whether `first_of_each` gives its rows in the order of `outer`, one by one and none too many."""
        return self.name == "postgresql"

    @property
    def has_word_tables(self) -> bool:
        """Whether the words of a full-text index stand in a table of their own (FTS5), not in an index."""
        return self.name == "sqlite"

    @property
    def has_extensions(self) -> bool:
        """Whether CREATE EXTENSION can bring other types."""
        return self.name == "postgresql"

    def contains(self, column: str) -> str:
        """Give a condition: the column's text holds the parameter (`?`), of which no character is special."""
        return f"instr({column}, ?) > 0" if self.name == "sqlite" else f"strpos({column}, ?) > 0"

    def folded(self, column: str) -> str:
        """Give an expression: a column's text with A to Z in small letters, as in an index on lower(column).

        All other letters stay as they are, on both engines.
        """
        return f"lower({column})" if self.name == "sqlite" else f'lower({column} COLLATE "C")'

    def json_same(self, column: str) -> str:
        """Give a condition: a JSON column equals the document that is the parameter (`?`).

        On both engines the order of an object's keys does not matter, numbers are compared by value (1 equals
        1.0), and true is no number.
        """
        return f"same_json({column}, ?)" if self.name == "sqlite" else f"{column} = CAST(? AS jsonb)"

    def json_sum(self, left: str, right: str) -> str:
        """Give an expression: the JSON number that is the sum of two JSON columns holding integers."""
        if self.name == "sqlite":
            return f"CAST({left} + {right} AS TEXT)"
        return f"to_jsonb(({left}::text)::numeric + ({right}::text)::numeric)"

    def json_sum_fits(self, left: str, right: str) -> str:
        """Give a condition: `left` holds an integer, and with the integer `right` it stays within 64 bits."""
        if self.name == "sqlite":
            # JSON of digits alone is an integer; one of more than 64 bits, or such a sum, is a REAL here
            return f"({left} NOT GLOB '*[^-0-9]*' AND typeof({left} + {right}) = 'integer')"
        bits = "BETWEEN -9223372036854775808 AND 9223372036854775807"
        return (
            f"CASE WHEN jsonb_typeof({left}) = 'number' AND strpos({left}::text, '.') = 0"
            f" THEN ({left}::text)::numeric {bits}"
            f" AND ({left}::text)::numeric + ({right}::text)::numeric {bits} ELSE FALSE END"
        )

    def announce(self, channel: str) -> str:
        """Give an expression, for RETURNING, that wakes who listens to this channel; empty where commits do.

        NOTIFY takes a lock at commit that all notifying commits of the server share, so it is left out while
        nobody listens: a listener holds a shared advisory lock, and where that lock can be had exclusively,
        for an instant, there is no listener. One that comes while a transaction is open may miss its end, so
        look again now and then.
        """
        if not self.notify_sql:
            return ""
        lock = _lock_number(channel)
        text = channel.replace("'", "''")
        return (
            f"CASE WHEN pg_try_advisory_lock({lock}) THEN pg_advisory_unlock({lock})"
            f" ELSE pg_notify('{text}', '') IS NULL END"
        )

    def attend(self, channel: str) -> str:
        """Give the statement with which a listener lets `announce` know of it; empty where nobody asks."""
        return f"SELECT pg_advisory_lock_shared({_lock_number(channel)})" if self.notify_sql else ""

    def is_unattended(self, channel: str) -> str:
        """Give a query for whether nobody listens to this channel; empty where commits tell by themselves."""
        if not self.notify_sql:
            return ""
        lock = _lock_number(channel)
        return f"SELECT CASE WHEN pg_try_advisory_lock({lock}) THEN pg_advisory_unlock({lock}) ELSE FALSE END"

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


def _lock_number(channel: str) -> int:
    """Give the advisory lock that stands for a channel."""
    return int.from_bytes(sha256(f"datalayer:{channel}".encode()).digest()[:8], signed=True)


SQLITE = Dialect(
    name="sqlite",
    placeholder="?",
    parameter_limit=32_000,
    row_lock="",
    row_lock_skip="",
    has_row_id=True,
    tells_violations=False,
    has_copy=False,
    nulls_first=True,
    columns_sql="SELECT name FROM pragma_table_xinfo(?)",
    listen_sql="",
    notify_sql="",
    tables_sql=(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        " ORDER BY name"
    ),
    table_sizes_sql=(
        "SELECT s.tbl_name, SUM(d.pgsize) FROM dbstat AS d JOIN sqlite_schema AS s ON s.name = d.name"
        " WHERE d.aggregate GROUP BY s.tbl_name"
    ),
    database_size_sql="SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
    settings_sql=(
        "SELECT 'version', sqlite_version()"
        " UNION ALL SELECT 'journal_mode', journal_mode FROM pragma_journal_mode"
        " UNION ALL SELECT 'synchronous', CASE synchronous WHEN 0 THEN 'off' WHEN 1 THEN 'normal'"
        " WHEN 2 THEN 'full' ELSE 'extra' END FROM pragma_synchronous"
        " UNION ALL SELECT 'foreign_keys', foreign_keys FROM pragma_foreign_keys"
        " UNION ALL SELECT 'page_size', page_size FROM pragma_page_size"
        " UNION ALL SELECT 'page_count', page_count FROM pragma_page_count"
        " UNION ALL SELECT 'free_pages', freelist_count FROM pragma_freelist_count"
        " UNION ALL SELECT 'auto_vacuum', auto_vacuum FROM pragma_auto_vacuum"
        " UNION ALL SELECT 'encoding', encoding FROM pragma_encoding"
        " UNION ALL SELECT 'user_version', user_version FROM pragma_user_version"
        " UNION ALL SELECT 'application_id', application_id FROM pragma_application_id"
    ),
)

POSTGRES = Dialect(
    name="postgresql",
    placeholder="%s",
    parameter_limit=65_000,
    row_lock=" FOR UPDATE",
    row_lock_skip=" FOR UPDATE SKIP LOCKED",
    has_row_id=False,
    tells_violations=True,
    has_copy=True,
    nulls_first=False,
    columns_sql=(
        "SELECT attname FROM pg_attribute"
        " WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 0 AND NOT attisdropped"
    ),
    listen_sql="LISTEN {channel}",
    notify_sql="SELECT pg_notify(%s, '')",
    tables_sql=(
        "SELECT relname FROM pg_class WHERE relnamespace = quote_ident(current_schema())::regnamespace"
        " AND relkind IN ('r', 'p') ORDER BY relname"
    ),
    table_sizes_sql=(
        "SELECT relname, pg_total_relation_size(oid) FROM pg_class"
        " WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'p')"
    ),
    database_size_sql="SELECT pg_database_size(current_database())",
    settings_sql=(
        "SELECT name, current_setting(setting) FROM (VALUES ('version', 'server_version'),"
        " ('encoding', 'server_encoding'), ('time_zone', 'TimeZone'), ('search_path', 'search_path'),"
        " ('isolation', 'default_transaction_isolation'), ('synchronous_commit', 'synchronous_commit'),"
        " ('max_connections', 'max_connections'), ('shared_buffers', 'shared_buffers'),"
        " ('fsync', 'fsync')) AS wanted (name, setting)"
    ),
)

"""One PostgreSQL database for many tests: emptied after each, made anew when a test left its schema changed.

Making one from the template and dropping it costs 35 ms on a quiet machine and 200 ms on a busy one,
emptying it 3.
"""

from __future__ import annotations

from typing import Any, LiteralString, cast

import psycopg

from datalayer.testing.postgres import PostgresServer

# whatever a statement of DDL writes, but not what VACUUM, ANALYZE or setval write in place
_SHAPE = """
SELECT md5(string_agg(part, ',' ORDER BY part)) FROM (
    SELECT 'class' || oid || relname || xmin FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'column' || attrelid || attname || a.xmin FROM pg_attribute a
    JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'constraint' || oid || conname || xmin FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'trigger' || t.oid || tgname || t.xmin FROM pg_trigger t
    JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'function' || oid || proname || xmin FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'schema' || oid || nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg_temp%'
        AND nspname NOT LIKE 'pg_toast%'
    UNION ALL
    SELECT 'setting' || setrole || setconfig::text FROM pg_db_role_setting s
    JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database()
) AS parts (part)
"""
_TABLES = (
    "SELECT quote_ident(relname) FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1"
)
_SEQUENCES = (
    "SELECT format('%I.%I', schemaname, sequencename), last_value FROM pg_sequences"
    " WHERE schemaname = 'public' ORDER BY 1"
)
# neither a trigger nor a reference is asked when rows go
_UNASKED = "SET session_replication_role = replica"
_LARGEST = (
    "SELECT max(pg_relation_size(oid)) FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
)
_MOST_BYTES = 8 << 20


Rows = dict[str, str]
Connection = psycopg.Connection[tuple[Any, ...]]


class ReusedDatabase:
    """A migrated database that is as good as new each time it is taken."""

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server = server
        self._template = template
        self._url: str | None = None
        self._shape: str | None = None
        self._rows: Rows = {}
        self._sequences: dict[str, int | None] = {}

    def take(self) -> str:
        """Give its URL."""
        if self._url is None:
            self._url = self._server.create_database(template=self._template)
            with psycopg.connect(self._url, autocommit=True) as conn:
                self._shape = _shape(conn)
                self._rows = _rows_of(conn, _tables(conn))
                self._sequences = _sequences(conn)
        return self._url

    def give_back(self) -> None:
        """Empty it, or drop it where that is not enough."""
        url = self._url
        assert url is not None
        if not self._is_as_new(url):
            self._server.drop_database(url)
            self._url = None

    def _is_as_new(self, url: str) -> bool:
        try:
            with psycopg.connect(url, autocommit=True) as conn:
                # who still holds a lock here would make the next test wait
                conn.execute("SET lock_timeout = '2s'")
                busy = conn.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND pid <> pg_backend_pid() AND state LIKE '%transaction%'"
                ).fetchone()
                if busy is None or busy[0]:
                    return False
                # what was deleted still takes its room, and a check tells of much of it
                size = conn.execute(_LARGEST).fetchone()
                if size is None or size[0] > _MOST_BYTES or _shape(conn) != self._shape:
                    return False
                return self._is_emptied(conn)
        except psycopg.Error:
            return False

    def _is_emptied(self, conn: Connection) -> bool:
        """Delete what tests wrote; rows that the migrations bring are to be as they were."""
        conn.execute(_UNASKED)
        for table in _with_rows(conn, [table for table in _tables(conn) if table not in self._rows]):
            _run(conn, f"DELETE FROM public.{table}")
        for name, last in _sequences(conn).items():
            if last != self._sequences[name]:
                _run(conn, f"SELECT setval('{name}', {self._sequences[name] or 1}, false)")
        return _rows_of(conn, list(self._rows)) == self._rows


def _run(conn: Connection, sql: str) -> list[tuple[Any, ...]]:
    cursor = conn.execute(cast("LiteralString", sql))
    return cursor.fetchall() if cursor.description else []


def _shape(conn: Connection) -> str | None:
    return _run(conn, _SHAPE)[0][0]


def _tables(conn: Connection) -> list[str]:
    return [name for (name,) in _run(conn, _TABLES)]


def _sequences(conn: Connection) -> dict[str, int | None]:
    return dict(_run(conn, _SEQUENCES))


def _with_rows(conn: Connection, tables: list[str]) -> list[str]:
    asked = [f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM public.{table})" for table in tables]
    return [name for (name,) in _run(conn, " UNION ALL ".join(asked))]


def _rows_of(conn: Connection, tables: list[str]) -> Rows:
    """Give a digest of the rows of each table that has any."""
    asked = [
        f"SELECT '{table}', md5(string_agg(t::text, ',' ORDER BY t::text)) FROM public.{table} AS t"
        for table in _with_rows(conn, tables)
    ]
    return dict(_run(conn, " UNION ALL ".join(asked))) if asked else {}

"""One PostgreSQL database for many tests: emptied after each, made anew when a test left its schema changed.

Making one from the template and dropping it costs 35 ms on a quiet machine and 200 ms on a busy one,
emptying it 10, most of which is the new connection's.
"""

from __future__ import annotations

from typing import Any, LiteralString, cast

import psycopg

from datalayer.testing.postgres import PostgresServer

# Whatever a statement of DDL writes, but not what VACUUM, ANALYZE or setval write in place: a row that is new
# or changed has the youngest xmin of its catalog, one that is gone is missing from the count.
_SHAPE = """
SELECT 'class', count(*), max(xmin::text::bigint) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'column', count(*), max(a.xmin::text::bigint) FROM pg_attribute a
    JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'default', count(*), max(xmin::text::bigint) FROM pg_attrdef
UNION ALL
SELECT 'constraint', count(*), max(xmin::text::bigint) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'trigger', count(*), max(xmin::text::bigint) FROM pg_trigger
UNION ALL
SELECT 'function', count(*), max(xmin::text::bigint) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
UNION ALL
SELECT 'schema', count(*), max(oid::bigint) FROM pg_namespace
    WHERE nspname NOT LIKE 'pg_temp%' AND nspname NOT LIKE 'pg_toast%'
UNION ALL
SELECT 'setting', count(*), max(s.xmin::text::bigint) FROM pg_db_role_setting s
    JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database()
"""
_SEQUENCES = (
    "SELECT format('%I.%I', schemaname, sequencename), last_value FROM pg_sequences"
    " WHERE schemaname = 'public' ORDER BY 1"
)
# neither a trigger nor a reference is asked when rows go
_UNASKED = "SET session_replication_role = replica"
# asked of the files: asking a table itself makes the server read all there is to know of it and its indexes
_WRITTEN = (
    "SELECT quote_ident(relname), size FROM pg_class, pg_stat_file(pg_relation_filepath(oid))"
    " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND size > 0 ORDER BY 1"
)
_BUSY = (
    "SELECT count(*) FROM pg_stat_get_activity(NULL) WHERE pid <> pg_backend_pid()"
    " AND state LIKE '%transaction%'"
    " AND datid = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_MOST_TABLES = 30
_MOST_BYTES = 8 << 20


Rows = dict[str, str]
Shape = list[tuple[Any, ...]]
Connection = psycopg.Connection[tuple[Any, ...]]


class ReusedDatabase:
    """A migrated database that is as good as new each time it is taken."""

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server = server
        self._template = template
        self._url: str | None = None
        self._shape: Shape = []
        self._rows: Rows = {}
        self._sequences: dict[str, int | None] = {}

    def take(self) -> str:
        """Give its URL."""
        if self._url is None:
            self._url = self._server.create_database(template=self._template)
            with psycopg.connect(self._url, autocommit=True) as conn:
                self._shape = _run(conn, _SHAPE)
                self._rows = _rows_of(conn, list(_written(conn)))
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
                if _run(conn, _BUSY)[0][0] or _run(conn, _SHAPE) != self._shape:
                    return False
                # what was deleted still takes its room: a check tells of much of it, and each table is asked
                written = _written(conn)
                if max(written.values()) > _MOST_BYTES or len(written) > _MOST_TABLES:
                    return False
                return self._is_emptied(conn, list(written))
        except psycopg.Error:
            return False

    def _is_emptied(self, conn: Connection, written: list[str]) -> bool:
        """Delete what tests wrote; rows that the migrations bring are to be as they were."""
        conn.execute(_UNASKED)
        for table in _with_rows(conn, [table for table in written if table not in self._rows]):
            _run(conn, f"DELETE FROM public.{table}")
        for name, last in _sequences(conn).items():
            if last != self._sequences[name]:
                _run(conn, f"SELECT setval('{name}', {self._sequences[name] or 1}, false)")
        return _rows_of(conn, list(self._rows)) == self._rows


def _run(conn: Connection, sql: str) -> list[tuple[Any, ...]]:
    cursor = conn.execute(cast("LiteralString", sql))
    return cursor.fetchall() if cursor.description else []


def _written(conn: Connection) -> dict[str, int]:
    """Give the bytes of each table that ever had a row."""
    return dict(_run(conn, _WRITTEN))


def _sequences(conn: Connection) -> dict[str, int | None]:
    return dict(_run(conn, _SEQUENCES))


def _with_rows(conn: Connection, tables: list[str]) -> list[str]:
    if not tables:
        return []
    asked = [f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM public.{table})" for table in tables]
    return [name for (name,) in _run(conn, " UNION ALL ".join(asked))]


def _rows_of(conn: Connection, tables: list[str]) -> Rows:
    """Give a digest of the rows of each table that has any."""
    asked = [
        f"SELECT '{table}', md5(string_agg(t::text, ',' ORDER BY t::text)) FROM public.{table} AS t"
        for table in _with_rows(conn, tables)
    ]
    return dict(_run(conn, " UNION ALL ".join(asked))) if asked else {}

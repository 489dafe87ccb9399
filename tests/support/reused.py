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
    "background_jobs",
    "included_files",
    "excluded_files",
    "sessions",
    "cached_state",
    "key_value_store",
)
_EMPTY = (
    *(f"DELETE FROM public.{table}" for table in _TABLES),
    *(
        f"SELECT setval(pg_get_serial_sequence('public.{table}', 'id'), 1, false)"
        for table in ("included_files", "excluded_files", "cached_state")
    ),
)
_LARGEST = (
    "SELECT max(pg_relation_size(oid)) FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
)
_MOST_BYTES = 8 << 20


class ReusedDatabase:
    """A migrated database that is as good as new each time it is taken."""

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server = server
        self._template = template
        self._url: str | None = None
        self._shape: str | None = None
        self._migrations: list[tuple[Any, ...]] = []

    def take(self) -> str:
        """Give its URL."""
        if self._url is None:
            self._url = self._server.create_database(template=self._template)
            self._shape, self._migrations = self._look(self._url)
        return self._url

    def give_back(self) -> None:
        """Empty it, or drop it where that is not enough."""
        url = self._url
        assert url is not None
        if not self._is_as_new(url):
            self._server.drop_database(url)
            self._url = None

    def _look(self, url: str) -> tuple[str | None, list[tuple[Any, ...]]]:
        with psycopg.connect(url, autocommit=True) as conn:
            row = conn.execute(cast("LiteralString", _SHAPE)).fetchone()
            migrations = conn.execute("SELECT id, name FROM public.migrations ORDER BY id").fetchall()
        return (row[0] if row else None), migrations

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
                if size is None or size[0] > _MOST_BYTES:
                    return False
                for statement in _EMPTY:
                    conn.execute(cast("LiteralString", statement))
            return self._look(url) == (self._shape, self._migrations)
        except psycopg.Error:
            return False

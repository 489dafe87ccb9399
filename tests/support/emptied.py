"""One empty PostgreSQL database for many tests: made anew where a test left more than schemas to drop.

Making and dropping one costs more of the server's time than most tests that want one; emptying it a quarter.
"""

from __future__ import annotations

from typing import Any, LiteralString, cast

import psycopg

from datalayer.testing.postgres import PostgresServer

# what initdb makes has lower numbers
_FIRST_OWN = 16384
_OTHERS = (
    "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_get_activity(NULL) WHERE pid <> pg_backend_pid()"
    " AND datid = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_SCHEMAS = (
    "SELECT quote_ident(nspname) FROM pg_namespace"
    rf" WHERE (oid >= {_FIRST_OWN} OR nspname = 'public') AND nspname !~ '^pg_(toast_)?temp_'"
)
_KINDS = (
    "class type proc operator opclass opfamily am cast collation conversion language extension event_trigger"
    " foreign_data_wrapper foreign_server user_mapping publication ts_config ts_dict ts_parser ts_template"
    " policy largeobject_metadata default_acl statistic_ext transform rewrite trigger constraint attrdef"
)
_LEFT = " UNION ALL ".join(
    f"(SELECT '{kind}' FROM pg_{kind} WHERE oid >= {_FIRST_OWN} LIMIT 1)" for kind in _KINDS.split()
)
# its own settings and rights, and those of its public schema
_SETTINGS = """
SELECT datdba, datacl::text, datallowconn, datconnlimit, datcollversion,
    (SELECT string_agg(setrole || setconfig::text, ',' ORDER BY setrole) FROM pg_db_role_setting s
        WHERE s.setdatabase = d.oid),
    (SELECT nspowner || nspacl::text FROM pg_namespace WHERE nspname = 'public')
FROM pg_database d WHERE datname = current_database()
"""
_MANY = f"SELECT count(*) FROM pg_class WHERE oid >= {_FIRST_OWN} AND relkind = 'r'"
_MOST_TABLES = 30
# each table that comes and goes leaves dead rows in the catalogs, which nothing clears away
_CATALOG = "SELECT pg_relation_size('pg_catalog.pg_attribute')"
_MOST_CATALOG_BYTES = 2 << 20
_PUBLIC = (
    "CREATE SCHEMA public AUTHORIZATION pg_database_owner; GRANT USAGE ON SCHEMA public TO PUBLIC;"
    " COMMENT ON SCHEMA public IS 'standard public schema'"
)

Connection = psycopg.Connection[tuple[Any, ...]]


class EmptiedDatabase:
    """An empty database that is as good as new each time it is taken."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._url: str | None = None
        self._settings: list[tuple[Any, ...]] = []

    def take(self) -> str:
        """Give its URL."""
        if self._url is None:
            self._url = self._server.create_database()
            with psycopg.connect(self._url, autocommit=True) as conn:
                self._settings = _run(conn, _SETTINGS)
        return self._url

    def give_back(self) -> None:
        """Empty it, or drop it where that is not enough or takes longer."""
        url = self._url
        assert url is not None
        if not self._is_emptied(url):
            self._server.drop_database(url)
            self._url = None

    def _is_emptied(self, url: str) -> bool:
        try:
            with psycopg.connect(url, autocommit=True) as conn:
                conn.execute("SET lock_timeout = '2s'; SET client_min_messages = error")
                if not all(ended for (ended,) in _run(conn, _OTHERS)):
                    return False
                schemas = [name for (name,) in _run(conn, _SCHEMAS)]
                if _run(conn, _LEFT) or schemas != ["public"]:
                    if _run(conn, _MANY)[0][0] > _MOST_TABLES:
                        return False
                    _run(conn, f"DROP SCHEMA {', '.join(schemas)} CASCADE; {_PUBLIC}")
                return (
                    not _run(conn, _LEFT)
                    and _run(conn, _SETTINGS) == self._settings
                    and _run(conn, _CATALOG)[0][0] <= _MOST_CATALOG_BYTES
                )
        except psycopg.Error:
            return False


def _run(conn: Connection, sql: str) -> list[tuple[Any, ...]]:
    cursor = conn.execute(cast("LiteralString", sql))
    return cursor.fetchall() if cursor.description else []

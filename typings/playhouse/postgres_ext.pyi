from typing import Any

from peewee import PostgresqlDatabase
from playhouse.pool import _PooledPostgresqlDatabase

class PostgresqlExtDatabase(PostgresqlDatabase):
    def __init__(
        self,
        database: str | None,
        *args: Any,
        register_hstore: bool = False,
        server_side_cursors: bool = False,
        **kwargs: Any,
    ) -> None: ...
    def cursor(self, named_cursor: bool | None = None) -> Any: ...
    def execute(
        self, query: Any, named_cursor: bool = False, array_size: int | None = None, **context_options: Any
    ) -> Any: ...
    def execute_sql(self, sql: str, params: Any = None, named_cursor: bool | None = None) -> Any: ...

class Psycopg3Database(PostgresqlExtDatabase): ...

class PooledPsycopg3Database(_PooledPostgresqlDatabase, Psycopg3Database):  # type: ignore[misc]
    def __init__(
        self,
        database: str | None,
        max_connections: float | str | None = 20,
        stale_timeout: float | str | None = None,
        timeout: float | str | None = None,
        *,
        register_hstore: bool = False,
        server_side_cursors: bool = False,
        **kwargs: Any,
    ) -> None: ...

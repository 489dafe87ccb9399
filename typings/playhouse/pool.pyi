from typing import Any

from peewee import Database, PostgresqlDatabase, SqliteDatabase

class MaxConnectionsExceeded(ValueError): ...

class PooledDatabase(Database):
    # `timeout` is in seconds, 0 waits for ever, None not at all
    def __init__(
        self,
        database: str | None,
        max_connections: float | str | None = 20,
        stale_timeout: float | str | None = None,
        timeout: float | str | None = None,
        **kwargs: Any,
    ) -> None: ...
    def init(
        self,
        database: str | None,
        max_connections: float | str | None = None,
        stale_timeout: float | str | None = None,
        timeout: float | str | None = None,
        **connect_kwargs: Any,
    ) -> None: ...
    # inherited; peewee's own stub leaves it untyped
    def connection(self) -> Any: ...
    # False when there was nothing to close, else None
    def manual_close(self) -> bool | None: ...
    def close_idle(self) -> None: ...
    def close_stale(self, age: float = 600) -> int: ...
    def close_all(self) -> None: ...

class _PooledPostgresqlDatabase(PooledDatabase): ...
class PooledPostgresqlDatabase(_PooledPostgresqlDatabase, PostgresqlDatabase): ...  # type: ignore[misc]
class _PooledSqliteDatabase(PooledDatabase): ...
class PooledSqliteDatabase(_PooledSqliteDatabase, SqliteDatabase): ...  # type: ignore[misc]

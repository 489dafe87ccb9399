"""How large a database is: rows and bytes of each table, the write-ahead log, the settings in force.

Reads only; what is counted while others write is each table at a moment of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from datalayer.engine.connection import Engine
from datalayer.errors import DataLayerError

__all__ = ["Figures", "TableFigures", "measure"]


@dataclass(frozen=True, slots=True)
class TableFigures:
    """One table; `size_bytes` counts its indexes too, and is None where the engine cannot tell."""

    name: str
    rows: int
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Figures:
    """One database; `wal_bytes` is the size of SQLite's write-ahead log, 0 elsewhere."""

    engine: str
    size_bytes: int
    wal_bytes: int
    tables: tuple[TableFigures, ...]
    settings: dict[str, str]


def measure(engine: Engine) -> Figures:
    """Count the rows of every table and measure it; reads each table's smallest index, or the table, once.

    Raises:
        DatabaseCorrupt: a table is too damaged to be counted.
    """
    dialect = engine.dialect
    names: list[str] = [row[0] for row in engine.fetch_all(dialect.tables_sql)]
    sizes = _table_sizes(engine)
    tables = tuple(TableFigures(name, _count(engine, name), sizes.get(name)) for name in names)
    size = engine.fetch_one(dialect.database_size_sql)
    settings = {str(name): str(value) for name, value in engine.fetch_all(dialect.settings_sql)}
    return Figures(dialect.name, int(size[0]) if size else 0, _wal_bytes(engine), tables, settings)


def _count(engine: Engine, table: str) -> int:
    row = engine.fetch_one(f"SELECT COUNT(*) FROM {engine.dialect.quote(table)}")
    return int(row[0]) if row else 0


def _table_sizes(engine: Engine) -> dict[str, int]:
    try:
        return {str(name): int(size) for name, size in engine.fetch_all(engine.dialect.table_sizes_sql)}
    except DataLayerError:
        # SQLite may have been built without dbstat (sqlite.org/dbstat.html)
        return {}


def _wal_bytes(engine: Engine) -> int:
    if engine.path is None:
        return 0
    try:
        return engine.path.with_name(f"{engine.path.name}-wal").stat().st_size
    except OSError:
        return 0

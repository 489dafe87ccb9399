"""What other processes do in tests of migrations on PostgreSQL."""

from __future__ import annotations

from schema.pgchange.made import derived_of

from datalayer.engine.connection import Options
from datalayer.engine.opening import open_engine
from datalayer.schema.pgchange.migrate import migrate_existing

__all__ = ["migrate"]


def migrate(url: str, schema: str, script: str) -> int:
    """Migrate and give the number of steps."""
    engine = open_engine(url, Options(schema_name=schema))
    try:
        return len(migrate_existing(engine, derived_of(script), exact=True))
    finally:
        engine.close()

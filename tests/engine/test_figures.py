"""Rows, bytes and settings are told alike on all engines."""

from __future__ import annotations

from datalayer.engine.connection import Engine
from datalayer.engine.figures import measure


def test_rows_and_sizes_of_tables_are_counted(engine: Engine) -> None:
    engine.execute('CREATE TABLE "odd ""name" (a INTEGER)')
    engine.execute("CREATE TABLE plain (a INTEGER)")
    for value in range(3):
        engine.write(engine.dialect.sql('INSERT INTO "odd ""name" VALUES (?)'), (value,))

    figures = measure(engine)

    assert [(table.name, table.rows) for table in figures.tables] == [('odd "name', 3), ("plain", 0)]
    assert figures.size_bytes > 0
    assert figures.tables[0].size_bytes is None or figures.tables[0].size_bytes > 0


def test_log_and_settings_are_told(engine: Engine) -> None:
    engine.execute("CREATE TABLE plain (a INTEGER)")

    figures = measure(engine)

    assert figures.engine == engine.dialect.name
    assert figures.settings["version"]
    assert (figures.wal_bytes > 0) == (engine.path is not None)

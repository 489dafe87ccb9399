"""Fixtures for tests that hold a schema to doing the same on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from schema.pairs import Pair

from datalayer.engine.opening import open_engine
from datalayer.schema.migrator import migrate
from datalayer.schema.target import target_of


@pytest.fixture
def pair_of(tmp_path: Path, postgres_database: str) -> Iterator[Callable[[str], Pair]]:
    """Give a function that makes a script's schema on SQLite and on PostgreSQL."""
    pairs: list[Pair] = []

    def make(script: str) -> Pair:
        file = tmp_path / "schema.sql"
        file.write_text(script, encoding="utf-8")
        pair = Pair(open_engine(tmp_path / "pair.db"), open_engine(postgres_database))
        pairs.append(pair)
        for engine in pair.engines:
            migrate(engine, target_of(schema_file=file))
        return pair

    yield make
    for pair in pairs:
        for engine in pair.engines:
            engine.close()


@pytest.fixture
def package_pair(migrated_file: Path, migrated_postgres: str) -> Iterator[Pair]:
    """The package's own schema on SQLite and on PostgreSQL."""
    pair = Pair(open_engine(migrated_file), open_engine(migrated_postgres))
    yield pair
    for engine in pair.engines:
        engine.close()

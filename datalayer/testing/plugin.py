"""Fixtures for an app's tests: `pytest_plugins = ["datalayer.testing.plugin"]` in the topmost conftest.py.

datalayer_template  a migrated SQLite file, made once a run, to be copied and never written
datalayer_database  the path of a fresh copy, which processes can share
datalayer_store     an open store in memory, migrated, with a key ring of its own
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from datalayer.engine.keys import KeyRing, new_key
from datalayer.store import Store, connect

__all__ = ["datalayer_database", "datalayer_store", "datalayer_template"]


@pytest.fixture(scope="session")
def datalayer_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a database at the package's whole schema, without a log beside it."""
    path = tmp_path_factory.mktemp("datalayer") / "template.db"
    with connect(path) as store:
        store.migrate()
    with closing(sqlite3.connect(path)) as connection:
        # a copy of the file alone is whole then
        connection.execute("PRAGMA journal_mode = DELETE")
    return path


@pytest.fixture
def datalayer_database(datalayer_template: Path, tmp_path: Path) -> Path:
    """Copy the template, which takes a millisecond."""
    return Path(shutil.copy(datalayer_template, tmp_path / "datalayer.db"))


@pytest.fixture
def datalayer_store(datalayer_template: Path, tmp_path: Path) -> Iterator[Store]:
    """Open a store in memory with the template's tables; large values lie in the test's folder."""
    keys = KeyRing(dict([new_key()]))
    with (
        connect(":memory:", keys=keys, data_dir=tmp_path / "files") as store,
        closing(sqlite3.connect(datalayer_template)) as template,
    ):
        template.backup(store.engine.connection())
        yield store

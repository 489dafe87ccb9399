"""What every test may ask for. Fixtures of one folder belong into that folder's own conftest.py.

postgres            the PostgreSQL server of this run, started when the first test asks for it
postgres_database   URL of an empty database on it, emptied afterwards; its search_path is empty
engine              an open engine on an empty database: SQLite in memory, SQLite file, PostgreSQL
database            path or URL of a migrated database that processes can share: SQLite file, PostgreSQL
migrated_engine     an open engine on a migrated database: SQLite in memory, SQLite file, PostgreSQL
migrated_file       path of a migrated SQLite file
migrated_postgres   URL of a migrated PostgreSQL database
store               an open store on a migrated database: SQLite in memory, SQLite file, PostgreSQL
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.emptied import EmptiedDatabase
from support.reused import ReusedDatabase

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.store import Store, connect
from datalayer.testing.postgres import PostgresServer

_BOTH = {"sqlite", "postgresql"}
# The slow part takes these on the engines named, where what is left is a quick guard of the same contract:
# tests that wait or make databases of a server anew, and a file of SQLite where memory has the same rules.
# The first that fits counts.
_SLOW_ON = {
    "cli/test_answers.py": {"postgresql"},
    "domains/accounts": _BOTH,
    "domains/attachments": _BOTH,
    "domains/builder": _BOTH,
    "domains/drafts": _BOTH,
    "domains/jobs": _BOTH,
    "domains/providers": _BOTH,
    "domains/sandboxes": _BOTH,
    "domains/sessions": _BOTH,
    "domains/state/test_get_or_compute.py": _BOTH,
    "domains/state/test_watch.py": _BOTH,
    "domains/test_": set[str](),
    "domains/workspaces": _BOTH,
    "domains/": {"sqlite"},
    "repository/test_changes.py": _BOTH,
    "repository/": {"sqlite"},
    "schema/test_backup.py": _BOTH,
    "schema/test_check.py": {"postgresql"},
    "schema/test_migrate.py": {"postgresql"},
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to the slow part what `_SLOW_ON` says."""
    for item in items:
        spec = getattr(item, "callspec", None)
        if spec is None:
            continue
        place = item.path.relative_to(Path(__file__).parent).as_posix()
        slow = next((engines for part, engines in _SLOW_ON.items() if place.startswith(part)), set[str]())
        if any(value in slow for value in spec.params.values() if isinstance(value, str)):
            item.add_marker(pytest.mark.slow)


# No deadlines: on a busy machine they fail tests that are right.
# fast, for a developer: new examples each time. ci: the same ones on every run, and more of them.
settings.register_profile(
    "fast", deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("fast"), max_examples=40, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "fast")


@pytest.fixture(scope="session")
def postgres(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[PostgresServer]:
    # pytest-xdist's workers have their folders side by side in the run's own, so they meet there
    is_worker = hasattr(request.config, "workerinput")
    shared_folder = tmp_path_factory.getbasetemp().parent if is_worker else None
    with PostgresServer(shared_folder=shared_folder) as server:
        yield server


@pytest.fixture(scope="session")
def _emptied_database(postgres: PostgresServer) -> EmptiedDatabase:
    return EmptiedDatabase(postgres)


@pytest.fixture
def postgres_database(_emptied_database: EmptiedDatabase) -> Iterator[str]:
    yield _emptied_database.take()
    _emptied_database.give_back()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "postgresql":
        target = request.getfixturevalue("postgres_database")
    else:
        target = ":memory:" if request.param == "memory" else tmp_path / "app.db"
    opened = open_engine(target)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "app.db"
    with connect(path) as store:
        store.migrate()
    return path


@pytest.fixture(scope="session")
def _memory_template(_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    # a database in memory has no write-ahead log, and cannot be read with a header that says it has one
    path = Path(shutil.copy(_sqlite_template, tmp_path_factory.mktemp("memory") / "app.db"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    return path


@pytest.fixture(scope="session")
def _postgres_template(postgres: PostgresServer) -> str:
    url = postgres.create_database()
    with connect(url) as store:
        store.migrate()
    return url


@pytest.fixture(scope="session")
def _reused_database(postgres: PostgresServer, _postgres_template: str) -> ReusedDatabase:
    return ReusedDatabase(postgres, _postgres_template)


def _fresh_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "postgresql":
        reused: ReusedDatabase = request.getfixturevalue("_reused_database")
        yield reused.take()
        reused.give_back()
    else:
        path = tmp_path / "app.db"
        shutil.copy(request.getfixturevalue("_sqlite_template"), path)
        yield str(path)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield from _fresh_database(request, tmp_path)


@pytest.fixture
def migrated_file(_sqlite_template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(_sqlite_template, tmp_path / "migrated.db"))


@pytest.fixture
def migrated_postgres(_reused_database: ReusedDatabase) -> Iterator[str]:
    yield _reused_database.take()
    _reused_database.give_back()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def migrated_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "memory":
        opened = open_engine(":memory:")
        with closing(sqlite3.connect(request.getfixturevalue("_memory_template"))) as source:
            source.backup(opened.connection())
        yield opened
        opened.close()
        return
    for target in _fresh_database(request, tmp_path):
        opened = open_engine(target)
        yield opened
        opened.close()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        template: Path = request.getfixturevalue("_memory_template")
        with connect(":memory:") as opened, closing(sqlite3.connect(template)) as source:
            source.backup(opened.engine.connection())
            yield opened
        return
    for target in _fresh_database(request, tmp_path):
        with connect(target, data_dir=tmp_path / "files") as opened:
            yield opened

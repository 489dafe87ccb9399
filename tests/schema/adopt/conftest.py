"""A folder of migrations and databases that other tools brought to its second file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.schema.numbered.folder import Folder
from datalayer.testing.postgres import PostgresServer

FILES = {
    "0001_users.sql": "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);\n",
    "0002_age.sql": "ALTER TABLE users ADD COLUMN age INTEGER;\nCREATE INDEX users_age ON users (age);\n",
    "0003_posts.sql": "CREATE TABLE posts (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (id));\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Three files, in the folder of an app called shop."""
    root = tmp_path / "shop" / "migrations"
    root.mkdir(parents=True)
    for name, text in FILES.items():
        (root / name).write_bytes(text.encode())
    return Folder(root)


@pytest.fixture
def root(folder: Folder) -> Path:
    assert isinstance(folder.root, Path)
    return folder.root


@pytest.fixture
def memory() -> Iterator[Engine]:
    engine = open_engine(":memory:")
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def _server_url(postgres: PostgresServer) -> Iterator[str]:
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def server(_server_url: str) -> Iterator[Engine]:
    """A PostgreSQL database that is empty again for each test."""
    engine = open_engine(_server_url)
    for schema in ("public", "drizzle", "pgroll", "sqitch", "other"):
        engine.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    engine.execute("CREATE SCHEMA public")
    yield engine
    engine.close()


@pytest.fixture(params=["memory", "server"])
def either(request: pytest.FixtureRequest) -> Engine:
    """An empty database on either engine."""
    engine: Engine = request.getfixturevalue(request.param)
    return engine


@pytest.fixture
def apply_files(folder: Folder) -> Callable[[Engine, int], None]:
    """Give a function that runs the first files of the folder, as another tool does, without a journal."""

    def apply(engine: Engine, count: int) -> None:
        for file in folder.files()[:count]:
            for statement in file.statements():
                engine.write(statement.text)

    return apply

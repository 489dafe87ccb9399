"""The names that apps rely on, and what `import datalayer` may cost."""

from __future__ import annotations

import contextlib
import inspect
import subprocess
import sys

import pytest
from support.source_tree import read_package

import datalayer

NAMES = ["Repository", "Store", "close_database", "connect", "ensure_connection"]
# error: the one it is a kind of
ERRORS = {
    "NotFound": "DataLayerError",
    "StaleVersion": "DataLayerError",
    "ConstraintViolation": "DataLayerError",
    "UniqueViolation": "ConstraintViolation",
    "ForeignKeyViolation": "ConstraintViolation",
    "NotNullViolation": "ConstraintViolation",
    "CheckViolation": "ConstraintViolation",
    "DatabaseBusy": "DataLayerError",
    "DatabaseUnavailable": "DataLayerError",
    "DatabaseCorrupt": "DataLayerError",
    "TransactionDied": "DataLayerError",
    "SchemaMismatch": "DataLayerError",
    "MigrationRefused": "DataLayerError",
    "LazyLoad": "DataLayerError",
    "InvalidTransition": "DataLayerError",
}
STORE_METHODS = ["backup", "check", "close", "migrate", "on_commit", "repository", "transaction"]
STORE_REPOSITORIES = ["cache", "jobs", "kv", "sessions"]
REPOSITORY_METHODS = [
    "add",
    "add_many",
    "count",
    "delete",
    "delete_where",
    "exists",
    "find",
    "first",
    "get",
    "get_or_none",
    "iterate",
    "one",
    "one_or_none",
    "page",
    "update",
    "update_where",
    "upsert",
    "upsert_many",
]
# not loaded by `import datalayer`; what peewee loads itself, such as the drivers it finds, is not held here
HEAVY = {
    "apsw",
    "argparse",
    "asyncio",
    "cryptography",
    "jinja2",
    "obstore",
    "opentelemetry",
    "pglast",
    "prometheus_client",
    "psycopg",
    "psycopg_pool",
    "rich",
    "starlette",
    "syntaqlite",
    "unittest",
    "uvicorn",
    "playhouse.migrate",
    "playhouse.reflection",
    "datalayer.aio",
    "datalayer.cli",
    "datalayer.testing",
    "datalayer.transfer",
    "datalayer.web",
}


def modules_after(statement: str) -> set[str]:
    told = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(told.stdout.split())


@pytest.mark.parametrize("name", [*NAMES, "DataLayerError", *ERRORS])
def test_name_is_public(name: str) -> None:
    assert hasattr(datalayer, name)
    assert name in dir(datalayer)


@pytest.mark.parametrize(("name", "base"), ERRORS.items())
def test_error_is_a_kind_of(name: str, base: str) -> None:
    error = getattr(datalayer, name)

    assert error.__bases__ == (getattr(datalayer, base),)
    assert f"{error.__module__}.{error.__qualname__}" == f"datalayer.{name}"


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [getattr(datalayer, name).code for name in ["DataLayerError", *ERRORS]]

    assert len(set(codes)) == len(codes)
    assert all(code.startswith("DL-E") and code[4:].isdigit() for code in codes)


@pytest.mark.parametrize("name", STORE_METHODS)
def test_store_has_the_method(name: str) -> None:
    assert callable(inspect.getattr_static(datalayer.Store, name))


@pytest.mark.parametrize("name", REPOSITORY_METHODS)
def test_repository_has_the_method(name: str) -> None:
    assert callable(getattr(datalayer.Repository, name))


def test_opened_store_has_all_repositories() -> None:
    with contextlib.closing(datalayer.connect(":memory:")) as store:
        missing = [name for name in STORE_REPOSITORIES if not hasattr(store, name)]

    assert missing == []


def test_names_that_type_checkers_see_are_those_that_are_there() -> None:
    (package,) = [module for module in read_package() if module.name == "datalayer"]
    seen = {found.full.rpartition(".")[2] for found in package.imports if found.is_for_types}

    assert [name for name in sorted(seen) if not hasattr(datalayer, name)] == []
    assert seen <= set(dir(datalayer))
    assert seen >= {*NAMES, *ERRORS}


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'conect'"):
        datalayer.conect


def test_import_loads_nothing_heavy_beyond_peewee() -> None:
    added = modules_after("import datalayer, datalayer.store") - modules_after("import peewee")

    assert sorted(added & HEAVY) == []
    assert "datalayer.store" in added


def test_import_of_the_package_says_and_warns_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import datalayer"], capture_output=True, text=True, check=True
    )

    assert (done.stdout, done.stderr) == ("", "")

"""PostgreSQL schemas of their own for single cases, side by side in one database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
from schema.pgchange.oracle import connected, run

from datalayer.engine.connection import Engine, Options
from datalayer.engine.opening import open_engine
from datalayer.schema.postgres import Derived, derive
from datalayer.schema.snapshot import read_text

__all__ = ["derived_of", "fill", "schema_with"]

_numbers = count()


def derived_of(script: str) -> Derived:
    return derive(read_text(script))


def fill(connection: psycopg.Connection[Any], script: str, rows: str) -> None:
    """Make what a script says, and its rows."""
    if script.startswith("PG:"):
        run(connection, script[3:])
    else:
        for step in derived_of(script).steps:
            run(connection, step.sql)
    for statement in filter(str.strip, rows.split(";")):
        run(connection, statement)


@contextmanager
def schema_with(url: str, script: str, rows: str = "") -> Iterator[Engine]:
    """Give an engine on a schema of its own, made from a script and filled.

    A script that begins with `PG:` is PostgreSQL's own, any other is written for SQLite.
    """
    engine = open_engine(url, Options(schema_name=f"case_{next(_numbers)}"))
    try:
        with connected(url, engine.schema_name) as connection:
            run(connection, f"CREATE SCHEMA {engine.schema_name}")
            fill(connection, script, rows)
        yield engine
    finally:
        engine.close()

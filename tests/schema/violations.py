"""What tests of broken rules share: a schema with references, and the facts of an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from datalayer.engine.connection import Engine
from datalayer.errors import ConstraintViolation
from datalayer.store import Store

__all__ = ["NOTHING", "REFERENCES", "Facts", "broken", "facts", "run"]

Facts = tuple[str | None, tuple[str, ...], str | None]
NOTHING: Facts = (None, (), None)
REFERENCES = (
    "CREATE TABLE person (id INTEGER PRIMARY KEY, code TEXT UNIQUE COLLATE NOCASE)",
    "CREATE TABLE place (x INT, y INT, PRIMARY KEY (x, y))",
    "CREATE TABLE visit (id INTEGER PRIMARY KEY,"
    " person INT DEFAULT 99 CONSTRAINT visit_person REFERENCES person,"
    " code TEXT CONSTRAINT visit_code REFERENCES person (code), x INT, y INT,"
    " after INT CONSTRAINT visit_after REFERENCES visit,"
    " CONSTRAINT visit_place FOREIGN KEY (x, y) REFERENCES place)",
    "CREATE TABLE badge (id INTEGER PRIMARY KEY, person INT CONSTRAINT badge_person REFERENCES person"
    " ON DELETE RESTRICT)",
    "CREATE TABLE note (person INTEGER REFERENCES person ON DELETE SET NULL)",
    "INSERT INTO person VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    "INSERT INTO place VALUES (1, 1), (2, 2)",
    "INSERT INTO visit VALUES (1, 1, 'a', 1, 1, NULL)",
    "INSERT INTO badge VALUES (1, 2)",
    "INSERT INTO note VALUES (1)",
)


def broken(engine: Engine, sql: str, params: Sequence[Any] = ()) -> ConstraintViolation:
    with pytest.raises(ConstraintViolation) as raised:
        engine.write(sql, params)
    return raised.value


def facts(error: ConstraintViolation) -> Facts:
    return (error.table, error.columns, error.constraint)


def run(store: Store, script: Sequence[str]) -> None:
    for statement in script:
        store.engine.write(statement)

"""Tables and references of a live database: the same on both engines."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.schema.entities import Entities, Reference, read_entities

SCHEMA = (
    "CREATE TABLE customers (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE,"
    " referrer INTEGER REFERENCES customers (id) ON DELETE SET NULL)",
    "CREATE TABLE details (customer INTEGER PRIMARY KEY REFERENCES customers (id) ON DELETE CASCADE,"
    " note TEXT)",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers (id))",
    "CREATE TABLE order_lines (order_id INTEGER NOT NULL REFERENCES orders (id), line INTEGER NOT NULL,"
    ' "what is it" TEXT, PRIMARY KEY (order_id, line))',
    "CREATE TABLE pairs (a INTEGER, b INTEGER, FOREIGN KEY (a, b) REFERENCES order_lines (order_id, line))",
    "CREATE UNIQUE INDEX pairs_key ON pairs (b, a)",
    "CREATE UNIQUE INDEX orders_of_some ON orders (customer) WHERE id > 10",
)


def read(engine: Engine) -> Entities:
    for statement in SCHEMA:
        engine.write(statement)
    return read_entities(engine)


def reference(entities: Entities, table: str) -> Reference:
    return next(one for one in entities.references if one.table == table)


def test_tables_have_columns_in_order_with_their_keys(engine: Engine) -> None:
    found = read(engine)

    assert [one.name for one in found.tables] == ["customers", "details", "order_lines", "orders", "pairs"]
    lines = found.tables[2]
    assert [one.name for one in lines.attributes] == ["order_id", "line", "what is it"]
    assert [one.is_key for one in lines.attributes] == [True, True, False]
    assert [one.is_reference for one in lines.attributes] == [True, False, False]
    assert [one.is_unique for one in found.tables[0].attributes] == [True, True, False]


def test_references_tell_how_many_rows_stand_at_either_end(engine: Engine) -> None:
    found = read(engine)

    assert reference(found, "customers") == Reference(
        "customers",
        ("referrer",),
        "customers",
        ("id",),
        is_optional=True,
        is_single=False,
        on_delete="SET NULL",
    )
    details = reference(found, "details")
    assert (details.is_optional, details.is_single, details.on_delete) == (False, True, "CASCADE")
    orders = reference(found, "orders")
    # an index over some of the rows makes nothing single
    assert (orders.is_optional, orders.is_single, orders.on_delete) == (False, False, "NO ACTION")
    pairs = reference(found, "pairs")
    assert pairs.columns == ("a", "b")
    assert pairs.parent_columns == ("order_id", "line")
    assert (pairs.is_optional, pairs.is_single) == (True, True)


def test_parent_that_is_not_there_is_told_as_missing(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE a (x INTEGER REFERENCES Gone, y INTEGER REFERENCES B (ID))")
        connection.execute("CREATE TABLE b (id INTEGER PRIMARY KEY)")
    connection.close()
    engine = open_engine(path)
    found = read_entities(engine)
    engine.close()

    assert [(one.name, one.is_missing) for one in found.tables] == [
        ("Gone", True),
        ("a", False),
        ("b", False),
    ]
    assert [(one.parent, one.parent_columns) for one in found.references] == [("Gone", ()), ("b", ("id",))]


def test_empty_database_has_none(engine: Engine) -> None:
    assert read_entities(engine) == Entities((), ())

"""The shape of a live database as one checksum, the tables of the journal left out."""

from __future__ import annotations

import dataclasses
import hashlib

from datalayer.engine.connection import Engine
from datalayer.schema import catalog
from datalayer.schema.numbered.journal import JOURNAL_TABLES
from datalayer.schema.snapshot import Schema, read

__all__ = ["shape", "shape_of"]


def shape(engine: Engine) -> str:
    """Give a checksum of the schema: equal ones behave alike. Reads only; some five queries a table.

    On SQLite the fingerprint of `schema.snapshot`, on PostgreSQL a sha256 over tables, views and functions
    of the engine's schema.
    """
    if engine.dialect.name == "sqlite":
        return shape_of(read(engine.connection()))
    found = catalog.read(engine)
    tables = [table for name, table in found.tables.items() if name not in JOURNAL_TABLES]
    views = [
        (name, view.query, sorted(view.triggers.items())) for name, view in sorted(found.view_texts.items())
    ]
    functions = sorted((each.signature, each.shape) for each in found.functions.values())
    facts = repr((tables, sorted(found.views), views, functions, found.others))
    return hashlib.sha256(facts.encode("utf-8", "surrogatepass")).hexdigest()


def shape_of(schema: Schema) -> str:
    """Give what `shape` gives for a SQLite schema that was read already."""
    tables = tuple(table for table in schema.tables if table.name not in JOURNAL_TABLES)
    return dataclasses.replace(schema, tables=tables).fingerprint()

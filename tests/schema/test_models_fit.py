"""The models and the consolidated file speak of the same tables, on both engines."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import peewee
import pytest

import datalayer.domains
from datalayer.engine.opening import open_engine
from datalayer.schema import catalog
from datalayer.schema.history import consolidated_sql, package_folder
from datalayer.schema.numbered.journal import JOURNAL_TABLES
from datalayer.schema.snapshot import Schema, read_text
from datalayer.schema.squash.replay import replayed


def models() -> dict[str, type[peewee.Model]]:
    """Every model of the domains that has a table of its own, by that table's name."""
    for module in pkgutil.walk_packages(datalayer.domains.__path__, "datalayer.domains."):
        importlib.import_module(module.name)

    def below(cls: type[peewee.Model]) -> Iterator[type[peewee.Model]]:
        for child in cls.__subclasses__():
            yield child
            yield from below(child)

    found = (model for model in below(peewee.Model) if model.__module__.startswith("datalayer.domains."))
    # what models have in common is no model of a table, and is private
    named = (model for model in found if not model.__name__.startswith("_"))
    return {model._meta.table_name: model for model in named}


def declared(model: type[peewee.Model]) -> dict[str, bool]:
    """The columns of a model, with whether each may be NULL."""
    fields: dict[str, Any] = model._meta.columns
    return {name: field.null for name, field in fields.items()}


def in_file(schema: Schema) -> dict[str, dict[str, bool]]:
    return {
        table.name: {
            column.name: not column.is_not_null and not column.key_position for column in table.columns
        }
        for table in schema.tables
        if table.name not in JOURNAL_TABLES and table.kind == "table"
    }


def test_every_table_of_the_consolidated_file_is_a_model_s_column_by_column() -> None:
    tables = in_file(read_text(consolidated_sql()))

    assert {name: declared(model) for name, model in models().items() if name in tables} == tables


def test_every_table_that_the_numbered_files_lead_to_is_a_model_s() -> None:
    with replayed(package_folder().files()) as replay:
        tables = in_file(replay.schema)

    assert {name: declared(model) for name, model in models().items() if name in tables} == tables


def test_every_table_on_postgresql_is_a_model_s(migrated_postgres: str) -> None:
    with closing(open_engine(migrated_postgres)) as engine:
        found = catalog.read(engine).tables

    tables = {
        name: {column.name: not column.is_not_null for column in table.columns.values()}
        for name, table in found.items()
        if name not in JOURNAL_TABLES
    }
    assert {name: declared(model) for name, model in models().items() if name in tables} == tables


@pytest.mark.parametrize("name", sorted(models()))
def test_no_model_is_without_its_table(name: str) -> None:
    assert read_text(consolidated_sql()).table(name) is not None

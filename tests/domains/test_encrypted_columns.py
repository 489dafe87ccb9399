"""Rotation reaches every column of sealed values: what the schema seals, a domain names."""

from __future__ import annotations

from support.source_tree import ROOT

from datalayer.domains import encrypted_columns
from datalayer.schema.snapshot import read_text


def test_every_sealed_column_of_the_schema_is_rotated() -> None:
    schema = read_text((ROOT / "migrations" / "consolidated_migrations.sql").read_text(encoding="utf-8"))
    sealed = {
        (table.name, str(check.name))
        for table in schema.tables
        for check in table.checks
        if (check.name or "").endswith("_sealed")
    }
    named = encrypted_columns()
    columns = {table.name: {column.name for column in table.columns} for table in schema.tables}

    assert {(one.table, f"{one.table}_{one.column}_sealed") for one in named} == sealed
    assert all({one.key, one.column} <= columns[one.table] for one in named)
    assert all(one.owner_column in columns[one.table] for one in named if one.owner_column)

"""playhouse.migrate of peewee: operations in migration_context(), which its documentation shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peewee
from playhouse.migrate import SqliteMigrator

from benchmarks.peers.migrators.wish import CannotExpress, TableWish, Wish, done_around
from datalayer.schema.snapshot import Column

__all__ = ["change"]


class Declared(peewee.Field):
    """A field of a type by its own text."""

    def __init__(self, text: str, **options: Any) -> None:
        self.field_type = text
        super().__init__(**options)

    def clone(self) -> Any:
        return Declared(self.field_type, null=self.null, default=self.default, constraints=self.constraints)


def change(path: Path, wish: Wish) -> None:
    for table in wish.tables:
        _check(table)
    database = peewee.SqliteDatabase(str(path))
    migrator = SqliteMigrator(database)
    try:
        with migrator.migration_context():
            around = done_around(database.connection(), wish)
            next(around)
            for table in wish.dropped:
                migrator.migrate(migrator.drop_table(table.name))
            for table in wish.tables:
                if table.table != table.new_name:
                    migrator.migrate(migrator.rename_table(table.table, table.new_name))
            for table in wish.created:
                database.execute_sql(table.sql)
            for table in wish.tables:
                _alter(migrator, table)
            next(around)
    finally:
        database.close()


def _check(wish: TableWish) -> None:
    if wish.beyond:
        raise CannotExpress(wish.beyond[0])
    rules = (wish.new_checks, wish.gone_checks, wish.new_uniques, wish.gone_uniques)
    if any(rules) or wish.new_references or wish.gone_references:
        raise CannotExpress("it adds and drops no constraint before SQLite 3.53")
    if wish.is_reordered or wish.new_key is not None or wish.is_strict is not None:
        raise CannotExpress("the order of columns, the key, or STRICT")
    if any(column.key_position for column in wish.added):
        raise CannotExpress("a new column of the key")


def _alter(migrator: SqliteMigrator, wish: TableWish) -> None:
    table = wish.new_name
    for column in wish.dropped:
        migrator.migrate(migrator.drop_column(table, column.name))
    for old, new in wish.renames.items():
        migrator.migrate(migrator.rename_column(table, old, new))
    for column in wish.added:
        migrator.migrate(migrator.add_column(table, column.name, _field(column)))
    for old, column in wish.types.items():
        field = Declared(column.type, null=not column.is_not_null, constraints=_default(column))
        migrator.migrate(migrator.alter_column_type(table, wish.renames.get(old, old), field))
    for old, default in wish.defaults.items():
        name = wish.renames.get(old, old)
        if old not in wish.types:
            migrator.migrate(migrator.drop_column_default(table, name))
            if default is not None:
                migrator.migrate(migrator.add_column_default(table, name, _default_text(default)))
    for old, is_not_null in wish.not_null.items():
        name = wish.renames.get(old, old)
        if old not in wish.types:
            act = migrator.add_not_null if is_not_null else migrator.drop_not_null
            migrator.migrate(act(table, name))


def _field(column: Column) -> Declared:
    default: Any = None
    if column.is_not_null and column.default is not None:
        default = _value(column.default)
    return Declared(column.type, null=not column.is_not_null, default=default, constraints=_default(column))


def _default_text(text: str) -> str:
    """Give a default so that it is taken for SQL: a literal as it is, all else in parentheses."""
    return text if text.isdigit() or text.endswith(("'", ")")) else f"({text})"


def _default(column: Column) -> list[Any]:
    return [] if column.default is None else [peewee.SQL(f"DEFAULT {column.default}")]


def _value(text: str) -> Any:
    """Give a default as its fields take one: a value of Python."""
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError as exc:
            raise CannotExpress(f"a NOT NULL column whose default is computed: {text}") from exc

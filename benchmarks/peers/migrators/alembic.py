"""alembic's batch mode: op.batch_alter_table(), unnamed constraints told as its documentation shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy.types import UserDefinedType

from benchmarks.peers.migrators.wish import CannotExpress, TableWish, Wish, done_around
from datalayer.schema.snapshot import Column, ForeignKey, Unique
from datalayer.schema.tokens import fold

__all__ = ["change"]

# "Dropping Unnamed or Named Foreign Keys" of its documentation: names for what has none
_NAMES = {
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
}


class Declared(UserDefinedType[Any]):
    """A type by its own text."""

    cache_ok = True

    def __init__(self, text: str) -> None:
        self.text = text

    def get_col_spec(self, **_: Any) -> str:
        return self.text


def change(path: Path, wish: Wish) -> None:
    for table in wish.tables:
        _check(table)
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    try:
        with engine.begin() as connection:
            op = Operations(MigrationContext.configure(connection))
            raw: Any = connection.connection.dbapi_connection
            around = done_around(raw, wish)
            next(around)
            for table in wish.dropped:
                op.drop_table(table.name)
            for table in wish.tables:
                if table.table != table.new_name:
                    op.rename_table(table.table, table.new_name)
            for table in wish.created:
                raw.execute(table.sql)
            for table in wish.tables:
                if not table.is_empty:
                    _alter(op, table)
            next(around)
    finally:
        engine.dispose()


def _check(wish: TableWish) -> None:
    if wish.beyond:
        raise CannotExpress(wish.beyond[0])
    if wish.is_strict is not None:
        raise CannotExpress("STRICT")
    if wish.new_key is not None and not wish.new_key:
        raise CannotExpress("a table without a key")
    if any(not key.parent_columns for key in wish.new_references):
        raise CannotExpress("a reference to a key without its columns' names")
    if wish.is_reordered and wish.renames:
        raise CannotExpress("a new order with new names at once")
    if any(one.conflict for one in (*wish.new_uniques, *wish.gone_uniques)):
        raise CannotExpress("the conflict clause of a UNIQUE")
    if any(term.descending or term.collation for one in wish.new_uniques for term in one.terms):
        raise CannotExpress("the order or collation of a UNIQUE")


def _alter(op: Operations, wish: TableWish) -> None:
    # its reflection brings named CHECKs along; those without a name are given, as its documentation shows
    checks = [
        sqlalchemy.CheckConstraint(_plain(one.expression))
        for one in wish.pair.wanted.checks
        if one.name is None
    ]
    order: dict[str, Any] = {}
    if wish.is_reordered:
        # "auto" makes no new table where the order alone changes
        order["recreate"] = "always"
        order["partial_reordering"] = [tuple(column.name for column in wish.pair.wanted.columns)]
    if any(check.name is None for check in (*wish.new_checks, *wish.gone_checks)):
        order["recreate"] = "always"
    with op.batch_alter_table(
        wish.new_name, table_args=tuple(checks), naming_convention=_NAMES, **order
    ) as batch:
        _drop_rules(batch, wish)
        for column in wish.dropped:
            batch.drop_column(column.name)
        for column in wish.added:
            batch.add_column(_column(column))
        _alter_columns(batch, wish)
        _add_rules(batch, wish)


def _drop_rules(batch: Any, wish: TableWish) -> None:
    gone = {fold(column.name) for column in wish.dropped}
    for check in wish.gone_checks:
        if check.name is not None:
            batch.drop_constraint(check.name, type_="check")
    for unique in wish.gone_uniques:
        if not {fold(term.column or "") for term in unique.terms} & gone:
            batch.drop_constraint(unique.name or _unique_name(wish.new_name, unique), type_="unique")
    for key in wish.gone_references:
        if not {fold(name) for name in key.columns} & gone:
            batch.drop_constraint(key.name or _key_name(wish.new_name, key), type_="foreignkey")


def _alter_columns(batch: Any, wish: TableWish) -> None:
    for name in dict.fromkeys([*wish.renames, *wish.types, *wish.not_null, *wish.defaults]):
        said: dict[str, Any] = {}
        if name in wish.renames:
            said["new_column_name"] = wish.renames[name]
        if name in wish.types:
            said["type_"] = Declared(wish.types[name].type)
        if name in wish.not_null:
            said["nullable"] = not wish.not_null[name]
        if name in wish.defaults:
            said["server_default"] = _default(wish.defaults[name])
        batch.alter_column(name, **said)


def _add_rules(batch: Any, wish: TableWish) -> None:
    for check in wish.new_checks:
        if check.name is not None:
            batch.create_check_constraint(check.name, sqlalchemy.text(_plain(check.expression)))
    for unique in wish.new_uniques:
        batch.create_unique_constraint(
            unique.name or _unique_name(wish.new_name, unique), [term.column for term in unique.terms]
        )
    for key in wish.new_references:
        batch.create_foreign_key(
            key.name or _key_name(wish.new_name, key),
            key.parent,
            list(key.columns),
            list(key.parent_columns),
            ondelete=None if key.on_delete == "NO ACTION" else key.on_delete,
            onupdate=None if key.on_update == "NO ACTION" else key.on_update,
            deferrable=key.is_deferrable or None,
            initially="DEFERRED" if key.is_deferred else None,
        )
    if wish.new_key:
        batch.create_primary_key(f"pk_{wish.new_name}", list(wish.new_key))


def _unique_name(table: str, unique: Unique) -> str:
    return f"uq_{table}_{unique.terms[0].column}"


def _key_name(table: str, key: ForeignKey) -> str:
    return f"fk_{table}_{key.columns[0]}_{key.parent}"


def _column(column: Column) -> Any:
    return sqlalchemy.Column(
        column.name,
        Declared(column.type),
        nullable=not column.is_not_null,
        server_default=_default(column.default),
        primary_key=bool(column.key_position),
    )


def _default(text: str | None) -> Any:
    return None if text is None else sqlalchemy.text(_plain(text))


def _plain(text: str) -> str:
    """Keep a colon from being read as a parameter, as its text() asks."""
    return text.replace(":", "\\:")

"""sqlite-utils: table.transform(), add_column(), rename_table() of its Python library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlite_utils
from sqlite_utils.db import ForeignKey as Reference

from benchmarks.peers.migrators.wish import CannotExpress, TableWish, Wish, done_around
from datalayer.schema.snapshot import Column, ForeignKey
from datalayer.schema.tokens import fold

__all__ = ["change"]

# the declared types that its create_table writes; others it takes down to one of these
_TYPES = {"integer": int, "int": int, "text": str, "blob": bytes, "real": float, "float": float}


def change(path: Path, wish: Wish) -> None:
    for table in wish.tables:
        _check(table)
    db = sqlite_utils.Database(str(path))
    try:
        around = done_around(db.conn, wish)
        next(around)
        for table in wish.dropped:
            db[table.name].drop()
        for table in wish.tables:
            if table.table != table.new_name:
                db.rename_table(table.table, table.new_name)
        for table in wish.created:
            db.execute(table.sql)
        for table in wish.tables:
            _transform(db, table)
        next(around)
        db.conn.commit()
    finally:
        db.close()


def _check(wish: TableWish) -> None:
    if wish.beyond:
        raise CannotExpress(wish.beyond[0])
    if wish.new_checks or wish.gone_checks:
        raise CannotExpress("CHECKs are kept, not changed")
    if wish.new_uniques or wish.gone_uniques:
        raise CannotExpress("UNIQUEs are kept, not changed")
    if any(key.is_deferrable for key in wish.new_references) or any(
        column.key_position for column in wish.added
    ):
        raise CannotExpress("a deferred reference, or a new column of the key")
    if any(len(key.columns) > 1 and not key.parent_columns for key in wish.new_references):
        raise CannotExpress("a reference to a key without its columns' names")
    if wish.new_key is not None and not wish.new_key:
        raise CannotExpress("a table without a key")
    for column in wish.types.values():
        _type(column)
    for column in wish.added:
        _type(column)
        if column.is_not_null and column.default is None:
            raise CannotExpress("a new NOT NULL column without default")
        if not column.is_not_null and column.default is not None:
            # a default for new rows alone is set by transform afterwards: rows that are there stay NULL
            raise CannotExpress("a new column that may be NULL with a default for the rows that are there")


def _type(column: Column) -> Any:
    if fold(column.type) not in _TYPES:
        raise CannotExpress(f"the type {column.type!r}")
    return _TYPES[fold(column.type)]


def _transform(db: sqlite_utils.Database, wish: TableWish) -> None:
    table = db[wish.new_name]
    for column in wish.added:
        not_null: Any = _value(column.default) if column.is_not_null else None
        table.add_column(column.name, _type(column), not_null_default=not_null)
    options = _options(wish)
    if options:
        table.transform(**options)


def _options(wish: TableWish) -> dict[str, Any]:
    """Give the arguments of transform(); it knows columns by their old names."""
    old = {new: before for before, new in wish.renames.items()}
    options: dict[str, Any] = {}
    if wish.types:
        options["types"] = {name: _type(column) for name, column in wish.types.items()}
    if wish.renames:
        options["rename"] = dict(wish.renames)
    if wish.dropped:
        options["drop"] = [column.name for column in wish.dropped]
    if wish.not_null:
        options["not_null"] = dict(wish.not_null)
    if wish.defaults:
        options["defaults"] = {name: _value(text) for name, text in wish.defaults.items()}
    if wish.new_key is not None:
        key = [old.get(name, name) for name in wish.new_key]
        options["pk"] = key[0] if len(key) == 1 else tuple(key)
    if wish.is_strict is not None:
        options["strict"] = wish.is_strict
    if wish.is_reordered:
        options["column_order"] = [old.get(column.name, column.name) for column in wish.pair.wanted.columns]
    if wish.gone_references:
        options["drop_foreign_keys"] = [tuple(key.columns) for key in wish.gone_references]
    if wish.new_references:
        options["add_foreign_keys"] = [_reference(wish, key, old) for key in wish.new_references]
    return options


def _reference(wish: TableWish, key: ForeignKey, old: dict[str, str]) -> Any:
    if len(key.columns) != 1 or (key.on_delete, key.on_update) != ("NO ACTION", "NO ACTION"):
        columns = tuple(old.get(name, name) for name in key.columns)
        others = tuple(key.parent_columns)
        one = len(columns) == 1
        return Reference(
            wish.new_name,
            columns[0] if one else None,
            key.parent,
            others[0] if one and others else None,
            columns=columns,
            other_columns=others,
            is_compound=not one,
            on_delete=key.on_delete,
            on_update=key.on_update,
        )
    column = old.get(key.columns[0], key.columns[0])
    return (column, key.parent, key.parent_columns[0]) if key.parent_columns else (column, key.parent)


def _value(text: str | None) -> Any:
    """Give a default as it takes one: a value of Python, or SQL in parentheses as its text."""
    if text is None:
        return None
    if text.startswith("'") and text.endswith("'"):
        return text[1:-1].replace("''", "'")
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text if text.upper().startswith("CURRENT_") or text.endswith(")") else f"({text})"

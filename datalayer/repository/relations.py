"""Relations of rows, loaded in one query for many rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import peewee

from datalayer.errors import DataLayerError

if TYPE_CHECKING:
    from datalayer.repository.reader import Reader

__all__ = ["preload"]


def preload(repository: Reader[Any], rows: Sequence[Any], name: str) -> None:
    """Load one relation of many rows: one query for each 32,000 keys."""
    model = repository.model
    field = model._meta.fields.get(name)
    if isinstance(field, peewee.ForeignKeyField):
        _preload_parents(repository, rows, field)
        return
    for backref in model._meta.backrefs:
        if backref.backref == name:
            _preload_children(repository, rows, backref)
            return
    raise DataLayerError(f"{model.__name__} has no relation {name!r}", hint="name a foreign key or a backref")


def _preload_parents(repository: Reader[Any], rows: Sequence[Any], field: Any) -> None:
    keys = {value for row in rows if (value := row.__data__.get(field.name)) is not None}
    target = field.rel_field.name
    parents = {parent.__data__[target]: parent for parent in _find(repository, field.rel_model, target, keys)}
    for row in rows:
        key = row.__data__.get(field.name)
        if key in parents:
            row.__rel__[field.name] = parents[key]


def _preload_children(repository: Reader[Any], rows: Sequence[Any], field: Any) -> None:
    own = field.rel_field.name
    children: dict[Any, list[Any]] = defaultdict(list)
    for child in _find(repository, field.model, field.name, {row.__data__[own] for row in rows}):
        children[child.__data__[field.name]].append(child)
    for row in rows:
        # an instance's own entry stands before the accessor, which has no setter
        row.__dict__[field.backref] = children.get(row.__data__[own], [])


def _find(repository: Reader[Any], model: Any, name: str, keys: set[Any]) -> list[Any]:
    other = repository.sibling(model)
    limit = repository.engine.dialect.parameter_limit
    ordered = list(keys)
    found: list[Any] = []
    for start in range(0, len(ordered), limit):
        equals: dict[str, Any] = {name: ordered[start : start + limit]}
        found.extend(other.find(**equals))
    return found

"""Conditions: from what a caller gives to SQL text and parameters, compiled once where the shape repeats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import peewee

from datalayer.engine.connection import Engine
from datalayer.errors import DataLayerError
from datalayer.repository.fields import JSONField
from datalayer.repository.shape import Shape

__all__ = ["Condition", "condition"]

_PLAIN = {str, int, float, bytes, type(None)}
_MANY = (list, tuple, set, frozenset)


class Condition(NamedTuple):
    """The text behind WHERE, empty where everything answers, and its parameters."""

    text: str
    params: list[Any]

    @property
    def where(self) -> str:
        """The clause with its keyword."""
        return f" WHERE {self.text}" if self.text else ""

    def plus(self, text: str, params: Sequence[Any] = ()) -> Condition:
        """Give this condition with another one that must hold too."""
        return Condition(f"{self.text} AND {text}" if self.text else text, [*self.params, *params])


def condition(
    engine: Engine, shape: Shape[Any], expressions: Sequence[Any], equals: Mapping[str, Any], *, deleted: bool
) -> Condition:
    """Compile expressions of Peewee's and `field=value` pairs; a list means any of them, None means NULL.

    `deleted` lets rows that were deleted softly answer too.
    """
    parts: list[str] = []
    params: list[Any] = []
    mark = shape.dialect.placeholder
    for name, value in equals.items():
        field = shape.field(name)
        column = shape.quoted[field.name]
        if value is None:
            parts.append(f"{column} IS NULL")
        elif isinstance(value, _MANY) and not isinstance(field, JSONField):
            values = [shape.encode_one(field.name, item) for item in cast("Iterable[Any]", value)]
            parts.append(f"{column} IN ({', '.join([mark] * len(values))})" if values else "1 = 0")
            params.extend(values)
        else:
            parts.append(f"{column} = {mark}")
            params.append(shape.encode_one(field.name, value))
    for expression in expressions:
        text, values = _render(engine, shape, expression)
        parts.append(f"({text})")
        params.extend(values)
    if shape.is_soft and not deleted:
        parts.append(f"{shape.quoted['deleted_at']} IS NULL")
    return Condition(" AND ".join(parts), params)


def _render(engine: Engine, shape: Shape[Any], expression: Any) -> tuple[str, list[Any]]:
    """Render an expression of Peewee's, with columns under the table's own name."""
    if not isinstance(expression, peewee.Node):
        raise DataLayerError(
            f"a condition cannot be {expression!r}", hint="write Model.field == value, or field=value"
        )
    raw: Any = expression
    if type(expression) is peewee.SQL and all(type(value) in _PLAIN for value in raw.params or ()):
        # Peewee would give the same, at ten times the cost of the rest
        return raw.sql, list(raw.params or ())
    context: Any = engine.peewee.get_sql_context()
    # as Peewee renders an UPDATE's WHERE: queries inside stand in parentheses, with aliases of their own
    with context.scope_values(subquery=True):
        context.alias_manager[shape.model._meta.table] = shape.table_name
        with context.scope_normal():
            text, params = context.sql(expression).query()
    return text, list(params)

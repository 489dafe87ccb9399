"""One page of rows, and the cursor that leads to the next.

A cursor holds the sort values of the last row, so the next page costs the same however far it is, and rows
that come or go meanwhile are neither repeated nor skipped. Order is the same on both engines: NULL sorts
before everything else, ascending.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import peewee

from datalayer.errors import DataLayerError
from datalayer.repository.shape import Shape

__all__ = ["Order", "Page", "after_cursor", "decode_cursor", "encode_cursor", "order_sql", "parse_order"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows of many.

    `next` is the cursor for `page(after=...)`, None on the last page. `number` counts from 1 where the page
    was asked for by number.
    """

    items: tuple[T, ...]
    next: str | None
    size: int
    number: int | None = None

    @property
    def has_more(self) -> bool:
        """Whether there is another page."""
        return self.next is not None


@dataclass(frozen=True, slots=True)
class Order:
    """One term of a sort order."""

    name: str
    descending: bool = False


def parse_order(shape: Shape[Any], given: Any) -> tuple[Order, ...]:
    """Read `"name"`, `"-name"`, `Model.name`, `Model.name.desc()`, or several of them.

    The key settles ties.
    """
    terms: Sequence[Any] = () if given is None else (given,)
    if isinstance(given, (list, tuple)):
        terms = cast("Sequence[Any]", given)
    orders = [_parse_term(shape, term) for term in terms]
    named = {order.name for order in orders}
    descending = bool(orders) and orders[-1].descending
    orders.extend(Order(name, descending) for name in shape.key_names if name not in named)
    return tuple(orders)


def _parse_term(shape: Shape[Any], term: Any) -> Order:
    descending = False
    if isinstance(term, peewee.Ordering):
        descending = str(term.direction).upper() == "DESC"
        term = term.node
    if isinstance(term, peewee.Field):
        return Order(term.name, descending)
    if isinstance(term, str):
        return Order(shape.field(term.removeprefix("-")).name, term.startswith("-"))
    raise DataLayerError(
        f"cannot sort {shape.model.__name__} by {type(term).__name__}",
        hint='give a field, field.desc() or "-name"',
    )


def order_sql(shape: Shape[Any], orders: Sequence[Order]) -> str:
    """Give the ORDER BY clause."""
    terms: list[str] = []
    for order in orders:
        term = shape.quoted[order.name] + (" DESC" if order.descending else "")
        if shape.fields[order.name].null and not shape.dialect.nulls_first:
            term += " NULLS LAST" if order.descending else " NULLS FIRST"
        terms.append(term)
    return ", ".join(terms)


def after_cursor(shape: Shape[Any], orders: Sequence[Order], values: Sequence[Any]) -> tuple[str, list[Any]]:
    """Give the condition for the rows behind the one with these (stored) sort values."""
    mark = shape.dialect.placeholder
    one_way = len({order.descending for order in orders}) == 1
    if one_way and not any(shape.fields[order.name].null for order in orders):
        # a row value comparison walks the index straight to its place
        columns = ", ".join(shape.quoted[order.name] for order in orders)
        sign = "<" if orders[0].descending else ">"
        return f"({columns}) {sign} ({', '.join([mark] * len(orders))})", list(values)
    branches: list[str] = []
    params: list[Any] = []
    for position, order in enumerate(orders):
        conditions: list[str] = []
        branch_params: list[Any] = []
        for earlier, value in zip(orders[:position], values[:position], strict=True):
            conditions.append(
                f"{shape.quoted[earlier.name]} " + ("IS NULL" if value is None else f"= {mark}")
            )
            branch_params.extend([] if value is None else [value])
        beyond = _beyond(shape.quoted[order.name], order, values[position], mark)
        if beyond is None:
            continue
        conditions.append(beyond)
        branch_params.extend([] if values[position] is None else [values[position]])
        branches.append(" AND ".join(conditions))
        params.extend(branch_params)
    return "(" + (" OR ".join(f"({branch})" for branch in branches) or "1 = 0") + ")", params


def _beyond(column: str, order: Order, value: Any, mark: str) -> str | None:
    """Give the condition for sorting behind a value; None where nothing can."""
    if value is None:
        return None if order.descending else f"{column} IS NOT NULL"
    return f"({column} < {mark} OR {column} IS NULL)" if order.descending else f"{column} > {mark}"


def _signature(orders: Sequence[Order]) -> str:
    return ",".join(("-" if order.descending else "") + order.name for order in orders)


def encode_cursor(orders: Sequence[Order], values: Sequence[Any]) -> str:
    """Give a cursor as text for a URL; it holds the sort values readably, so do not sort by secrets."""
    text = json.dumps(
        [_signature(orders), list(values)], separators=(",", ":"), ensure_ascii=False, default=str
    )
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def decode_cursor(orders: Sequence[Order], cursor: str) -> list[Any]:
    """Give the sort values of a cursor.

    Raises:
        DataLayerError: no cursor, or one of another order.
    """
    values: list[Any] = []
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        signature, values = json.loads(base64.b64decode(padded.encode(), altchars=b"-_", validate=True))
        fits = signature == _signature(orders) and type(values) is list and len(values) == len(orders)
    except (ValueError, TypeError, binascii.Error, UnicodeError):
        fits = False
    if not fits:
        raise DataLayerError(
            "this page cursor does not belong to this question",
            hint="begin again without `after`, with the same order",
        )
    return values

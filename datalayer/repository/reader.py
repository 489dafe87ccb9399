"""Reader: the verbs that read the rows of one model, on both engines alike.

A hot statement is composed once and kept; a call binds values and builds rows. Each verb is one statement
unless its docstring says otherwise, and belongs to the transaction that is open.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, cast, get_args

import peewee

from datalayer.engine.connection import Engine
from datalayer.errors import DataLayerError, MultipleFound, NotFound
from datalayer.repository import relations
from datalayer.repository.mismatch import explain_refusal
from datalayer.repository.page import (
    Order,
    Page,
    after_cursor,
    decode_cursor,
    encode_cursor,
    order_sql,
    parse_order,
)
from datalayer.repository.query import Condition, condition
from datalayer.repository.shape import Shape

__all__ = ["Reader"]

M = TypeVar("M", bound=peewee.Model)
_CHUNK = 1_000
_NO_LIMIT = 2**62


class Reader(Generic[M]):
    """The rows of one model in one store, to be read.

    `class Jobs(Repository[Job])` says it all; `store.repository(Job)` makes one without a class. Conditions
    are `field=value` (a list: any of them; None: NULL) or Peewee expressions, all of which must hold. Without
    `order_by`, rows come by their primary key; NULL sorts first. Safe to share among threads.
    """

    model: type[M]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            for argument in get_args(base):
                if isinstance(argument, type) and issubclass(argument, peewee.Model):
                    cls.model = cast("type[M]", argument)

    def __init__(self, engine: Engine, model: type[M] | None = None, *, data_dir: Path | None = None) -> None:
        chosen: type[M] | None = model or getattr(type(self), "model", None)
        if chosen is None:
            raise DataLayerError(
                f"{type(self).__name__} names no model",
                hint="write class Jobs(Repository[Job]), or give the model",
            )
        self.model = chosen
        self.engine = engine
        self.db = engine.peewee
        self.data_dir = data_dir
        self.shape = Shape[M](chosen, engine.dialect)
        self._siblings: dict[type[peewee.Model], Any] = {}
        self._locked = False
        self._deleted = False
        _bind_plain_model(chosen, engine)
        self._recompile()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.model.__name__} in {self.engine.display_url}>"

    # -- views -------------------------------------------------------------------------------------

    def for_update(self) -> Self:
        """Give this repository with reads that lock their rows until the transaction ends.

        On SQLite the write transaction is the lock already.

        Raises:
            DataLayerError: (by the read) no write transaction is open, so the lock would be gone at once.
        """
        return self._view(_locked=True)

    def with_deleted(self) -> Self:
        """Give this repository with softly deleted rows among the others.

        Its `delete` removes rows for good.
        """
        return self._view(_deleted=True)

    def _view(self, **marks: bool) -> Self:
        view = copy.copy(self)
        view.__dict__.update(marks)
        view._recompile()
        return view

    def sibling(self, model: type[peewee.Model]) -> Reader[Any]:
        """Give a plain reader of another model in the same store; the same one each time."""
        found = self._siblings.get(model)
        if found is None:
            found = self._siblings[model] = self._make_sibling(model)
        return found

    def _make_sibling(self, model: type[peewee.Model]) -> Reader[Any]:
        return Reader(self.engine, model)

    def transaction(self, *, read: bool = False) -> AbstractContextManager[object]:
        """Give a block of work, as `store.transaction()`."""
        return self.engine.transaction(read=read)

    # -- reading -----------------------------------------------------------------------------------

    def get(self, key: Any) -> M:
        """Give the row with this primary key (a tuple where it has several columns).

        Raises:
            NotFound: there is none.
            SchemaMismatch: the database lacks a column of the model.
        """
        row = self.get_or_none(key)
        if row is None:
            raise self._not_found(key)
        return row

    def get_or_none(self, key: Any) -> M | None:
        """Give the row with this primary key, or None."""
        shape = self.shape
        if self._locked:
            self._check_lock()
        try:
            values = self.engine.fetch_one(self._get_sql, shape.key_values(key))
        except DataLayerError as exc:
            raise self.explain(exc) from exc.__cause__
        return None if values is None else shape.build(values, self)

    def one(self, *where: Any, **equals: Any) -> M:
        """Give the only row that answers.

        Raises:
            NotFound: none does.
            MultipleFound: more than one does.
        """
        row = self.one_or_none(*where, **equals)
        if row is None:
            raise self._not_found(dict(equals) or "these conditions")
        return row

    def one_or_none(self, *where: Any, **equals: Any) -> M | None:
        """Give the only row that answers, or None.

        Raises:
            MultipleFound: more than one does.
        """
        rows = self._select(self._condition(where, equals), (), limit=2)
        if len(rows) > 1:
            raise MultipleFound(
                f"more than one {self.model.__name__} answers",
                hint="add conditions, or use find() or first()",
            )
        return rows[0] if rows else None

    def first(self, *where: Any, order_by: Any = None, **equals: Any) -> M | None:
        """Give the first row that answers, in the order asked for, or None."""
        rows = self._select(self._condition(where, equals), parse_order(self.shape, order_by), limit=1)
        return rows[0] if rows else None

    def find(
        self,
        *where: Any,
        order_by: Any = None,
        limit: int | None = None,
        offset: int | None = None,
        **equals: Any,
    ) -> list[M]:
        """Give all rows that answer, as a list; see `iterate` for more than fit in memory."""
        orders = parse_order(self.shape, order_by)
        return self._select(self._condition(where, equals), orders, limit=limit, offset=offset)

    def page(
        self,
        *where: Any,
        order_by: Any = None,
        size: int = 50,
        after: str | None = None,
        number: int | None = None,
        **equals: Any,
    ) -> Page[M]:
        """Give one page: behind the cursor `after`, at the same cost for each, or the `number`-th by OFFSET.

        Raises:
            DataLayerError: the cursor belongs to another order, or both or an impossible page are asked for.
        """
        if size < 1 or (number is not None and (number < 1 or after is not None)):
            raise DataLayerError(
                "no such page", hint="size and number begin at 1; give either number or after"
            )
        orders = parse_order(self.shape, order_by)
        question = self._condition(where, equals)
        if after is not None:
            question = self._behind(question, orders, decode_cursor(orders, after))
        offset = (number - 1) * size if number is not None else None
        rows = self._select(question, orders, limit=size + 1, offset=offset)
        cursor = (
            encode_cursor(orders, self._sort_values(rows[size - 1], orders)) if len(rows) > size else None
        )
        return Page(tuple(rows[:size]), cursor, size, number)

    def iterate(self, *where: Any, order_by: Any = None, chunk: int = _CHUNK, **equals: Any) -> Iterator[M]:
        """Give all rows that answer one after the other, holding `chunk` of them in memory.

        Each chunk is a statement of its own that goes on behind the last row, so no read stays open (an open
        one would keep SQLite's WAL growing), and rows changed meanwhile are seen as they are then. For one
        moment's picture, iterate inside `transaction(read=True)`.
        """
        orders = parse_order(self.shape, order_by)
        question = base = self._condition(where, equals)
        while True:
            rows = self._select(question, orders, limit=chunk)
            yield from rows
            if len(rows) < chunk:
                return
            question = self._behind(base, orders, self._sort_values(rows[-1], orders))

    def count(self, *where: Any, **equals: Any) -> int:
        """Count the rows that answer; cost grows with their number."""
        question = self._condition(where, equals)
        row = self._fetch_one(f"SELECT COUNT(*) FROM {self.shape.table}{question.where}", question.params)
        return int(row[0]) if row else 0

    def exists(self, *where: Any, **equals: Any) -> bool:
        """Say whether any row answers."""
        question = self._condition(where, equals)
        return (
            self._fetch_one(f"SELECT 1 FROM {self.shape.table}{question.where} LIMIT 1", question.params)
            is not None
        )

    def preload(self, rows: Iterable[M], *names: str) -> list[M]:
        """Load relations of many rows, foreign keys or the rows that refer to them: one query for each name.

        Gives the rows as a list. Without it, reading such a relation raises LazyLoad.
        """
        loaded = list(rows)
        for name in names:
            relations.preload(self, loaded, name)
        return loaded

    # -- pieces ----------------------------------------------------------------------------------

    def _recompile(self) -> None:
        shape = self.shape
        self._key_text = " AND ".join(
            f"{shape.quoted[name]} = {shape.dialect.placeholder}" for name in shape.key_names
        )
        self._live_text = (
            "" if not shape.is_soft or self._deleted else f" AND {shape.quoted['deleted_at']} IS NULL"
        )
        lock = shape.dialect.row_lock if self._locked else ""
        self._get_sql = (
            f"SELECT {shape.columns} FROM {shape.table} WHERE {self._key_text}{self._live_text}{lock}"
        )

    def _condition(self, where: Sequence[Any], equals: Mapping[str, Any]) -> Condition:
        return condition(self.engine, self.shape, where, equals, deleted=self._deleted)

    def _select(
        self,
        question: Condition,
        orders: Sequence[Order],
        *,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[M]:
        shape = self.shape
        sql = f"SELECT {shape.columns} FROM {shape.table}{question.where}"
        params = list(question.params)
        if orders:
            sql += f" ORDER BY {order_sql(shape, orders)}"
        if limit is not None or offset is not None:
            sql += f" LIMIT {shape.dialect.placeholder}"
            params.append(limit if limit is not None else _NO_LIMIT)
        if offset is not None:
            sql += f" OFFSET {shape.dialect.placeholder}"
            params.append(offset)
        if self._locked:
            self._check_lock()
            sql += shape.dialect.row_lock
        try:
            found = self.engine.fetch_all(sql, params)
        except DataLayerError as exc:
            raise self.explain(exc) from exc.__cause__
        return shape.build_many(found, self)

    def _behind(self, question: Condition, orders: Sequence[Order], values: Sequence[Any]) -> Condition:
        return question.plus(*after_cursor(self.shape, orders, values))

    def _sort_values(self, row: M, orders: Sequence[Order]) -> list[Any]:
        data = row.__data__
        return [
            None if data[order.name] is None else self.shape.encode_one(order.name, data[order.name])
            for order in orders
        ]

    def _fetch_one(self, sql: str, params: Sequence[Any]) -> tuple[Any, ...] | None:
        try:
            return self.engine.fetch_one(sql, params)
        except DataLayerError as exc:
            raise self.explain(exc) from exc.__cause__

    def _check_lock(self) -> None:
        if not self.engine.in_transaction:
            raise DataLayerError(
                "for_update() outside a transaction locks nothing",
                hint="read inside `with store.transaction():`",
            )

    # -- errors ------------------------------------------------------------------------------------

    def _not_found(self, key: Any) -> NotFound:
        return NotFound(f"no {self.model.__name__} answers to {key!r}")

    def explain(self, exc: DataLayerError) -> DataLayerError:
        """Make a statement that the database did not understand say which columns it lacks."""
        shape = self.shape
        return explain_refusal(
            exc, self.engine, shape.table_name, shape.column_of.values(), needed_by=self.model.__name__
        )


def _bind_plain_model(model: type[peewee.Model], engine: Engine) -> None:
    """Let rows of a plain Peewee model save themselves, by binding it to this engine.

    Raises:
        DataLayerError: it is bound to another open store, where its rows would be saved by mistake.
    """
    if hasattr(model, "_own_repository"):
        return
    bound = model._meta.database
    other = getattr(bound, "engine", None)
    if bound is None or (other is not None and other is not engine and other.is_closed):
        model.bind(engine.peewee, bind_refs=False, bind_backrefs=False)
    elif other is not None and other is not engine:
        raise DataLayerError(
            f"{model.__name__} is in use by another open store",
            why="a plain Peewee model saves its rows to one database only",
            hint="derive it from datalayer.Model to use it in several",
        )

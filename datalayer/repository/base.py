"""Repository: the verbs that read and write the rows of one model, on both engines alike.

Each hot statement is composed once per shape and kept; a call binds values and builds rows. Knows models, never
migrations. Every verb is one statement unless its docstring says otherwise; outside a transaction it commits by
itself, inside one it belongs to it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Generic, NamedTuple, Self, TypeVar, cast, get_args

import peewee

from datalayer.engine.connection import Engine
from datalayer.errors import DataLayerError, MultipleFound, NotFound, SchemaMismatch, StaleVersion
from datalayer.repository import bulk, relations
from datalayer.repository.fields import encode_utc
from datalayer.repository.page import Order, Page, after, decode_cursor, encode_cursor, order_sql, parse_order
from datalayer.repository.query import Condition, condition
from datalayer.repository.shape import Shape

__all__ = ["Repository"]

M = TypeVar("M", bound=peewee.Model)
_CHUNK = 1_000


class _Plan(NamedTuple):
    """A statement composed once: its text, which parameters are converted how, and what it leaves to the database."""

    sql: str
    conversions: list[tuple[int, Any]]
    missing: tuple[str, ...] = ()
    by_row_id: bool = False


class Repository(Generic[M]):
    """The rows of one model in one store.

    `class Jobs(Repository[Job])` says it all; `store.repository(Job)` makes one without a class. Conditions are
    `field=value` (a list: any of them; None: NULL) or Peewee expressions, all of which must hold. Without
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
        chosen = model or getattr(type(self), "model", None)
        if chosen is None:
            raise DataLayerError(
                f"{type(self).__name__} names no model", hint="write class Jobs(Repository[Job]), or give the model"
            )
        self.model = chosen
        self.engine = engine
        self.db = engine.peewee
        self.data_dir = data_dir
        self._shape: Shape[M] = Shape(chosen, engine.dialect)
        self._plans: dict[Any, _Plan] = {}
        self._locked = False
        self._deleted = False
        _bind_plain_model(chosen, engine)
        self._compile()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.model.__name__} in {self.engine.display_url}>"

    # -- views -----------------------------------------------------------------------------------------------------

    def for_update(self) -> Self:
        """Give this repository with reads that lock their rows until the transaction ends.

        On SQLite the write transaction is the lock already.

        Raises:
            DataLayerError: (by the read) no write transaction is open, so the lock would be gone at once.
        """
        return self._view(_locked=True)

    def with_deleted(self) -> Self:
        """Give this repository with softly deleted rows among the others; its `delete` removes rows for good."""
        return self._view(_deleted=True)

    def _view(self, **marks: bool) -> Self:
        view = copy.copy(self)
        view.__dict__.update(marks)
        view._plans = {}
        view._compile()
        return view

    def sibling(self, model: type[peewee.Model]) -> Repository[Any]:
        """Give a plain repository of another model in the same store."""
        return Repository(self.engine, model)

    def transaction(self, *, read: bool = False) -> AbstractContextManager[object]:
        """Give a block of work, as `store.transaction()`."""
        return self.engine.transaction(read=read)

    # -- reading ---------------------------------------------------------------------------------------------------

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
        shape = self._shape
        if self._locked:
            self._check_lock()
        try:
            values = self.engine.fetch_one(self._get_sql, shape.key_values(key))
        except DataLayerError as exc:
            raise self._explain(exc) from exc.__cause__
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
                f"more than one {self.model.__name__} answers", hint="add conditions, or use find() or first()"
            )
        return rows[0] if rows else None

    def first(self, *where: Any, order_by: Any = None, **equals: Any) -> M | None:
        """Give the first row that answers, in the order asked for, or None."""
        rows = self._select(self._condition(where, equals), parse_order(self._shape, order_by), limit=1)
        return rows[0] if rows else None

    def find(
        self, *where: Any, order_by: Any = None, limit: int | None = None, offset: int | None = None, **equals: Any
    ) -> list[M]:
        """Give all rows that answer, as a list; see `iterate` for more than fit in memory."""
        orders = parse_order(self._shape, order_by)
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
        """Give one page: behind the cursor `after` (same cost for every page), or the `number`-th, from 1 (by OFFSET).

        Raises:
            DataLayerError: the cursor belongs to another order, or both or an impossible page are asked for.
        """
        if size < 1 or (number is not None and (number < 1 or after is not None)):
            raise DataLayerError("no such page", hint="size and number begin at 1; give either number or after")
        orders = parse_order(self._shape, order_by)
        question = self._condition(where, equals)
        if after is not None:
            question = self._behind(question, orders, decode_cursor(orders, after))
        offset = (number - 1) * size if number is not None else None
        rows = self._select(question, orders, limit=size + 1, offset=offset)
        cursor = encode_cursor(orders, self._sort_values(rows[size - 1], orders)) if len(rows) > size else None
        return Page(tuple(rows[:size]), cursor, size, number)

    def iterate(self, *where: Any, order_by: Any = None, chunk: int = _CHUNK, **equals: Any) -> Iterator[M]:
        """Give all rows that answer one after the other, holding `chunk` of them in memory.

        Each chunk is a statement of its own that goes on behind the last row, so no read stays open (an open one would
        keep SQLite's WAL growing), and rows changed meanwhile are seen as they are then. For one moment's picture,
        iterate inside `transaction(read=True)`.
        """
        orders = parse_order(self._shape, order_by)
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
        row = self._fetch_one(f"SELECT COUNT(*) FROM {self._shape.table}{question.where}", question.params)
        return int(row[0]) if row else 0

    def exists(self, *where: Any, **equals: Any) -> bool:
        """Say whether any row answers."""
        question = self._condition(where, equals)
        return self._fetch_one(f"SELECT 1 FROM {self._shape.table}{question.where} LIMIT 1", question.params) is not None

    def preload(self, rows: Iterable[M], *names: str) -> list[M]:
        """Load relations of many rows, foreign keys or the rows that refer to them: one query for each name.

        Gives the rows as a list. Without it, reading such a relation raises LazyLoad.
        """
        loaded = list(rows)
        for name in names:
            relations.preload(self, loaded, name)
        return loaded

    # -- adding ----------------------------------------------------------------------------------------------------

    def add(self, row: M | None = None, /, **values: Any) -> M:
        """Insert a row, given as a model or by its values, and give it with its key and defaults.

        Raises:
            UniqueViolation, ForeignKeyViolation, NotNullViolation, CheckViolation: a rule of the database.
        """
        shape = self._shape
        data = shape.with_defaults(shape.normalise(values if row is None else row.__data__))
        if shape.is_stamped:
            self._stamp(data)
        if shape.auto_key and data.get(shape.auto_key) is None:
            data.pop(shape.auto_key, None)
        self._insert(data)
        if row is None:
            row = self.model.__new__(self.model)
        row.__data__ = data
        row.__dict__.setdefault("__rel__", {})
        row._dirty = set()
        row._repository = self  # type: ignore[attr-defined]
        return row

    def add_many(self, rows: Iterable[M | Mapping[str, Any]]) -> int:
        """Insert many rows, all or none, and give their number; takes a generator of any length in constant memory.

        One prepared statement executed in one transaction on SQLite, COPY on PostgreSQL. Rows with other fields than
        the ones before them begin a new statement. Models that are given do not learn their generated keys.
        """
        return bulk.add_many(self, rows)

    def upsert(self, row: M | None = None, /, *, on: Sequence[str] = (), **values: Any) -> M:
        """Insert a row, or update the one that has the same `on` fields (the primary key by default); give it as it is.

        Needs a unique rule over exactly those fields. An update leaves `created_at` as it was and raises the version.
        """
        shape = self._shape
        data = shape.with_defaults(shape.normalise(values if row is None else row.__data__))
        if shape.is_stamped:
            self._stamp(data)
        names = tuple(data)
        sql = bulk.upsert_sql(shape, names, tuple(on) or shape.key_names) + f" RETURNING {shape.columns}"
        found = self._write_one(sql, [shape.encode_one(name, value) for name, value in data.items()])
        if found is None:
            raise self._not_found(dict(zip(on, (data[name] for name in on), strict=True)))
        return shape.build(found, self)

    def upsert_many(self, rows: Iterable[M | Mapping[str, Any]], *, on: Sequence[str] = ()) -> int:
        """Upsert many rows, all or none; see `upsert`. Gives the number of rows written."""
        return bulk.upsert_many(self, rows, tuple(on) or self._shape.key_names)

    # -- changing --------------------------------------------------------------------------------------------------

    def update(self, subject: M | Any, /, **changes: Any) -> None:
        """Write a row's changed fields, or the `changes` of the row with this key.

        A row that is given is up to date afterwards. A versioned row is written only if nobody changed it since it
        was read; give `version=` to say the same with a key. A row without changes is not written.

        Raises:
            NotFound: the row is gone.
            StaleVersion: the row moved on; nothing was written.
        """
        shape = self._shape
        if isinstance(subject, peewee.Model):
            self._update_row(cast("M", subject), changes)
            return
        expected = changes.pop("version", None) if shape.is_versioned else None
        data = shape.normalise(changes)
        if data:
            self._update(subject, data, expected)

    def _update_row(self, row: M, changes: dict[str, Any]) -> None:
        shape = self._shape
        for name, value in shape.normalise(changes).items():
            setattr(row, name, value)
        dirty = [name for name in shape.names if name in row._dirty and name not in shape.key_names]
        if shape.is_versioned and "version" in dirty:
            dirty.remove("version")
        if not dirty:
            return
        expected = row.__data__["version"] if shape.is_versioned else None
        data = {name: row.__data__[name] for name in dirty}
        self._update(shape.key_of(row), data, expected)
        row.__data__.update(data)
        if expected is not None:
            row.__data__["version"] = expected + 1
        row._dirty = set()
        row._repository = self  # type: ignore[attr-defined]

    def _update(self, key: Any, data: dict[str, Any], expected: int | None) -> None:
        """Write these fields of one row; the data learn their timestamp."""
        if self._shape.is_stamped:
            data["updated_at"] = self.engine.clock()
        plan = self._update_plan(tuple(data), checked=expected is not None)
        params = list(data.values())
        for place, encode in plan.conversions:
            params[place] = encode(params[place])
        params.extend(self._shape.key_values(key))
        if expected is not None:
            params.append(expected)
        if self._write(plan.sql, params) == 0:
            raise self._gone_or_stale(key, expected)

    def update_where(self, *where: Any, changes: Mapping[str, Any], **equals: Any) -> int:
        """Change all rows that answer, in one statement, and give their number.

        A change may be an expression, such as `{"attempt": Job.attempt + 1}`. At least one condition is needed.
        """
        question = self._some_condition(where, equals, "update_where")
        shape = self._shape
        data = shape.normalise(changes)
        if shape.is_stamped:
            data["updated_at"] = self.engine.clock()
        assignments: list[str] = []
        params: list[Any] = []
        for name, value in data.items():
            if isinstance(value, peewee.Node) and not isinstance(value, peewee.Model):
                text, values = condition(self.engine, shape, [value], {}, deleted=True)
                assignments.append(f"{shape.quoted[name]} = {text}")
                params.extend(values)
            else:
                assignments.append(f"{shape.quoted[name]} = {self.engine.dialect.placeholder}")
                params.append(shape.encode_one(name, value))
        if shape.is_versioned:
            assignments.append(_RAISE_VERSION.format(column=shape.quoted["version"]))
        return self._write(
            f"UPDATE {shape.table} SET {', '.join(assignments)}{question.where}", [*params, *question.params]
        )

    def delete(self, subject: M | Any, /) -> None:
        """Delete a row, or the row with this key; a versioned row only if nobody changed it since.

        A model with SoftDelete keeps the row and sets `deleted_at`; `with_deleted().delete()` removes it.

        Raises:
            NotFound: the row is gone.
            StaleVersion: the row moved on; nothing was deleted.
            ForeignKeyViolation: others refer to it and their rule says no.
        """
        shape = self._shape
        row = cast("M", subject) if isinstance(subject, peewee.Model) else None
        key = shape.key_of(row) if row is not None else subject
        expected = row.__data__["version"] if row is not None and shape.is_versioned else None
        params = [*shape.key_values(key), *([] if expected is None else [expected])]
        if shape.is_soft and not self._deleted:
            params.insert(0, encode_utc(self.engine.clock()))
        if self._write(self._delete_sql(checked=expected is not None), params) == 0:
            raise self._gone_or_stale(key, expected)

    def delete_where(self, *where: Any, **equals: Any) -> int:
        """Delete all rows that answer (softly, where the model says so) and give their number; needs a condition."""
        question = self._some_condition(where, equals, "delete_where")
        if self._shape.is_soft and not self._deleted:
            return self.update_where(*where, changes={"deleted_at": self.engine.clock()}, **equals)
        return self._write(f"DELETE FROM {self._shape.table}{question.where}", question.params)

    def restore(self, key: Any) -> M:
        """Bring a softly deleted row back.

        Raises:
            NotFound: there is no such row.
        """
        self.with_deleted().update(key, deleted_at=None)
        return self.get(key)

    # -- statements, composed once ---------------------------------------------------------------------------------

    def _compile(self) -> None:
        shape = self._shape
        self._key_text = " AND ".join(f"{shape.quoted[name]} = {shape.dialect.placeholder}" for name in shape.key_names)
        self._live_text = "" if not shape.is_soft or self._deleted else f" AND {shape.quoted['deleted_at']} IS NULL"
        lock = shape.dialect.row_lock if self._locked else ""
        self._get_sql = f"SELECT {shape.columns} FROM {shape.table} WHERE {self._key_text}{self._live_text}{lock}"

    def _insert_plan(self, names: tuple[str, ...]) -> _Plan:
        plan = self._plans.get(names)
        if plan is None:
            shape = self._shape
            sql = bulk.insert_sql(shape, names)
            missing = tuple(name for name in shape.names if name not in names)
            by_row_id = shape.dialect.has_row_id and missing == (shape.auto_key,)
            if missing and not by_row_id:
                sql += f" RETURNING {', '.join(shape.quoted[name] for name in missing)}"
            plan = self._plans[names] = _Plan(sql, shape.conversions(names), missing, by_row_id)
        return plan

    def _insert(self, data: dict[str, Any]) -> None:
        """Insert, and put what the database filled in into the data."""
        plan = self._insert_plan(tuple(data))
        params = list(data.values())
        for place, encode in plan.conversions:
            params[place] = encode(params[place])
        try:
            if plan.by_row_id:
                data[plan.missing[0]] = self.engine.write(plan.sql, params).lastrowid
            elif not plan.missing:
                self.engine.write(plan.sql, params)
            else:
                found = self.engine.write_one(plan.sql, params) or ()
                for name, value in zip(plan.missing, found, strict=True):
                    data[name] = self._shape.fields[name].python_value(value)
        except DataLayerError as exc:
            raise self._explain(exc) from exc.__cause__

    def _update_plan(self, names: tuple[str, ...], *, checked: bool) -> _Plan:
        key = (names, checked)
        plan = self._plans.get(key)
        if plan is None:
            shape = self._shape
            mark = shape.dialect.placeholder
            terms = [f"{shape.quoted[name]} = {mark}" for name in names]
            if shape.is_versioned:
                terms.append(_RAISE_VERSION.format(column=shape.quoted["version"]))
            check = f" AND {shape.quoted['version']} = {mark}" if checked else ""
            sql = f"UPDATE {shape.table} SET {', '.join(terms)} WHERE {self._key_text}{self._live_text}{check}"
            plan = self._plans[key] = _Plan(sql, shape.conversions(names))
        return plan

    def _delete_sql(self, *, checked: bool) -> str:
        shape = self._shape
        mark = shape.dialect.placeholder
        check = f" AND {shape.quoted['version']} = {mark}" if checked else ""
        if shape.is_soft and not self._deleted:
            terms = f"{shape.quoted['deleted_at']} = {mark}"
            if shape.is_versioned:
                terms += ", " + _RAISE_VERSION.format(column=shape.quoted["version"])
            return f"UPDATE {shape.table} SET {terms} WHERE {self._key_text}{check}{self._live_text}"
        return f"DELETE FROM {shape.table} WHERE {self._key_text}{check}"

    # -- pieces ----------------------------------------------------------------------------------------------------

    def _condition(self, where: Sequence[Any], equals: Mapping[str, Any]) -> Condition:
        return condition(self.engine, self._shape, where, equals, deleted=self._deleted)

    def _some_condition(self, where: Sequence[Any], equals: Mapping[str, Any], verb: str) -> Condition:
        if not where and not equals:
            raise DataLayerError(
                f"{verb}() without a condition would reach every row",
                hint="name the rows; for all of them give a condition that says so",
            )
        return self._condition(where, equals)

    def _select(
        self, question: Condition, orders: Sequence[Order], *, limit: int | None = None, offset: int | None = None
    ) -> list[M]:
        shape = self._shape
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
            raise self._explain(exc) from exc.__cause__
        return shape.build_many(found, self)

    def _behind(self, question: Condition, orders: Sequence[Order], values: Sequence[Any]) -> Condition:
        return question.plus(*after(self._shape, orders, values))

    def _sort_values(self, row: M, orders: Sequence[Order]) -> list[Any]:
        data = row.__data__
        return [
            None if data[order.name] is None else self._shape.encode_one(order.name, data[order.name])
            for order in orders
        ]

    def _fetch_one(self, sql: str, params: Sequence[Any]) -> tuple[Any, ...] | None:
        try:
            return self.engine.fetch_one(sql, params)
        except DataLayerError as exc:
            raise self._explain(exc) from exc.__cause__

    def _write(self, sql: str, params: Sequence[Any]) -> int:
        """Execute a statement that writes; give the number of rows changed."""
        try:
            return int(self.engine.write(sql, params).rowcount)
        except DataLayerError as exc:
            raise self._explain(exc) from exc.__cause__

    def _write_one(self, sql: str, params: Sequence[Any]) -> tuple[Any, ...] | None:
        """Execute a statement that writes and gives one row back."""
        try:
            return self.engine.write_one(sql, params)
        except DataLayerError as exc:
            raise self._explain(exc) from exc.__cause__

    def _stamp(self, data: dict[str, Any]) -> dict[str, Any]:
        """Set the times of a new row, where the caller did not."""
        now = self.engine.clock()
        for name in ("created_at", "updated_at"):
            if data.get(name) is None:
                data[name] = now
        return data

    def _check_lock(self) -> None:
        if not self.engine.in_transaction:
            raise DataLayerError(
                "for_update() outside a transaction locks nothing", hint="read inside `with store.transaction():`"
            )

    # -- errors ----------------------------------------------------------------------------------------------------

    def _not_found(self, key: Any) -> NotFound:
        return NotFound(f"no {self.model.__name__} answers to {key!r}")

    def _gone_or_stale(self, key: Any, expected: Any) -> DataLayerError:
        if expected is None or self.get_or_none(key) is None:
            return self._not_found(key)
        return StaleVersion(
            f"{self.model.__name__} {key!r} is no longer at version {expected}",
            hint="read it again and reapply the change",
        )

    def _explain(self, exc: DataLayerError) -> DataLayerError:
        """Make a statement that the database did not understand say which columns it lacks."""
        if type(exc) is not DataLayerError and not isinstance(exc, SchemaMismatch):
            return relations.explain_violation(self, exc)
        found = set(self.engine.probe_columns(self._shape.table_name))
        table = self._shape.table_name
        missing = [f"{table}.{column}" for column in self._shape.column_of.values() if column not in found]
        if not missing:
            return exc
        what = f"table {table}" if not found else ", ".join(missing)
        return SchemaMismatch(
            f"{self.engine.display_url} has no {what}",
            missing=missing,
            why=f"{self.model.__name__} needs it; the database is older than the code, or another one",
            hint="run `datalayer migrate`",
        )


_RAISE_VERSION = "{column} = {column} + 1"
_NO_LIMIT = 2**62


def _bind_plain_model(model: type[peewee.Model], engine: Engine) -> None:
    """Let rows of a plain Peewee model save themselves: bind it, unless it is bound to something that still lives.

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

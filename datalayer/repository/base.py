"""Repository: the verbs that read and write the rows of one model, on both engines alike.

Each hot statement is composed once per shape and kept; a call binds values and builds rows. Knows models,
never migrations. Every verb is one statement unless its docstring says otherwise; outside a transaction it
commits by itself, inside one it belongs to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import peewee

from datalayer.engine.connection import Engine
from datalayer.errors import DataLayerError, StaleVersion
from datalayer.repository import bulk
from datalayer.repository.fields import encode_utc
from datalayer.repository.query import Condition, condition
from datalayer.repository.reader import Reader

__all__ = ["Repository"]

M = TypeVar("M", bound=peewee.Model)


class _Plan(NamedTuple):
    """A statement composed once: text, conversions of parameters, what the database fills in."""

    sql: str
    conversions: list[tuple[int, Any]]
    missing: tuple[str, ...] = ()
    by_row_id: bool = False


class Repository(Reader[M]):
    """The rows of one model in one store, to be read and written.

    `class Jobs(Repository[Job])` says it all; `store.repository(Job)` makes one without a class. Conditions
    are `field=value` (a list: any of them; None: NULL) or Peewee expressions, all of which must hold. Without
    `order_by`, rows come by their primary key; NULL sorts first. A field that has the name of an argument
    (`size`, `limit`, ...) needs the expression: `Model.size == 5`. Safe to share among threads.
    """

    def __init__(self, engine: Engine, model: type[M] | None = None, *, data_dir: Path | None = None) -> None:
        self._plans: dict[Any, _Plan] = {}
        super().__init__(engine, model, data_dir=data_dir)

    def _recompile(self) -> None:
        self._plans = {}
        super()._recompile()

    def sibling(self, model: type[peewee.Model]) -> Repository[Any]:
        """Give a plain repository of another model in the same store; the same one each time."""
        return cast("Repository[Any]", super().sibling(model))

    def _make_sibling(self, model: type[peewee.Model]) -> Repository[Any]:
        return Repository(self.engine, model)

    # -- adding ------------------------------------------------------------------------------------

    def add(self, row: M | None = None, /, **values: Any) -> M:
        """Insert a row, given as a model or by its values, and give it with its key and defaults.

        Raises:
            UniqueViolation, ForeignKeyViolation, NotNullViolation, CheckViolation: a rule of the database.
        """
        shape = self.shape
        data = self.filled_in(values if row is None else row)
        self._insert(data)
        return shape.adopt(row, data, self)

    def add_many(self, rows: Iterable[M | Mapping[str, Any]]) -> int:
        """Insert many rows, all or none, and give their number.

        Takes a generator of any length in constant memory.

        One prepared statement executed in one transaction on SQLite, COPY on PostgreSQL. Rows with other
        fields than the ones before them begin a new statement. Models that are given do not learn their
        generated keys.
        """
        return bulk.add_many(self, rows)

    def upsert(self, row: M | None = None, /, *, on: Sequence[str] = (), **values: Any) -> M:
        """Insert a row, or update the one that has the same `on` fields (the primary key by default).

        Give it as it is.

        Needs a unique rule over exactly those fields. An update leaves `created_at` as it was and raises the
        version.
        """
        shape = self.shape
        data = self.filled_in(values if row is None else row, touched=True)
        names = tuple(data)
        sql = bulk.upsert_sql(shape, names, tuple(on) or shape.key_names) + f" RETURNING {shape.columns}"
        found = self._write_one(sql, [shape.encode_one(name, value) for name, value in data.items()])
        if found is None:
            raise self._not_found(dict(zip(on, (data[name] for name in on), strict=True)))
        return shape.build(found, self)

    def upsert_many(self, rows: Iterable[M | Mapping[str, Any]], *, on: Sequence[str] = ()) -> int:
        """Upsert many rows, all or none; see `upsert`. Gives the number of rows written."""
        return bulk.upsert_many(self, rows, tuple(on) or self.shape.key_names)

    # -- changing ----------------------------------------------------------------------------------

    def update(self, subject: M | Any, /, **changes: Any) -> None:
        """Write a row's changed fields, or the `changes` of the row with this key.

        A row that is given is up to date afterwards. A versioned row is written only if nobody changed it
        since it was read; give `version=` to say the same with a key. A row without changes is not written.

        Raises:
            NotFound: the row is gone.
            StaleVersion: the row moved on; nothing was written.
        """
        shape = self.shape
        if isinstance(subject, peewee.Model):
            self._update_row(cast("M", subject), changes)
            return
        expected = changes.pop("version", None) if shape.is_versioned else None
        data = shape.normalise(changes)
        if data:
            self._update(subject, data, expected)

    def _update_row(self, row: M, changes: dict[str, Any]) -> None:
        shape = self.shape
        for name, value in shape.normalise(changes).items():
            setattr(row, name, value)
        dirty = shape.changed(row)
        if not dirty:
            return
        expected = row.__data__["version"] if shape.is_versioned else None
        data = {name: row.__data__[name] for name in dirty}
        self._update(shape.key_of(row), data, expected)
        if expected is not None:
            data["version"] = expected + 1
        shape.adopt(row, {**row.__data__, **data}, self)

    def _update(self, key: Any, data: dict[str, Any], expected: int | None) -> None:
        """Write these fields of one row; the data learn their timestamp."""
        if self.shape.is_stamped:
            data["updated_at"] = self.engine.clock()
        plan = self._update_plan(tuple(data), checked=expected is not None)
        params = list(data.values())
        for place, encode in plan.conversions:
            params[place] = encode(params[place])
        params.extend(self.shape.key_values(key))
        if expected is not None:
            params.append(expected)
        if self._write(plan.sql, params) == 0:
            raise self._gone_or_stale(key, expected)

    def update_where(self, *where: Any, changes: Mapping[str, Any], **equals: Any) -> int:
        """Change all rows that answer, in one statement, and give their number.

        A change may be an expression, such as `{"attempt": Job.attempt + 1}`. At least one condition is
        needed.
        """
        question = self._some_condition(where, equals, "update_where")
        shape = self.shape
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
        shape = self.shape
        row = cast("M", subject) if isinstance(subject, peewee.Model) else None
        key = shape.key_of(row) if row is not None else subject
        expected = row.__data__["version"] if row is not None and shape.is_versioned else None
        params = [*shape.key_values(key), *([] if expected is None else [expected])]
        if shape.is_soft and not self._deleted:
            params.insert(0, encode_utc(self.engine.clock()))
        if self._write(self._delete_sql(checked=expected is not None), params) == 0:
            raise self._gone_or_stale(key, expected)

    def delete_where(self, *where: Any, **equals: Any) -> int:
        """Delete all rows that answer (softly, where the model says so) and give their number.

        Needs a condition.
        """
        question = self._some_condition(where, equals, "delete_where")
        if self.shape.is_soft and not self._deleted:
            return self.update_where(*where, changes={"deleted_at": self.engine.clock()}, **equals)
        return self._write(f"DELETE FROM {self.shape.table}{question.where}", question.params)

    def restore(self, key: Any) -> M:
        """Bring a softly deleted row back.

        Raises:
            NotFound: there is no such row.
        """
        self.with_deleted().update(key, deleted_at=None)
        return self.get(key)

    # -- statements, composed once -----------------------------------------------------------------

    def _insert_plan(self, names: tuple[str, ...]) -> _Plan:
        plan = self._plans.get(names)
        if plan is None:
            shape = self.shape
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
                    data[name] = self.shape.fields[name].python_value(value)
        except DataLayerError as exc:
            raise self.explain(exc) from exc.__cause__

    def _update_plan(self, names: tuple[str, ...], *, checked: bool) -> _Plan:
        key = (names, checked)
        plan = self._plans.get(key)
        if plan is None:
            shape = self.shape
            mark = shape.dialect.placeholder
            terms = [f"{shape.quoted[name]} = {mark}" for name in names]
            if shape.is_versioned:
                terms.append(_RAISE_VERSION.format(column=shape.quoted["version"]))
            check = f" AND {shape.quoted['version']} = {mark}" if checked else ""
            sql = (
                f"UPDATE {shape.table} SET {', '.join(terms)} WHERE {self._key_text}{self._live_text}{check}"
            )
            plan = self._plans[key] = _Plan(sql, shape.conversions(names))
        return plan

    def _delete_sql(self, *, checked: bool) -> str:
        shape = self.shape
        mark = shape.dialect.placeholder
        check = f" AND {shape.quoted['version']} = {mark}" if checked else ""
        if shape.is_soft and not self._deleted:
            terms = f"{shape.quoted['deleted_at']} = {mark}"
            if shape.is_versioned:
                terms += ", " + _RAISE_VERSION.format(column=shape.quoted["version"])
            return f"UPDATE {shape.table} SET {terms} WHERE {self._key_text}{check}{self._live_text}"
        return f"DELETE FROM {shape.table} WHERE {self._key_text}{check}"

    # -- pieces ------------------------------------------------------------------------------------

    def _some_condition(self, where: Sequence[Any], equals: Mapping[str, Any], verb: str) -> Condition:
        if not where and not equals:
            raise DataLayerError(
                f"{verb}() without a condition would reach every row",
                hint="name the rows; for all of them give a condition that says so",
            )
        return self._condition(where, equals)

    def _gone_or_stale(self, key: Any, expected: Any) -> DataLayerError:
        if expected is None or self.get_or_none(key) is None:
            return self._not_found(key)
        return StaleVersion(
            f"{self.model.__name__} {key!r} is no longer at version {expected}",
            hint="read it again and reapply the change",
        )

    def _write(self, sql: str, params: Sequence[Any]) -> int:
        """Execute a statement that writes; give the number of rows changed."""
        try:
            return int(self.engine.write(sql, params).rowcount)
        except DataLayerError as exc:
            raise self.explain(exc) from exc.__cause__

    def _write_one(self, sql: str, params: Sequence[Any]) -> tuple[Any, ...] | None:
        """Execute a statement that writes and gives one row back."""
        try:
            return self.engine.write_one(sql, params)
        except DataLayerError as exc:
            raise self.explain(exc) from exc.__cause__

    def filled_in(self, row: M | Mapping[str, Any], *, touched: bool = False) -> dict[str, Any]:
        """Give all values of a row that is to be inserted; `touched` says that it counts as changed now."""
        shape = self.shape
        data = shape.with_defaults(shape.normalise(row.__data__ if isinstance(row, peewee.Model) else row))
        if shape.is_stamped:
            if touched:
                data["updated_at"] = None
            self.stamp(data)
        if shape.auto_key and data.get(shape.auto_key) is None:
            data.pop(shape.auto_key, None)
        return data

    def stamp(self, data: dict[str, Any]) -> dict[str, Any]:
        """Set the times of a new row, where the caller did not."""
        now = self.engine.clock()
        for name in ("created_at", "updated_at"):
            if data.get(name) is None:
                data[name] = now
        return data


_RAISE_VERSION = "{column} = {column} + 1"

"""A model's columns as a repository needs them: names, conversions, and rows built fast.

Leans on how a Peewee model keeps its values (`__data__`, `__rel__`, `_dirty`); tests/repository/test_shape.py
says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import CodeType, MappingProxyType
from typing import Any, Generic, TypeVar, cast

import peewee

from datalayer.engine.dialect import Dialect
from datalayer.errors import DataLayerError, LazyLoad
from datalayer.repository.mixins import SoftDelete, Timestamps, Versioned

__all__ = ["Shape"]

M = TypeVar("M", bound=peewee.Model)
Convert = Callable[[Any], Any]

# the drivers take and give these as they are
_PLAIN_IN: tuple[type[peewee.Field[Any]], ...] = (
    peewee.IntegerField,
    peewee.FloatField,
    peewee.CharField,
    peewee.TextField,
    peewee.BooleanField,
)
_PLAIN_OUT: tuple[type[peewee.Field[Any]], ...] = (
    peewee.IntegerField,
    peewee.FloatField,
    peewee.CharField,
    peewee.TextField,
)


def _is_plain(field: peewee.Field[Any], kinds: tuple[type[peewee.Field[Any]], ...], method: str) -> bool:
    """Say whether a field converts nothing, or makes sure of a type that the driver gives anyway."""
    base = cast("Any", peewee.Field)
    if getattr(type(field), method) is getattr(base, method) and type(field).adapt is base.adapt:
        return True
    for kind in kinds:
        if isinstance(field, kind):
            same_method = getattr(type(field), method) is getattr(kind, method)
            return same_method and type(field).adapt is kind.adapt
    return False


class Shape(Generic[M]):
    """What is known of one model once and for all."""

    def __init__(self, model: type[M], dialect: Dialect) -> None:
        meta = model._meta
        self.model = model
        self.dialect = dialect
        self.fields: dict[str, peewee.Field[Any]] = dict(meta.fields)
        self.names = tuple(meta.sorted_field_names)
        self.table_name: str = meta.table_name
        quote = dialect.quote
        self.table = (
            f"{quote(meta.schema)}.{quote(self.table_name)}" if meta.schema else quote(self.table_name)
        )
        self.column_of = {name: field.column_name for name, field in self.fields.items()}
        self.quoted = {name: quote(column) for name, column in self.column_of.items()}
        self.columns = ", ".join(self.quoted[name] for name in self.names)
        self.key_names: tuple[str, ...] = tuple(
            field.name for field in cast("list[Any]", meta.get_primary_keys())
        )
        if not self.key_names:
            raise DataLayerError(
                f"{model.__name__} has no primary key", hint="a repository needs one to find its rows"
            )
        self.auto_key = self.key_names[0] if meta.auto_increment else None
        self.is_stamped = issubclass(model, Timestamps)
        self.is_versioned = issubclass(model, Versioned)
        self.is_soft = issubclass(model, SoftDelete)
        self.encoders: dict[str, Convert | None] = {
            name: None if _is_plain(field, _PLAIN_IN, "db_value") else field.db_value
            for name, field in self.fields.items()
        }
        self._decoders: list[tuple[str, Convert]] = [
            (name, field.python_value)
            for name, field in self.fields.items()
            if not _is_plain(field, _PLAIN_OUT, "python_value")
        ]
        self._references = [(field.name, field.rel_field.name) for field in meta.refs]
        self._defaults = list(meta.defaults.items())
        self.build, self.build_many = self._make_builders()
        _guard_relations(model)
        if not isinstance(model.__dict__.get("_dirty"), _DirtyOnDemand):
            setattr(model, "_dirty", _DirtyOnDemand())  # noqa: B010 - Peewee's own, unknown to its stubs

    def field(self, name: str) -> peewee.Field[Any]:
        """Give a field by its name, or by its column's (`author_id` for `author`).

        Raises:
            DataLayerError: the model has no such field.
        """
        found = self.fields.get(name) or self.model._meta.combined.get(name)
        if found is None:
            raise DataLayerError(
                f"{self.model.__name__} has no field {name!r}", hint=f"its fields are {', '.join(self.names)}"
            )
        return found

    def normalise(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Give the values under their fields' names, related rows as keys; unknown names are refused."""
        known = values.keys() <= self.fields.keys()
        data = dict(values) if known else {self.field(name).name: value for name, value in values.items()}
        for name, key_name in self._references:
            related = data.get(name)
            if isinstance(related, peewee.Model):
                data[name] = related.__data__[key_name]
        return data

    def conversions(self, names: Sequence[str]) -> list[tuple[int, Convert]]:
        """Give place and function for those of these fields that the driver does not take as they are."""
        return [
            (place, encode) for place, name in enumerate(names) if (encode := self.encoders[name]) is not None
        ]

    def encode_one(self, name: str, value: Any) -> Any:
        """Give one value as the driver takes it; a related row stands for its key."""
        if isinstance(value, peewee.Model):
            value = cast("Any", value).get_id()
        encoder = self.encoders[name]
        return value if encoder is None else encoder(value)

    def key_values(self, key: Any) -> tuple[Any, ...]:
        """Give the parameters for a primary key: one value, or a tuple for a key of several columns."""
        names = self.key_names
        if len(names) == 1:
            encoder = self.encoders[names[0]]
            return (key if encoder is None else encoder(key),)
        if not isinstance(key, tuple) or len(cast("tuple[Any, ...]", key)) != len(names):
            raise DataLayerError(
                f"the key of {self.model.__name__} has {len(names)} parts: {', '.join(names)}",
                hint="give a tuple of them",
            )
        parts = cast("tuple[Any, ...]", key)
        return tuple(self.encode_one(name, part) for name, part in zip(names, parts, strict=True))

    def key_of(self, row: M) -> Any:
        """Give a row's key as `get` takes it."""
        data = row.__data__
        parts = tuple(data.get(name) for name in self.key_names)
        return parts[0] if len(parts) == 1 else parts

    def adopt(self, row: M | None, data: dict[str, Any], repository: Any) -> M:
        """Make these data a row's own, of a new row where none is given; nothing in it is changed then."""
        owned: Any = row
        if owned is None:
            owned = self.model.__new__(self.model)
            owned.__rel__ = {}
        owned.__data__ = data
        owned._dirty = set()
        owned._repository = repository
        return cast("M", owned)

    def changed(self, row: M) -> list[str]:
        """Give the names of the fields that were set since the row was read, but for its key and version."""
        dirty: set[str] = cast("Any", row)._dirty
        fixed = {*self.key_names, "version"} if self.is_versioned else set(self.key_names)
        return [name for name in self.names if name in dirty and name not in fixed]

    def with_defaults(self, values: dict[str, Any]) -> dict[str, Any]:
        """Add what the model's fields give by themselves."""
        for field, default in self._defaults:
            if field.name not in values:
                values[field.name] = default() if callable(default) else default
        return values

    def _make_builders(
        self,
    ) -> tuple[Callable[[Sequence[Any], Any], M], Callable[[Sequence[Any], Any], list[M]]]:
        """Make the functions that turn drivers' rows into models that can be changed and saved.

        They are written out as source, as dataclasses does with __init__: a loop over names costs twice as
        much, and 100,000 objects 3.6 times the plain ones instead of about twice.
        """
        decoders = dict(self._decoders)
        scope: dict[str, Any] = {"model": self.model, "new": self.model.__new__}
        variables: list[str] = []
        entries: list[str] = []
        for place, name in enumerate(self.names):
            variable = f"v{place}"
            variables.append(variable)
            if name in decoders:
                scope[f"d{place}"] = decoders[name]
                entries.append(f"{name!r}: None if {variable} is None else d{place}({variable})")
            else:
                entries.append(f"{name!r}: {variable}")
        related = ["row.__rel__ = {}"] if self.model._meta.refs else ["row.__rel__ = no_relations"]
        scope["no_relations"] = _NO_RELATIONS
        body = [
            "row = new(model)",
            f"row.__data__ = {{{', '.join(entries)}}}",
            *related,
            "row._repository = repository",
        ]
        unpack = ", ".join(variables) + ","
        lines = [
            "def build(values, repository):",
            f"    {unpack} = values",
            *(f"    {line}" for line in body),
        ]
        lines += [
            "    return row",
            "def build_many(rows, repository):",
            "    built = []",
            "    append = built.append",
        ]
        lines += [
            f"    for {unpack} in rows:",
            *(f"        {line}" for line in body),
            "        append(row)",
            "    return built",
        ]
        exec(_compiled("\n".join(lines)), scope)
        return scope["build"], scope["build_many"]


@lru_cache(maxsize=512)
def _compiled(source: str) -> CodeType:
    # each store makes its builders, most often from the words of the one before
    return compile(source, "<builders of a model>", "exec")


class _DirtyOnDemand:
    """Peewee's set of changed fields, made when a row is first changed: most rows never are."""

    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return self
        dirty: set[str] = set()
        instance.__dict__["_dirty"] = dirty
        return dirty


# Peewee writes into it only for models that have foreign keys
_NO_RELATIONS: Mapping[str, Any] = MappingProxyType({})
_FIELD_PYTHON_VALUE: Any = cast("Any", peewee.Field).python_value


class _GuardedForeignKey(peewee.ForeignKeyAccessor):
    """A relation of a repository's row, which is loaded on purpose or not at all."""

    def get_rel_instance(self, instance: Any) -> Any:
        if "_repository" in instance.__dict__ and self.name not in instance.__rel__:
            if instance.__data__.get(self.name) is None:
                return None
            raise _lazy_load(instance, self.name, self.field.object_id_name)
        return cast("Any", super()).get_rel_instance(instance)


class _GuardedBackref(peewee.BackrefAccessor):
    """The rows that refer to a repository's row, loaded on purpose or not at all."""

    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        if instance is not None and "_repository" in instance.__dict__:
            raise _lazy_load(instance, self.field.backref, None)
        return cast("Any", super()).__get__(instance, instance_type)


def _lazy_load(instance: Any, name: str, key_name: str | None) -> LazyLoad:
    field = f"{type(instance).__name__}.{name}"
    own = f", or read .{key_name} for the key alone" if key_name else ""
    return LazyLoad(
        f"{field} was not loaded",
        field=field,
        why="loading it here would cost one query a row",
        hint=f"call repository.preload(rows, {name!r}) first{own}",
    )


def _guard_relations(model: type[peewee.Model]) -> None:
    """Put guards over a model's relations; rows that no repository made behave as before."""
    for field in model._meta.refs:
        if field.lazy_load and not isinstance(model.__dict__.get(field.name), _GuardedForeignKey):
            setattr(model, field.name, _GuardedForeignKey(model, field, field.name))
    for field in model._meta.backrefs:
        name = field.backref
        present = model.__dict__.get(name)
        if isinstance(present, peewee.BackrefAccessor) and not isinstance(present, _GuardedBackref):
            setattr(model, name, _GuardedBackref(field))

"""Many rows at once: one prepared statement or COPY, in constant memory, all or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, cast

from datalayer.errors import DataLayerError
from datalayer.repository.shape import Shape

if TYPE_CHECKING:
    from datalayer.repository.base import Repository

__all__ = ["add_many", "insert_sql", "upsert_many", "upsert_sql"]

_CHUNK = 1_000


def insert_sql(shape: Shape[Any], names: Sequence[str]) -> str:
    """Compose an INSERT of these fields."""
    if not names:
        return f"INSERT INTO {shape.table} DEFAULT VALUES"
    columns = ", ".join(shape.quoted[name] for name in names)
    marks = ", ".join([shape.dialect.placeholder] * len(names))
    return f"INSERT INTO {shape.table} ({columns}) VALUES ({marks})"


def upsert_sql(shape: Shape[Any], names: Sequence[str], on: Sequence[str]) -> str:
    """Compose an INSERT that updates the row which has the same `on` fields."""
    target = ", ".join(shape.quoted[shape.field(name).name] for name in on)
    keep = {
        *on,
        *shape.key_names,
        "created_at" if shape.is_stamped else "",
        "version" if shape.is_versioned else "",
    }
    terms = [f"{shape.quoted[name]} = excluded.{shape.quoted[name]}" for name in names if name not in keep]
    if shape.is_versioned:
        version = shape.quoted["version"]
        terms.append(f"{version} = {shape.dialect.quote(shape.table_name)}.{version} + 1")
    if not terms:
        # nothing to change, but RETURNING gives a row only where one was written
        first = shape.quoted[shape.field(on[0]).name]
        terms.append(f"{first} = excluded.{first}")
    return f"{insert_sql(shape, names)} ON CONFLICT ({target}) DO UPDATE SET {', '.join(terms)}"


def add_many(repository: Repository[Any], rows: Iterable[Any]) -> int:
    """Insert many rows; see `Repository.add_many`."""
    engine, shape = repository.engine, repository.shape
    count = 0
    try:
        with engine.transaction():
            for names, values in _batches(repository, rows):
                columns = [shape.field(name).column_name for name in names]
                count += engine.insert_rows(shape.table_name, columns, values)
    except DataLayerError as exc:
        raise repository.explain(exc) from exc.__cause__
    return count


def upsert_many(repository: Repository[Any], rows: Iterable[Any], on: Sequence[str]) -> int:
    """Upsert many rows; see `Repository.upsert_many`."""
    engine, shape = repository.engine, repository.shape
    count = 0
    try:
        with engine.transaction():
            for names, values in _batches(repository, rows, touched=True):
                count += engine.execute_many(upsert_sql(shape, names, on), values)
    except DataLayerError as exc:
        raise repository.explain(exc) from exc.__cause__
    return count


def _batches(
    repository: Repository[Any], rows: Iterable[Any], *, touched: bool = False
) -> Iterator[tuple[tuple[str, ...], Iterable[Any]]]:
    """Give runs of rows that have the same fields, as the driver takes them."""
    shape = repository.shape
    iterator = iter(rows)
    as_given = not _is_filled_in(shape)
    while chunk := list(islice(iterator, _CHUNK)):
        if as_given and isinstance(chunk[0], Mapping):
            names = tuple(cast("Mapping[str, Any]", chunk[0]))
            values = _take(names, chunk)
            if values is not None:
                yield names, _encoded(shape, names, values)
                continue
        complete = [repository.filled_in(row, touched=touched) for row in chunk]
        for names, run in groupby(complete, key=tuple):
            yield names, _encoded(shape, names, map(_getter(names), run))


def _take(names: tuple[str, ...], chunk: list[Any]) -> list[Any] | None:
    """Give the values of mappings that have exactly these keys, without a step of Python for each.

    Else None.
    """
    try:
        if set(map(len, chunk)) == {len(names)}:
            return list(map(_getter(names), chunk))
    except (KeyError, TypeError):
        return None
    return None


def _getter(names: tuple[str, ...]) -> Callable[[Any], Any]:
    if len(names) > 1:
        return itemgetter(*names)
    only = itemgetter(*names)
    return lambda row: (only(row),)


def _is_filled_in(shape: Shape[Any]) -> bool:
    """Say whether rows get values that the caller did not give."""
    return shape.is_stamped or bool(shape.model._meta.defaults)


def _encoded(shape: Shape[Any], given: tuple[str, ...], rows: Iterable[Any]) -> Iterable[Any]:
    conversions = shape.conversions([shape.field(name).name for name in given])
    return _convert(rows, conversions) if conversions else rows


def _convert(
    rows: Iterable[Sequence[Any]], encoders: Sequence[tuple[int, Callable[[Any], Any]]]
) -> Iterator[Sequence[Any]]:
    for row in rows:
        values = list(row)
        for index, encoder in encoders:
            values[index] = encoder(values[index])
        yield values

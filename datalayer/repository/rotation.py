"""Rotation: what older keys sealed is sealed again with the ring's first key, while others read and write.

How far it is stands in the rows themselves, so it can be stopped at any moment and run again. Knows columns,
never domains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datalayer.engine.connection import Engine
from datalayer.errors import SecretUnreadable
from datalayer.repository.secrets import VERSION, EncryptedColumn, Secrets, key_id_of, reload_keys

__all__ = ["Rotation", "SealedColumn", "rotate", "sealed_columns"]

_PASSES = 5
_MOST_ROWS = 10


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """How many values of a column each key sealed; those of no known form count under None."""

    table: str
    column: str
    by_key: Mapping[str | None, int]


@dataclass(slots=True)
class Rotation:
    """What a rotation did.

    `resealed` values are under the key `primary` now. `overtaken` ones were written by others meanwhile, and
    looked at again. `unreadable` counts those that do not open, by (table, column); `rows` are the keys of
    the first ten of each. `remaining` could not be got hold of in several passes: run it again.
    """

    primary: str
    total: int = 0
    resealed: int = 0
    overtaken: int = 0
    remaining: int = 0
    unreadable: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    rows: dict[tuple[str, str], list[str]] = field(default_factory=dict[tuple[str, str], list[str]])

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left that another key sealed."""
        return not self.remaining and not self.unreadable


def sealed_columns(engine: Engine, columns: Iterable[EncryptedColumn]) -> list[SealedColumn]:
    """Count which keys sealed the values that are stored; tables that are not there are passed over.

    Reads each column once for each key that it meets.
    """
    return [
        SealedColumn(one.table, one.column, _counted(engine, one))
        for one in columns
        if one.column in engine.columns(one.table)
    ]


def rotate(
    engine: Engine,
    columns: Sequence[EncryptedColumn],
    *,
    batch: int = 200,
    progress: Callable[[int, int], object] | None = None,
) -> Rotation:
    """Seal again, with the first key of the ring, what others sealed.

    Reads `batch` values at a time, works on them outside any transaction, and writes them in one: a value is
    replaced only where it is still the one that was read, so what others write meanwhile stays. Each write
    counts as a change of its row. `progress` is told how many of how many are done. Stopped half-way, it goes
    on where it was when it is run again.

    Raises:
        DatabaseBusy: a row stayed locked by others for longer than the timeout; batches before are kept.
        DataLayerError: no key, or the extra is missing.
    """
    ring = reload_keys(engine)
    there = [one for one in columns if one.column in engine.columns(one.table)]
    result = Rotation(ring.primary)
    result.total = sum(_pending(engine, one, ring.primary) for one in there)
    for one in there:
        _Column(engine, one, result, batch, progress).rotate()
    return result


class _Column:
    """The rotation of one column."""

    def __init__(
        self,
        engine: Engine,
        column: EncryptedColumn,
        result: Rotation,
        batch: int,
        progress: Callable[[int, int], object] | None,
    ) -> None:
        self._engine = engine
        self._column = column
        self._result = result
        self._batch = batch
        self._progress = progress
        self._secrets = Secrets(engine, column.table)
        self._place = (column.table, column.column)

    def rotate(self) -> None:
        result, place = self._result, self._place
        for _ in range(_PASSES):
            result.unreadable.pop(place, None)
            result.rows.pop(place, None)
            overtaken = self._pass()
            result.overtaken += overtaken
            if not overtaken:
                break
        left = _pending(self._engine, self._column, result.primary)
        # those that do not open are told apart
        result.remaining += max(0, left - result.unreadable.get(place, 0))

    def _pass(self) -> int:
        """Go through the column once, in the order of its keys; give how many values changed meanwhile."""
        overtaken = 0
        after: object = None
        while rows := self._read(after):
            after = rows[-1][0]
            changes = [one for one in map(self._resealed, rows) if one is not None]
            written = self._engine.run_transaction(self._write, changes)
            self._result.resealed += written
            overtaken += len(changes) - written
            if self._progress is not None:
                self._progress(self._result.resealed, self._result.total)
        return overtaken

    def _read(self, after: object) -> list[tuple[object, ...]]:
        one, quote = self._column, self._engine.dialect.quote
        key = quote(one.key)
        owner = "NULL" if one.owner_column is None else quote(one.owner_column)
        sql = f"SELECT {key}, {owner}, {quote(one.column)} FROM {quote(one.table)} WHERE "
        sql += _other_key(self._engine, one, self._result.primary)
        params: list[object] = [_prefix(self._result.primary)]
        if after is not None:
            sql += f" AND {key} > ?"
            params.append(after)
        sql += f" ORDER BY {key} LIMIT {self._batch}"
        return self._engine.fetch_all(self._engine.dialect.sql(sql), params)

    def _resealed(self, row: tuple[object, ...]) -> tuple[str, object, str] | None:
        """Give what is to be stored, for which key, instead of what; None where the value does not open."""
        key, owner, sealed = row[0], row[1], str(row[2])
        place, column = self._place, self._column.column
        bound = None if owner is None else str(owner)
        try:
            plain = self._secrets.open(sealed, column=column, row=str(key), owner=bound)
        except SecretUnreadable:
            count = self._result.unreadable.get(place, 0)
            self._result.unreadable[place] = count + 1
            if count < _MOST_ROWS:
                self._result.rows.setdefault(place, []).append(str(key))
            return None
        return self._secrets.seal(plain, column=column, row=str(key), owner=bound), key, sealed

    def _write(self, changes: Sequence[tuple[str, object, str]]) -> int:
        one, quote = self._column, self._engine.dialect.quote
        value = quote(one.column)
        sql = f"UPDATE {quote(one.table)} SET {value} = ? WHERE {quote(one.key)} = ? AND {value} = ?"
        text = self._engine.dialect.sql(sql)
        return sum(int(self._engine.write(text, change).rowcount) for change in changes)


# -- counting ----------------------------------------------------------------------------------------


def _pending(engine: Engine, column: EncryptedColumn, primary: str) -> int:
    """Count the values that another key sealed."""
    table = engine.dialect.quote(column.table)
    sql = f"SELECT count(*) FROM {table} WHERE {_other_key(engine, column, primary)}"
    row = _one(engine, sql, [_prefix(primary)])
    return int(row[0]) if row else 0


def _counted(engine: Engine, column: EncryptedColumn) -> dict[str | None, int]:
    """Count the values of each key, meeting one key after the other."""
    quote = engine.dialect.quote
    table, value = quote(column.table), quote(column.column)
    counts: dict[str | None, int] = {}
    rest, params = f"{value} IS NOT NULL", list[str]()
    while found := _one(engine, f"SELECT {value} FROM {table} WHERE {rest} LIMIT 1", params):
        name = key_id_of(str(found[0]))
        if name is None:
            row = _one(engine, f"SELECT count(*) FROM {table} WHERE {rest}", params)
        else:
            begin = f"substr({value}, 1, {len(_prefix(name))})"
            row = _one(engine, f"SELECT count(*) FROM {table} WHERE {begin} = ?", [_prefix(name)])
            rest += f" AND {begin} <> ?"
            params = [*params, _prefix(name)]
        counts[name] = int(row[0]) if row else 0
        if name is None:
            break
    return counts


def _one(engine: Engine, sql: str, params: Sequence[str]) -> tuple[Any, ...] | None:
    return engine.fetch_one(engine.dialect.sql(sql), params)


def _other_key(engine: Engine, column: EncryptedColumn, primary: str) -> str:
    """Give a condition: another key than `primary` sealed the value; its parameter is that key's prefix."""
    value = engine.dialect.quote(column.column)
    return f"{value} IS NOT NULL AND substr({value}, 1, {len(_prefix(primary))}) <> ?"


def _prefix(name: str) -> str:
    return f"{VERSION}:{name}:"

"""One table of keys and values: its columns, its statements, composed once, and who computes a value here.

What goes in and comes out is repository.keyvalue's. A table has the columns key, value, updated_at and
expires_at, and may have columns in front of the key that make up a namespace.

A row is live while it has no expiry or one in the future. A lease, the mark of whoever is computing a value,
is a row whose expiry is `LEASED`, long past: all other statements take it for an expired row, so it reads as
absent and may be overwritten or deleted, which ends it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from datalayer.engine.connection import Engine
from datalayer.engine.dialect import Dialect
from datalayer.errors import CheckViolation, DataLayerError
from datalayer.repository.fields import encode_utc
from datalayer.repository.mismatch import explain_refusal

__all__ = [
    "LEASED",
    "KeyStatements",
    "KeyTable",
    "Namespace",
    "Range",
    "bounds_of",
    "checked_key",
    "expiry_of",
]

# year 1: no time to live leads there
LEASED = "0001-01-01T00:00:00.000000Z"
_LAST_CHARACTER = "\U0010ffff"
_LIVE = "(expires_at IS NULL OR expires_at > ?)"
# SQLite 3.40 answers 0 to `expires_at IS NULL` in the RETURNING of a DELETE, whatever it holds
_WAS_LIVE = "COALESCE(expires_at > ?, TRUE)"


class Namespace(NamedTuple):
    """What stands in front of a key: `own` is what an insert fills in, `matched` what finds the key."""

    own: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()


class KeyTable:
    """A table of keys and values in an opened database, as all views of it share it.

    `row_key` is the table's primary key; `carried` and `matched` are the columns in front of the key, of
    which `matched` make up the namespace.
    """

    __slots__ = ("engine", "locks", "name", "sql")

    def __init__(
        self,
        engine: Engine,
        name: str,
        *,
        row_key: str = "key",
        matched: Sequence[str] = (),
        carried: Sequence[str] = (),
    ) -> None:
        self.engine = engine
        self.name = name
        self.sql = KeyStatements(engine.dialect, name, row_key=row_key, matched=matched, carried=carried)
        self.locks = KeyLocks()

    def fetch_one(self, sql: str, params: Sequence[Any]) -> tuple[Any, ...] | None:
        """Execute and give the first row, or None; as the engine does, like the others here.

        Raises:
            SchemaMismatch: the database has no such table, or lacks a column of it.
        """
        try:
            return self.engine.fetch_one(sql, params)
        except DataLayerError as exc:
            raise self._explain(exc) from exc.__cause__

    def fetch_all(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Execute and give all rows."""
        try:
            return self.engine.fetch_all(sql, params)
        except DataLayerError as exc:
            raise self._explain(exc) from exc.__cause__

    def write(self, sql: str, params: Sequence[Any]) -> int:
        """Execute one statement that writes and give the number of rows changed."""
        try:
            return int(self.engine.write(sql, params).rowcount)
        except DataLayerError as exc:
            raise self._explain(exc) from exc.__cause__

    def write_one(self, sql: str, params: Sequence[Any]) -> tuple[Any, ...] | None:
        """Execute one statement that writes and gives one row back, or None."""
        try:
            return self.engine.write_one(sql, params)
        except DataLayerError as exc:
            raise self._explain(exc) from exc.__cause__

    def write_all(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Execute one statement that writes and give all rows that come back."""
        try:
            return self.engine.write_all(sql, params)
        except DataLayerError as exc:
            raise self._explain(exc) from exc.__cause__

    def write_rows(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Execute one statement for each row, all or none, and announce it."""
        try:
            with self.engine.transaction():
                self.engine.execute_many(sql, rows)
                self.announce()
        except DataLayerError as exc:
            raise self._explain(exc) from exc.__cause__

    def announce(self) -> None:
        """Wake who watches, where statements did not do so by themselves."""
        if self.sql.announce_sql:
            self.engine.execute(f"SELECT {self.sql.announce_sql}")

    def _explain(self, exc: DataLayerError) -> DataLayerError:
        return explain_refusal(exc, self.engine, self.name, self.sql.columns, needed_by="the key-value store")


class KeyLocks:
    """Lets one thread of this process at a time compute a key's value; others wait without a connection."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._mutex = threading.Lock()
        self._held: dict[Any, _Held] = {}

    @contextmanager
    def hold(self, name: object, timeout_s: float) -> Generator[bool]:
        """Wait for the turn; gives False when the time is over (negative: no limit).

        Raises:
            DataLayerError: this thread has it already, so it would wait for itself.
        """
        if self._pid != os.getpid():
            self._forget()  # a fork copies locks whose owners it does not copy
        with self._mutex:
            held = self._held.setdefault(name, _Held())
            held.users += 1
        try:
            if held.owner == threading.get_ident():
                raise DataLayerError(
                    "the function asks for the key whose value it computes", hint="give it another key"
                )
            acquired = held.lock.acquire(timeout=timeout_s)
            if acquired:
                held.owner = threading.get_ident()
            try:
                yield acquired
            finally:
                if acquired:
                    held.owner = None
                    held.lock.release()
        finally:
            with self._mutex:
                held.users -= 1
                if not held.users:
                    self._held.pop(name, None)


class _Held:
    """One key that is being computed, or waited for."""

    __slots__ = ("lock", "owner", "users")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.owner: int | None = None
        self.users = 0


class Range(NamedTuple):
    """One question over a range of keys, with and without an upper bound."""

    bounded: str
    open: str


class KeyStatements:
    """The statements of one table. `?` in comments: what the parameters are, in their order.

    `ns` are the values of `matched`, `own` those of `carried` and `matched`: the columns that an insert
    fills in front of the key, of which `matched` make up the namespace.
    """

    def __init__(
        self,
        dialect: Dialect,
        table: str,
        *,
        row_key: str,
        matched: Sequence[str] = (),
        carried: Sequence[str] = (),
    ) -> None:
        self.channel = f"datalayer.{table}"
        self.announce_sql = dialect.announce(self.channel)
        self._dialect = dialect
        self._table = dialect.quote(table)
        self._row_key = row_key
        self._ns = "".join(f"{name} = ? AND " for name in matched)
        self.columns = [*carried, *matched, "key", "value", "updated_at", "expires_at"]
        self._target = ", ".join([*matched, "key"])
        self._compose_reads()
        self._compose_writes()
        self._compose_conditional_writes()
        self._compose_leases()

    def _sql(self, text: str, *returning: str) -> str:
        """Finish a statement: what it gives back, and the announcement with it."""
        expressions = [*returning, *([self.announce_sql] if self.announce_sql else [])]
        if text.startswith("SELECT"):
            expressions = []
        return self._dialect.sql(text + (f" RETURNING {', '.join(expressions)}" if expressions else ""))

    def _compose_reads(self) -> None:
        table, ns = self._table, self._ns
        entry = "key, value, updated_at, expires_at"
        each = self._dialect.each_text()
        # ns, key
        self.get = self._sql(f"SELECT value, expires_at FROM {table} WHERE {ns}key = ?")
        self.get_entry = self._sql(f"SELECT {entry} FROM {table} WHERE {ns}key = ?")
        # ns, key, now
        self.get_live = self._sql(f"SELECT {entry} FROM {table} WHERE {ns}key = ? AND {_LIVE}")
        # ns, keys as a JSON array, now
        self.get_many = self._sql(f"SELECT key, value FROM {table} WHERE {ns}key IN ({each}) AND {_LIVE}")
        # ns, prefix, [end of the prefix,] now, limit
        self.first_page = self._range(
            f"SELECT {entry} FROM {table} WHERE {ns}key >= ?", " ORDER BY key LIMIT ?"
        )
        # ns, last key, [end of the prefix,] now, limit
        self.next_page = self._range(
            f"SELECT {entry} FROM {table} WHERE {ns}key > ?", " ORDER BY key LIMIT ?"
        )
        # ns, prefix, [end of the prefix,] now
        self.count = self._range(f"SELECT COUNT(*) FROM {table} WHERE {ns}key >= ?")

    def _range(self, text: str, tail: str = "") -> Range:
        return Range(
            self._sql(f"{text} AND key < ? AND {_LIVE}{tail}"),
            self._sql(f"{text} AND {_LIVE}{tail}"),
        )

    def _compose_writes(self) -> None:
        table, ns = self._table, self._ns
        # own, key, value, now, expiry
        self.set = self._sql(self._upsert())
        self.set_quietly = self._dialect.sql(self._upsert())
        # ns, key, now
        self.delete = self._sql(f"DELETE FROM {table} WHERE {ns}key = ?", _WAS_LIVE)
        self.pop = self._sql(f"DELETE FROM {table} WHERE {ns}key = ? AND {_LIVE}", "value")
        # ns, keys as a JSON array, now
        self.delete_many = self._sql(
            f"DELETE FROM {table} WHERE {ns}key IN ({self._dialect.each_text()})", _WAS_LIVE
        )
        # ns, prefix[, end of the prefix]
        cleared = f"DELETE FROM {table} WHERE {ns}key >= ?"
        self.clear = Range(self._dialect.sql(f"{cleared} AND key < ?"), self._dialect.sql(cleared))
        # now, expiry, ns, key, now
        self.expire = self._sql(
            f"UPDATE {table} SET updated_at = ?, expires_at = ? WHERE {ns}key = ? AND {_LIVE}", "1"
        )
        # now, ns, key, now
        self.touch = self._sql(f"UPDATE {table} SET updated_at = ? WHERE {ns}key = ? AND {_LIVE}", "1")
        # now, time before which a lease is forgotten, limit, now
        due = (
            f"SELECT {self._row_key} FROM {table}"
            f" WHERE expires_at <= ? AND (expires_at > '{LEASED}' OR updated_at <= ?)"
            f" ORDER BY expires_at LIMIT ?{self._dialect.row_lock_skip}"
        )
        self.purge = self._dialect.sql(
            f"DELETE FROM {table} WHERE {self._dialect.in_few(self._row_key, due)} AND expires_at <= ?"
        )

    def _compose_conditional_writes(self) -> None:
        table, ns, dialect = self._table, self._ns, self._dialect
        same = dialect.json_same("value")
        # own, key, value, now, expiry, now
        self.set_if_absent = self._sql(f"{self._upsert()} WHERE held.expires_at <= ?", "1")
        # value, now, expiry, ns, key, now, expected
        self.compare_and_set = self._sql(
            f"UPDATE {table} SET value = ?, updated_at = ?, expires_at = COALESCE(?, expires_at)"
            f" WHERE {ns}key = ? AND {_LIVE} AND {same}",
            "1",
        )
        # ns, key, now, expected
        self.compare_and_delete = self._sql(
            f"DELETE FROM {table} WHERE {ns}key = ? AND {_LIVE} AND {same}", "1"
        )
        # own, key, value, now, expiry, now, now, now
        gone = "held.expires_at <= ?"
        added = dialect.json_sum("held.value", "excluded.value")
        self.increment = self._sql(
            f"{self._insert()} DO UPDATE SET"
            f" value = CASE WHEN {gone} THEN excluded.value ELSE {added} END,"
            " updated_at = excluded.updated_at,"
            f" expires_at = CASE WHEN {gone} THEN excluded.expires_at ELSE held.expires_at END"
            f" WHERE {gone} OR {dialect.json_sum_fits('held.value', 'excluded.value')}",
            "value",
        )

    def _compose_leases(self) -> None:
        table, ns = self._table, self._ns
        mine = f"{ns}key = ? AND expires_at = '{LEASED}' AND {self._dialect.json_same('value')}"
        # own, key, lease, now, LEASED, now, dead lease, when it was last renewed
        self.claim = self._sql(
            f"{self._upsert()} WHERE held.expires_at <= ? AND (held.expires_at > '{LEASED}'"
            f" OR ({self._dialect.json_same('held.value')} AND held.updated_at = ?))",
            "1",
        )
        # now, ns, key, lease
        self.renew = self._dialect.sql(f"UPDATE {table} SET updated_at = ? WHERE {mine}")
        # value, now, expiry, ns, key, lease
        self.fulfil = self._sql(
            f"UPDATE {table} SET value = ?, updated_at = ?, expires_at = ? WHERE {mine}", "1"
        )
        # ns, key, lease
        self.give_up = self._sql(f"DELETE FROM {table} WHERE {mine}", "1")

    def _insert(self) -> str:
        marks = ", ".join("?" * len(self.columns))
        columns = ", ".join(self.columns)
        return f"INSERT INTO {self._table} AS held ({columns}) VALUES ({marks}) ON CONFLICT ({self._target})"

    def _upsert(self) -> str:
        return (
            f"{self._insert()} DO UPDATE SET value = excluded.value,"
            " updated_at = excluded.updated_at, expires_at = excluded.expires_at"
        )


def checked_key(key: object) -> str:
    """Give a key as it is.

    Raises:
        CheckViolation: it is no text, or has a NUL in it.
    """
    # checked here, as SQLite would take a NUL and PostgreSQL not
    if not isinstance(key, str) or "\0" in key:
        raise CheckViolation(f"{key!r} cannot be a key", hint="a key is a text without NUL characters")
    return key


def expiry_of(now: datetime, ttl_s: float | None) -> str | None:
    """Give the stored time until when a key lives; None for ever.

    Raises:
        CheckViolation: the time to live is not over 0, or leads beyond year 9999.
    """
    if ttl_s is None:
        return None
    try:
        if ttl_s > 0:
            return encode_utc(now + timedelta(seconds=ttl_s))
    except (OverflowError, ValueError):
        pass
    raise CheckViolation(
        f"a time to live cannot be {ttl_s!r} s", hint="give seconds over 0, or None for ever"
    )


def bounds_of(prefix: str) -> tuple[str, ...]:
    """Give the first text that begins with the prefix, and the first one behind all that do, if any."""
    stem = checked_key(prefix).rstrip(_LAST_CHARACTER)
    if not stem:
        return (prefix,)
    code = ord(stem[-1]) + 1
    # the surrogates are no characters
    return (prefix, stem[:-1] + chr(0xE000 if code == 0xD800 else code))

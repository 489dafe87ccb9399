"""Keys and values with a time to live: the verbs, over a table with or without a namespace.

A value is any JSON document; None is JSON's null and differs from an absent key. An expired key reads as
absent at once, and its row goes when the key is set anew or with `purge_expired`. The time is the store's
clock, never the database's. Knows no domain: domains/state.py gives it its tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from datalayer.errors import CheckViolation, NotFound
from datalayer.repository.fields import decode_json, decode_utc, encode_json, encode_utc
from datalayer.repository.keylease import Flight
from datalayer.repository.keytable import KeyTable, Namespace, Range, bounds_of, checked_key, expiry_of
from datalayer.repository.keywatch import Watch
from datalayer.repository.page import Page

__all__ = ["Entry", "KeyValues"]

_LARGEST = 2**63 - 1
_LEASE_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with its value; `expires_at` is None where it lives until it is deleted."""

    key: str
    value: Any
    updated_at: datetime
    expires_at: datetime | None


class KeyValues:
    """The verbs over the keys of one table, or of one namespace in it.

    Every verb is one statement, so it is atomic among threads and processes, unless its docstring says
    otherwise; inside a transaction it belongs to that. Keys are texts of at least one character without
    NUL, told apart by letter case. `ttl_s` is a number of seconds from now, over 0; None means for ever.

        kv.set("seen", {"page": 3}, ttl_s=60)
        kv.get("seen")["page"]
        kv.increment("visits")
    """

    def __init__(self, table: KeyTable, namespace: Namespace | None = None) -> None:
        self._table = table
        self._engine = table.engine
        self._sql = table.sql
        self._namespace = namespace or Namespace()
        self._own, self._ns = self._namespace

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in {self._engine.display_url}>"

    # -- one key -----------------------------------------------------------------------------------

    def get(self, key: str, default: Any = None) -> Any:
        """Give a key's value, or the default where the key is absent or expired."""
        row = self._table.fetch_one(self._sql.get, (*self._ns, checked_key(key)))
        if row is None or (row[1] is not None and decode_utc(row[1]) <= self._engine.clock()):
            return default
        return decode_json(row[0])

    def set(self, key: str, value: Any, *, ttl_s: float | None = None) -> None:
        """Set a key's value and time to live, whatever they were.

        Raises:
            CheckViolation: the key is empty, the value no JSON, or the time to live not over 0.
        """
        now = self._engine.clock()
        self._table.write(self._sql.set, self._row(key, value, now, ttl_s))

    def delete(self, key: str) -> bool:
        """Delete a key; False where it was absent or expired."""
        row = self._table.write_one(self._sql.delete, (*self._ns, checked_key(key), self._now()))
        return row is not None and bool(row[0])

    def pop(self, key: str, default: Any = None) -> Any:
        """Delete a key and give the value it had, or the default; of many callers one gets it."""
        row = self._table.write_one(self._sql.pop, (*self._ns, checked_key(key), self._now()))
        return default if row is None else decode_json(row[0])

    def set_if_absent(self, key: str, value: Any, *, ttl_s: float | None = None) -> bool:
        """Set a key that is absent or expired; False where it is there. Of many callers one gets True."""
        row = self._row(key, value, self._engine.clock(), ttl_s)
        return self._table.write_one(self._sql.set_if_absent, (*row, row[-2])) is not None

    def compare_and_set(self, key: str, expected: Any, value: Any, *, ttl_s: float | None = None) -> bool:
        """Set a key if its value is the expected one; False, and nothing done, where it is another or absent.

        Documents are compared as jsonb does: the order of an object's keys does not matter, numbers by value
        (1 equals 1.0), and true is not 1. The expiry stays as it is unless `ttl_s` gives another.
        """
        now = self._engine.clock()
        moment = encode_utc(now)
        expiry = None if ttl_s is None else expiry_of(now, ttl_s)
        params = (
            encode_json(value),
            moment,
            expiry,
            *self._ns,
            checked_key(key),
            moment,
            encode_json(expected),
        )
        return self._table.write_one(self._sql.compare_and_set, params) is not None

    def compare_and_delete(self, key: str, expected: Any) -> bool:
        """Delete a key if its value is the expected one, compared as by `compare_and_set`."""
        params = (*self._ns, checked_key(key), self._now(), encode_json(expected))
        return self._table.write_one(self._sql.compare_and_delete, params) is not None

    def increment(self, key: str, by: int = 1, *, ttl_s: float | None = None) -> int:
        """Add to the integer that a key holds, an absent one holding 0, and give the sum.

        `ttl_s` counts from the first increment: a key that is there keeps its expiry.

        Raises:
            CheckViolation: the value is no integer (1.0 is none), or the sum has more than 64 bits; nothing
            was
                changed.
        """
        if type(by) is not int or not -_LARGEST - 1 <= by <= _LARGEST:
            raise CheckViolation(f"cannot add {by!r}", hint="give an integer of at most 64 bits")
        params = self._row(key, by, self._engine.clock(), ttl_s)
        row = self._table.write_one(self._sql.increment, (*params, *[params[-2]] * 3))
        if row is None:
            raise CheckViolation(
                f"{self._table.name} {key!r} cannot be raised by {by}",
                table=self._table.name,
                columns=("value",),
                why="it holds something else than an integer, or the sum would need more than 64 bits",
            )
        return int(decode_json(row[0]))

    # -- time to live ------------------------------------------------------------------------------

    def expire(self, key: str, ttl_s: float | None) -> bool:
        """Let a key live for this long from now, or for ever (None); False where it is absent."""
        now = self._engine.clock()
        moment = encode_utc(now)
        params = (moment, expiry_of(now, ttl_s), *self._ns, checked_key(key), moment)
        return self._table.write_one(self._sql.expire, params) is not None

    def touch(self, key: str) -> bool:
        """Say that a key was in use now (`updated_at`), changing nothing else; False where it is absent."""
        moment = self._now()
        return (
            self._table.write_one(self._sql.touch, (moment, *self._ns, checked_key(key), moment)) is not None
        )

    def ttl_of(self, key: str) -> float | None:
        """Give the seconds that a key has to live; None where it lives for ever.

        Raises:
            NotFound: the key is absent or expired.
        """
        row = self._table.fetch_one(self._sql.get, (*self._ns, checked_key(key)))
        if row is not None and row[1] is None:
            return None
        left = -1.0 if row is None else (decode_utc(row[1]) - self._engine.clock()).total_seconds()
        if left <= 0:
            raise NotFound(f"{self._table.name} has no key {key!r}")
        return left

    def purge_expired(self, *, batch: int = 500, limit: int | None = None) -> int:
        """Delete expired rows of the whole table, `limit` of them at most, and give their number.

        Each batch is a transaction of its own, so others write in between. Leases that nobody renewed for a
        day go too.
        """
        removed = 0
        while limit is None or removed < limit:
            now = self._engine.clock()
            size = batch if limit is None else min(batch, limit - removed)
            moment = encode_utc(now)
            params = (moment, encode_utc(now - _LEASE_KEPT), size, moment)
            count = self._table.write(self._sql.purge, params)
            removed += count
            if count < size:
                break
        return removed

    # -- many keys ---------------------------------------------------------------------------------

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Give the values of those of the keys that are there, in one query for any number of keys."""
        wanted = list(dict.fromkeys(map(checked_key, keys)))
        params = (*self._ns, encode_json(wanted), self._now())
        found = {key: decode_json(value) for key, value in self._table.fetch_all(self._sql.get_many, params)}
        return {key: found[key] for key in wanted if key in found}

    def set_many(self, values: Mapping[str, Any], *, ttl_s: float | None = None) -> None:
        """Set many keys, all or none, in one transaction."""
        now = self._engine.clock()
        # in one order, so that two of them never wait for each other
        rows = [self._row(key, values[key], now, ttl_s) for key in sorted(values)]
        if rows:
            self._table.write_rows(self._sql.set_quietly, rows)

    def delete_many(self, keys: Iterable[str]) -> int:
        """Delete many keys in one statement; gives the number of those that were there and not expired."""
        params = (*self._ns, encode_json(list(map(checked_key, keys))), self._now())
        return sum(bool(row[0]) for row in self._table.write_all(self._sql.delete_many, params))

    def clear(self, prefix: str = "") -> int:
        """Delete all keys, or those that begin with the prefix; gives the number of rows, expired or not."""
        sql, bounds = _range(self._sql.clear, prefix)
        count = self._table.write(sql, (*self._ns, *bounds))
        self._table.announce()
        return count

    def count(self, prefix: str = "") -> int:
        """Count the keys that are not expired, or those of them that begin with the prefix."""
        sql, bounds = _range(self._sql.count, prefix)
        row = self._table.fetch_one(sql, (*self._ns, *bounds, self._now()))
        return int(row[0]) if row else 0

    def page(self, prefix: str = "", *, size: int = 100, after: str | None = None) -> Page[Entry]:
        """Give one page of the keys that begin with the prefix, in key order.

        `after` is the `next` of the page before. Key order is the order of Unicode code points, on both
        engines. Keys that come or go between two pages are neither repeated nor let slip. Cost: a walk
        along the index, the same for every page.
        """
        lower, (first, *end) = (self._sql.first_page, bounds_of(prefix))
        if after is not None and after >= prefix:
            lower, first = self._sql.next_page, after
        sql = lower.bounded if end else lower.open
        params = (*self._ns, first, *end, self._now(), size + 1)
        entries = tuple(map(_entry, self._table.fetch_all(sql, params)))
        return Page(entries[:size], entries[size - 1].key if len(entries) > size else None, size)

    def scan(self, prefix: str = "", *, chunk: int = 500) -> Iterator[Entry]:
        """Give all keys that begin with the prefix, in key order, `chunk` of them a statement; see `page`."""
        after: str | None = None
        while True:
            page = self.page(prefix, size=chunk, after=after)
            yield from page.items
            after = page.next
            if after is None:
                return

    # -- with others -------------------------------------------------------------------------------

    def get_or_compute(
        self,
        key: str,
        function: Callable[[], Any],
        *,
        ttl_s: float | None = None,
        lease_s: float = 10.0,
        timeout_s: float | None = None,
    ) -> Any:
        """Give a key's value; where it is absent, call the function and set what it gives.

        Of all threads and processes that ask at the same time one calls the function; the others wait for its
        value. No transaction is open meanwhile. Who computes holds a lease and renews it every third of
        `lease_s`; when it dies, another takes over after `lease_s` at most. When the function raises, its
        caller gets the error and the next one computes. A `set`, `delete` or `clear` of the key meanwhile
        stands: the value computed is given back but not kept.

        Raises:
            DatabaseBusy: others were computing for longer than `timeout_s`.
            DataLayerError: the key is absent and a transaction is open, which would stay open meanwhile.
        """
        value = self.get(key, _ABSENT)
        if value is not _ABSENT:
            return value
        flight = Flight(self._table, self._namespace, key, ttl_s=ttl_s, lease_s=lease_s)
        return flight.run(function, timeout_s)

    def watch(
        self, key: str | None = None, *, prefix: str = "", timeout_s: float, limit: int = 1_000
    ) -> Watch:
        """Watch a key, or all keys with a prefix, for as long as `timeout_s`; gives an iterator of `Change`s.

        It waits for commits without asking the table in a loop (see engine.wakeup) and holds a connection
        of its own: `with` it, or `close()` it, also from another thread. Changes since the call are seen,
        several of the same key in quick succession as one. A key that expires is a change, noticed within a
        second.

        Raises:
            DataLayerError: a transaction is open, whose snapshot would hide the changes; or there are more
            keys
                with the prefix than `limit`.
        """
        return Watch(self._table, self._namespace, key=key, prefix=prefix, timeout_s=timeout_s, limit=limit)

    # -- pieces ------------------------------------------------------------------------------------

    def _now(self) -> str:
        return encode_utc(self._engine.clock())

    def _row(self, key: str, value: Any, now: datetime, ttl_s: float | None) -> tuple[Any, ...]:
        """Give what an insert takes; last come the time now and the expiry."""
        return (*self._own, checked_key(key), encode_json(value), encode_utc(now), expiry_of(now, ttl_s))


_ABSENT = object()


def _entry(row: tuple[Any, ...]) -> Entry:
    key, value, updated_at, expires_at = row
    return Entry(
        key,
        decode_json(value),
        decode_utc(updated_at),
        None if expires_at is None else decode_utc(expires_at),
    )


def _range(sql: Range, prefix: str) -> tuple[str, tuple[str, ...]]:
    bounds = bounds_of(prefix)
    return (sql.bounded if len(bounds) > 1 else sql.open), bounds

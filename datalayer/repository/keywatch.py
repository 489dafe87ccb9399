"""Watching keys: what changed since the last look, looked at when somebody committed."""

from __future__ import annotations

import weakref
from collections import deque
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Any

from datalayer.engine.wakeup import Listener
from datalayer.errors import DataLayerError
from datalayer.repository.fields import decode_json, encode_utc
from datalayer.repository.keytable import KeyTable, Namespace, bounds_of

__all__ = ["Change", "Watch"]

# a wait is cut up so that close() by another thread is noticed
_SLICE_S = 0.25
# looked at without being woken, too: keys expire without a commit, and see Dialect.announce
_LOOK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Change:
    """A key as it is now; one that was deleted or expired is not present, and its value None."""

    key: str
    value: Any
    is_present: bool


class Watch:
    """An iterator of changes that ends when its time is over or it is closed.

    Compares what is there with what was there at the last look, so several changes of a key between two
    looks are one. One thread iterates; any may close.

        with kv.watch("progress", timeout_s=60) as changes:
            for change in changes:
                print(change.value)
    """

    def __init__(
        self,
        table: KeyTable,
        namespace: Namespace,
        *,
        key: str | None,
        prefix: str,
        timeout_s: float,
        limit: int,
    ) -> None:
        self._table = table
        self._place = namespace.matched
        self._key = key
        self._prefix = prefix
        self._limit = limit
        self._deadline = monotonic() + timeout_s
        self._pending: deque[Change] = deque()
        self._refuse_in_transaction()
        self._listener = Listener(table.engine, table.sql.channel)
        # for a loop that was left by `break`
        self._finalizer = weakref.finalize(self, self._listener.close)
        self._is_closed = False
        try:
            self._known = self._read()
        except BaseException:
            self._finalizer()
            raise
        self._looked_at = monotonic()

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._finalizer()

    def close(self) -> None:
        """End the iteration; a thread that waits in it comes back within a quarter of a second."""
        self._is_closed = True

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> Change:
        while not self._pending:
            left = self._deadline - monotonic()
            if self._is_closed or left <= 0:
                self._finalizer()
                raise StopIteration
            woken = self._listener.wait(min(left, _SLICE_S))
            if woken or monotonic() - self._looked_at >= _LOOK_AGAIN_S:
                self._compare()
        return self._pending.popleft()

    def _compare(self) -> None:
        found = self._read()
        self._looked_at = monotonic()
        for key in sorted(self._known.keys() - found.keys()):
            self._pending.append(Change(key, None, is_present=False))
        for key, (_, value) in found.items():
            if self._known.get(key) != found[key]:
                self._pending.append(Change(key, decode_json(value), is_present=True))
        self._known = found

    def _read(self) -> dict[str, tuple[Any, Any]]:
        """Give (updated_at, value as stored) of each key that is there."""
        self._refuse_in_transaction()
        engine, sql = self._table.engine, self._table.sql
        now = encode_utc(engine.clock())
        if self._key is not None:
            rows = self._table.fetch_all(sql.get_live, (*self._place, self._key, now))
        else:
            bounds = bounds_of(self._prefix)
            text = sql.first_page.bounded if len(bounds) > 1 else sql.first_page.open
            rows = self._table.fetch_all(text, (*self._place, *bounds, now, self._limit + 1))
        if len(rows) > self._limit:
            raise DataLayerError(
                f"more than {self._limit} keys begin with {self._prefix!r}",
                hint="watch fewer, or raise limit",
            )
        return {key: (updated_at, value) for key, value, updated_at, _ in rows}

    def _refuse_in_transaction(self) -> None:
        if self._table.engine.in_transaction:
            raise DataLayerError(
                "a transaction is open, in which changes of others cannot be seen", hint="watch outside of it"
            )

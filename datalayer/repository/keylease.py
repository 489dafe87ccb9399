"""One computes, the others wait: the lease behind `get_or_compute`.

Among the threads of a process by a lock, among processes by a lease in the key's own row (see
repository.keytable), so that nothing is left over when the value is there. Holds no transaction while the
function runs.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from time import monotonic
from types import TracebackType
from typing import Any, NamedTuple, cast

from datalayer.engine.wakeup import Listener
from datalayer.errors import DatabaseBusy, DataLayerError
from datalayer.repository.fields import decode_json, decode_utc, encode_json, encode_utc, new_id
from datalayer.repository.keytable import LEASED, KeyTable, Namespace, expiry_of

__all__ = ["Flight"]

_log = logging.getLogger("datalayer.state")
_LOOK_AGAIN_S = 1.0


class _Seen(NamedTuple):
    """What stands in the row now: a live value, or a lease and until when it holds, or neither."""

    value: Any = None
    is_live: bool = False
    lease: str = "null"
    renewed_at: str = LEASED
    holds_until: datetime | None = None


class Flight:
    """One call for a value that may have to be computed."""

    def __init__(
        self, table: KeyTable, namespace: Namespace, key: str, *, ttl_s: float | None, lease_s: float
    ) -> None:
        self._table = table
        self._engine = table.engine
        self._sql = table.sql
        self._namespace = namespace
        self._key = key
        self._place = (*namespace.matched, key)
        self._ttl_s = ttl_s
        self._lease_s = lease_s
        self._lease = encode_json({"lease": new_id(), "lease_s": lease_s, "pid": os.getpid()})

    def run(self, function: Callable[[], Any], timeout_s: float | None) -> Any:
        """Give the value, computed here or by another."""
        if self._engine.in_transaction:
            raise DataLayerError(
                f"{self._table.name} {self._key!r} is absent, and a transaction is open",
                why="it would stay open while the value is computed",
                hint="call get_or_compute() before the transaction",
            )
        expiry_of(self._engine.clock(), self._ttl_s)  # refused before the work, not after it
        deadline = None if timeout_s is None else monotonic() + timeout_s
        with self._table.locks.hold(self._place, -1 if timeout_s is None else timeout_s) as has_turn:
            if not has_turn:
                raise self._too_late()
            with ExitStack() as open_things:
                return self._run_alone(function, deadline, open_things)

    def _run_alone(self, function: Callable[[], Any], deadline: float | None, open_things: ExitStack) -> Any:
        listener: Listener | None = None
        while True:
            seen = self._look()
            if seen.is_live:
                return seen.value
            now = self._engine.clock()
            if seen.holds_until is None or seen.holds_until <= now:
                if self._claim(seen, now):
                    return self._compute(function)
            elif listener is None:
                # then look again: it may be over since
                listener = open_things.enter_context(Listener(self._engine, self._sql.channel))
            else:
                wait_s = min(_LOOK_AGAIN_S, (seen.holds_until - now).total_seconds())
                if deadline is not None:
                    wait_s = min(wait_s, deadline - monotonic())
                if wait_s <= 0:
                    raise self._too_late()
                listener.wait(wait_s)

    def _too_late(self) -> DatabaseBusy:
        return DatabaseBusy(
            f"{self._table.name} {self._key!r} is still being computed by another", hint="try again later"
        )

    def _look(self) -> _Seen:
        row = self._table.fetch_one(self._sql.get_entry, self._place)
        if row is None:
            return _Seen()
        _, stored, updated_at, expires_at = row
        if expires_at is None or decode_utc(expires_at) > self._engine.clock():
            return _Seen(decode_json(stored), is_live=True)
        if encode_utc(decode_utc(expires_at)) != LEASED:
            return _Seen()
        renewed_at = decode_utc(updated_at)
        document = decode_json(stored)
        lease_s = cast("dict[str, Any]", document).get("lease_s", 0.0) if isinstance(document, dict) else 0.0
        until = renewed_at + timedelta(seconds=lease_s)
        return _Seen(lease=encode_json(document), renewed_at=encode_utc(renewed_at), holds_until=until)

    def _claim(self, seen: _Seen, now: datetime) -> bool:
        """Put the lease into the row, where nothing is live and no other lease than the dead one seen."""
        moment = encode_utc(now)
        params = (
            *self._namespace.own,
            self._key,
            self._lease,
            moment,
            LEASED,
            moment,
            seen.lease,
            seen.renewed_at,
        )
        return self._table.write_one(self._sql.claim, params) is not None

    def _compute(self, function: Callable[[], Any]) -> Any:
        try:
            with _Heartbeat(self._renew, self._lease_s / 3, self._engine.release):
                text = encode_json(function())
        except BaseException:
            self._give_up()
            raise
        now = self._engine.clock()
        params = (text, encode_utc(now), expiry_of(now, self._ttl_s), *self._place, self._lease)
        if self._table.write_one(self._sql.fulfil, params) is None:
            seen = self._look()
            if seen.is_live:
                return seen.value
        return decode_json(text)

    def _give_up(self) -> None:
        try:
            self._table.write(self._sql.give_up, (*self._place, self._lease))
        except DataLayerError as exc:
            # the function's own error is what its caller must see; the lease runs out by itself
            _log.warning("a lease could not be given up: %s", exc)

    def _renew(self) -> None:
        self._table.write(self._sql.renew, (encode_utc(self._engine.clock()), *self._place, self._lease))


class _Heartbeat:
    """Calls back every so often from a thread of its own, which has no connection before its first beat."""

    def __init__(self, beat: Callable[[], None], every_s: float, finish: Callable[[], None]) -> None:
        self._beat = beat
        self._finish = finish
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="datalayer-lease", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._every_s):
            try:
                self._beat()
            except DataLayerError as exc:
                _log.warning("a lease could not be renewed: %s", exc)
        self._finish()

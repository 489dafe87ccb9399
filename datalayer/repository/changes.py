"""Live queries: what a function reads, again each time that it has become something else."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from threading import Lock
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

import peewee

from datalayer.engine.connection import Engine
from datalayer.engine.wakeup import CommitListener
from datalayer.errors import DataLayerError

__all__ = ["LiveQuery"]

R = TypeVar("R")

# a wait is cut up so that close() by another thread is noticed
_SLICE_S = 0.25
# looked at without being woken, too: see CommitListener
_LOOK_AGAIN_S = 1.0


class LiveQuery(Generic[R]):
    """An iterator of results that ends when its time is over or it is closed; see `Store.watch`.

    One thread iterates; any may close.
    """

    def __init__(
        self, engine: Engine, query: Callable[[], R], *, timeout_s: float, at_most_every_s: float = 0.02
    ) -> None:
        self._engine = engine
        self._query = query
        self._at_most_every_s = at_most_every_s
        self._deadline = monotonic() + timeout_s
        self._last: object = _NOTHING
        self._looked_at = 0.0
        self._is_closed = False
        self._in_use = Lock()
        self._refuse_in_transaction()
        self._listener = CommitListener(engine)
        # for a loop that was left by `break`
        self._finalizer = weakref.finalize(self, self._listener.close)

    def __enter__(self) -> LiveQuery[R]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        # not under a thread that waits in it
        with self._in_use:
            self._finalizer()

    def close(self) -> None:
        """End the iteration; a thread that waits in it comes back within a quarter of a second."""
        self._is_closed = True

    def __iter__(self) -> LiveQuery[R]:
        return self

    def __next__(self) -> R:
        try:
            while not self._is_closed:
                result = self._next_slice()
                if result is not _NOTHING:
                    return cast("R", result)
        except BaseException:
            self._finalizer()
            raise
        self._finalizer()
        raise StopIteration

    def _next_slice(self) -> object:
        """Wait a little, and give the result where it has become another one."""
        with self._in_use:
            if self._is_closed:
                return _NOTHING
            if self._is_due():
                return self._look()
            if monotonic() >= self._deadline:
                self._is_closed = True
            return _NOTHING

    def _is_due(self) -> bool:
        """Wait for a slice of time; whether it is time to look."""
        if self._last is _NOTHING:
            return True
        now = monotonic()
        woken = self._listener.wait(max(0.0, min(self._deadline - now, _SLICE_S)))
        if not woken and monotonic() - self._looked_at < _LOOK_AGAIN_S:
            return False
        # what comes in quick succession is looked at once
        early = self._looked_at + self._at_most_every_s - monotonic()
        if early > 0:
            sleep(early)
        return True

    def _look(self) -> object:
        """Run the query; gives its result where it is another than the last one."""
        self._refuse_in_transaction()
        result = self._query()
        self._looked_at = monotonic()
        value = _value_of(result)
        if value == self._last:
            return _NOTHING
        self._last = value
        return result

    def _refuse_in_transaction(self) -> None:
        if self._engine.in_transaction:
            raise DataLayerError(
                "a transaction is open, in which changes of others cannot be seen", hint="watch outside of it"
            )


_NOTHING = object()


def _value_of(result: Any) -> object:
    """Give what a result says, to be compared: models are equal by their key alone."""
    if isinstance(result, peewee.Model):
        return type(result), _value_of(result.__data__)
    if is_dataclass(result) and not isinstance(result, type):
        return type(result), tuple(_value_of(getattr(result, field.name)) for field in fields(result))
    if isinstance(result, Mapping):
        entries = cast("Mapping[Any, Any]", result)
        return {key: _value_of(value) for key, value in entries.items()}
    if isinstance(result, list | tuple):
        return [_value_of(one) for one in cast("list[Any]", result)]
    return result

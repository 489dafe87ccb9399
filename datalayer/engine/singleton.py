"""The process's one store: opened once, by whoever needs it first, and closed on request or at exit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

__all__ = ["Singleton"]


class Closable(Protocol):
    """What can be kept."""

    def close(self) -> None:
        """Give back what it holds."""
        ...


T = TypeVar("T", bound=Closable)


class Singleton(Generic[T]):
    """Holds at most one opened thing; safe to ask from many threads at once."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._value: T | None = None

    def ensure(self, open_it: Callable[[], T]) -> T:
        """Give the thing, opening it where there is none."""
        with self._lock:
            if self._value is None:
                self._value = open_it()
            return self._value

    def close(self) -> bool:
        """Close and forget the thing; False where there was none."""
        with self._lock:
            value, self._value = self._value, None
        if value is None:
            return False
        value.close()
        return True

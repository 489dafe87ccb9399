"""The statement log: what was executed, how long it took, who wants to know.

Costs nothing while nobody looks: the engine asks `is_watched` and goes straight to the driver.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

__all__ = ["Statement", "StatementLog"]

_log = logging.getLogger("datalayer.sql")


@dataclass(frozen=True, slots=True)
class Statement:
    """One executed statement.

    `parameters` holds the values only where the log was opened with `log_parameters=True`, since they may be
    secret; else it is empty and `parameter_count` says how many there were.
    """

    sql: str
    duration_s: float
    parameter_count: int
    parameters: tuple[Any, ...] = ()
    error: BaseException | None = None


class StatementLog:
    """Hooks, the slow log and the debug log of one engine.

    Everything goes to the logger `datalayer.sql`: each statement at DEBUG, those of `slow_s` seconds or more
    at WARNING. Call `refresh()` after changing that logger's level on a running engine.
    """

    __slots__ = ("_hooks", "_log_parameters", "_slow_s", "is_watched")

    def __init__(self, *, slow_s: float | None = None, log_parameters: bool = False) -> None:
        self._hooks: list[Callable[[Statement], None]] = []
        self._slow_s = slow_s
        self._log_parameters = log_parameters
        self.is_watched = False
        self.refresh()

    def add_hook(self, hook: Callable[[Statement], None]) -> Callable[[], None]:
        """Call `hook` after each statement, in the thread that executed it; returns what removes it again.

        A hook must not use the same store. What it raises reaches who executed the statement.
        """
        self._hooks.append(hook)
        self.refresh()

        def remove() -> None:
            with suppress(ValueError):
                self._hooks.remove(hook)
            self.refresh()

        return remove

    def set_slow(self, slow_s: float | None) -> None:
        """Log statements of this many seconds or more; None ends it."""
        self._slow_s = slow_s
        self.refresh()

    def refresh(self) -> None:
        """Look again whether anybody listens."""
        self.is_watched = bool(self._hooks) or self._slow_s is not None or _log.isEnabledFor(logging.DEBUG)

    def record(
        self, sql: str, parameters: Sequence[Any], duration_s: float, error: BaseException | None = None
    ) -> None:
        """Tell everybody who listens."""
        shown = tuple(parameters) if self._log_parameters else ()
        if self._slow_s is not None and duration_s >= self._slow_s:
            _log.warning("slow: %.1f ms: %s %s", duration_s * 1e3, sql, shown or "")
        else:
            _log.debug("%.3f ms: %s %s", duration_s * 1e3, sql, shown or "")
        if self._hooks:
            statement = Statement(sql, duration_s, len(parameters), shown, error)
            for hook in tuple(self._hooks):
                hook(statement)

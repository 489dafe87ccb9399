"""A bar with rate and time left for what takes more than a moment; on a terminal only."""

from __future__ import annotations

from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

from datalayer.cli.output import Terminal

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

__all__ = ["Progress"]

_PATIENCE_S = 0.5


class Progress:
    """Counts towards a total; draws itself once the work turns out to take a while.

    `with` it, so that the bar is gone when an error or Ctrl-C ends the work.
    """

    def __init__(self, terminal: Terminal, label: str, total: int | None) -> None:
        self._terminal = terminal
        self._label = label
        self._total = total
        self._since = monotonic()
        self._bar: Bar | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, done: int, total: int | None = None) -> None:
        """Say how much is done, and of how much where that is only known now."""
        self._total = total or self._total
        if self._bar is None:
            if not self._terminal.shows_progress or monotonic() - self._since < _PATIENCE_S:
                return
            self._bar = self._start()
        rate = done / max(monotonic() - self._since, 0.001)
        self._bar.update(self._bar.task_ids[0], completed=done, total=self._total, rate=f"{rate:,.0f}")

    def _start(self) -> Bar:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        bar.add_task(self._label, total=self._total, rate="?")
        bar.start()
        return bar

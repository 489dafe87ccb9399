"""How fast a long copy goes, and who is told how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, sleep

__all__ = ["Pace", "Progress"]

Progress = Callable[[int, int], object]


@dataclass(slots=True)
class Pace:
    """Tells progress, and holds a copy back to `bytes_per_s` on average (None: as fast as it goes)."""

    progress: Progress | None = None
    bytes_per_s: float | None = None
    _started: float = field(default_factory=monotonic)
    _bytes: int = 0

    def step(self, done: int, total: int, unit_bytes: int = 0) -> None:
        """Say that `done` of `total` units of this size are copied, and wait if that was too fast."""
        if self.progress is not None:
            self.progress(done, total)
        if done < total:
            self.wait_for(done * unit_bytes)

    def copied(self, size_bytes: int) -> None:
        """Say that so many bytes more are copied, and wait if that was too fast."""
        self._bytes += size_bytes
        self.wait_for(self._bytes)

    def wait_for(self, total_bytes: int) -> None:
        """Wait until so many bytes may have been copied."""
        if self.bytes_per_s:
            early_s = total_bytes / self.bytes_per_s - (monotonic() - self._started)
            if early_s > 0:
                sleep(early_s)

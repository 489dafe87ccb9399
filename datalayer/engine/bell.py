"""A bell that rings in this process whenever one of its connections has committed."""

from __future__ import annotations

from threading import Condition

__all__ = ["Bell"]


class Bell:
    """Counts the rings while somebody attends; ringing costs one look while nobody does.

    Safe to share among threads.
    """

    __slots__ = ("_attending", "_condition", "_count")

    def __init__(self) -> None:
        self._condition = Condition()
        self._attending = 0
        self._count = 0

    def attend(self) -> int:
        """Begin to count; gives the number to wait from."""
        with self._condition:
            self._attending += 1
            return self._count

    def leave(self) -> None:
        """Count no more for this one."""
        with self._condition:
            self._attending -= 1

    def ring(self) -> None:
        """Wake all who wait."""
        if self._attending:
            with self._condition:
                self._count += 1
                self._condition.notify_all()

    def wait(self, seen: int, timeout_s: float) -> int:
        """Wait until it has rung since `seen`, or the time is over; gives the number of now."""
        with self._condition:
            self._condition.wait_for(lambda: self._count != seen, timeout_s)
            return self._count

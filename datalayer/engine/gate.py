"""The gate in front of SQLite's write lock: writers queue in the kernel instead of racing for the lock.

SQLite has no queue: with many writers most of them sleep while one that happens to be awake gets the lock
again and again, and some wait for more than a second (8 processes without a pause: 1.7 s). With an advisory
file lock taken before BEGIN IMMEDIATE everybody gets a turn (0.08 s), and where there is work in and between
the transactions more are committed; see docs/benchmarks.md. The gate is never needed for
correctness: SQLite's own lock still decides, so programs that know no gate may write beside us.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Protocol

__all__ = ["FileGate", "Gate", "ThreadGate"]

if sys.platform == "win32":
    import msvcrt
    from time import sleep

    def _try_lock(fd: int) -> bool:
        try:
            os.lseek(fd, 0, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _lock(fd: int) -> None:
        # LK_LOCK itself only retries once a second
        while not _try_lock(fd):
            sleep(0.001)

    def _unlock(fd: int) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


class Gate(Protocol):
    """What a writer passes before it begins."""

    def enter(self, timeout_s: float) -> bool:
        """Wait for the turn; False when the time is over."""
        ...

    def leave(self) -> None:
        """Let the next one in."""
        ...

    def close(self) -> None:
        """Give back what the gate holds."""
        ...


class ThreadGate:
    """A gate among the threads of one process, for databases in memory."""

    __slots__ = ("_mutex",)

    def __init__(self) -> None:
        self._mutex = threading.Lock()

    def enter(self, timeout_s: float) -> bool:
        """Wait for the turn; False when the time is over."""
        return self._mutex.acquire(timeout=timeout_s)

    def leave(self) -> None:
        """Let the next one in."""
        self._mutex.release()

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""


class FileGate:
    """A gate among all processes that write one file, by an advisory lock on `<database>-gate`.

    The lock goes with its process, also on kill -9. Where the gate's file cannot be made (a read-only folder)
    only the threads of this process queue.
    """

    __slots__ = ("_fd", "_mutex", "_path", "_waiter")

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + "-gate")
        self._mutex = threading.Lock()
        self._fd: int | None = None
        self._waiter: _Waiter | None = None

    def enter(self, timeout_s: float) -> bool:
        """Wait for the turn; False when the time is over."""
        mutex = self._mutex
        if not mutex.acquire(blocking=False):
            started = monotonic()
            if not mutex.acquire(timeout=timeout_s):
                return False
            timeout_s = max(0.0, timeout_s - (monotonic() - started))
        fd = self._fd
        if fd is None:
            fd = self._open()
        waiter = self._waiter
        if fd < 0 or ((waiter is None or waiter.is_idle) and _try_lock(fd)):
            return True
        if waiter is None:
            waiter = self._waiter = _Waiter(fd)
        try:
            entered = waiter.wait(timeout_s)
        except BaseException:  # Ctrl-C while waiting
            mutex.release()
            raise
        if not entered:
            mutex.release()
        return entered

    def leave(self) -> None:
        """Let the next one in."""
        fd = self._fd
        if fd is not None and fd >= 0:
            _unlock(fd)
        self._mutex.release()

    def close(self) -> None:
        """Close the gate's file; the file itself stays, as others may wait at it."""
        fd, self._fd = self._fd, None
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.retire()
        elif fd is not None and fd >= 0:
            os.close(fd)

    def _open(self) -> int:
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError:
            fd = -1
        self._fd = fd
        return fd


class _Waiter:
    """A thread that waits for the file lock on behalf of the one thread that holds the gate's mutex.

    A blocking flock() knows no timeout, and polling it costs fairness (measured: the slowest process gets
    0.30 of the fastest). So the wait happens here, and who gave up meanwhile leaves the lock to be given
    back, or to be taken by the next thread of this process.
    """

    __slots__ = ("_asked", "_fd", "_granted", "_retired", "_state", "_wanted", "is_idle")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._state = threading.Lock()
        self._asked = threading.Semaphore(0)
        self._granted = threading.Event()
        self._wanted = False
        self._retired = False
        self.is_idle = True
        threading.Thread(target=self._run, name="datalayer-gate", daemon=True).start()

    def wait(self, timeout_s: float) -> bool:
        with self._state:
            self._wanted = True
            self._granted.clear()
            if self.is_idle:
                self.is_idle = False
                self._asked.release()
        try:
            if self._granted.wait(timeout_s):
                return True
        except BaseException:  # Ctrl-C: a lock that came in the same instant goes back
            if not self._give_up():
                _unlock(self._fd)
            raise
        return not self._give_up()

    def _give_up(self) -> bool:
        """Withdraw the wish; False when the lock came in the same instant and is ours."""
        with self._state:
            if self._granted.is_set():
                return False
            self._wanted = False
            return True

    def retire(self) -> None:
        """End the thread and close the file, once it does not wait for the lock any more.

        Closing it at once would let the thread lock whatever file gets the number next.
        """
        with self._state:
            self._retired = True
        self._asked.release()

    def _run(self) -> None:
        lock: Callable[[int], None] = _lock
        while True:
            self._asked.acquire()
            if not self._retired:
                lock(self._fd)
            with self._state:
                self.is_idle = True
                if self._retired:
                    os.close(self._fd)  # which gives the lock back too
                    return
                if self._wanted:
                    self._wanted = False
                    self._granted.set()
                else:
                    _unlock(self._fd)

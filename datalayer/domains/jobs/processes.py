"""Several worker processes: started, watched, stopped together.

Each opens the database for itself, in a fresh interpreter (spawn), so it works the same on every system.
"""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, cast

from datalayer.domains.jobs.repository import Jobs
from datalayer.domains.jobs.worker import Worker
from datalayer.engine.address import Address
from datalayer.engine.connection import Options
from datalayer.engine.opening import open_engine
from datalayer.errors import DataLayerError

__all__ = ["load_worker", "run_processes"]

_log = logging.getLogger("datalayer.jobs")

# a process that ends sooner than this after its start is not started again at once
_SHORTEST_LIFE_S = 1.0
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True)
class _Order:
    """What a worker process is told."""

    target: str
    data_dir: Path | None
    options: Options
    app: str
    until_idle: bool


def run_processes(
    target: str | os.PathLike[str],
    *,
    app: str,
    processes: int,
    data_dir: Path | None = None,
    options: Options | None = None,
    until_idle: bool = False,
) -> int:
    """Run workers in so many processes until SIGTERM or SIGINT, or until no job is due (`until_idle`).

    `app` is MODULE:NAME, see `load_worker`; `target` and `data_dir` are those of the store. A process that
    dies is replaced; its job comes back when its lease is over. Signals stop the workers after the jobs
    they are at. In the main thread only. Gives 0, or 1 where with `until_idle` a process ended badly.

        run_processes("app.db", app="myapp.jobs:handlers", processes=4, data_dir=store.data_dir)

    Raises:
        DataLayerError: `app` names nothing that can work, or the database is in this process's memory.
    """
    address = Address.parse(target)
    if address.path is None and address.secret_url is None:
        raise DataLayerError("a database in memory is one process's own", hint="use a file or PostgreSQL")
    load_worker(app)
    order = _Order(os.fspath(target), data_dir, options or Options(), app, until_idle)
    return _Crew(order, processes).run()


def load_worker(app: str) -> Callable[[Jobs], Worker]:
    """Give what makes the worker that MODULE:NAME names: a mapping of task types to handlers, or a function.

    The function is called with the process's `Jobs` and gives a `Worker`.

    Raises:
        DataLayerError: there is no such module or name, or it is something else.
    """
    module_name, _, name = app.partition(":")
    if not module_name or not name:
        raise DataLayerError(
            f"{app!r} names no worker", hint="write MODULE:NAME, such as myapp.jobs:handlers"
        )
    try:
        found: Any = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as exc:
        raise DataLayerError(
            f"cannot load the worker {app!r}", why=str(exc), hint="check the name and the import path"
        ) from exc
    if isinstance(found, Mapping):
        handlers = cast("Mapping[str, Any]", found)
        return lambda jobs: Worker(jobs, handlers)
    if callable(found):
        return cast("Callable[[Jobs], Worker]", found)
    raise DataLayerError(
        f"{app!r} is a {type(found).__name__}",
        hint="name a mapping of task types to handlers, or a function that is given Jobs and gives a Worker",
    )


def _work(order: _Order) -> None:
    """Be a worker process."""
    # Ctrl-C reaches every process of the terminal; the parent passes it on as SIGTERM
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    engine = open_engine(order.target, order.options)
    try:
        worker = load_worker(order.app)(Jobs(engine, data_dir=order.data_dir))
        if order.until_idle:
            signal.signal(signal.SIGTERM, partial(_stop_worker, worker))
            worker.run_until_idle()
        else:
            worker.run(handle_signals=True)
    finally:
        engine.close()


def _stop_worker(worker: Worker, _number: int, _frame: object) -> None:
    worker.stop()


class _Crew:
    """The worker processes of one call."""

    def __init__(self, order: _Order, size: int) -> None:
        self._order = order
        self._size = size
        self._context = multiprocessing.get_context("spawn")
        self._members: dict[SpawnProcess, float] = {}
        self._stopping = threading.Event()
        self._failures = 0
        self._pause_s = _SHORTEST_LIFE_S

    def run(self) -> int:
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self._stop) for number in numbers}
        try:
            for _ in range(self._size):
                self._start()
            while self._members:
                wait([member.sentinel for member in self._members], timeout=0.5)
                self._look_after()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for member in self._members:
                member.terminate()
            for member in self._members:
                member.join()
        return 1 if self._failures and self._order.until_idle else 0

    def _start(self) -> None:
        member = self._context.Process(target=_work, args=(self._order,), name="datalayer-worker")
        member.start()
        self._members[member] = time.monotonic()

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping.set()
        for member in self._members:
            if member.pid is not None and member.exitcode is None:
                member.terminate()

    def _look_after(self) -> None:
        """Replace processes that died."""
        for member in [member for member in self._members if member.exitcode is not None]:
            started = self._members.pop(member)
            if member.exitcode == 0 or self._stopping.is_set():
                continue
            _log.error("worker process %s ended with code %s", member.pid, member.exitcode)
            self._failures += 1
            if self._order.until_idle:
                continue
            if time.monotonic() - started >= _SHORTEST_LIFE_S:
                self._pause_s = _SHORTEST_LIFE_S
            else:
                self._stopping.wait(self._pause_s)
                self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
            if not self._stopping.is_set():
                self._start()

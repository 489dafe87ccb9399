"""Processes of their own that do their work at the same time, and can be killed.

Forked from one that has imported the package: to import it takes longer than what most of them do.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any

from support.source_tree import PACKAGE, ROOT

__all__ = ["Worker", "run_together", "worker"]

_PATH = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
_IMPORTED = ["psycopg", "apsw", "support.processes", "datalayer.store", "datalayer.cli.main"]


@cache
def _nursery() -> ForkServerContext:
    """Start the process that the others are forked from."""
    context = multiprocessing.get_context("forkserver")
    domains = [path.stem for path in sorted((ROOT / PACKAGE / "domains").glob("[!_]*"))]
    context.set_forkserver_preload([*_IMPORTED, *(f"{PACKAGE}.domains.{name}" for name in domains)])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = _PATH
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context


class _Errand:
    """What a new process is to do, with the ends of two pipes as its standard input and output."""

    def __init__(self, work: Sequence[str], ends: tuple[int, int]) -> None:
        self._work = work
        self._ends = ends
        self._environment = {**os.environ, "PYTHONPATH": _PATH}
        self._folder = Path.cwd()

    def __getstate__(self) -> dict[str, Any]:
        # on its way to the new process
        return {**self.__dict__, "_ends": tuple(DupFd(end) for end in self._ends)}

    def __call__(self) -> None:
        for number, end in enumerate(self._ends):
            given = end.detach()  # type: ignore[attr-defined] what DupFd made of it
            os.dup2(given, number)
            os.close(given)
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        os.environ.clear()
        os.environ.update(self._environment)
        os.chdir(self._folder)
        module, function, arguments = self._work
        work = getattr(importlib.import_module(module), function)
        print("ready", flush=True)
        sys.stdin.readline()
        print(json.dumps(work(*json.loads(arguments))), flush=True)


class _Forked:
    """A process with the attributes that `subprocess.Popen` has."""

    def __init__(self, *work: str) -> None:
        (stdin, given_in), (given_out, stdout) = os.pipe(), os.pipe()
        self.stdin = os.fdopen(given_in, "w", encoding="utf-8")
        self.stdout = os.fdopen(given_out, encoding="utf-8")
        self._process = _nursery().Process(target=_Errand(work, (stdin, stdout)))
        self._process.start()
        os.close(stdin)
        os.close(stdout)
        assert self._process.pid is not None
        self.pid = self._process.pid
        self.kill = self._process.kill

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return self._process.exitcode

    def close(self) -> None:
        self.stdout.close()
        # what was not read by one that was killed is lost
        with suppress(BrokenPipeError):
            self.stdin.close()
        self._process.close()


class Worker:
    """A process that is to call `module.function(*arguments)` and waits for the word to begin."""

    def __init__(self, module: str, function: str, arguments: Sequence[Any]) -> None:
        self.process = _Forked(module, function, json.dumps(list(arguments)))

    def line(self) -> str:
        return self.process.stdout.readline().strip()

    def begin(self) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def result(self) -> Any:
        line = self.line()
        assert line, f"the process ended with {self.process.wait()}"
        return json.loads(line)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.kill()
        self.process.close()


@contextmanager
def worker(module: str, function: str, *arguments: Any) -> Iterator[Worker]:
    """Start one process and let it begin; kill it at the end of the block."""
    one = Worker(module, function, arguments)
    try:
        assert one.line() == "ready"
        one.begin()
        yield one
    finally:
        one.close()


def run_together(module: str, function: str, arguments: Sequence[Sequence[Any]]) -> list[Any]:
    """Call the function once for each tuple of arguments, all at the same time; give what they returned."""
    workers = [Worker(module, function, each) for each in arguments]
    try:
        for one in workers:
            assert one.line() == "ready"
        for one in workers:
            one.begin()
        return [one.result() for one in workers]
    finally:
        for one in workers:
            one.close()

"""Processes of their own that do their work at the same time, and can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from support.source_tree import ROOT

__all__ = ["Worker", "run_together", "worker"]

_CODE = """
import importlib, json, sys
module, function, arguments = sys.argv[1:]
work = getattr(importlib.import_module(module), function)
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps(work(*json.loads(arguments))), flush=True)
"""


class Worker:
    """A process that is to call `module.function(*arguments)` and waits for the word to begin."""

    def __init__(self, module: str, function: str, arguments: Sequence[Any]) -> None:
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CODE, module, function, json.dumps(list(arguments))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def begin(self) -> None:
        assert self.process.stdin is not None
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
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


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

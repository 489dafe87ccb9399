"""Commands of a document, each in a process forked from one that has imported the program and no more.

To start the program takes longer than what most of them do.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["start"]

_NEEDS_A_SHELL = re.compile(r"[|&;<>()$`*?\[{~#\n]")
_ASSIGNMENT = re.compile(r"(\w+)=(.*)", re.DOTALL)


def start() -> Callable[[str], int]:
    """Give a function that runs a command line and gives its exit code.

    What needs a shell gets one, which starts the program anew.
    """
    ours, theirs = socket.socketpair()
    if not os.fork():
        ours.close()
        _serve(theirs)
        os._exit(0)
    theirs.close()
    channel = ours.makefile("rw", encoding="utf-8")

    def run(command: str) -> int:
        words = shlex.split(command)
        environment = dict(os.environ)
        while words and (given := _ASSIGNMENT.fullmatch(words[0])):
            environment[given[1]] = given[2]
            words.pop(0)
        if _NEEDS_A_SHELL.search(command) or words[:1] != ["datalayer"]:
            return subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, check=False).returncode
        asked = {"words": words[1:], "environment": environment, "folder": str(Path.cwd())}
        channel.write(json.dumps(asked) + "\n")
        channel.flush()
        return int(channel.readline())

    return run


def _serve(channel: socket.socket) -> None:
    # as in a process of its own, a warning is none of the document's
    sys.warnoptions.clear()
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    import datalayer.cli.main
    import datalayer.store  # noqa: F401 what commands import as they run

    asked = channel.makefile("rw", encoding="utf-8")
    for line in asked:
        child = os.fork()
        if not child:
            _end(_answer(json.loads(line)))
        _, status = os.waitpid(child, 0)
        asked.write(f"{os.waitstatus_to_exitcode(status)}\n")
        asked.flush()


def _answer(asked: dict[str, Any]) -> int:
    """Be the program, in a process of its own."""
    from datalayer.cli.main import main

    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.argv = ["datalayer", *asked["words"]]
    try:
        return main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else bool(ended.code)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1


def _end(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

"""The program as tests run it: its answer, and the command line of a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Answer", "Run", "program"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on standard output."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]


Run = Callable[..., Answer]


def program(words: Sequence[object], before: str = "") -> list[str]:
    """Give the command line that runs the program, in a process that first runs the Python in `before`."""
    arguments = [str(word) for word in words]
    if not before:
        return [sys.executable, "-m", "datalayer", *arguments]
    return [
        sys.executable,
        "-c",
        f"{before}\nimport sys\nfrom datalayer.cli.main import main\nsys.exit(main())",
        *arguments,
    ]

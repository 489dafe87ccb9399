"""What it costs to start: importing, opening a database, asking the command for help.

Each is a process of its own, in turns; CPU time of the whole process, the interpreter's start included.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from time import perf_counter

from benchmarks.harness import Report, Row, Settings, Table, Target, median_ratio, take_turns

__all__ = ["run"]

ROUNDS = 21
NOTHING = "python -c pass"
PEEWEE = "import peewee"
STARTS: dict[str, Sequence[str]] = {
    NOTHING: ["-c", "pass"],
    PEEWEE: ["-c", "import peewee"],
    "import datalayer": ["-c", "import datalayer"],
    "from datalayer import Repository": ["-c", "from datalayer import Repository"],
    "open a store": ["-c", "import datalayer; datalayer.connect(':memory:')"],
    "datalayer --help": ["-m", "datalayer", "--help"],
}
TARGETS = {"import datalayer": Target(PEEWEE, 1.3), "datalayer --help": Target(NOTHING, 3)}


def run(settings: Settings) -> Report:
    """Start everything in turns."""
    found = take_turns(STARTS, settings.rounds(ROUNDS), _start)
    rows = [
        Row(
            name,
            {
                "cpu ms": statistics.median(one["cpu"] for one in spent) * 1e3,
                "wall ms": statistics.median(one["wall"] for one in spent) * 1e3,
                NOTHING: median_ratio(spent, found[NOTHING]),
                PEEWEE: median_ratio(spent, found[PEEWEE]),
            },
            TARGETS.get(name),
        )
        for name, spent in found.items()
    ]
    title = f"Starting: CPU time of a process, as a multiple of `{NOTHING}` and of `{PEEWEE}`"
    return Report("startup", [Table(title, ["cpu ms", "wall ms", NOTHING, PEEWEE], rows)])


def _start(arguments: Sequence[str]) -> Mapping[str, float]:
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter() - wall
    return {"cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, "wall": wall}

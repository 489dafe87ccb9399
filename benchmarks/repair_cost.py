"""What the repair of a large file costs beside `sqlite3 .recover`: CPU time, peak memory, rows in place.

Each repair is a process of its own, which starts, reads the damaged file and writes a sound one. Rows are of
about 150 bytes, with two indexes. `python -m benchmarks salvage --megabytes 100` runs it.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Row, Table, Target

__all__ = ["DAMAGES", "measure"]

PAGE, BLOCK = 4096, 1 << 20
Harm = Callable[[Path, Path, int], None]
"""Writes a damaged copy of the first file; the number is the root page of the largest table."""
OURS, THEIRS = "datalayer", ".recover"
COLUMNS = ("CPU s", THEIRS, "peak MB", "rows")
# all of what a row takes, its entries in the indexes included
ROW_BYTES = 200
SCHEMA = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT UNIQUE);
CREATE TABLE entry (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customer (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    amount REAL,
    created_at TEXT NOT NULL,
    body TEXT NOT NULL CHECK (length(body) > 0)
);
CREATE INDEX entry_customer ON entry (customer_id);
CREATE INDEX entry_created ON entry (created_at);
"""
WORDS = ("alpha", "bravo", "carbon", "delta", "epsilon", "forest", "garden", "harbor", "island", "jungle")
REPAIR = """
import sys
from datalayer.schema.repair.repairing import repair

repair(sys.argv[1], output=sys.argv[2])
"""


@dataclass(frozen=True)
class Spent:
    """What one process took."""

    cpu_s: float
    peak_mb: float
    rows: int

    def cells(self, other: Spent | None) -> dict[str, float | None]:
        ratio = None if other is None else self.cpu_s / other.cpu_s
        return {"CPU s": self.cpu_s, THEIRS: ratio, "peak MB": self.peak_mb, "rows": self.rows}


def measure(megabytes: int, folder: Path, shell: str | None, damages: Sequence[str] = ()) -> Table:
    """Damage a file of this size in each way and repair it."""
    sound = folder / "sound.db"
    _fill(sound, megabytes * 1_000_000 // ROW_BYTES)
    rows: list[Row] = []
    for name in damages or DAMAGES:
        damaged = folder / "damaged.db"
        _damage(sound, damaged, DAMAGES[name])
        theirs = None if shell is None else _recovered(shell, damaged, folder / "out.db")
        ours = _spent([sys.executable, "-c", REPAIR, str(damaged), str(folder / "out.db")], folder / "out.db")
        rows.append(Row(f"{OURS}, {name}", ours.cells(theirs), Target(THEIRS, 4)))
        if theirs is not None:
            rows.append(Row(f"{THEIRS}, {name}", theirs.cells(theirs)))
    size = sound.stat().st_size // 1_000_000
    notes = [] if shell else ["no sqlite3 command line with .recover was found"]
    notes.append(f"{_count(sound)} rows before the damage; peak memory is of the largest process")
    return Table(f"Repair of a file of {size} MB", COLUMNS, rows, notes)


def _fill(path: Path, count: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.executescript(SCHEMA)
        connection.execute("BEGIN")
        customers = max(1, count // 50)
        connection.executemany(
            "INSERT INTO customer VALUES (?, ?, ?)",
            ((number, f"Customer {number}", f"c{number}@example.org") for number in range(1, customers + 1)),
        )
        connection.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", _entries(count, customers))
        connection.execute("COMMIT")


def _entries(count: int, customers: int) -> Iterator[tuple[object, ...]]:
    rng = random.Random(7)
    for number in range(1, count + 1):
        moment = f"2026-01-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:00Z"
        yield (
            number,
            rng.randrange(1, customers + 1),
            rng.choice(WORDS),
            rng.random() * 100,
            moment,
            " ".join(rng.choices(WORDS, k=15)),
        )


def _damage(sound: Path, damaged: Path, harm: Harm) -> None:
    """Write a damaged copy, block by block: a child's peak memory counts what its parent had."""
    with closing(sqlite3.connect(sound)) as connection:
        root = int(
            connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'entry'").fetchone()[0]
        )
    damaged.unlink(missing_ok=True)
    harm(sound, damaged, root)


def _garble(sound: Path, damaged: Path, share: float) -> None:
    shutil.copyfile(sound, damaged)
    rng = random.Random(3)
    count = sound.stat().st_size // PAGE
    with damaged.open("rb+") as file:
        for number in rng.sample(range(10, count), max(10, int(count * share))):
            file.seek(number * PAGE + rng.randrange(PAGE - 600))
            file.write(rng.randbytes(600))


def _few_pages(sound: Path, damaged: Path, root: int) -> None:
    del root
    _garble(sound, damaged, 0)


def _many_pages(sound: Path, damaged: Path, root: int) -> None:
    del root
    _garble(sound, damaged, 0.05)


def _lost_root(sound: Path, damaged: Path, root: int) -> None:
    shutil.copyfile(sound, damaged)
    with damaged.open("rb+") as file:
        file.seek((root - 1) * PAGE)
        file.write(bytes(PAGE))


def _inserted_bytes(sound: Path, damaged: Path, root: int) -> None:
    del root
    middle = sound.stat().st_size // 2
    with sound.open("rb") as source, damaged.open("wb") as target:
        for start in range(0, middle, BLOCK):
            target.write(source.read(min(BLOCK, middle - start)))
        target.write(random.Random(5).randbytes(1000))
        shutil.copyfileobj(source, target, BLOCK)


DAMAGES: Mapping[str, Harm] = {
    "ten damaged pages": _few_pages,
    "every twentieth page damaged": _many_pages,
    "the largest table's root zeroed": _lost_root,
    "1000 bytes inserted in the middle": _inserted_bytes,
}


def _recovered(shell: str, source: Path, target: Path) -> Spent:
    return _spent(["sh", "-c", '"$0" "$1" .recover | "$0" "$2"', shell, str(source), str(target)], target)


def _spent(command: Sequence[str], target: Path) -> Spent:
    """Run a command and give what it and its children took; the target is taken away afterwards."""
    target.unlink(missing_ok=True)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    kilobytes = usage.ru_maxrss if sys.platform != "darwin" else usage.ru_maxrss / 1024
    rows = _count(target)
    target.unlink(missing_ok=True)
    return Spent(usage.ru_utime + usage.ru_stime, kilobytes / 1000, rows)


def _count(path: Path) -> int:
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path)) as connection:
        return sum(
            int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
            for table in ("customer", "entry")
        )
    return 0

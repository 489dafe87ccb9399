"""The sound databases that the corruption laboratory damages, each with its truth.

own, own-wal                     the package's own schema
app-512 ... app-65536            an app's schema in each page size, encoding and kind of auto-vacuum
app-wal, app-hot, app-old-log    committed frames not yet in the main file; a hot journal; a file with an
                                 older log and journal at hand
"""

from __future__ import annotations

import random
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from support.corruption_format import journal_seal, log_seal
from support.corruption_schemas import APP_SCHEMA, fill_app, fill_own, work_on_app, work_on_own
from support.corruption_truth import SUFFIXES, Truth, find_truth, read_rows, read_specs, text_of

__all__ = ["BASES", "Base", "make_base"]

OWN_SCHEMA = Path(__file__).parents[2] / "migrations" / "consolidated_migrations.sql"
Past = tuple[str, Any, tuple[Any, ...]]
Work = Callable[[sqlite3.Connection, random.Random, float], Iterator[None]]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a base is made. `mode` is plain, wal, hot or old-log; `scale` is how many rows it has."""

    schema: str
    page_size: int = 4096
    encoding: str = "UTF-8"
    auto_vacuum: int = 0
    mode: str = "plain"
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Base:
    """A sound database: the bytes of its files, what it holds, and what it once held.

    `past` are rows that were deleted or replaced, `open_rows` all rows as an open transaction saw them (hot);
    `spare` are files of an earlier time (old-log) or none.
    """

    name: str
    recipe: Recipe
    files: dict[str, bytes]
    truth: Truth
    past: set[Past]
    open_rows: set[Past]
    spare: dict[str, bytes] = field(default_factory=dict[str, bytes])
    memory: dict[object, Any] = field(default_factory=dict[object, Any])

    @property
    def schema_sql(self) -> str:
        return APP_SCHEMA if self.recipe.schema == "app" else OWN_SCHEMA.read_text(encoding="utf-8")

    @property
    def mode(self) -> str:
        return self.recipe.mode

    @property
    def page_size(self) -> int:
        return self.recipe.page_size

    def state(self, commits: int) -> Truth:
        """Give what the database held after so many commits of its log."""
        if commits not in self.memory:
            self.memory[commits] = find_truth(self.files, commits=commits)
        return self.memory[commits]


BASES = {
    "own": Recipe("own"),
    "own-wal": Recipe("own", mode="wal"),
    "app-512": Recipe("app", 512, scale=0.5),
    "app-1024-full": Recipe("app", 1024, auto_vacuum=1, scale=0.7),
    "app-2048-utf16be": Recipe("app", 2048, "UTF-16be", auto_vacuum=2, scale=0.7),
    "app-4096": Recipe("app"),
    "app-4096-utf16le": Recipe("app", 4096, "UTF-16le", scale=0.7),
    "app-65536": Recipe("app", 65536, scale=1.5),
    "app-wal": Recipe("app", mode="wal"),
    "app-wal-1024": Recipe("app", 1024, mode="wal", scale=0.6),
    "app-hot": Recipe("app", mode="hot"),
    "app-hot-1024": Recipe("app", 1024, mode="hot", scale=0.6),
    "app-old-log": Recipe("app", mode="old-log"),
}


@cache
def make_base(name: str) -> Base:
    """Make a base; every call of every process gives the same bytes."""
    recipe = BASES[name]
    rng = random.Random(f"base {name}")
    past: set[Past] = set()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "base.db"
        with closing(_connect(path, recipe)) as connection:
            _live(connection, recipe, rng, past)
            spare = _end(path, connection, recipe, rng, past)
            files = _sealed(_files(path), rng) if recipe.mode in ("wal", "hot") else {}
            # looked at late: a small cache writes changed pages where it reads others
            open_rows: set[Past] = set()
            _note(connection, open_rows)
            past |= open_rows
        # a plain database is what is there after it was closed
        files = files or _files(path)
    truth = find_truth(files, rolled_back=recipe.mode == "hot")
    for table, rows in truth.tables.items():
        past.difference_update((table, key, row.values) for key, row in rows.items())
    return Base(name, recipe, files, truth, past, open_rows, spare)


def _connect(path: Path, recipe: Recipe) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.text_factory = text_of
    # some builds of SQLite overwrite what is deleted; most do not, and there the remains stay
    connection.executescript(
        f"""
        PRAGMA page_size = {recipe.page_size};
        PRAGMA encoding = '{recipe.encoding}';
        PRAGMA auto_vacuum = {recipe.auto_vacuum};
        PRAGMA secure_delete = OFF;
        PRAGMA synchronous = OFF;
        PRAGMA foreign_keys = ON;
        """
    )
    return connection


def _live(
    connection: sqlite3.Connection,
    recipe: Recipe,
    rng: random.Random,
    past: set[Past],
) -> None:
    if recipe.schema == "own":
        connection.executescript(OWN_SCHEMA.read_text(encoding="utf-8"))
        fill_own(connection, rng, recipe.scale)
    else:
        fill_app(connection, rng, recipe.scale)
    _work(connection, recipe, rng, 0.125, past)


def _work(
    connection: sqlite3.Connection,
    recipe: Recipe,
    rng: random.Random,
    share: float,
    past: set[Past],
) -> None:
    """Let the app work a while in a few transactions, and note all rows that there ever were."""
    work: Work = work_on_own if recipe.schema == "own" else work_on_app
    connection.execute("BEGIN")
    for _ in work(connection, rng, share):
        _note(connection, past)
        if connection.in_transaction:
            connection.execute("COMMIT")
            connection.execute("BEGIN")
    connection.execute("COMMIT")
    _note(connection, past)


def _note(connection: sqlite3.Connection, past: set[Past]) -> None:
    for spec in read_specs(connection):
        past.update((spec.name, key, values) for key, values in read_rows(connection, spec).items())


def _end(
    path: Path,
    connection: sqlite3.Connection,
    recipe: Recipe,
    rng: random.Random,
    past: set[Past],
) -> dict[str, bytes]:
    """Bring the files into the state that the mode names."""
    if recipe.mode == "wal":
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        for _ in range(2):
            _work(connection, recipe, rng, 1 / 24, past)
    elif recipe.mode == "hot":
        connection.execute("PRAGMA synchronous = FULL")
        # some of the changed pages find no room in the cache and go to the main file, which is torn then
        connection.execute("PRAGMA cache_size = 60")
        connection.execute("BEGIN")
        for _ in work_on_app(connection, rng, 1 / 16):
            pass
    elif recipe.mode == "old-log":
        return _old_files(path, connection, recipe, rng, past)
    return {}


def _old_files(
    path: Path,
    connection: sqlite3.Connection,
    recipe: Recipe,
    rng: random.Random,
    past: set[Past],
) -> dict[str, bytes]:
    """Keep a log and a journal of an earlier time; the main file went on."""
    connection.execute("PRAGMA journal_mode = PERSIST")
    _work(connection, recipe, rng, 1 / 24, past)
    journal = _files(path)["journal"]
    connection.execute("PRAGMA journal_mode = WAL")
    _work(connection, recipe, rng, 1 / 24, past)
    old = _sealed(_files(path), rng)["wal"]
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _work(connection, recipe, rng, 1 / 16, past)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return {"wal": old, "journal": journal}


def _files(path: Path) -> dict[str, bytes]:
    places = {name: path.with_name(path.name + suffix) for name, suffix in SUFFIXES.items()}
    return {name: place.read_bytes() for name, place in places.items() if place.exists()}


def _sealed(files: dict[str, bytes], rng: random.Random) -> dict[str, bytes]:
    """Replace the numbers that SQLite drew by ones of the seed."""
    sealed = dict(files)
    if files.get("wal"):
        sealed["wal"] = log_seal(files["wal"], struct.pack(">II", rng.getrandbits(32), rng.getrandbits(32)))
    if files.get("journal", b"")[:1] == b"\xd9":
        raw = int.from_bytes(files["main"][16:18], "big")
        sealed["journal"] = journal_seal(files["journal"], 65536 if raw == 1 else raw, rng.getrandbits(32))
    return sealed

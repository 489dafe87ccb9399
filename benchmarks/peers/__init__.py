"""The libraries that are compared, each doing the same work the way its documentation shows.

All open a file of their own with the same tables and the same PRAGMAs, and all give what the raw driver's
contestant gives: objects with the row's values as attributes.
"""

from __future__ import annotations

import importlib
import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

__all__ = ["PEERS", "PRAGMAS", "TABLES", "Peer", "make_rows", "open_peers"]

PRAGMAS = {
    "journal_mode": "WAL",
    "synchronous": "NORMAL",
    "foreign_keys": "ON",
    "temp_store": "MEMORY",
    "cache_size": -16_384,
}
TABLES = {
    "item": "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL, n INTEGER NOT NULL)",
    "event": (
        "CREATE TABLE event (id INTEGER PRIMARY KEY, name TEXT NOT NULL, n INTEGER NOT NULL,"
        " score REAL NOT NULL, is_open INTEGER NOT NULL, note TEXT, payload TEXT NOT NULL,"
        " created_at TEXT NOT NULL)"
    ),
}
PEERS = {
    "raw": "raw",
    "datalayer": "datalayer",
    "peewee": "peewee",
    "SQLAlchemy Core": "sqlalchemy_core",
    "SQLAlchemy ORM": "sqlalchemy_orm",
    "Django": "django",
}


class Peer(Protocol):
    """One library at work on one file; `use` says which table the verbs mean."""

    def __init__(self, path: Path) -> None: ...

    def use(self, table: str) -> None: ...

    def insert(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        """Insert one by one in one transaction; gives the objects with their keys."""
        ...

    def insert_alone(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        """Insert one by one, each committed by itself."""
        ...

    def insert_bulk(self, rows: Sequence[dict[str, Any]]) -> object:
        """Insert all in one transaction the library's fastest way."""
        ...

    def get(self, keys: Sequence[int]) -> list[Any]:
        """Get objects one by one by their keys."""
        ...

    def update(self, keys: Sequence[int]) -> object:
        """Set `n` of rows one by one by their keys, in one transaction."""
        ...

    def delete(self, keys: Sequence[int]) -> object:
        """Delete rows one by one by their keys, in one transaction."""
        ...

    def find_all(self) -> list[Any]:
        """Get all rows as objects."""
        ...

    def find_ten(self, keys: Sequence[int]) -> list[Any]:
        """Get ten rows at a time by a list of keys."""
        ...

    def pages(self, count: int) -> list[Any]:
        """Walk pages of 50 rows, each behind the last row of the one before."""
        ...

    def empty(self) -> None:
        """Remove all rows, and what the library remembers of them."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Opened:
    peers: dict[str, Peer]
    files: list[Path]
    left_out: list[str]

    def settle(self) -> None:
        """Write every log back into its file, so that nobody pays for what an earlier verb wrote."""
        for file in self.files:
            with closing(sqlite3.connect(file)) as conn:
                conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def open_peers(folder: Path, names: Sequence[str] = tuple(PEERS)) -> Opened:
    """Open the libraries that are installed, and name those that are not."""
    peers: dict[str, Peer] = {}
    files: list[Path] = []
    left_out: list[str] = []
    for name in names:
        try:
            module = importlib.import_module(f"benchmarks.peers.{PEERS[name]}")
        except ModuleNotFoundError as missing:
            left_out.append(f"{name} left out: {missing.name} is not installed")
            continue
        files.append(folder / f"{PEERS[name]}.db")
        peers[name] = module.Contestant(files[-1])
    return Opened(peers, files, left_out)


def make_rows(table: str, count: int) -> list[dict[str, Any]]:
    """Make the same rows in every run."""
    if table == "item":
        return [{"name": f"name {number}", "n": number % 1000} for number in range(count)]
    dice = random.Random(7)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        {
            "name": f"name {number}",
            "n": number % 1000,
            "score": dice.random(),
            "is_open": number % 2 == 0,
            "note": None if number % 3 else f"note of {number}",
            "payload": {"model": "small", "tokens": number, "tags": ["a", "b"]},
            "created_at": start + timedelta(milliseconds=number),
        }
        for number in range(count)
    ]

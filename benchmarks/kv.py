"""The key-value store on a SQLite file: CPU time against sqlite3 by hand on the same table."""

from __future__ import annotations

import json
import sqlite3
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import datalayer
from benchmarks.harness import Report, Row, Settings, Table, Target, median_ratio, take_turns, timed
from benchmarks.peers import PRAGMAS

__all__ = ["run"]

ROUNDS = 7
STORED = 10_000
CALLS = 2_000
VALUE = {"theme": "dark", "width": 1280, "open": ["main.py", "test_main.py"]}


class Contestant(Protocol):
    def get(self, key: str) -> Any: ...

    def set(self, key: str, value: Any) -> None: ...

    def set_many(self, values: Mapping[str, Any]) -> None: ...

    def increment(self, key: str) -> int: ...


class Store:
    """datalayer's."""

    def __init__(self, path: Path) -> None:
        kv = datalayer.connect(path).kv
        self.get = kv.get
        self.set = kv.set
        self.set_many = kv.set_many
        self.increment = kv.increment


class ByHand:
    """One statement each, as one would write it."""

    SET = (
        "INSERT INTO key_value_store (key, value, updated_at, expires_at) VALUES (?, ?, ?, NULL)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at,"
        " expires_at = excluded.expires_at"
    )
    INCREMENT = (
        "INSERT INTO key_value_store (key, value, updated_at) VALUES (?, '1', ?) ON CONFLICT (key)"
        " DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT), updated_at = excluded.updated_at"
        " RETURNING value"
    )
    GET = "SELECT value FROM key_value_store WHERE key = ? AND (expires_at IS NULL OR expires_at > ?)"

    def __init__(self, path: Path) -> None:
        self.conn = sqlite3.connect(path, isolation_level=None)
        for name, value in PRAGMAS.items():
            self.conn.execute(f"PRAGMA {name} = {value}")

    def get(self, key: str) -> Any:
        row = self.conn.execute(self.GET, (key, _now())).fetchone()
        return json.loads(row[0]) if row else None

    def set(self, key: str, value: Any) -> None:
        self.conn.execute(self.SET, (key, json.dumps(value), _now()))

    def set_many(self, values: Mapping[str, Any]) -> None:
        now = _now()
        self.conn.execute("BEGIN IMMEDIATE")
        self.conn.executemany(self.SET, ((key, json.dumps(value), now) for key, value in values.items()))
        self.conn.execute("COMMIT")

    def increment(self, key: str) -> int:
        return int(self.conn.execute(self.INCREMENT, (key, _now())).fetchall()[0][0])


@dataclass(frozen=True, slots=True)
class Verb:
    name: str
    act: Callable[[Contestant, Sequence[str]], object]
    most: float


VERBS = (
    Verb("set many at once", lambda one, keys: one.set_many(dict.fromkeys(keys, VALUE)), 2.0),
    Verb("get", lambda one, keys: [one.get(key) for key in keys], 2.0),
    Verb("get what is absent", lambda one, keys: [one.get(f"no {key}") for key in keys], 2.0),
    Verb("set", lambda one, keys: [one.set(key, VALUE) for key in keys], 2.0),
    Verb("increment", lambda one, keys: [one.increment("visits") for _ in keys], 2.0),
)


def run(settings: Settings) -> Report:
    """Measure both on files of their own."""
    keys = [f"setting {number}" for number in range(settings.size(STORED))]
    called = keys[:: max(1, len(keys) // settings.size(CALLS))]
    paths = {"by hand": settings.folder / "by_hand.db", "datalayer": settings.folder / "datalayer.db"}
    for path in paths.values():
        with datalayer.connect(path) as store:
            store.migrate()
    contestants: dict[str, Contestant] = {
        "by hand": ByHand(paths["by hand"]),
        "datalayer": Store(paths["datalayer"]),
    }
    rows: list[Row] = []
    for verb in VERBS:
        used = keys if verb is VERBS[0] else called
        spent = take_turns(
            contestants,
            settings.rounds(ROUNDS),
            lambda one, verb=verb, used=used: timed(lambda: verb.act(one, used)),
        )
        each = statistics.median(one["cpu"] for one in spent["by hand"]) / len(used) * 1e6
        ratio = median_ratio(spent["datalayer"], spent["by hand"])
        rows.append(Row(verb.name, {"by hand us": each, "datalayer": ratio}, Target("datalayer", verb.most)))
    title = "Key-value store on a SQLite file: CPU time, sqlite3 by hand on the same table = 1"
    return Report("kv", [Table(title, ["by hand us", "datalayer"], rows)])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

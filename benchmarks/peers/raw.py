"""The standard library's sqlite3 by hand: what everything else is measured against."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.peers import PRAGMAS, TABLES

__all__ = ["Contestant", "Event", "Item"]


class Item:
    def __init__(self, key: int, name: str, n: int) -> None:
        self.id = key
        self.name = name
        self.n = n

    columns = ("name", "n")

    @staticmethod
    def stored(row: dict[str, Any]) -> tuple[Any, ...]:
        return (row["name"], row["n"])

    @staticmethod
    def read(row: tuple[Any, ...]) -> Item:
        return Item(*row)

    @staticmethod
    def build(rows: Iterable[tuple[Any, ...]]) -> list[Item]:
        return [Item(key, name, n) for key, name, n in rows]


class Event:
    def __init__(
        self,
        key: int,
        name: str,
        n: int,
        score: float,
        is_open: bool,
        note: str | None,
        payload: Any,
        created_at: datetime,
    ) -> None:
        self.id = key
        self.name = name
        self.n = n
        self.score = score
        self.is_open = is_open
        self.note = note
        self.payload = payload
        self.created_at = created_at

    columns = ("name", "n", "score", "is_open", "note", "payload", "created_at")

    @staticmethod
    def stored(row: dict[str, Any]) -> tuple[Any, ...]:
        return (
            row["name"],
            row["n"],
            row["score"],
            row["is_open"],
            row["note"],
            json.dumps(row["payload"]),
            row["created_at"].isoformat(),
        )

    @staticmethod
    def read(row: tuple[Any, ...]) -> Event:
        key, name, n, score, is_open, note, payload, created_at = row
        return Event(
            key, name, n, score, bool(is_open), note, json.loads(payload), datetime.fromisoformat(created_at)
        )

    @staticmethod
    def build(rows: Iterable[tuple[Any, ...]]) -> list[Event]:
        return [
            Event(
                key,
                name,
                n,
                score,
                bool(is_open),
                note,
                json.loads(payload),
                datetime.fromisoformat(created_at),
            )
            for key, name, n, score, is_open, note, payload, created_at in rows
        ]


class Contestant:
    def __init__(self, path: Path) -> None:
        self.conn = sqlite3.connect(path, isolation_level=None)
        for name, value in PRAGMAS.items():
            self.conn.execute(f"PRAGMA {name} = {value}")
        for statement in TABLES.values():
            self.conn.execute(statement)

    def use(self, table: str) -> None:
        self.table = table
        self.kind: Any = {"item": Item, "event": Event}[table]
        columns = ", ".join(self.kind.columns)
        marks = ", ".join("?" * len(self.kind.columns))
        self.insert_sql = f"INSERT INTO {table} ({columns}) VALUES ({marks})"
        self.select_sql = f"SELECT id, {columns} FROM {table}"

    def insert(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        self.conn.execute("BEGIN IMMEDIATE")
        made = self.insert_alone(rows)
        self.conn.execute("COMMIT")
        return made

    def insert_alone(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        kind, conn, sql = self.kind, self.conn, self.insert_sql
        return [kind(conn.execute(sql, kind.stored(row)).lastrowid, **row) for row in rows]

    def insert_bulk(self, rows: Sequence[dict[str, Any]]) -> object:
        self.conn.execute("BEGIN IMMEDIATE")
        self.conn.executemany(self.insert_sql, map(self.kind.stored, rows))
        self.conn.execute("COMMIT")
        return None

    def get(self, keys: Sequence[int]) -> list[Any]:
        read, conn, sql = self.kind.read, self.conn, f"{self.select_sql} WHERE id = ?"
        return [read(conn.execute(sql, (key,)).fetchone()) for key in keys]

    def update(self, keys: Sequence[int]) -> object:
        self.conn.execute("BEGIN IMMEDIATE")
        for key in keys:
            self.conn.execute(f"UPDATE {self.table} SET n = ? WHERE id = ?", (-key, key))
        self.conn.execute("COMMIT")
        return None

    def delete(self, keys: Sequence[int]) -> object:
        self.conn.execute("BEGIN IMMEDIATE")
        for key in keys:
            self.conn.execute(f"DELETE FROM {self.table} WHERE id = ?", (key,))
        self.conn.execute("COMMIT")
        return None

    def find_all(self) -> list[Any]:
        found: list[Any] = self.kind.build(self.conn.execute(f"{self.select_sql} ORDER BY id"))
        return found

    def find_ten(self, keys: Sequence[int]) -> list[Any]:
        sql = f"{self.select_sql} WHERE id IN ({', '.join('?' * 10)}) ORDER BY id"
        return [self.kind.build(self.conn.execute(sql, keys[at : at + 10])) for at in range(0, len(keys), 10)]

    def pages(self, count: int) -> list[Any]:
        found: list[Any] = []
        last = 0
        for _ in range(count):
            sql = f"{self.select_sql} WHERE id > ? ORDER BY id LIMIT 51"
            rows = self.kind.build(self.conn.execute(sql, (last,)))[:50]
            last = rows[-1].id
            found.append(rows)
        return found

    def empty(self) -> None:
        self.conn.execute(f"DELETE FROM {self.table}")

    def close(self) -> None:
        self.conn.close()

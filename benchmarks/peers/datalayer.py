"""datalayer's repositories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peewee

from benchmarks.peers import TABLES
from datalayer import JSONField, Model, Repository, UtcField, connect

__all__ = ["Contestant", "Event", "Item"]


class Item(Model):
    name = peewee.TextField()
    n = peewee.IntegerField()


class Event(Model):
    name = peewee.TextField()
    n = peewee.IntegerField()
    score = peewee.FloatField()
    is_open = peewee.BooleanField()
    note = peewee.TextField(null=True)
    payload = JSONField()
    created_at = UtcField()


class Contestant:
    def __init__(self, path: Path) -> None:
        self.store = connect(path)
        for statement in TABLES.values():
            self.store.engine.execute(statement)

    def use(self, table: str) -> None:
        self.rows: Repository[Any] = self.store.repository({"item": Item, "event": Event}[table])

    def insert(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        with self.rows.transaction():
            return [self.rows.add(**row) for row in rows]

    def insert_alone(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        return [self.rows.add(**row) for row in rows]

    def insert_bulk(self, rows: Sequence[dict[str, Any]]) -> object:
        return self.rows.add_many(rows)

    def get(self, keys: Sequence[int]) -> list[Any]:
        return [self.rows.get(key) for key in keys]

    def update(self, keys: Sequence[int]) -> object:
        with self.rows.transaction():
            for key in keys:
                self.rows.update(key, n=-key)
        return None

    def delete(self, keys: Sequence[int]) -> object:
        with self.rows.transaction():
            for key in keys:
                self.rows.delete(key)
        return None

    def find_all(self) -> list[Any]:
        return self.rows.find()

    def find_ten(self, keys: Sequence[int]) -> list[Any]:
        return [self.rows.find(id=keys[at : at + 10]) for at in range(0, len(keys), 10)]

    def pages(self, count: int) -> list[Any]:
        found: list[Any] = []
        cursor = None
        for _ in range(count):
            page = self.rows.page(size=50, after=cursor)
            cursor = page.next
            found.append(page)
        return found

    def empty(self) -> None:
        self.rows.delete_where(self.rows.model.id > 0)

    def close(self) -> None:
        self.store.close()

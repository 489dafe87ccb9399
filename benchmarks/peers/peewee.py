"""peewee's models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peewee
from playhouse.sqlite_ext import JSONField

from benchmarks.peers import PRAGMAS, TABLES

__all__ = ["Contestant"]


class Item(peewee.Model):
    name = peewee.TextField()
    n = peewee.IntegerField()


class Event(peewee.Model):
    name = peewee.TextField()
    n = peewee.IntegerField()
    score = peewee.FloatField()
    is_open = peewee.BooleanField()
    note = peewee.TextField(null=True)
    payload = JSONField()
    created_at = peewee.DateTimeField()


class Contestant:
    def __init__(self, path: Path) -> None:
        self.db = peewee.SqliteDatabase(
            path, pragmas={name.lower(): value for name, value in PRAGMAS.items()}
        )
        self.db.bind([Item, Event])
        for statement in TABLES.values():
            self.db.execute_sql(statement)

    def use(self, table: str) -> None:
        self.model: Any = {"item": Item, "event": Event}[table]

    def insert(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        with self.db.atomic():
            return [self.model.create(**row) for row in rows]

    def insert_alone(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        return [self.model.create(**row) for row in rows]

    def insert_bulk(self, rows: Sequence[dict[str, Any]]) -> object:
        with self.db.atomic():
            for chunk in peewee.chunked(rows, 1000):
                self.model.insert_many(chunk).execute()
        return None

    def get(self, keys: Sequence[int]) -> list[Any]:
        return [self.model.get_by_id(key) for key in keys]

    def update(self, keys: Sequence[int]) -> object:
        with self.db.atomic():
            for key in keys:
                self.model.update(n=-key).where(self.model.id == key).execute()
        return None

    def delete(self, keys: Sequence[int]) -> object:
        with self.db.atomic():
            for key in keys:
                self.model.delete_by_id(key)
        return None

    def find_all(self) -> list[Any]:
        return list(self.model.select().order_by(self.model.id))

    def find_ten(self, keys: Sequence[int]) -> list[Any]:
        model = self.model
        return [
            list(model.select().where(model.id.in_(keys[at : at + 10])).order_by(model.id))
            for at in range(0, len(keys), 10)
        ]

    def pages(self, count: int) -> list[Any]:
        found: list[Any] = []
        model = self.model
        last = 0
        for _ in range(count):
            rows = list(model.select().where(model.id > last).order_by(model.id).limit(51))[:50]
            last = rows[-1].id
            found.append(rows)
        return found

    def empty(self) -> None:
        self.model.delete().execute()

    def close(self) -> None:
        self.db.close()

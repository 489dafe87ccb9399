"""Django's models, without the rest of Django."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import django
from django.conf import settings
from django.db import connection, models, transaction

from benchmarks.peers import PRAGMAS, TABLES

__all__ = ["Contestant"]

if not settings.configured:
    commands = "; ".join(f"PRAGMA {name} = {value}" for name, value in PRAGMAS.items())
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": ":memory:",
                "OPTIONS": {"init_command": commands, "transaction_mode": "IMMEDIATE"},
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        USE_TZ=True,
    )
    django.setup()


class Item(models.Model):
    name = models.TextField()
    n = models.IntegerField()

    class Meta:
        app_label = "benchmarks"
        db_table = "item"


class Event(models.Model):
    name = models.TextField()
    n = models.IntegerField()
    score = models.FloatField()
    is_open = models.BooleanField()
    note = models.TextField(null=True)
    payload = models.JSONField()
    created_at = models.DateTimeField()

    class Meta:
        app_label = "benchmarks"
        db_table = "event"


class Contestant:
    kinds: ClassVar = {"item": Item, "event": Event}

    def __init__(self, path: Path) -> None:
        connection.close()
        connection.settings_dict["NAME"] = str(path)
        with connection.cursor() as cursor:
            for statement in TABLES.values():
                cursor.execute(statement)

    def use(self, table: str) -> None:
        self.model: Any = self.kinds[table]

    def insert(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        with transaction.atomic():
            return [self.model.objects.create(**row) for row in rows]

    def insert_alone(self, rows: Sequence[dict[str, Any]]) -> list[Any]:
        return [self.model.objects.create(**row) for row in rows]

    def insert_bulk(self, rows: Sequence[dict[str, Any]]) -> object:
        self.model.objects.bulk_create([self.model(**row) for row in rows])
        return None

    def get(self, keys: Sequence[int]) -> list[Any]:
        return [self.model.objects.get(pk=key) for key in keys]

    def update(self, keys: Sequence[int]) -> object:
        with transaction.atomic():
            for key in keys:
                self.model.objects.filter(pk=key).update(n=-key)
        return None

    def delete(self, keys: Sequence[int]) -> object:
        with transaction.atomic():
            for key in keys:
                self.model.objects.filter(pk=key).delete()
        return None

    def find_all(self) -> list[Any]:
        return list(self.model.objects.order_by("id"))

    def find_ten(self, keys: Sequence[int]) -> list[Any]:
        return [
            list(self.model.objects.filter(id__in=keys[at : at + 10]).order_by("id"))
            for at in range(0, len(keys), 10)
        ]

    def pages(self, count: int) -> list[Any]:
        found: list[Any] = []
        last = 0
        for _ in range(count):
            rows = list(self.model.objects.filter(id__gt=last).order_by("id")[:51])[:50]
            last = rows[-1].id
            found.append(rows)
        return found

    def empty(self) -> None:
        self.model.objects.all().delete()

    def close(self) -> None:
        connection.close()
